//! When to send: everything that is due, as soon as it is due, in ticks of at most a millisecond.

use std::ops::Range;
use std::time::{Duration, Instant};

use domain::simulation::Schedule;

/// Shortest sleep; with what the system adds to it a tick stays below 1 ms.
const TICK: Duration = Duration::from_micros(850);
/// Longest sleep, so that a stop is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// Most readings sent under one reading of the clock.
const BATCH_MAX: u64 = 256;

/// Time since the first reading was due; no adjustment of the wall clock disturbs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// Makes a clock that shows 0 up to `origin`.
    pub(crate) fn new(origin: Instant) -> Self {
        Self { origin }
    }

    /// Returns the time since the origin, in nanoseconds.
    pub(crate) fn now_ns(self) -> u64 {
        let elapsed = Instant::now().saturating_duration_since(self.origin);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns how long it is until the origin.
    pub(crate) fn until_origin(self) -> Duration {
        self.origin.saturating_duration_since(Instant::now())
    }
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send these readings: they are due.
    Send(Range<u64>),
    /// Nothing is due: look again after this time.
    Sleep(Duration),
    /// The run has had its last reading.
    Done,
}

/// How far a schedule has been followed.
#[derive(Debug)]
pub(crate) struct Pace {
    schedule: Schedule,
    sent: u64,
}

impl Pace {
    /// Starts before the first reading.
    pub(crate) fn new(schedule: Schedule) -> Self {
        Self { schedule, sent: 0 }
    }

    /// Returns how many readings were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Decides what to do at `now_ns`.
    pub(crate) fn step(&self, now_ns: u64) -> Step {
        if self.schedule.readings_max == Some(self.sent) {
            return Step::Done;
        }
        let due = self.schedule.due_count(now_ns);
        if due > self.sent {
            return Step::Send(self.sent..due.min(self.sent + BATCH_MAX));
        }
        let until_due = self.schedule.due_ns(self.sent).saturating_sub(now_ns);
        Step::Sleep(Duration::from_nanos(until_due).clamp(TICK, SLEEP_MAX))
    }

    /// Notes that the next `count` readings were sent.
    pub(crate) fn advance(&mut self, count: u64) {
        self.sent += count;
    }
}

#[cfg(test)]
mod tests {
    use domain::simulation::Rate;
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn schedule(rate: Rate, readings_max: Option<u64>) -> Schedule {
        Schedule { start_ms: 0, rate, readings_max }
    }

    proptest! {
        /// Goal: every reading is sent once, in order, when it is due or within a tick of it.
        /// Method: a clock that only the steps move, with sleeps that last a little too long.
        #[test]
        fn the_schedule_is_followed(
            rate_milli in 1_000_u64..500_000_000,
            readings in 1_u64..5_000,
            oversleep_ns in 0_u64..150_000,
        ) {
            let schedule = schedule(Rate::per_second_milli(rate_milli).unwrap(), Some(readings));
            let mut pace = Pace::new(schedule.clone());
            let mut now_ns = 0;
            loop {
                match pace.step(now_ns) {
                    Step::Send(range) => {
                        prop_assert_eq!(range.start, pace.sent());
                        prop_assert!(range.end <= readings && range.end > range.start);
                        prop_assert!(schedule.due_ns(range.end - 1) <= now_ns, "sent too early");
                        let late_ns = now_ns - schedule.due_ns(range.start);
                        prop_assert!(late_ns <= 1_000_000, "late by {} ns", late_ns);
                        pace.advance(range.end - range.start);
                    }
                    Step::Sleep(duration) => {
                        prop_assert!(duration <= SLEEP_MAX);
                        now_ns += u64::try_from(duration.as_nanos()).unwrap() + oversleep_ns;
                    }
                    Step::Done => break,
                }
            }
            prop_assert_eq!(pace.sent(), readings);
        }
    }

    #[test]
    fn a_stall_is_caught_up_in_batches_without_loss() {
        let rate = Rate::per_second_milli(1_000_000).unwrap();
        let mut pace = Pace::new(schedule(rate, None));
        let mut batches = 0;
        while let Step::Send(range) = pace.step(10 * SECOND_NS) {
            assert!(range.end - range.start <= BATCH_MAX);
            pace.advance(range.end - range.start);
            batches += 1;
        }
        assert_eq!(pace.sent(), 10_001, "due are 0 s, 1 ms, ... 10 s");
        assert_eq!(batches, 40);
    }

    #[test]
    fn a_stop_is_noticed_between_rare_readings() {
        let mut pace = Pace::new(schedule(Rate::per_second_milli(1).unwrap(), None));
        pace.advance(1);
        assert_eq!(pace.step(0), Step::Sleep(SLEEP_MAX));
    }
}

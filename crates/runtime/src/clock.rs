//! The time of day, and how far this machine can be believed about it.

use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Most that the clocks of two machines may differ by. Clocks that are kept (NTP) differ by
/// milliseconds; rows are kept for hours at least, so that five minutes more or less do no harm.
const DIFFERENCE_MAX_MS: i64 = 5 * 60_000;

/// Most that a clock may move away from the time since it was found right, before it has to be
/// found right again: somebody has set it, or the machine was asleep.
const STEP_MAX_MS: i64 = 1_000;

/// Returns the time of day in epoch milliseconds, as this machine has it.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time of day, as bounds between which it is, in epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    /// Not before this.
    pub earliest_ms: i64,
    /// Not after this.
    pub latest_ms: i64,
}

impl TimeOfDay {
    /// Makes a time that is known exactly.
    pub fn exactly(ms: i64) -> Self {
        Self { earliest_ms: ms, latest_ms: ms }
    }

    fn is_doubtful(self) -> bool {
        self.latest_ms - self.earliest_ms > STEP_MAX_MS
    }
}

/// Two clocks of which one is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock of this machine is {} s {} that of cassandra: what is late and what is early cannot \
     be told, and rows would expire at the wrong time; nothing is lost, set the clock that is \
     wrong and start again",
    .ahead_ms.abs() / 1_000,
    if *.ahead_ms < 0 { "behind" } else { "ahead of" },
)]
pub struct ClockDifference {
    /// How far this machine is ahead, in milliseconds; negative where it is behind.
    pub ahead_ms: i64,
}

/// The clock of this machine, held against another's now and then.
///
/// Between two comparisons it may be set, forwards or backwards: what counts as late or early
/// should do so by both the clock as it stands and the time since it was last found right. (The
/// latter stands still while the machine sleeps, so it cannot be believed alone.)
#[derive(Debug)]
pub struct CheckedClock {
    /// The time of day when it was found right, and when that was.
    found_right: Mutex<(i64, Instant)>,
}

impl CheckedClock {
    /// Starts with the clock as it stands.
    pub fn new() -> Self {
        Self { found_right: Mutex::new((now_ms(), Instant::now())) }
    }

    /// Returns the time of day.
    pub fn now(&self) -> TimeOfDay {
        self.at(now_ms(), Instant::now())
    }

    /// Tells whether the clock has to be compared before anything is written that depends on it.
    pub fn is_doubtful(&self) -> bool {
        self.now().is_doubtful()
    }

    /// Holds the clock against another machine's, which said `theirs_ms` between `asked` and now.
    pub fn compare(&self, theirs_ms: i64, asked: Instant) -> Result<(), ClockDifference> {
        self.compare_at(theirs_ms, asked, now_ms(), Instant::now())
    }

    fn at(&self, now_ms: i64, now: Instant) -> TimeOfDay {
        let (right_ms, then) = *self.found_right.lock().unwrap_or_else(PoisonError::into_inner);
        let expected_ms = right_ms.saturating_add(ms_between(then, now));
        TimeOfDay { earliest_ms: now_ms.min(expected_ms), latest_ms: now_ms.max(expected_ms) }
    }

    fn compare_at(
        &self,
        theirs_ms: i64,
        asked: Instant,
        now_ms: i64,
        now: Instant,
    ) -> Result<(), ClockDifference> {
        // The answer may have taken long, and what it says is about a moment in between. That span
        // is not taken from the clock, which may have been set meanwhile.
        let asked_ms = now_ms - ms_between(asked, now);
        let ahead_ms = match theirs_ms {
            _ if theirs_ms < asked_ms => asked_ms - theirs_ms,
            _ if theirs_ms > now_ms => now_ms - theirs_ms,
            _ => 0,
        };
        if ahead_ms.abs() > DIFFERENCE_MAX_MS {
            return Err(ClockDifference { ahead_ms });
        }
        *self.found_right.lock().unwrap_or_else(PoisonError::into_inner) = (now_ms, now);
        Ok(())
    }
}

fn ms_between(start: Instant, end: Instant) -> i64 {
    i64::try_from(end.saturating_duration_since(start).as_millis()).unwrap_or(i64::MAX)
}

impl Default for CheckedClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOON_MS: i64 = 1_764_072_000_000;
    const HOUR_MS: i64 = 3_600_000;

    /// Returns a clock that was found right at noon, and when that was.
    fn clock() -> (CheckedClock, Instant) {
        let noon = Instant::now();
        (CheckedClock { found_right: Mutex::new((NOON_MS, noon)) }, noon)
    }

    #[test]
    fn a_clock_that_was_set_widens_the_bounds() {
        let (clock, noon) = clock();
        let later = noon + Duration::from_secs(1);
        let bounds = |now_ms| {
            let time = clock.at(now_ms, later);
            (time.earliest_ms - NOON_MS, time.latest_ms - NOON_MS)
        };
        assert_eq!(bounds(NOON_MS + 1_000), (1_000, 1_000));
        assert_eq!(bounds(NOON_MS + HOUR_MS), (1_000, HOUR_MS), "forwards, or the machine slept");
        assert_eq!(bounds(NOON_MS - HOUR_MS), (-HOUR_MS, 1_000), "backwards");
    }

    #[test]
    fn what_another_machine_says_ends_the_doubt_or_is_a_difference() {
        let (clock, noon) = clock();
        let later = noon + Duration::from_secs(1);
        let now_ms = NOON_MS + 24 * HOUR_MS;
        let ahead_ms = 24 * HOUR_MS - 1_000;
        let theirs_ms = NOON_MS + 1_000;
        let difference = clock.compare_at(theirs_ms, later, now_ms, later);
        assert_eq!(difference, Err(ClockDifference { ahead_ms }));
        let difference = clock.compare_at(now_ms, later, theirs_ms, later);
        assert_eq!(difference, Err(ClockDifference { ahead_ms: -ahead_ms }));
        let time = clock.at(now_ms, later);
        assert_eq!(time.earliest_ms, theirs_ms);
        assert!(time.is_doubtful(), "the doubt remains");

        assert_eq!(clock.compare_at(now_ms + 60_000, later, now_ms, later), Ok(()));
        assert_eq!(clock.at(now_ms, later), TimeOfDay::exactly(now_ms));
        assert!(
            !clock.at(now_ms + 900, later).is_doubtful(),
            "clocks are also kept by small steps"
        );
    }

    #[test]
    fn a_slow_answer_is_no_difference_but_a_clock_that_was_set_meanwhile_is() {
        let (clock, noon) = clock();
        let later = noon + Duration::from_hours(1);
        let now_ms = NOON_MS + HOUR_MS;
        assert_eq!(clock.compare_at(NOON_MS + 1_000, noon, now_ms, later), Ok(()));
        assert_eq!(clock.compare_at(now_ms, noon, now_ms, later), Ok(()));
        let set_ms = now_ms + 2 * HOUR_MS;
        let difference = clock.compare_at(NOON_MS + 1_000, noon, set_ms, later);
        assert_eq!(difference, Err(ClockDifference { ahead_ms: 2 * HOUR_MS - 1_000 }));
    }
}

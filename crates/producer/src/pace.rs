//! When to send: everything that is due, as soon as it is due, in ticks of at most a millisecond;
//! and how fast to catch up with a schedule that has run ahead.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::{Duration, Instant};

use domain::simulation::Schedule;
use serde::{Deserialize, Deserializer, de};

use crate::decimal::Thousandths;

/// Shortest sleep; with what the system adds to it a tick stays below 1 ms.
pub(crate) const TICK: Duration = Duration::from_micros(850);
/// Longest sleep while readings come due: each tick wakes two threads, whatever it sends.
const TICK_MAX: Duration = Duration::from_millis(5);
/// Readings that are worth a tick.
const TICK_READINGS: u64 = 32;
/// Longest sleep, so that a stop is noticed.
pub(crate) const SLEEP_MAX: Duration = Duration::from_millis(50);
/// Most readings sent under one reading of the clock.
const BATCH_MAX: u64 = 256;
/// Being so late is no debt: it is made up for at once.
const LATE_NS: u64 = 10_000_000;

/// Time since the first reading was due; no adjustment of the wall clock disturbs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    ahead_ns: u64,
}

impl Clock {
    /// Makes a clock that shows `ahead_ns` up to `origin`.
    pub(crate) fn new(origin: Instant, ahead_ns: u64) -> Self {
        Self { origin, ahead_ns }
    }

    /// Returns the time since the first reading was due, in nanoseconds.
    pub(crate) fn now_ns(self) -> u64 {
        let elapsed = Instant::now().saturating_duration_since(self.origin);
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX).saturating_add(self.ahead_ns)
    }

    /// Returns how long it is until the origin; nothing once it is reached.
    pub(crate) fn until_origin(self) -> Option<Duration> {
        let left = self.origin.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

/// How fast readings that are overdue are sent, in terms of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CatchUp {
    /// As fast as those that are not: the debt stays.
    None,
    /// So many thousand times a thousandth as fast.
    Bounded(Thousandths),
    /// As fast as possible.
    Unlimited,
}

impl CatchUp {
    /// What can be set.
    pub(crate) const ALLOWED: &str =
        "none, unlimited, or bounded:RATIO with a ratio from 1.001 to 1000000";

    fn scale(self, passed_ns: u64) -> u64 {
        match self {
            Self::None => passed_ns,
            Self::Bounded(Thousandths(ratio_milli)) => {
                passed_ns.saturating_mul(ratio_milli) / 1_000
            }
            Self::Unlimited => u64::MAX,
        }
    }
}

/// A text that is no catch-up policy.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not {allowed}", allowed = CatchUp::ALLOWED)]
pub(crate) struct NoCatchUp(String);

impl FromStr for CatchUp {
    type Err = NoCatchUp;

    fn from_str(text: &str) -> Result<Self, NoCatchUp> {
        let ratios = Thousandths(1_001)..=Thousandths(1_000_000_000);
        let policy = match text.split_once(':') {
            None if text == "none" => Some(Self::None),
            None if text == "unlimited" => Some(Self::Unlimited),
            Some(("bounded", ratio)) => {
                ratio.parse().ok().filter(|ratio| ratios.contains(ratio)).map(Self::Bounded)
            }
            _ => None,
        };
        policy.ok_or_else(|| NoCatchUp(text.to_owned()))
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Bounded(ratio) => write!(f, "bounded:{ratio}"),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

impl<'de> Deserialize<'de> for CatchUp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send these readings: they are due.
    Send(Range<u64>),
    /// Nothing is to be sent: look again after this time.
    Sleep(Duration),
    /// The run has had its last reading.
    Done,
}

/// How far a schedule has been followed.
#[derive(Debug)]
pub(crate) struct Pace {
    schedule: Schedule,
    catch_up: CatchUp,
    sent: u64,
    /// What is due by this time, in nanoseconds after the start, may be sent.
    allowed_ns: u64,
    looked_ns: u64,
}

impl Pace {
    /// Starts before the first reading.
    pub(crate) fn new(schedule: Schedule, catch_up: CatchUp) -> Self {
        Self { schedule, catch_up, sent: 0, allowed_ns: 0, looked_ns: 0 }
    }

    /// Returns how many readings were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns how far the schedule has run ahead, in nanoseconds.
    pub(crate) fn debt_ns(&self) -> u64 {
        self.looked_ns.saturating_sub(self.allowed_ns)
    }

    /// Decides what to do at `now_ns`.
    pub(crate) fn step(&mut self, now_ns: u64) -> Step {
        if self.schedule.readings_max == Some(self.sent) {
            return Step::Done;
        }
        let next_due_ns = self.schedule.due_ns(self.sent);
        self.allow(now_ns, next_due_ns);
        if next_due_ns <= self.allowed_ns {
            let due = self.schedule.due_count(self.allowed_ns);
            return Step::Send(self.sent..due.min(self.sent + BATCH_MAX));
        }
        let until = |due_ns: u64| Duration::from_nanos(due_ns.saturating_sub(self.allowed_ns));
        if self.debt_ns() > 0 {
            return Step::Sleep(until(next_due_ns).clamp(TICK, TICK_MAX));
        }
        let worth_it = until(self.schedule.due_ns(self.sent.saturating_add(TICK_READINGS)));
        let tick = worth_it.clamp(TICK, TICK_MAX);
        Step::Sleep(until(next_due_ns).clamp(tick, SLEEP_MAX))
    }

    /// Notes that the next `count` readings were sent.
    pub(crate) fn advance(&mut self, count: u64) {
        self.sent += count;
    }

    fn allow(&mut self, now_ns: u64, next_due_ns: u64) {
        // A clock that starts ahead has let no time pass.
        let looked_ns = if self.looked_ns == 0 { now_ns } else { self.looked_ns };
        // Time in which nobody looked is debt, too.
        let passed_ns = now_ns.saturating_sub(looked_ns).min(LATE_NS);
        self.looked_ns = now_ns;
        // What was allowed and could not be sent has to wait its turn again.
        let reached_ns = self.allowed_ns.min(next_due_ns);
        let is_late = now_ns.saturating_sub(next_due_ns) > LATE_NS;
        let limit_ns = reached_ns.saturating_add(self.catch_up.scale(passed_ns));
        self.allowed_ns = if is_late { limit_ns.min(now_ns) } else { now_ns };
    }
}

#[cfg(test)]
mod tests {
    use domain::simulation::Rate;
    use proptest::prelude::*;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn schedule(rate_milli: u64, readings_max: Option<u64>) -> Schedule {
        let rate = Rate::per_second_milli(rate_milli).unwrap();
        Schedule { readings_max, ..Schedule::constant(0, rate) }
    }

    fn policies() -> impl Strategy<Value = CatchUp> {
        prop_oneof![
            Just(CatchUp::None),
            (1_001_u64..10_000).prop_map(|ratio| CatchUp::Bounded(Thousandths(ratio))),
            Just(CatchUp::Unlimited),
        ]
    }

    proptest! {
        /// Goal: every reading is sent once, in order, when it is due or within a tick of it.
        /// Method: a clock that only the steps move, with sleeps that last a little too long.
        #[test]
        fn the_schedule_is_followed(
            rate_milli in 1_000_u64..500_000_000,
            readings in 1_u64..5_000,
            oversleep_ns in 0_u64..150_000,
            policy in policies(),
        ) {
            let schedule = schedule(rate_milli, Some(readings));
            let mut pace = Pace::new(schedule.clone(), policy);
            let mut now_ns = 0;
            loop {
                match pace.step(now_ns) {
                    Step::Send(range) => {
                        prop_assert_eq!(range.start, pace.sent());
                        prop_assert!(range.end <= readings && range.end > range.start);
                        prop_assert!(schedule.due_ns(range.end - 1) <= now_ns, "sent too early");
                        let late_ns = now_ns - schedule.due_ns(range.start);
                        let tick_ns = if rate_milli >= 40_000_000 { 1_000_000 } else { 5_150_000 };
                        prop_assert!(late_ns <= tick_ns, "late by {} ns", late_ns);
                        pace.advance(range.end - range.start);
                    }
                    Step::Sleep(duration) => {
                        prop_assert!(duration <= SLEEP_MAX);
                        now_ns += u64::try_from(duration.as_nanos()).unwrap() + oversleep_ns;
                    }
                    Step::Done => break,
                }
                prop_assert_eq!(pace.debt_ns(), 0);
            }
            prop_assert_eq!(pace.sent(), readings);
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Goal: after a stall no 100 ms see more readings than the policy allows, and the debt
        /// goes as fast as it says. Method: a clock that stands still while readings are sent.
        #[test]
        fn a_stall_is_caught_up_as_fast_as_allowed(
            ratio_milli in 1_100_u64..3_000,
            stall_ms in 20_u64..600,
        ) {
            let policy = CatchUp::Bounded(Thousandths(ratio_milli));
            let mut pace = Pace::new(schedule(100_000_000, None), policy);
            let (mut now_ns, mut sends) = (stall_ms * 1_000_000, Vec::new());
            // The first look is before the stall.
            assert!(matches!(pace.step(1), Step::Send(_)));
            let mut caught_up_ns = None;
            while caught_up_ns.is_none() {
                match pace.step(now_ns) {
                    Step::Send(range) => {
                        sends.push((now_ns, range.end - range.start));
                        pace.advance(range.end - range.start);
                    }
                    Step::Sleep(duration) => {
                        now_ns += u64::try_from(duration.as_nanos()).unwrap() + 100_000;
                    }
                    Step::Done => unreachable!("the run is endless"),
                }
                caught_up_ns = (pace.debt_ns() == 0).then_some(now_ns);
            }
            let (begin_ns, end_ns) = (stall_ms * 1_000_000, caught_up_ns.unwrap());
            let (ratio, stall) = (ratio_milli as f64 / 1_000.0, stall_ms as f64);
            let took_ms = (end_ns - begin_ns) as f64 / 1e6;
            let expected_ms = stall / (ratio - 1.0);
            prop_assert!((took_ms - expected_ms).abs() < 0.25 * expected_ms + 60.0,
                "caught up within {} ms, not {}", took_ms, expected_ms);
            for (from_ns, _) in &sends {
                let within = sends.iter()
                    .filter(|(at_ns, _)| (*from_ns..from_ns + 100_000_000).contains(at_ns))
                    .map(|(_, count)| count)
                    .sum::<u64>();
                let most = 10_000.0 * (ratio * 1.06 + 0.05);
                prop_assert!(within as f64 <= most, "{} in 100 ms", within);
            }
        }
    }

    #[test]
    fn without_a_limit_a_stall_is_caught_up_at_once() {
        let mut pace = Pace::new(schedule(1_000_000, None), CatchUp::Unlimited);
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
    fn without_catching_up_the_debt_stays() {
        let mut pace = Pace::new(schedule(1_000_000, None), CatchUp::None);
        let stall_ns = 10 * SECOND_NS;
        for now_ms in 0..5_000 {
            while let Step::Send(range) = pace.step(stall_ns + now_ms * 1_000_000) {
                pace.advance(range.end - range.start);
            }
        }
        assert!(pace.sent().abs_diff(5_000) <= 5, "{} in 5 s at 1000/s", pace.sent());
        assert!(pace.debt_ns().abs_diff(stall_ns) < 10_000_000, "{}", pace.debt_ns());
    }

    #[test]
    fn what_could_not_be_sent_is_debt() {
        let policy = CatchUp::Bounded(Thousandths(2_000));
        let mut pace = Pace::new(schedule(1_000_000, None), policy);
        for now_ms in 0..1_000 {
            // Nothing is taken.
            assert!(matches!(pace.step(now_ms * 1_000_000 + 1), Step::Send(_)));
        }
        assert!(pace.debt_ns() > 900_000_000, "{}", pace.debt_ns());
    }

    #[test]
    fn ticks_are_short_only_where_readings_are_many() {
        for (rate, tick) in [(100_000, TICK), (16_000, Duration::from_millis(2)), (3_500, TICK_MAX)]
        {
            let mut pace = Pace::new(schedule(rate * 1_000, None), CatchUp::Unlimited);
            pace.advance(1);
            let Step::Sleep(slept) = pace.step(1) else { panic!("nothing is due yet") };
            assert!(slept.abs_diff(tick) < Duration::from_micros(100), "{slept:?} at {rate}/s");
        }
    }

    #[test]
    fn a_policy_is_shown_as_it_is_set() {
        for text in ["none", "unlimited", "bounded:1.5", "bounded:1000000"] {
            assert_eq!(text.parse::<CatchUp>().unwrap().to_string(), text);
        }
        for text in ["", "bounded", "bounded:1", "bounded:0.5", "bounded:x", "some:2", "None"] {
            assert!(text.parse::<CatchUp>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_stop_is_noticed_between_rare_readings() {
        let mut pace = Pace::new(schedule(1, None), CatchUp::Unlimited);
        pace.advance(1);
        assert_eq!(pace.step(0), Step::Sleep(SLEEP_MAX));
    }
}

//! When each reading is due: exact integer arithmetic, so that no rate drifts, however long it
//! runs.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

pub mod profile;

pub use profile::{Piece, Profile, ProfileError, Then};

const NS_PER_SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const NS_PER_MS: u64 = 1_000_000;

/// A rate as an exact fraction: so many readings in so many nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    readings: u64,
    per_ns: u64,
}

impl Rate {
    /// Makes a rate of `readings` in `per_ns` nanoseconds; `None` if either is 0.
    pub fn new(readings: u64, per_ns: u64) -> Option<Self> {
        if readings == 0 || per_ns == 0 {
            return None;
        }
        // In lowest terms the products below stay within 64 bits for centuries.
        let divisor = greatest_common_divisor(readings, per_ns);
        Some(Self { readings: readings / divisor, per_ns: per_ns / divisor })
    }

    /// Makes a rate of so many thousandths of a reading a second; `None` if it is 0.
    pub fn per_second_milli(readings_milli: u64) -> Option<Self> {
        Self::new(readings_milli, 1_000 * NS_PER_SECOND)
    }

    /// Returns the readings per second, for display.
    pub fn per_second(self) -> f64 {
        self.readings as f64 * NS_PER_SECOND as f64 / self.per_ns as f64
    }

    fn due_ns(self, index: u64) -> u64 {
        if let Some(product) = index.checked_mul(self.per_ns) {
            return product / self.readings;
        }
        let exact = u128::from(index) * u128::from(self.per_ns) / u128::from(self.readings);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    fn due_count(self, elapsed_ns: u64) -> u64 {
        let exact = (u128::from(elapsed_ns) + 1) * u128::from(self.readings);
        u64::try_from(exact.div_ceil(u128::from(self.per_ns))).unwrap_or(u64::MAX)
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// How the rate of a run goes over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Load {
    /// The same all the time: reading k is due at `floor(k / rate)`.
    Constant(Rate),
    /// Changing.
    Profile(Profile),
}

impl Load {
    /// Returns the mean readings per second, for display.
    pub fn per_second(&self) -> f64 {
        match self {
            Self::Constant(rate) => rate.per_second(),
            Self::Profile(profile) => profile.per_second(),
        }
    }

    /// Returns the number of readings due within the first `duration_ms`, the end excluded.
    pub fn count_within_ms(&self, duration_ms: u64) -> u64 {
        let end_ns = duration_ms.saturating_mul(NS_PER_MS);
        end_ns.checked_sub(1).map_or(0, |last_ns| self.due_count(last_ns))
    }

    fn due_ns(&self, index: u64) -> u64 {
        match self {
            Self::Constant(rate) => rate.due_ns(index),
            Self::Profile(profile) => profile.due_ns(index),
        }
    }

    fn due_count(&self, elapsed_ns: u64) -> u64 {
        match self {
            Self::Constant(rate) => rate.due_count(elapsed_ns),
            Self::Profile(profile) => profile.due_count(elapsed_ns),
        }
    }
}

/// When the readings of a run are due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Event time of reading 0, in epoch milliseconds.
    pub start_ms: i64,
    /// Readings of the whole fleet per time.
    pub load: Load,
    /// Readings that are due at one instant, that of the first of them: 1 spreads them evenly, the
    /// size of the fleet makes all sensors report at once.
    pub together: NonZeroU64,
    /// Number of readings in the run; `None` for an endless one.
    pub readings_max: Option<u64>,
}

impl Schedule {
    /// Makes an endless schedule of readings spread evenly.
    pub fn constant(start_ms: i64, rate: Rate) -> Self {
        let load = Load::Constant(rate);
        Self { start_ms, load, together: NonZeroU64::MIN, readings_max: None }
    }

    /// Returns when reading `index` is due, in nanoseconds after the start.
    pub fn due_ns(&self, index: u64) -> u64 {
        if self.together == NonZeroU64::MIN {
            return self.load.due_ns(index);
        }
        self.load.due_ns(index - index % self.together)
    }

    /// Returns how many readings are due at `elapsed_ns` after the start: all k with `due_ns(k) <=
    /// elapsed_ns`.
    pub fn due_count(&self, elapsed_ns: u64) -> u64 {
        let mut count = self.load.due_count(elapsed_ns);
        if self.together != NonZeroU64::MIN {
            let together = self.together.get();
            count = count.div_ceil(together).saturating_mul(together);
        }
        self.readings_max.map_or(count, |max| count.min(max))
    }

    /// Returns the event time of reading `index`, in epoch milliseconds.
    pub fn event_time_ms(&self, index: u64) -> i64 {
        self.start_ms.saturating_add_unsigned(self.due_ns(index) / NS_PER_MS)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(readings: u64, per_ns: u64) -> Schedule {
        let rate = Rate::new(readings, per_ns).unwrap();
        Schedule::constant(0, rate)
    }

    proptest! {
        /// Goal: `due_count` is the exact inverse of `due_ns`. Method: both sides of the boundary.
        #[test]
        fn due_count_inverts_due_ns(
            readings in 1_u64..20_000_000_000,
            per_ns in 1_u64..1_000_000_000_000_000,
            index in 0_u64..10_000_000_000,
        ) {
            let schedule = schedule(readings, per_ns);
            let due_ns = schedule.due_ns(index);
            prop_assume!(due_ns < u64::MAX);
            prop_assert!(schedule.due_count(due_ns) > index);
            if due_ns > 0 {
                prop_assert!(schedule.due_count(due_ns - 1) <= index);
            }
            prop_assert!(schedule.due_ns(index + 1) >= due_ns, "due times never go back");
        }

        #[test]
        fn a_second_holds_the_rate_exactly(rate in 1_u64..10_000_000, second in 0_u64..100_000) {
            let schedule = schedule(rate, NS_PER_SECOND);
            let upto = |seconds: u64| {
                if seconds == 0 { 0 } else { schedule.due_count(seconds * NS_PER_SECOND - 1) }
            };
            prop_assert_eq!(upto(second + 1) - upto(second), rate);
        }
    }

    #[test]
    fn a_fleet_reports_at_once_if_asked_to() {
        let together = NonZeroU64::new(5).unwrap();
        let schedule = Schedule { together, ..schedule(5, NS_PER_SECOND) };
        let due_s: Vec<u64> = (0..11).map(|index| schedule.due_ns(index) / NS_PER_SECOND).collect();
        assert_eq!(due_s, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2]);
        assert_eq!(schedule.due_count(0), 5);
        assert_eq!(schedule.due_count(NS_PER_SECOND - 1), 5);
        assert_eq!(schedule.due_count(NS_PER_SECOND), 10);
    }

    #[test]
    fn a_finite_run_ends_at_its_limit() {
        let rate = Rate::per_second_milli(3_500_000).unwrap();
        let readings_max = Some(Load::Constant(rate).count_within_ms(60_000));
        let schedule = Schedule { readings_max, ..Schedule::constant(0, rate) };
        assert_eq!(schedule.due_count(u64::MAX), 210_000);
        assert_eq!(schedule.due_count(0), 1, "the first reading is due at the start");
        assert_eq!(schedule.event_time_ms(209_999), 59_999);
    }

    #[test]
    fn a_rate_below_one_a_second_is_exact() {
        let schedule = schedule(1, 3 * NS_PER_SECOND);
        assert_eq!(schedule.due_ns(2), 6 * NS_PER_SECOND);
        assert_eq!(schedule.due_count(6 * NS_PER_SECOND - 1), 2);
    }
}

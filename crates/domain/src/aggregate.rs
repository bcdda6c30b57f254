//! What the readings of a window come to, and how windows are merged into a larger one.
//!
//! Everything in an aggregate follows from the set of its readings alone: the order in which they
//! arrived leaves no trace, down to the last bit.

use serde::{Deserialize, Serialize};

use crate::SensorKind;

/// One value at its event time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Event time in epoch milliseconds.
    pub ts: i64,
    /// Value in the unit of its kind.
    pub value: f64,
}

impl Sample {
    /// Returns the one that is earlier, of two at the same time the lower one.
    #[must_use]
    pub fn earlier(self, other: Self) -> Self {
        if other.key_is_below(&self) { other } else { self }
    }

    /// Returns the one that is later, of two at the same time the higher one.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if self.key_is_below(&other) { other } else { self }
    }

    fn key_is_below(&self, other: &Self) -> bool {
        self.ts.cmp(&other.ts).then(self.value.total_cmp(&other.value)).is_lt()
    }
}

/// How much a motion sensor moved. Each reading holds until the next of its window, the last one
/// until the window ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Motion {
    /// Time at 1, in milliseconds.
    pub active_ms: u64,
    /// Changes from 0 to 1 and from 1 to 0.
    pub transitions: u64,
}

/// The readings of one window; at least one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Number of readings.
    pub count: u64,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the values themselves (the population's, divided by `count`).
    pub stddev: f64,
    /// First reading by event time.
    pub first: Sample,
    /// Last reading by event time.
    pub last: Sample,
    /// Readings whose status is not `ok`.
    pub not_ok: u64,
    /// Of motion sensors only.
    pub motion: Option<Motion>,
}

/// An aggregate with its window, as it stands in a record of the topic of aggregates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowRecord {
    /// The building.
    pub site_id: String,
    /// What is measured.
    pub kind: SensorKind,
    /// The sensor; `None` stands for all of the kind.
    pub sensor_id: Option<String>,
    /// Start of the window, in epoch milliseconds.
    pub window_start: i64,
    /// End of the window, in epoch milliseconds.
    pub window_end: i64,
    /// Readings that came after the window was closed: of two records, the one with more of them
    /// holds.
    pub revision: u64,
    /// What the readings come to.
    #[serde(flatten)]
    pub aggregate: Aggregate,
}

/// Whose windows are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Windows of one sensor, one after the other: it also moved between them where the last value
    /// of one is not the first of the next.
    OverTime,
    /// The same window of several sensors.
    OverSensors,
}

impl Aggregate {
    /// Returns the share of the readings whose status is not `ok`, from 0 to 1.
    pub fn not_ok_share(&self) -> f64 {
        self.not_ok as f64 / self.count as f64
    }

    /// Merges windows; `None` if there are none.
    ///
    /// Mean and variance follow Chan and others ("Updating formulae and a pairwise
    /// algorithm for computing sample variances", 1979). The result depends on the order of the
    /// parts in its last bits: over time that of the windows, over sensors that of their ids.
    pub fn merge(parts: impl IntoIterator<Item = Self>, how: Merge) -> Option<Self> {
        let mut parts = parts.into_iter();
        let mut whole = parts.next()?;
        for part in parts {
            whole = whole.with(&part, how);
        }
        Some(whole)
    }

    fn with(&self, other: &Self, how: Merge) -> Self {
        let (n, m) = (self.count as f64, other.count as f64);
        let difference = other.mean - self.mean;
        let mean = self.mean + difference * (m / (n + m));
        let squares = self.stddev * self.stddev * n + other.stddev * other.stddev * m;
        let squares = squares + difference * difference * (n * m / (n + m));
        let mut motion = self.motion;
        if let (Some(motion), Some(others)) = (&mut motion, other.motion) {
            motion.active_ms += others.active_ms;
            motion.transitions += others.transitions;
            #[expect(clippy::float_cmp, reason = "a motion sensor says exactly 0 or 1")]
            let moved = how == Merge::OverTime && self.last.value != other.first.value;
            motion.transitions += u64::from(moved);
        }
        Self {
            count: self.count + other.count,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            mean,
            stddev: libm::sqrt(squares / (n + m)),
            first: self.first.earlier(other.first),
            last: self.last.later(other.last),
            not_ok: self.not_ok + other.not_ok,
            motion,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(value: f64, count: u64, ts: i64) -> Aggregate {
        Aggregate {
            count,
            min: value,
            max: value,
            mean: value,
            stddev: 0.0,
            first: Sample { ts, value },
            last: Sample { ts: ts + 10, value },
            not_ok: 1,
            motion: Some(Motion { active_ms: 5, transitions: 1 }),
        }
    }

    #[test]
    fn two_windows_are_merged_as_if_they_were_one() {
        let parts = [constant(0.0, 3, 100), constant(4.0, 1, 200)];
        let whole = Aggregate::merge(parts, Merge::OverTime).unwrap();
        assert_eq!((whole.count, whole.min, whole.max, whole.not_ok), (4, 0.0, 4.0, 2));
        assert_eq!((whole.mean, whole.stddev), (1.0, 3.0_f64.sqrt()));
        assert_eq!((whole.first.ts, whole.last.ts), (100, 210));
        assert!((whole.not_ok_share() - 0.5).abs() < 1e-15);
        assert_eq!(whole.motion, Some(Motion { active_ms: 10, transitions: 3 }));
    }

    #[test]
    fn sensors_do_not_move_into_one_another() {
        let parts = [constant(0.0, 1, 0), constant(1.0, 1, 0)];
        let whole = Aggregate::merge(parts, Merge::OverSensors).unwrap();
        assert_eq!(whole.motion, Some(Motion { active_ms: 10, transitions: 2 }));
        assert_eq!(Aggregate::merge([], Merge::OverSensors), None);
    }

    #[test]
    fn of_two_samples_at_once_the_lower_is_first_and_the_higher_last() {
        let (low, high) = (Sample { ts: 5, value: 1.0 }, Sample { ts: 5, value: 2.0 });
        assert_eq!((high.earlier(low), low.earlier(high)), (low, low));
        assert_eq!((high.later(low), low.later(high)), (high, high));
    }
}

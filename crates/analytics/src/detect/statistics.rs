//! Small statistics that learn as they go: a moving mean and variance, a histogram of scores, the
//! median of a few.

use serde::{Deserialize, Serialize};

/// Mean and variance in which the past fades exponentially (West, "Updating mean and variance
/// estimates", 1979). While few values are known each of them counts the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moving {
    count: u32,
    variance: f32,
    mean: f64,
}

impl Moving {
    /// Takes in a value; the least weight is `weight_min`.
    pub(crate) fn add(&mut self, value: f64, weight_min: f64) {
        self.count = self.count.saturating_add(1);
        let weight = weight_min.max(1.0 / f64::from(self.count));
        let difference = value - self.mean;
        self.mean += weight * difference;
        let variance = f64::from(self.variance) + weight * difference * difference;
        self.variance = rounded((1.0 - weight) * variance);
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    pub(crate) fn stddev(&self) -> f64 {
        libm::sqrt(f64::from(self.variance))
    }

    /// Returns how many standard deviations a value is away from the mean, either way; the standard
    /// deviation is at least `floor`.
    pub(crate) fn distance(&self, value: f64, floor: f64) -> f64 {
        (value - self.mean).abs() / self.stddev().max(floor)
    }
}

/// Rounds to seven digits: enough of what only has to be about right, in half the memory.
#[expect(clippy::cast_possible_truncation, reason = "it is rounded")]
pub(super) fn rounded(value: f64) -> f32 {
    value as f32
}

/// Bins of a [`Histogram`].
const BINS: usize = 24;
/// Counts are halved when one reaches this.
const COUNT_MAX: u16 = 8_000;

/// How often a score was how large, in bins a quarter of a doubling wide.
///
/// It gives a score its conformal rank: the share of the past that was as large (Laxhammar and
/// Falkman, "Conformal prediction for distribution-independent anomaly detection", 2010).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Histogram {
    counts: [u16; BINS],
}

impl Histogram {
    /// Lower end of the first bin but one; all that is less counts as the same.
    const LEAST: f64 = 0.5;

    fn bin(score: f64) -> usize {
        let octaves = libm::log2((score / Self::LEAST).max(1.0));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast saturates, and the bin is limited"
        )]
        let bin = (octaves * 4.0) as usize;
        bin.min(BINS - 1)
    }

    pub(crate) fn add(&mut self, score: f64) {
        let count = &mut self.counts[Self::bin(score)];
        *count += 1;
        if *count >= COUNT_MAX {
            for count in &mut self.counts {
                *count /= 2;
            }
        }
    }

    /// Returns the share of the past that was at least about as large, from above 0 to 1.
    pub(crate) fn rank(&self, score: f64) -> f64 {
        let sum = |counts: &[u16]| counts.iter().map(|count| u32::from(*count)).sum::<u32>();
        let above = sum(&self.counts[Self::bin(score)..]);
        f64::from(above + 1) / f64::from(sum(&self.counts) + 1)
    }
}

/// Returns the median; of an even number the mean of the two in the middle. Sorts the values.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(values[middle - 1], upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_count_the_same_and_many_fade() {
        let mut moving = Moving::default();
        for value in [1.0, 2.0, 3.0, 4.0] {
            moving.add(value, 0.01);
        }
        assert!((moving.mean() - 2.5).abs() < 1e-12);
        assert!((moving.stddev() - 1.25_f64.sqrt()).abs() < 1e-12);
        for _ in 0..2_000 {
            moving.add(7.0, 0.01);
        }
        assert!((moving.mean() - 7.0).abs() < 1e-6 && moving.count() == 2_004);
        assert!((moving.distance(8.0, 0.5) - 2.0).abs() < 1e-3);
    }

    #[test]
    fn a_rank_is_the_share_of_the_past_that_was_as_large() {
        let mut histogram = Histogram::default();
        for _ in 0..98 {
            histogram.add(1.0);
        }
        histogram.add(8.0);
        assert!((histogram.rank(0.1) - 1.0).abs() < 1e-12);
        assert!((histogram.rank(4.0) - 0.02).abs() < 1e-12);
        assert!((histogram.rank(100.0) - 0.01).abs() < 1e-12);
        for _ in 0..20_000 {
            histogram.add(f64::NAN);
        }
        assert!(histogram.counts.iter().all(|count| *count < COUNT_MAX));
    }

    #[test]
    fn the_median_of_few_is_exact() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0]), Some(3.0));
        assert_eq!(median(&mut [4.0, 1.0]), Some(2.5));
        assert_eq!(median(&mut [9.0, 1.0, 2.0]), Some(2.0));
    }
}

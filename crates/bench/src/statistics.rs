//! What a handful of samples says: the middle and the spread of one set, and by how much two sets
//! differ.

/// Two-sided 95 % quantiles of Student's t for 1, 2, 3 ... degrees of freedom; beyond, the normal
/// one is close enough.
const T_95: [f64; 20] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
];
const NORMAL_95: f64 = 1.96;

/// The middle and the spread of samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Half of the samples are no larger.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// How many there are.
    pub count: usize,
}

impl Summary {
    /// Sums samples up; `None` if there are none.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max, count: sorted.len() })
    }
}

/// How many times as large the second of two sets is, with what chance alone could make of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Ratio of the geometric means.
    pub value: f64,
    /// The 95 % confidence interval; `None` where a set has fewer than two samples.
    pub interval: Option<(f64, f64)>,
}

impl Ratio {
    /// Compares two sets of positive samples; `None` if one is empty or a sample is not positive.
    ///
    /// The interval is Welch's for the difference of the means of the logarithms: noise that slows
    /// a machine down multiplies, and with three to five samples the t distribution is honest about
    /// how little they say. An outlier widens the interval.
    pub fn of(base: &[f64], other: &[f64]) -> Option<Self> {
        let (base, other) = (Logs::of(base)?, Logs::of(other)?);
        let difference = other.mean - base.mean;
        let interval = base.error2.zip(other.error2).map(|(base_error2, other_error2)| {
            let error2 = base_error2 + other_error2;
            let own = |error2: f64, logs: &Logs| error2 * error2 / (logs.count - 1.0);
            let spread = own(base_error2, &base) + own(other_error2, &other);
            // Equal samples have no spread, and then any quantile gives the same interval.
            let freedom = if spread > 0.0 { error2 * error2 / spread } else { 1.0 };
            let half = quantile(freedom) * error2.sqrt();
            ((difference - half).exp(), (difference + half).exp())
        });
        Some(Self { value: difference.exp(), interval })
    }

    /// Tells whether chance explains the difference less often than one time in twenty, and the
    /// difference is larger than `floor`: 0.1 is 10 %, either way.
    pub fn is_significant(&self, floor: f64) -> bool {
        let excludes_one = self.interval.is_some_and(|(low, high)| low > 1.0 || high < 1.0);
        excludes_one && self.value.ln().abs() > floor.ln_1p()
    }
}

/// Mean and squared standard error of logarithms.
struct Logs {
    mean: f64,
    count: f64,
    error2: Option<f64>,
}

impl Logs {
    fn of(samples: &[f64]) -> Option<Self> {
        if samples.is_empty() || samples.iter().any(|sample| *sample <= 0.0) {
            return None;
        }
        let logs: Vec<f64> = samples.iter().map(|sample| sample.ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        let error2 = (logs.len() > 1).then(|| squares / (count - 1.0) / count);
        Some(Self { mean, count, error2 })
    }
}

/// Degrees of freedom between two whole numbers count as the lower one: the wider interval.
fn quantile(freedom: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 or more, few")]
    let whole = freedom.floor() as usize;
    T_95.get(whole.max(1) - 1).copied().unwrap_or(NORMAL_95)
}

/// Returns the slope of the line that best fits points (Theil and Sen): the median of the slopes
/// between any two, which single outliers do not move.
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let mut slopes = Vec::new();
    for (position, (x, y)) in points.iter().enumerate() {
        let later = &points[position + 1..];
        slopes.extend(later.iter().filter(|(to, _)| to > x).map(|(to, at)| (at - y) / (to - x)));
    }
    Summary::of(&slopes).map(|summary| summary.median)
}

/// Returns the value that a share of the samples does not exceed, 0.99 for 99 % (nearest rank).
pub fn percentile(samples: &[f64], share: f64) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests;

//! The statistics of series of numbers that the check is made of.

use std::f64::consts::TAU;

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn standard_deviation(values: &[f64]) -> f64 {
    covariance(values, values).sqrt()
}

pub(super) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    covariance(a, b) / (standard_deviation(a) * standard_deviation(b))
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    a.iter().zip(b).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum::<f64>() / a.len() as f64
}

/// Correlation of a series with itself `lag` values later.
pub(super) fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    correlation(&values[lag..], &values[..values.len() - lag])
}

/// Root mean square of the change from one value to the next.
pub(super) fn step(values: &[f64]) -> f64 {
    let squares = values.windows(2).map(|pair| (pair[1] - pair[0]) * (pair[1] - pair[0]));
    (squares.sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

/// Share of values that equal the one before.
pub(super) fn unchanged(values: &[f64]) -> f64 {
    let same = values.windows(2).filter(|pair| pair[0].to_bits() == pair[1].to_bits()).count();
    same as f64 / (values.len() - 1) as f64
}

/// The value that a share of all values lie below.
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = share * (sorted.len().saturating_sub(1)) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
    let index = position.round() as usize;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

pub(super) fn minimum(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

pub(super) fn maximum(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Means of the values in each of `bins` equal parts of a cycle of `period` values.
pub(super) fn profile(values: &[f64], period: usize, bins: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); bins];
    for (index, value) in values.iter().enumerate() {
        let (sum, count) = &mut sums[index % period * bins / period];
        *sum += value;
        *count += 1.0;
    }
    sums.into_iter().map(|(sum, count)| sum / count).collect()
}

/// A cosine fitted to a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Harmonic {
    pub(super) amplitude: f64,
    /// Where the peak is, in values from the first.
    pub(super) peak: f64,
}

/// Fits a cosine of `period` values to a whole number of its periods.
pub(super) fn harmonic(values: &[f64], period: f64) -> Harmonic {
    let centre = mean(values);
    let (mut cosine, mut sine) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let angle = TAU * index as f64 / period;
        cosine += (value - centre) * angle.cos();
        sine += (value - centre) * angle.sin();
    }
    let scale = 2.0 / values.len() as f64;
    Harmonic {
        amplitude: scale * cosine.hypot(sine),
        peak: (sine.atan2(cosine) / TAU).rem_euclid(1.0) * period,
    }
}

/// Takes fitted cosines and the mean out of a series.
pub(super) fn residual(values: &[f64], periods: &[f64]) -> Vec<f64> {
    let centre = mean(values);
    let fitted: Vec<(Harmonic, f64)> =
        periods.iter().map(|period| (harmonic(values, *period), *period)).collect();
    let explained = |index: usize| {
        let part = |(harmonic, period): &(Harmonic, f64)| {
            harmonic.amplitude * (TAU * (index as f64 - harmonic.peak) / period).cos()
        };
        fitted.iter().map(part).sum::<f64>()
    };
    values.iter().enumerate().map(|(index, value)| value - centre - explained(index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_is_found_and_taken_out() {
        let values: Vec<f64> = (0..240)
            .map(|hour| 7.0 + 3.0 * (TAU * (f64::from(hour) - 15.0) / 24.0).cos())
            .collect();
        let found = harmonic(&values, 24.0);
        assert!((found.amplitude - 3.0).abs() < 1e-9 && (found.peak - 15.0).abs() < 1e-9);
        assert!(maximum(&residual(&values, &[24.0])) < 1e-9);
        assert!((autocorrelation(&values, 24) - 1.0).abs() < 1e-9);
        assert!((autocorrelation(&values, 12) + 1.0).abs() < 1e-9);
        assert!((profile(&values, 24, 24)[15] - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_staircase_has_its_steps_and_shares() {
        let values = [1.0, 1.0, 3.0, 3.0, 3.0];
        assert!((step(&values) - 1.0).abs() < 1e-12);
        assert!((unchanged(&values) - 0.75).abs() < 1e-12);
        assert!((quantile(&values, 0.5) - 3.0).abs() < 1e-12);
    }
}

//! Summaries, ratios and their intervals on samples whose truth is known.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// Samples around `middle`, each up to `noise` away: 0.03 is 3 %.
fn samples(random: &mut StdRng, middle: f64, noise: f64, count: usize) -> Vec<f64> {
    (0..count).map(|_| middle * (1.0 + random.random_range(-noise..noise))).collect()
}

#[test]
fn a_summary_is_the_middle_and_the_spread() {
    assert_eq!(Summary::of(&[]), None);
    let summary = Summary::of(&[3.0, 1.0, 2.0]).unwrap();
    assert_eq!(summary, Summary { median: 2.0, min: 1.0, max: 3.0, count: 3 });
    assert!((Summary::of(&[4.0, 1.0]).unwrap().median - 2.5).abs() < 1e-12);
}

/// Goal: the interval covers the truth as often as it says. Method: a thousand pairs of sets from
/// the same distribution.
#[test]
fn one_build_differs_from_itself_only_by_chance() {
    let mut random = StdRng::seed_from_u64(1);
    let mut beyond_chance = 0;
    for _ in 0..1_000 {
        let base = samples(&mut random, 80_000.0, 0.08, 4);
        let other = samples(&mut random, 80_000.0, 0.08, 4);
        let ratio = Ratio::of(&base, &other).unwrap();
        beyond_chance += u32::from(ratio.is_significant(0.0));
        assert!(!ratio.is_significant(0.20), "{base:?} {other:?}");
    }
    assert!((10..=80).contains(&beyond_chance), "{beyond_chance} of 1000");
}

#[test]
fn a_slow_down_of_a_fifth_is_found() {
    let mut random = StdRng::seed_from_u64(2);
    let found = (0..1_000).filter(|_| {
        let base = samples(&mut random, 80_000.0, 0.05, 4);
        let slower = samples(&mut random, 64_000.0, 0.05, 4);
        let ratio = Ratio::of(&base, &slower).unwrap();
        assert!((0.70..0.90).contains(&ratio.value), "{ratio:?}");
        ratio.is_significant(0.05)
    });
    let found = found.count();
    assert!(found > 950, "{found} of 1000");
}

#[test]
fn a_clear_difference_below_the_floor_is_none() {
    let ratio = Ratio::of(&[100.0, 100.1, 99.9], &[103.0, 103.1, 102.9]).unwrap();
    assert!(ratio.is_significant(0.0) && !ratio.is_significant(0.05), "{ratio:?}");
}

#[test]
fn single_samples_have_a_ratio_and_no_interval() {
    let ratio = Ratio::of(&[100.0], &[50.0]).unwrap();
    assert!((ratio.value - 0.5).abs() < 1e-12 && ratio.interval.is_none());
    assert!(!ratio.is_significant(0.0));
    assert_eq!(Ratio::of(&[], &[1.0]), None);
    assert_eq!(Ratio::of(&[0.0], &[1.0]), None);
}

#[test]
fn equal_samples_do_not_differ() {
    let ratio = Ratio::of(&[7.0, 7.0, 7.0], &[7.0, 7.0]).unwrap();
    assert!(!ratio.is_significant(0.0), "{ratio:?}");
}

#[test]
fn one_outlier_does_not_turn_a_slope() {
    let mut points: Vec<(f64, f64)> =
        (0..20_u32).map(|x| (x.into(), 5.0 + 2.0 * f64::from(x))).collect();
    points[10].1 = 10_000.0;
    assert!((slope(&points).unwrap() - 2.0).abs() < 1e-9);
    assert_eq!(slope(&points[..1]), None);
}

#[test]
fn a_percentile_is_one_of_the_samples() {
    let samples: Vec<f64> = (1..=100).map(f64::from).collect();
    assert_eq!(percentile(&samples, 0.99), Some(99.0));
    assert_eq!(percentile(&samples, 0.5), Some(50.0));
    assert_eq!(percentile(&[], 0.5), None);
}

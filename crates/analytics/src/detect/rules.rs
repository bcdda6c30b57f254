//! Thresholds on the measures of a window.

use domain::{Aggregate, Alert};

use super::episode::{Scene, Signal, Terms};
use super::policy::{Measure, Rule};
use super::watch::Watch;

pub(super) fn apply(
    rules: &[&Rule],
    own: &Aggregate,
    occupied: bool,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    for rule in rules {
        let window_ms = scene.end_ms - scene.start_ms;
        let Some(value) = value(rule.measure, own, watch, window_ms) else { continue };
        let signal = if rule.occupied && !occupied {
            Signal::Calm
        } else {
            Signal::of(value, rule.fire, rule.clear)
        };
        let Rule { severity, for_windows, hold_windows, .. } = **rule;
        let terms = Terms { name: &rule.name, severity, for_windows, hold_windows };
        watch.episodes.step(terms, signal, scene, alerts);
    }
}

/// Returns a measure of a window; `None` where it has none.
fn value(measure: Measure, own: &Aggregate, watch: &Watch, window_ms: i64) -> Option<f64> {
    Some(match measure {
        Measure::Mean => own.mean,
        Measure::Min => own.min,
        Measure::Max => own.max,
        Measure::Range => own.max - own.min,
        Measure::Stddev => own.stddev,
        Measure::NotOkShare => own.not_ok_share(),
        Measure::ActiveShare => own.motion?.active_ms as f64 / window_ms as f64,
        Measure::Transitions => own.motion?.transitions as f64,
        Measure::Departure => own.mean - watch.running_mean()?,
    })
}

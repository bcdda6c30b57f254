//! Thresholds on the measures of a window.
//!
//! A motion sensor's reading holds until its next one. A row knows nothing of the window before, so
//! that the time up to its first reading counts as without movement; the rule goes by what held
//! until then. Otherwise a sensor that reports seconds into each window could never be at 1 for all
//! of one.

use domain::{Aggregate, Alert};

use super::episode::{Scene, Signal, Terms};
use super::policy::{Measure, Rule};
use super::watch::Watch;

pub(super) fn apply(
    rules: &[&Rule],
    own: Option<&Aggregate>,
    occupied: bool,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    for rule in rules {
        let Some(value) = value(rule.measure, own, watch, scene) else { continue };
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
fn value(
    measure: Measure,
    own: Option<&Aggregate>,
    watch: &Watch,
    scene: &Scene<'_>,
) -> Option<f64> {
    Some(match measure {
        Measure::Mean => own?.mean,
        Measure::Min => own?.min,
        Measure::Max => own?.max,
        Measure::Range => own?.max - own?.min,
        Measure::Stddev => own?.stddev,
        Measure::NotOkShare => own?.not_ok_share(),
        Measure::ActiveShare => active_share(own, watch.held, scene)?,
        Measure::Transitions => own?.motion?.transitions as f64,
        Measure::Departure => own?.mean - watch.running_mean()?,
    })
}

/// Returns the share of a window at 1, where what the sensor said last holds until its first
/// reading; `None` without either.
fn active_share(own: Option<&Aggregate>, held: Option<bool>, scene: &Scene<'_>) -> Option<f64> {
    let window_ms = scene.end_ms - scene.start_ms;
    let (held_ms, active_ms) = match own {
        Some(own) => (own.first.ts - scene.start_ms, own.motion?.active_ms),
        None => (held.map(|_| window_ms)?, 0),
    };
    let held_ms = if held == Some(true) { held_ms } else { 0 };
    Some((held_ms as f64 + active_ms as f64) / window_ms as f64)
}

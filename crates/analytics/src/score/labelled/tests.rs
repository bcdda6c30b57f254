//! The trial at a size that suits a test.

use super::*;

/// Goal: what can be found is found in time, and little else is said. Method: a small trial with
/// its bounds below those of the full one, because few anomalies are in it.
#[test]
fn the_detectors_find_what_can_be_found_and_little_else() {
    let spec = LabelledSpec {
        seeds: vec![9_101],
        sites: 2,
        hours: 18,
        warm_up_hours: 6,
        anomaly_probability: 0.05,
    };
    let mut table = Vec::new();
    let score = labelled(&spec, &mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    let all = score.all_kinds();
    assert!(all.detectable >= 15, "{table}");
    assert!(all.recall() >= 0.9, "{table}");
    assert!(share(all.in_time, all.detectable) >= 0.9, "{table}");
    assert!(score.all_rules().precision() >= 0.9, "{table}");
    assert!(score.false_alarms_per_sensor_week() <= 1.0, "{table}");
}

#[test]
fn a_trial_of_nothing_is_refused() {
    let spec = LabelledSpec { seeds: Vec::new(), ..LabelledSpec::default() };
    assert!(matches!(labelled(&spec, &mut Vec::new()), Err(ScoreError::Empty(_))));
}

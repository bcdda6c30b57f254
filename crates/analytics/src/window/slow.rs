//! Sensors that report more seldom than once a window, from the reading to the alert.

use std::borrow::Cow;
use std::sync::Arc;

use domain::alert::AlertState;
use domain::reading::Location;
use domain::{Reading, SensorKind, Status};

use super::{Arrival, Bookmark, Partition, Timing};
use crate::detect::Policy;

const TIMING: Timing = Timing::BY_DEFAULT;
const SENSORS: i64 = 10;
const SECONDS: i64 = 4 * 3_600;
/// When the first sensor dies.
const DEATH_S: i64 = 3 * 3_600;

fn reading(kind: SensorKind, sensor: i64, at_s: i64) -> Reading<'static> {
    Reading {
        sensor_id: Cow::Owned(format!("site-0001/{kind}-{sensor:02}")),
        site_id: Cow::Borrowed("site-0001"),
        kind,
        ts: at_s * 1_000,
        // Somebody moves all the time.
        value: 1.0,
        unit: Cow::Borrowed(kind.unit()),
        seq: at_s,
        run: Cow::Borrowed("r"),
        status: Status::Ok,
        location: Location::default(),
    }
}

/// Lets sensors report every so many seconds, and returns the alerts of a rule: sensor, and second
/// at which it was raised.
fn alerts(kind: SensorKind, every_s: i64, rule: &str, falls_silent: bool) -> Vec<(String, i64)> {
    let policy = Arc::new(Policy::built_in());
    let start = Bookmark::start(0);
    let mut partition = Partition::resume(TIMING, policy, &start, Vec::new(), Vec::new());
    let mut found = Vec::new();
    for at_s in 0..SECONDS {
        for sensor in 0..SENSORS {
            let is_due = (at_s + sensor * every_s / SENSORS) % every_s == 0;
            if !is_due || sensor == 0 && at_s >= DEATH_S {
                continue;
            }
            let reading = reading(kind, sensor, at_s);
            let offset = partition.position();
            let reading = Some(&reading);
            partition.accept(Arrival { offset, arrived_ms: i64::MAX, reading });
        }
        if falls_silent {
            partition.fall_silent();
        }
        let (outcome, _) = partition.take().unwrap();
        for raised in outcome.alerts {
            if raised.alert.rule == rule && raised.alert.state == AlertState::Open {
                found.push((raised.alert.sensor_id, at_s));
            }
        }
    }
    found
}

#[test]
fn slow_sensors_are_not_missed_until_they_die() {
    for every_s in [70, 100, 180, 187, 200, 239, 300, 600] {
        for falls_silent in [false, true] {
            let found = alerts(SensorKind::Temperature, every_s, "silent", falls_silent);
            let is_dead = |id: &str| id == "site-0001/temperature-00";
            assert!(found.iter().all(|(id, _)| is_dead(id)), "every {every_s} s: {found:?}");
            let latest_s = DEATH_S + 3 * every_s + 300;
            let is_found = found.iter().any(|(_, at_s)| (DEATH_S..latest_s).contains(at_s));
            assert!(is_found, "every {every_s} s: {found:?}");
            assert!(found.iter().all(|(_, at_s)| *at_s >= DEATH_S), "every {every_s} s: {found:?}");
        }
    }
}

#[test]
fn movement_without_end_is_found_by_slow_sensors_too() {
    for every_s in [2, 45, 70, 180, 187, 300] {
        let found = alerts(SensorKind::Motion, every_s, "motion", false);
        assert_eq!(found.len(), usize::try_from(SENSORS).unwrap(), "every {every_s} s: {found:?}");
        let is_soon = |at_s: i64| at_s < 46 * 60 + 3 * every_s + 60;
        assert!(found.iter().all(|(_, at_s)| is_soon(*at_s)), "every {every_s} s: {found:?}");
    }
}

//! Merges the windows of a site into larger ones: hours from minutes.
//!
//! What is merged is what the table holds, so that nobody has to remember an hour of readings.

use std::collections::BTreeMap;

use domain::SensorKind;
use domain::aggregate::{Aggregate, Merge};

use crate::window::{RowKey, WindowRow};

/// Merges rows of one site, of any order; those of all sensors of a kind are made anew.
pub fn merge(start_ms: i64, rows: impl IntoIterator<Item = WindowRow>) -> Vec<WindowRow> {
    // By sensor, and then by time.
    let mut sensors = BTreeMap::<RowKey, BTreeMap<i64, WindowRow>>::new();
    for row in rows.into_iter().filter(|row| !row.key.sensor_id.is_empty()) {
        let key = RowKey { window_start_ms: start_ms, ..row.key.clone() };
        sensors.entry(key).or_default().insert(row.key.window_start_ms, row);
    }
    let mut kinds = BTreeMap::<(String, SensorKind), Vec<(Aggregate, u64)>>::new();
    let mut merged = Vec::with_capacity(sensors.len());
    for (key, windows) in sensors {
        let revision = windows.values().map(|row| row.revision).sum();
        let parts = windows.values().map(|row| row.aggregate);
        let Some(aggregate) = Aggregate::merge(parts, Merge::OverTime) else { continue };
        let kind = kinds.entry((key.site_id.clone(), key.kind)).or_default();
        kind.push((aggregate, revision));
        merged.push(WindowRow { key, aggregate, revision });
    }
    for ((site_id, kind), parts) in kinds {
        merged.extend(WindowRow::of_kind(&site_id, kind, start_ms, &parts));
    }
    merged
}

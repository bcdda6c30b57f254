//! Merges the windows of a site into larger ones: hours from minutes.
//!
//! What is merged is what the table holds, so that nobody has to remember an hour of readings.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::SensorKind;
use domain::aggregate::{Aggregate, Merge};

use crate::window::{RowKey, WindowRow};

/// How long before its time a row may be gone: two clocks may each differ from Cassandra's by five
/// minutes, that of whoever wrote it and that of whoever reads.
const EXPIRY_MARGIN_MS: i64 = 10 * 60_000;

/// Tells whether the table still has the window that ends at `end_ms`, and all that end later, if
/// they were ever written; windows live for so long from their ends on, `None` is for ever.
pub fn is_kept(end_ms: i64, time_to_live: Option<Duration>, now_ms: i64) -> bool {
    let Some(time_to_live) = time_to_live else { return true };
    let time_to_live_ms = i64::try_from(time_to_live.as_millis()).unwrap_or(i64::MAX);
    let expires_ms = end_ms.saturating_add(time_to_live_ms);
    now_ms < expires_ms.saturating_sub(EXPIRY_MARGIN_MS)
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_whole_only_as_long_as_its_first_minute_is_kept() {
        const HOUR_MS: i64 = 3_600_000;
        const START_MS: i64 = 489_900 * HOUR_MS;
        let week = Some(Duration::from_hours(7 * 24));
        let is_whole = |now_ms| is_kept(START_MS + 60_000, week, now_ms);
        assert!(is_whole(START_MS + HOUR_MS), "as soon as it is over");
        // 52 minutes of the hour have expired, eight are left.
        assert!(!is_whole(START_MS + 7 * 24 * HOUR_MS + 52 * 60_000));
        let expires_ms = START_MS + 60_000 + 7 * 24 * HOUR_MS;
        assert!(is_whole(expires_ms - EXPIRY_MARGIN_MS - 1));
        assert!(!is_whole(expires_ms - EXPIRY_MARGIN_MS), "clocks may differ");
        assert!(is_kept(START_MS, None, i64::MAX), "no row expires");
    }
}

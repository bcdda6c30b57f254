//! Kafka's committed offsets and Cassandra's tables: what a process that starts finds.

use std::collections::BTreeMap;
use std::fmt::Debug;

use domain::alert::AlertState;
use domain::{Aggregate, Alert};

use super::super::{Bookmark, Known, Raised, RowKey, SensorState, WindowRow};
use super::timing;
use crate::detect::Watch;

/// Cells, each with its write timestamp: the later one stays.
type Table<K, V> = BTreeMap<K, (i64, V)>;

/// What outlives a process.
#[derive(Debug)]
pub(super) struct Store {
    bookmarks: Vec<Option<String>>,
    offsets: Vec<u64>,
    pub(super) minutes: Table<RowKey, (Aggregate, u64)>,
    pub(super) rollups: Table<RowKey, (Aggregate, u64)>,
    pub(super) alerts: Table<(String, i64, String), Alert>,
    pub(super) states: Table<(usize, String, String), SensorState>,
}

/// The tables as they have to be.
#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) minutes: BTreeMap<RowKey, (Aggregate, u64)>,
    pub(super) rollups: BTreeMap<RowKey, (Aggregate, u64)>,
    pub(super) alerts: BTreeMap<(String, i64, String), Alert>,
    pub(super) states: BTreeMap<(usize, String, String), SensorState>,
}

impl Store {
    pub(super) fn new(partitions: usize) -> Self {
        Self {
            bookmarks: vec![None; partitions],
            offsets: vec![0; partitions],
            minutes: Table::new(),
            rollups: Table::new(),
            alerts: Table::new(),
            states: Table::new(),
        }
    }

    pub(super) fn bookmark(&self, partition: usize) -> Bookmark {
        let offset = self.offsets[partition];
        let metadata = self.bookmarks[partition].as_deref();
        metadata
            .map_or(Bookmark::start(offset), |text| Bookmark::parse(offset, text).expect("ours"))
    }

    pub(super) fn commit(&mut self, partition: usize, bookmark: &Bookmark) {
        self.offsets[partition] = bookmark.offset;
        self.bookmarks[partition] = Some(bookmark.metadata());
    }

    pub(super) fn known(&self, partition: usize) -> Vec<Known> {
        let states = self.states.iter().filter(|((owner, ..), _)| *owner == partition);
        states
            .map(|(_, (_, state))| Known {
                site_id: state.site_id.clone(),
                kind: state.kind,
                sensor_id: state.sensor_id.clone(),
                watch: Watch::decode(&state.state).expect("ours"),
            })
            .collect()
    }

    pub(super) fn provisional(&self, partition: usize) -> Vec<Alert> {
        let prefix = format!("site-{partition}");
        let alerts = self.alerts.values().map(|(_, alert)| alert);
        let own = alerts.filter(|alert| alert.provisional && alert.site_id.starts_with(&prefix));
        own.cloned().collect()
    }

    pub(super) fn write_row(&mut self, row: &WindowRow) {
        let at = row.write_timestamp_us(timing().window_ms);
        put(&mut self.minutes, row.key.clone(), at, (row.aggregate, row.revision));
    }

    /// Merges what the table of minutes has, as the service does.
    pub(super) fn roll_up(&mut self, site_id: &str, start_ms: i64) {
        let end_ms = start_ms + timing().rollup_ms;
        let rows = self.minutes.iter().filter(|(key, _)| {
            key.site_id == site_id && (start_ms..end_ms).contains(&key.window_start_ms)
        });
        let rows = rows.map(|(key, (_, (aggregate, revision)))| WindowRow {
            key: key.clone(),
            aggregate: *aggregate,
            revision: *revision,
        });
        for row in crate::rollup::merge(start_ms, rows) {
            let at = row.write_timestamp_us(timing().rollup_ms);
            put(&mut self.rollups, row.key.clone(), at, (row.aggregate, row.revision));
        }
    }

    pub(super) fn write_alert(&mut self, Raised { alert, write_timestamp_us }: &Raised) {
        let key = (alert.site_id.clone(), alert.started_at, alert.alert_id.clone());
        put(&mut self.alerts, key, *write_timestamp_us, alert.clone());
    }

    pub(super) fn write_state(&mut self, partition: usize, state: &SensorState) {
        let key = (partition, state.sensor_id.clone(), state.kind.to_string());
        put(&mut self.states, key, state.window_start_ms, state.clone());
    }

    /// Compares all tables. Alerts that were withdrawn are as good as not there.
    pub(super) fn check(&self, expected: &Expected) {
        compare("minutes", &self.minutes, &expected.minutes);
        compare("rollups", &self.rollups, &expected.rollups);
        let alerts = self.alerts.iter();
        let alerts = alerts.filter(|(_, (_, alert))| alert.state != AlertState::Withdrawn);
        // At the end all is silent, and the last windows may or may not be closed.
        let said = |alert: &Alert| Alert { provisional: false, ..alert.clone() };
        let alerts: BTreeMap<_, _> =
            alerts.map(|(key, (at, alert))| (key.clone(), (*at, said(alert)))).collect();
        compare("alerts", &alerts, &expected.alerts);
        compare("states", &self.states, &expected.states);
    }
}

/// Two different contents with the same write timestamp would make the outcome a matter of luck.
fn put<K: Ord + Debug, V: PartialEq + Debug>(table: &mut Table<K, V>, key: K, at: i64, value: V) {
    match table.get(&key) {
        Some((then, _)) if *then > at => {}
        Some((then, there)) if *then == at => {
            assert!(*there == value, "{key:?}: {there:?} and {value:?} were both written at {at}");
        }
        _ => {
            table.insert(key, (at, value));
        }
    }
}

fn compare<K: Ord + Debug, V: PartialEq + Debug>(
    name: &str,
    found: &Table<K, V>,
    expected: &BTreeMap<K, V>,
) {
    for (key, value) in expected {
        let (_, there) = found.get(key).unwrap_or_else(|| panic!("{name}: {key:?} is missing"));
        assert!(there == value, "{name}: {key:?} is\n{there:?}, not\n{value:?}");
    }
    for (key, (_, value)) in found {
        assert!(expected.contains_key(key), "{name}: {key:?} is there: {value:?}");
    }
}

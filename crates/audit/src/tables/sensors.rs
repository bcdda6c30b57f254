//! Checks `sensors`: each sensor with a stored reading is registered, with the kind and the unit
//! that it has.

use domain::write_timestamp;

use super::Check;
use super::outcome::{Finding, Key, Outcome};
use super::runs::{Owner, Runs, Seen, compare_written, event_time_ms};
use crate::compare::Differences;

/// One row of `sensors`; everything outside the key can be null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) site_id: &'a str,
    pub(super) sensor_id: &'a str,
    pub(super) kind: Option<&'a str>,
    pub(super) unit: Option<&'a str>,
    pub(super) written_us: Option<i64>,
    pub(super) left_s: Option<i32>,
}

/// The check of `sensors`.
#[derive(Debug)]
pub(super) struct Sensors<'a> {
    runs: &'a Runs<'a>,
    seen: Seen,
    outcome: Outcome,
}

impl<'a> Sensors<'a> {
    /// Starts with no row read.
    pub(super) fn new(runs: &'a Runs<'a>) -> Self {
        Self { runs, seen: runs.nothing_seen(), outcome: runs.outcome(Self::TABLE) }
    }

    /// Compares a row.
    pub(super) fn compare(&mut self, row: &Row<'_>, read_at_ms: i64) {
        let owners = self.runs.owners_of_sensor(row.sensor_id);
        let finding = self.classify(row, &owners, read_at_ms);
        if !matches!(finding, Finding::Phantom(_)) {
            self.seen.add(&owners);
        }
        self.outcome.add(|| Key::sensor(row.site_id, row.sensor_id), finding);
    }

    fn classify(&self, row: &Row<'_>, owners: &[Owner], now_ms: i64) -> Finding {
        let Some(owner) = owners.first() else {
            return Finding::Unknown;
        };
        let fleet = self.runs.fleet(owner.run);
        let mut differences = Differences::default();
        differences.compare("site_id", &fleet.site_of(owner.number).id.as_str(), &row.site_id);
        if let Some(mismatch) = differences.mismatch() {
            return Finding::Phantom(mismatch);
        }
        // The id of a simulated sensor says what it measures, whichever run it is of.
        let kind = fleet.kind_of(owner.number);
        let mut differences = Differences::default();
        differences.compare_cell("kind", &kind.name(), row.kind);
        differences.compare_cell("unit", &kind.unit(), row.unit);
        compare_written(
            &mut differences,
            row.written_us,
            write_timestamp::sensor_us(0, kind),
            now_ms,
        );
        differences.compare_lifetime(row.left_s);
        if let Some(mismatch) = differences.mismatch() {
            return Finding::Corrupt(mismatch);
        }
        let ts_ms = row.written_us.map_or(i64::MIN, event_time_ms);
        let registered = |owner: &Owner| {
            self.runs.expectation(owner.run).has_reading_at(owner.number, ts_ms, now_ms)
        };
        // The registry is told once: a run without a report may have come first.
        if owners.iter().any(registered) { Finding::Right } else { Finding::Foreign }
    }
}

impl Check for Sensors<'_> {
    const TABLE: &'static str = "sensors";
    const PARTITION_KEY: &'static str = "site_id";
    const SELECTED: &'static str = "site_id, sensor_id, kind, unit, WRITETIME(kind), TTL(kind)";
    type Columns<'row> =
        (&'row str, &'row str, Option<&'row str>, Option<&'row str>, Option<i64>, Option<i32>);

    fn record(&mut self, columns: Self::Columns<'_>, read_at_ms: i64) {
        let (site_id, sensor_id, kind, unit, written_us, left_s) = columns;
        let row = Row { site_id, sensor_id, kind, unit, written_us, left_s };
        self.compare(&row, read_at_ms);
    }

    fn close(mut self) -> Outcome {
        for owner in self.runs.unseen_sensors(&self.seen) {
            let fleet = self.runs.fleet(owner.run);
            let sensor_id = fleet.sensor_id(owner.number);
            let owners = self.runs.owners_of_sensor(&sensor_id);
            if self.runs.newest_reading(&owners, true).is_some() {
                let kind = fleet.kind_of(owner.number);
                let expected = format!("kind {} unit {}", kind.name(), kind.unit());
                let key = || Key::sensor(&fleet.site_of(owner.number).id, &sensor_id);
                self.outcome.add_missing(key, expected);
            } else {
                self.outcome.add_behind();
            }
        }
        self.outcome
    }
}

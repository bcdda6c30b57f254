//! Checks `latest`: each sensor with a stored reading has a row, which is the newest of them or a
//! newer reading that a run can have sent.

use scylla::value::CqlTimestamp;

use super::Check;
use super::outcome::{Finding, Key, Outcome};
use super::runs::{NewestReading, Owner, Runs, Seen};
use crate::compare::{Differences, Expectation, Mismatch};
use crate::newest::latest_us;

/// One row of `latest`; everything outside the key can be null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) site_id: &'a str,
    pub(super) sensor_id: &'a str,
    pub(super) ts_ms: Option<i64>,
    pub(super) value: Option<f64>,
    pub(super) unit: Option<&'a str>,
    pub(super) status: Option<&'a str>,
    pub(super) run: Option<&'a str>,
    pub(super) seq: Option<i64>,
    pub(super) written_us: Option<i64>,
    pub(super) left_s: Option<i32>,
}

/// The check of `latest`.
#[derive(Debug)]
pub(super) struct Latest<'a> {
    runs: &'a Runs<'a>,
    seen: Seen,
    outcome: Outcome,
}

impl<'a> Latest<'a> {
    /// Starts with no row read.
    pub(super) fn new(runs: &'a Runs<'a>) -> Self {
        Self { runs, seen: runs.nothing_seen(), outcome: runs.outcome(Self::TABLE) }
    }

    /// Compares a row.
    pub(super) fn compare(&mut self, row: &Row<'_>, read_at_ms: i64) {
        let owners = self.runs.owners_of_sensor(row.sensor_id);
        let finding = if let Some(mismatch) = self.misplaced(row, &owners) {
            Finding::Phantom(mismatch)
        } else {
            self.seen.add(&owners);
            self.classify(row, &owners, read_at_ms)
        };
        let key = || Key {
            run: row.run.map(str::to_owned),
            seq: row.seq,
            ..Key::sensor(row.site_id, row.sensor_id)
        };
        self.outcome.add(key, finding);
    }

    fn misplaced(&self, row: &Row<'_>, owners: &[Owner]) -> Option<Mismatch> {
        let owner = owners.first()?;
        let site_id = &self.runs.fleet(owner.run).site_of(owner.number).id;
        let mut differences = Differences::default();
        differences.compare("site_id", &site_id.as_str(), &row.site_id);
        differences.mismatch()
    }

    fn classify(&self, row: &Row<'_>, owners: &[Owner], now_ms: i64) -> Finding {
        let (Some(run), Some(seq)) = (row.run, row.seq) else {
            if owners.is_empty() {
                return Finding::Unknown;
            }
            return Finding::Corrupt(Mismatch::new("a reading", "run or seq null"));
        };
        let parts = self.runs.parts(run);
        if let Some(parts) = parts {
            let owner = owners.iter().find(|owner| parts.contains(&owner.run));
            // A sensor of no part is told by the first.
            let part = owner.map_or(parts[0], |owner| owner.run);
            let expectation = self.runs.expectation(part);
            let sensor = self.runs.fleet(part).sensor_number(row.sensor_id);
            match expectation.sent_reading(sensor, seq, now_ms) {
                Ok(index) => {
                    if let Some(mismatch) = compare_cells(expectation, row, index) {
                        return Finding::Corrupt(mismatch);
                    }
                }
                Err(mismatch) => return Finding::Phantom(mismatch),
            }
        }
        if let Some(newest) = self.newer(row, owners, true) {
            return Finding::Old(Mismatch::new(or_newer(&newest), found(row)));
        }
        if self.newer(row, owners, false).is_some() {
            return Finding::Behind;
        }
        if parts.is_some() { Finding::Right } else { Finding::OfRun(run.to_owned()) }
    }

    /// Returns the newest stored reading of a sensor if it is newer than the row says.
    fn newer(
        &self,
        row: &Row<'_>,
        owners: &[Owner],
        settled_only: bool,
    ) -> Option<NewestReading<'_>> {
        let newest = self.runs.newest_reading(owners, settled_only)?;
        let is_older = row.ts_ms.is_none_or(|ts_ms| ts_ms < newest.reading.ts_ms)
            || row.written_us.is_none_or(|us| us < newest.written_us);
        is_older.then_some(newest)
    }
}

/// Says what a row must hold.
fn or_newer(newest: &NewestReading<'_>) -> String {
    let NewestReading { run, reading, .. } = newest;
    format!("ts {} of run {run} seq {} or a newer reading", reading.ts_ms, reading.seq)
}

/// Says what a row holds.
fn found(row: &Row<'_>) -> String {
    let number = |number: Option<i64>| number.map_or("null".to_owned(), |n| n.to_string());
    format!("ts {} write timestamp {}", number(row.ts_ms), number(row.written_us))
}

/// Compares all but the key with a reading; sensor, run and number led here and are right.
fn compare_cells(expectation: &Expectation, row: &Row<'_>, index: u64) -> Option<Mismatch> {
    let simulation = expectation.simulation();
    let reading = simulation.reading(index);
    let mut differences = Differences::default();
    differences.compare_cell("ts", &reading.ts_ms, row.ts_ms);
    differences.compare_number("value", reading.measurement.value.to_f64(), row.value);
    let unit = simulation.fleet().kind_of(reading.sensor).unit();
    differences.compare_cell("unit", &unit, row.unit);
    differences.compare_cell("status", &reading.measurement.status.name(), row.status);
    let written_us = latest_us(simulation, &reading);
    differences.compare_cell("write timestamp", &written_us, row.written_us);
    differences.compare_lifetime(row.left_s);
    differences.mismatch()
}

impl Check for Latest<'_> {
    const TABLE: &'static str = "latest";
    const PARTITION_KEY: &'static str = "site_id";
    const SELECTED: &'static str = "site_id, sensor_id, ts, value, unit, status, run, seq, \
                                    WRITETIME(value), TTL(value)";
    type Columns<'row> = (
        &'row str,
        &'row str,
        Option<CqlTimestamp>,
        Option<f64>,
        Option<&'row str>,
        Option<&'row str>,
        Option<&'row str>,
        Option<i64>,
        Option<i64>,
        Option<i32>,
    );

    fn record(&mut self, columns: Self::Columns<'_>, read_at_ms: i64) {
        let (site_id, sensor_id, ts, value, unit, status, run, seq, written_us, left_s) = columns;
        let ts_ms = ts.map(|ts| ts.0);
        let row =
            Row { site_id, sensor_id, ts_ms, value, unit, status, run, seq, written_us, left_s };
        self.compare(&row, read_at_ms);
    }

    fn close(mut self) -> Outcome {
        for owner in self.runs.unseen_sensors(&self.seen) {
            let fleet = self.runs.fleet(owner.run);
            let sensor_id = fleet.sensor_id(owner.number);
            let owners = self.runs.owners_of_sensor(&sensor_id);
            let key = || Key::sensor(&fleet.site_of(owner.number).id, &sensor_id);
            match self.runs.newest_reading(&owners, true) {
                Some(newest) => self.outcome.add_missing(key, or_newer(&newest)),
                None => self.outcome.add_behind(),
            }
        }
        self.outcome
    }
}

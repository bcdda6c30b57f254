//! Checks `events`: what happened to the sensors of a run and Kafka acknowledged is one row each,
//! and nothing else is one of the run's.

use std::collections::HashSet;

use domain::hour::{HOUR_MS, day_start_ms, hour_start_ms};
use domain::simulation::LifecycleEvent;
use domain::simulation::report::RunState;
use domain::write_timestamp;
use runtime::clock::now_ms;
use scylla::value::CqlTimestamp;

use super::Check;
use super::outcome::{Finding, Key, Outcome};
use super::runs::Runs;
use crate::compare::{Differences, Expectation, Expiry, Mismatch};
use crate::window::MARGIN_MS;

/// Name of the table.
pub(super) const TABLE: &str = "events";

/// One row of `events`; everything outside the key can be null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) site_id: &'a str,
    pub(super) day_ms: i64,
    pub(super) ts_ms: i64,
    pub(super) sensor_id: &'a str,
    pub(super) run: &'a str,
    pub(super) seq: i64,
    pub(super) event: Option<&'a str>,
    pub(super) detail: Option<&'a str>,
    pub(super) written_us: Option<i64>,
    pub(super) left_s: Option<i32>,
}

/// The check of `events`.
#[derive(Debug)]
pub(super) struct Events<'a> {
    runs: &'a Runs<'a>,
    time_to_live_ms: i64,
    /// Sensor and number of the events of each run that have a row: they are few beside the
    /// readings.
    seen: Vec<HashSet<(u64, u64)>>,
    outcome: Outcome,
}

impl<'a> Events<'a> {
    /// Starts with no row read; the table keeps rows for `time_to_live_ms`, 0 for good.
    pub(super) fn new(runs: &'a Runs<'a>, time_to_live_ms: i64) -> Self {
        let seen = (0..runs.len()).map(|_| HashSet::new()).collect();
        Self { runs, time_to_live_ms, seen, outcome: runs.outcome(TABLE) }
    }

    /// Compares a row.
    pub(super) fn compare(&mut self, row: &Row<'_>, read_at_ms: i64) {
        let finding = match self.runs.parts(row.run) {
            None => Finding::OfRun(row.run.to_owned()),
            Some(parts) => self.classify(row, parts, read_at_ms).unwrap_or_else(Finding::Phantom),
        };
        self.outcome.add(|| key(row.site_id, row.sensor_id, row.run, row.seq), finding);
    }

    /// Compares a row of an audited run; the error tells why the run cannot have made it.
    fn classify(
        &mut self,
        row: &Row<'_>,
        parts: &[usize],
        read_at_ms: i64,
    ) -> Result<Finding, Mismatch> {
        let has_sensor = |part: &&usize| {
            let sensor = self.runs.fleet(**part).sensor_number(row.sensor_id);
            sensor.is_some_and(|number| {
                self.runs.expectation(**part).report().shard.has_sensor(number)
            })
        };
        // A sensor of no part is told by the first.
        let part = parts.iter().find(has_sensor).copied();
        let expectation = self.runs.expectation(part.unwrap_or(parts[0]));
        let simulation = expectation.simulation();
        let sensor = simulation.fleet().sensor_number(row.sensor_id);
        let sensor = sensor.ok_or_else(|| expectation.no_such_sensor())?;
        let Some(part) = part else {
            let expected = "no row of an event that this producer never sends";
            return Err(Mismatch::new(expected, row.sensor_id));
        };
        let seq = u64::try_from(row.seq).ok();
        let event = seq.and_then(|seq| Some((seq, simulation.event(sensor, seq)?)));
        let Some((seq, event)) = event else {
            return Err(Mismatch::new("a number that an event has", "one that none has"));
        };
        let sent_to_ms = sent_to_ms(expectation, read_at_ms);
        if event.ts_ms > sent_to_ms {
            let expected = format!("an event of until {sent_to_ms}, when the run had come so far");
            return Err(Mismatch::new(expected, format!("one of {}", event.ts_ms)));
        }
        if let Some(mismatch) = compare_key(expectation, row, &event) {
            return Err(mismatch);
        }
        self.seen[part].insert((sensor, seq));
        Ok(match self.compare_cells(row, &event, read_at_ms) {
            Some(mismatch) => Finding::Corrupt(mismatch),
            None => Finding::Right,
        })
    }

    fn compare_cells(
        &self,
        row: &Row<'_>,
        event: &LifecycleEvent,
        read_at_ms: i64,
    ) -> Option<Mismatch> {
        let mut differences = Differences::default();
        differences.compare_cell("event", &event.kind.name(), row.event);
        differences.compare_cell("detail", &&*event.detail, row.detail);
        let written_us = write_timestamp::event_us(event.ts_ms, event.kind, &event.detail);
        differences.compare_cell("write timestamp", &written_us, row.written_us);
        let expiry = Expiry::new(event.ts_ms, self.time_to_live_ms, read_at_ms, row.left_s);
        expiry.compare(&mut differences);
        differences.mismatch()
    }

    /// Finds out what is missing of a table that was read until `end_ms`.
    pub(super) fn close_at(mut self, end_ms: i64) -> Outcome {
        let required_from_ms = match self.time_to_live_ms {
            0 => i64::MIN,
            time_to_live_ms => end_ms - time_to_live_ms + MARGIN_MS,
        };
        for run in 0..self.runs.len() {
            self.find_missing(run, required_from_ms);
        }
        self.outcome
    }

    fn find_missing(&mut self, run: usize, required_from_ms: i64) {
        let expectation = self.runs.expectation(run);
        let report = expectation.report();
        // A report that does not say which events Kafka has is held to none.
        let Some(span) = report.event_span else {
            return;
        };
        let simulation = expectation.simulation();
        let schedule = &report.manifest.schedule;
        // Events follow the readings, hour by hour.
        let end_ms = hour_start_ms(schedule.event_time_ms(report.scheduled)) + HOUR_MS;
        let required = required_from_ms..span.acknowledged_to_ms.min(end_ms);
        let mut hour_ms = hour_start_ms(schedule.start_ms.max(required_from_ms));
        while hour_ms < required.end {
            for sensor in 0..simulation.fleet().sensors() {
                if !report.shard.has_sensor(sensor) {
                    continue;
                }
                for (seq, event) in simulation.events(sensor, hour_ms) {
                    if required.contains(&event.ts_ms) && !self.seen[run].contains(&(sensor, seq)) {
                        self.add_missing(expectation, seq, &event);
                    }
                }
            }
            hour_ms += HOUR_MS;
        }
    }

    fn add_missing(&mut self, expectation: &Expectation, seq: u64, event: &LifecycleEvent) {
        let fleet = expectation.simulation().fleet();
        let (site_id, sensor_id) = (&fleet.site_of(event.sensor).id, fleet.sensor_id(event.sensor));
        let run = &expectation.report().manifest.run;
        let expected = format!("{} at ts {}", event.kind, event.ts_ms);
        self.outcome.add_missing(|| key(site_id, &sensor_id, run, seq.cast_signed()), expected);
    }
}

fn key(site_id: &str, sensor_id: &str, run: &str, seq: i64) -> Key {
    Key { run: Some(run.to_owned()), seq: Some(seq), ..Key::sensor(site_id, sensor_id) }
}

/// Returns the time of the last event that a run can have sent by `now_ms`.
fn sent_to_ms(expectation: &Expectation, now_ms: i64) -> i64 {
    let report = expectation.report();
    let reported_ms = report.event_span.map_or(i64::MAX, |span| span.sent_to_ms);
    if report.state != RunState::Running {
        return reported_ms;
    }
    let last = expectation.sent_by(now_ms).checked_sub(1);
    let due_ms = last.map_or(i64::MIN, |last| report.manifest.schedule.event_time_ms(last));
    reported_ms.max(due_ms)
}

/// Compares the key's other columns: sensor, run and number led here and are right.
fn compare_key(
    expectation: &Expectation,
    row: &Row<'_>,
    event: &LifecycleEvent,
) -> Option<Mismatch> {
    let site_id = &expectation.simulation().fleet().site_of(event.sensor).id;
    let mut differences = Differences::default();
    differences.compare("site_id", &site_id.as_str(), &row.site_id);
    differences.compare("day", &day_start_ms(event.ts_ms), &row.day_ms);
    differences.compare("ts", &event.ts_ms, &row.ts_ms);
    differences.mismatch()
}

impl Check for Events<'_> {
    const TABLE: &'static str = TABLE;
    const PARTITION_KEY: &'static str = "site_id, day";
    const SELECTED: &'static str = "site_id, day, ts, sensor_id, run, seq, event, detail, \
                                    WRITETIME(event), TTL(event)";
    type Columns<'row> = (
        &'row str,
        CqlTimestamp,
        CqlTimestamp,
        &'row str,
        &'row str,
        i64,
        Option<&'row str>,
        Option<&'row str>,
        Option<i64>,
        Option<i32>,
    );

    fn record(&mut self, columns: Self::Columns<'_>, read_at_ms: i64) {
        let (site_id, day, ts, sensor_id, run, seq, event, detail, written_us, left_s) = columns;
        let (day_ms, ts_ms) = (day.0, ts.0);
        let row =
            Row { site_id, day_ms, ts_ms, sensor_id, run, seq, event, detail, written_us, left_s };
        self.compare(&row, read_at_ms);
    }

    fn close(self) -> Outcome {
        self.close_at(now_ms())
    }
}

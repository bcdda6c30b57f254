//! Runs and what the tables beside `readings` must hold of them, for the tests of this folder.

use std::collections::{BTreeMap, BTreeSet};

use domain::hour::{DAY_MS, HOUR_MS, day_start_ms, hour_start_ms};
use domain::reading::Location;
use domain::simulation::report::EventSpan;
use domain::simulation::{RunReport, Simulation};
use domain::{Reading, write_timestamp};

use super::events::{self, Events};
use super::latest::{self, Latest};
use super::outcome::TableSummary;
use super::runs::Runs;
use super::sensors::{self, Sensors};
use super::sites::{self, Sites};
use super::{Check, Outcome};
use crate::compare::testing::{START_MS, report, stored};
use crate::ledger::Ledger;

/// When the tables are read.
pub(super) const NOW_MS: i64 = START_MS + HOUR_MS / 2;
pub(super) const EVENTS_LIVE_MS: i64 = 30 * DAY_MS;
const TOPIC: &str = "sensor-readings";

/// A row of `latest` that owns its text.
#[derive(Clone, Debug)]
pub(super) struct LatestRow {
    pub(super) site_id: String,
    pub(super) sensor_id: String,
    pub(super) ts_ms: Option<i64>,
    pub(super) value: Option<f64>,
    pub(super) unit: Option<&'static str>,
    pub(super) status: Option<&'static str>,
    pub(super) run: Option<String>,
    pub(super) seq: Option<i64>,
    pub(super) written_us: Option<i64>,
    pub(super) left_s: Option<i32>,
}

/// A row of `sensors` that owns its text.
#[derive(Clone, Debug)]
pub(super) struct SensorRow {
    pub(super) site_id: String,
    pub(super) sensor_id: String,
    pub(super) kind: Option<&'static str>,
    pub(super) unit: Option<&'static str>,
    pub(super) written_us: Option<i64>,
    pub(super) left_s: Option<i32>,
}

/// A row of `sites` that owns its text.
#[derive(Clone, Debug)]
pub(super) struct SiteRow {
    pub(super) site_id: String,
    pub(super) place: [Option<f64>; 2],
    pub(super) written_us: [Option<i64>; 2],
    pub(super) left_s: Option<i32>,
}

/// A row of `events` that owns its text.
#[derive(Clone, Debug)]
pub(super) struct EventRow {
    pub(super) site_id: String,
    pub(super) day_ms: i64,
    pub(super) ts_ms: i64,
    pub(super) sensor_id: String,
    pub(super) run: String,
    pub(super) seq: i64,
    pub(super) event: Option<&'static str>,
    pub(super) detail: Option<String>,
    pub(super) written_us: Option<i64>,
    pub(super) left_s: Option<i32>,
}

/// Runs with reports, the readings that are stored, and the tables as a consumer leaves them.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) reports: Vec<RunReport>,
    pub(super) strict: bool,
    pub(super) others_ignored: bool,
    pub(super) is_unsettled: bool,
    pub(super) newcomers: BTreeSet<String>,
    pub(super) readings: Vec<(RunReport, u64)>,
    pub(super) latest: BTreeMap<String, LatestRow>,
    pub(super) sensors: BTreeMap<String, SensorRow>,
    pub(super) sites: BTreeMap<String, SiteRow>,
    pub(super) events: Vec<EventRow>,
}

/// Returns the report of a complete run, all of whose events Kafka has.
pub(super) fn run(name: &str, readings: u64) -> RunReport {
    let report = report(name, readings);
    let end_ms = report.manifest.schedule.event_time_ms(readings.max(1) - 1) + 1;
    let event_span = Some(EventSpan { acknowledged_to_ms: end_ms, sent_to_ms: end_ms });
    RunReport { event_span, ..report }
}

impl World {
    /// Stores every reading and every event of a run, whose report is there.
    pub(super) fn of(report: &RunReport) -> Self {
        let mut world = Self::default();
        world.audit(report);
        world
    }

    /// Adds a run with its report.
    pub(super) fn audit(&mut self, report: &RunReport) {
        self.reports.push(report.clone());
        self.store(report, 0..report.scheduled);
        self.store_events(report);
    }

    /// Stores readings of a run as a consumer does, those that were sent.
    pub(super) fn store(&mut self, report: &RunReport, indexes: impl IntoIterator<Item = u64>) {
        let simulation = Simulation::new(report.manifest.clone());
        let sensors = simulation.fleet().sensors();
        for index in indexes {
            if !simulation.fate(index).is_sent() || !report.shard.has_sensor(index % sensors) {
                continue;
            }
            let mut record = Vec::new();
            simulation.encode(&simulation.reading(index), &mut record);
            self.tell(&Reading::decode(&record).unwrap());
            self.readings.push((report.clone(), index));
        }
    }

    /// Tells the tables that are kept by site of a reading.
    pub(super) fn tell(&mut self, reading: &Reading<'_>) {
        let (sensor_id, site_id) = (reading.sensor_id.to_string(), reading.site_id.to_string());
        let Reading { ts, kind, status, seq, location, .. } = *reading;
        let us = write_timestamp::latest_us(ts, kind, status, &reading.run, seq);
        let latest = LatestRow {
            site_id: site_id.clone(),
            sensor_id: sensor_id.clone(),
            ts_ms: Some(ts),
            value: Some(reading.value),
            unit: Some(kind.unit()),
            status: Some(status.name()),
            run: Some(reading.run.to_string()),
            seq: Some(seq),
            written_us: Some(us),
            left_s: None,
        };
        if self.latest.get(&sensor_id).is_none_or(|row| row.written_us < Some(us)) {
            self.latest.insert(sensor_id.clone(), latest);
        }
        let sensor = SensorRow {
            site_id: site_id.clone(),
            sensor_id: sensor_id.clone(),
            kind: Some(kind.name()),
            unit: Some(kind.unit()),
            written_us: Some(write_timestamp::sensor_us(ts, kind)),
            left_s: None,
        };
        self.sensors.entry(sensor_id).or_insert(sensor);
        let Location { lat, lon } = location;
        let us = Some(write_timestamp::site_us(ts, location));
        let written_us = [us, us];
        let place = [Some(lat), Some(lon)];
        let site = SiteRow { site_id: site_id.clone(), place, written_us, left_s: None };
        if self.sites.get(&site_id).is_none_or(|row| row.written_us[0] < us) {
            self.sites.insert(site_id, site);
        }
    }

    fn store_events(&mut self, report: &RunReport) {
        let simulation = Simulation::new(report.manifest.clone());
        let Some(span) = report.event_span else {
            return;
        };
        let mut hour_ms = hour_start_ms(report.manifest.schedule.start_ms);
        while hour_ms < span.sent_to_ms {
            for sensor in 0..simulation.fleet().sensors() {
                if !report.shard.has_sensor(sensor) {
                    continue;
                }
                for (seq, event) in simulation.events(sensor, hour_ms) {
                    if event.ts_ms < span.sent_to_ms {
                        self.events.push(event_row(&simulation, seq, &event));
                    }
                }
            }
            hour_ms += HOUR_MS;
        }
    }

    /// Checks the four tables: events, latest, sensors, sites.
    pub(super) fn check(&self) -> [TableSummary; 4] {
        let mut ledger = Ledger::new(self.reports.clone(), self.others_ignored, self.strict);
        for (report, index) in &self.readings {
            ledger.record(&stored(report, *index).row(), NOW_MS);
        }
        let runs = Runs::new(&ledger, (!self.is_unsettled).then_some(TOPIC));
        let mut events = Events::new(&runs, EVENTS_LIVE_MS);
        self.events.iter().for_each(|row| events.compare(&row.row(), NOW_MS));
        let mut latest = Latest::new(&runs);
        self.latest.values().for_each(|row| latest.compare(&row.row(), NOW_MS));
        let mut sensors = Sensors::new(&runs);
        self.sensors.values().for_each(|row| sensors.compare(&row.row(), NOW_MS));
        let mut sites = Sites::new(&runs);
        self.sites.values().for_each(|row| sites.compare(&row.row(), NOW_MS));
        let outcomes = [events.close_at(NOW_MS), latest.close(), sensors.close(), sites.close()];
        outcomes.map(|outcome: Outcome| outcome.close(&self.newcomers))
    }

    /// Checks `events` alone.
    pub(super) fn events(&self) -> TableSummary {
        let [events, ..] = self.check();
        events
    }

    /// Checks `latest` alone.
    pub(super) fn latest(&self) -> TableSummary {
        let [_, latest, ..] = self.check();
        latest
    }

    /// Checks `sensors` alone.
    pub(super) fn sensors(&self) -> TableSummary {
        let [_, _, sensors, _] = self.check();
        sensors
    }

    /// Checks `sites` alone.
    pub(super) fn sites(&self) -> TableSummary {
        let [.., sites] = self.check();
        sites
    }
}

fn event_row(
    simulation: &Simulation,
    seq: u64,
    event: &domain::simulation::LifecycleEvent,
) -> EventRow {
    let mut record = Vec::new();
    let run = &simulation.manifest().run;
    event.record(simulation.fleet(), run, seq).encode(&mut record);
    let event = domain::event::Event::decode(&record).unwrap();
    let expires_ms = event.ts + EVENTS_LIVE_MS;
    EventRow {
        site_id: event.site_id.to_string(),
        day_ms: day_start_ms(event.ts),
        ts_ms: event.ts,
        sensor_id: event.sensor_id.to_string(),
        run: event.run.to_string(),
        seq: event.seq,
        event: Some(event.event.name()),
        detail: Some(event.detail.to_string()),
        written_us: Some(write_timestamp::event_us(event.ts, event.event, &event.detail)),
        left_s: Some(i32::try_from((expires_ms - NOW_MS) / 1_000).unwrap()),
    }
}

impl LatestRow {
    fn row(&self) -> latest::Row<'_> {
        latest::Row {
            site_id: &self.site_id,
            sensor_id: &self.sensor_id,
            ts_ms: self.ts_ms,
            value: self.value,
            unit: self.unit,
            status: self.status,
            run: self.run.as_deref(),
            seq: self.seq,
            written_us: self.written_us,
            left_s: self.left_s,
        }
    }
}

impl SensorRow {
    fn row(&self) -> sensors::Row<'_> {
        sensors::Row {
            site_id: &self.site_id,
            sensor_id: &self.sensor_id,
            kind: self.kind,
            unit: self.unit,
            written_us: self.written_us,
            left_s: self.left_s,
        }
    }
}

impl SiteRow {
    fn row(&self) -> sites::Row<'_> {
        let [lat, lon] = self.place;
        let Self { site_id, written_us, left_s, .. } = self;
        sites::Row { site_id, lat, lon, written_us: *written_us, left_s: *left_s }
    }
}

impl EventRow {
    fn row(&self) -> events::Row<'_> {
        events::Row {
            site_id: &self.site_id,
            day_ms: self.day_ms,
            ts_ms: self.ts_ms,
            sensor_id: &self.sensor_id,
            run: &self.run,
            seq: self.seq,
            event: self.event,
            detail: self.detail.as_deref(),
            written_us: self.written_us,
            left_s: self.left_s,
        }
    }
}

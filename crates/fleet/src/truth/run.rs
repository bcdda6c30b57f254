//! A run as its report declares it, or the part of it that is looked at.

use std::fs;
use std::ops::Range;
use std::path::Path;

use domain::simulation::report::Shard;
use domain::simulation::{Anomaly, Fate, RunReport, SimulatedReading, Simulation};

use crate::error::FleetError;
use crate::settings::TruthSettings;

/// What was sent of a run, within a range of event times.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) simulation: Simulation,
    shard: Shard,
    range_ms: Range<i64>,
}

impl Run {
    /// Reads a report.
    pub(crate) fn read(settings: &TruthSettings) -> Result<Self, FleetError> {
        let path = &settings.report;
        let text = fs::read(path)
            .map_err(|source| FleetError::Unreadable { path: path.clone(), source })?;
        let report = parse(&text).map_err(|why| not_a_report(path, why))?;
        let mut manifest = report.manifest;
        // What was never sent has no truth to it.
        manifest.schedule.readings_max = Some(report.scheduled);
        let at = |seconds: u32| {
            manifest.schedule.start_ms.saturating_add(i64::from(seconds).saturating_mul(1_000))
        };
        let range_ms = at(settings.from_s)..settings.to_s.map_or(i64::MAX, at);
        Ok(Self { simulation: Simulation::new(manifest), shard: report.shard, range_ms })
    }

    /// Returns the sensors of the part of the run that the report is of.
    pub(crate) fn sensors(&self) -> impl Iterator<Item = u64> {
        let sensors = 0..self.simulation.fleet().sensors();
        sensors.filter(|sensor| self.shard.has_sensor(*sensor))
    }

    pub(crate) fn sensor_id(&self, sensor: u64) -> String {
        self.simulation.fleet().sensor_id(sensor)
    }

    /// Returns the sequence numbers of a sensor.
    pub(crate) fn seqs(&self, sensor: u64) -> Range<u64> {
        self.simulation.seqs_due(sensor, self.range_ms.clone())
    }

    /// Returns how many readings of a sensor were due.
    pub(crate) fn due(&self, sensor: u64) -> u64 {
        let seqs = self.seqs(sensor);
        seqs.end - seqs.start
    }

    pub(crate) fn anomalies(&self, sensor: u64) -> impl Iterator<Item = Anomaly> {
        self.simulation.anomalies(sensor, self.range_ms.clone())
    }

    /// Returns a reading as it would be without anomalies.
    pub(crate) fn clean(&self, sensor: u64, seq: u64) -> SimulatedReading {
        self.simulation.clean_reading(self.index(sensor, seq))
    }

    /// Returns a reading as it was sent; `None` for one that was not.
    pub(crate) fn sent(&self, sensor: u64, seq: u64) -> Option<SimulatedReading> {
        let reading = self.simulation.reading(self.index(sensor, seq));
        self.fate(sensor, seq).is_sent().then_some(reading)
    }

    /// Returns what became of a reading on its way.
    pub(crate) fn fate(&self, sensor: u64, seq: u64) -> Fate {
        self.simulation.fate(self.index(sensor, seq))
    }

    fn index(&self, sensor: u64, seq: u64) -> u64 {
        self.simulation.index_of(sensor, seq).expect("readings that are due have a number")
    }
}

fn parse(text: &[u8]) -> Result<RunReport, String> {
    let report: RunReport = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let manifest = &report.manifest;
    if manifest.fleet.sensors == 0 || manifest.fleet.kinds.is_empty() {
        return Err("its fleet has no sensors".into());
    }
    let rate = manifest.schedule.load.per_second();
    if !rate.is_finite() || rate <= 0.0 {
        return Err(format!("its rate is {rate} readings a second"));
    }
    Ok(report)
}

fn not_a_report(path: &Path, why: String) -> FleetError {
    FleetError::NotAReport { path: path.to_owned(), why }
}

//! A small run and its rows, for the tests of this crate.

use domain::SensorKind;
use domain::hour::{DAY_MS, hour_start_ms};
use domain::simulation::{
    AnomalySpec, FleetSpec, Rate, RunManifest, RunReport, Schedule, Simulation, TransportSpec,
};

use super::{Expiry, Row};

/// Start of the run, half a minute before a full hour, so that its readings lie in two.
pub(crate) const START_MS: i64 = 1_764_000_000_000 - 30_000;

/// Returns the report of a complete run at 100 readings a second, of 60 sensors on three sites.
pub(crate) fn report(run: &str, scheduled: u64) -> RunReport {
    let rate = Rate::new(100, 1_000_000_000).unwrap();
    let manifest = RunManifest {
        run: run.into(),
        seed: 42,
        fleet: FleetSpec { sensors: 60, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(START_MS, rate),
        anomalies: AnomalySpec::default(),
        transport: TransportSpec::default(),
    };
    RunReport::complete(manifest, "sensor-readings", scheduled)
}

/// A row that owns its text.
#[derive(Clone, Debug)]
pub(crate) struct StoredRow {
    pub(crate) site_id: String,
    pub(crate) sensor_id: String,
    pub(crate) run: String,
    pub(crate) unit: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) hour_ms: i64,
    pub(crate) ts_ms: i64,
    pub(crate) seq: i64,
    pub(crate) value: Option<f64>,
    pub(crate) lat: Option<f64>,
    pub(crate) lon: Option<f64>,
    pub(crate) write_timestamp_us: Option<i64>,
    pub(crate) expiry: Expiry,
}

impl StoredRow {
    /// Returns it as the scan sees it.
    pub(crate) fn row(&self) -> Row<'_> {
        Row {
            site_id: &self.site_id,
            hour_ms: self.hour_ms,
            sensor_id: &self.sensor_id,
            ts_ms: self.ts_ms,
            run: &self.run,
            seq: self.seq,
            value: self.value,
            unit: self.unit.as_deref(),
            status: self.status.as_deref(),
            lat: self.lat,
            lon: self.lon,
            write_timestamp_us: self.write_timestamp_us,
            expiry: self.expiry,
        }
    }
}

/// Returns the right row of reading `index`, by way of the JSON that a consumer reads.
pub(crate) fn stored(report: &RunReport, index: u64) -> StoredRow {
    let simulation = Simulation::new(report.manifest.clone());
    let mut record = Vec::new();
    simulation.encode(&simulation.reading(index), &mut record);
    let reading = domain::Reading::decode(&record).unwrap();
    let domain::Reading { ts, kind, status, value, location, .. } = reading;
    let written = domain::write_timestamp::reading_us(ts, kind, status, value, location);
    let expires_ms = Some(ts + DAY_MS);
    StoredRow {
        site_id: reading.site_id.into_owned(),
        sensor_id: reading.sensor_id.into_owned(),
        run: reading.run.into_owned(),
        unit: Some(reading.unit.into_owned()),
        status: Some(reading.status.name().into()),
        hour_ms: hour_start_ms(reading.ts),
        ts_ms: reading.ts,
        seq: reading.seq,
        value: Some(reading.value),
        lat: Some(reading.location.lat),
        lon: Some(reading.location.lon),
        write_timestamp_us: Some(written),
        expiry: Expiry { expected_ms: expires_ms, found_ms: expires_ms },
    }
}

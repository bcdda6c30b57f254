//! The data contract of the topic: what a reading is, and which bytes are one
//! (docs/data-contract.md).

mod plain;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SensorKind;
use crate::contract::{self, ContractError, Identity, RECORD_BYTES_MAX, impossible};

/// How a sensor rates its own reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The sensor is well.
    Ok,
    /// The value is usable but less exact than it should be.
    Degraded,
    /// The value is not to be trusted.
    Fault,
}

impl Status {
    /// Every verdict, the best first.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Degraded, Self::Fault];

    /// Returns the name used in JSON and CQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a site is, in degrees (WGS 84).
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Location {
    /// Latitude, -90 to 90.
    pub lat: f64,
    /// Longitude, -180 to 180.
    pub lon: f64,
}

/// One reading as it stands in a Kafka record; text is borrowed from the record where JSON allows
/// it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Reading<'a> {
    /// The sensor, unique over all sites: `site-0042/temperature-07`.
    #[serde(borrow)]
    pub sensor_id: Cow<'a, str>,
    /// The building, which is also the record's key: `site-0042`.
    #[serde(borrow)]
    pub site_id: Cow<'a, str>,
    /// What is measured.
    pub kind: SensorKind,
    /// Event time in epoch milliseconds.
    pub ts: i64,
    /// The measured value, in `unit`.
    pub value: f64,
    /// The unit, always [`SensorKind::unit`].
    #[serde(borrow)]
    pub unit: Cow<'a, str>,
    /// Number of the reading, per sensor and run, from 0.
    pub seq: i64,
    /// The producer run that made it.
    #[serde(borrow)]
    pub run: Cow<'a, str>,
    /// The sensor's own verdict.
    pub status: Status,
    /// Where the site is.
    pub location: Location,
}

impl<'a> Reading<'a> {
    /// Decodes and checks one record value.
    pub fn decode(record: &'a [u8]) -> Result<Self, ContractError> {
        let reading = match plain::read(record) {
            Some(reading) if record.len() <= RECORD_BYTES_MAX => reading,
            _ => contract::parse(record, "reading")?,
        };
        reading.check()?;
        Ok(reading)
    }

    fn check(&self) -> Result<(), ContractError> {
        let Self { sensor_id, site_id, run, ts, seq, .. } = self;
        Identity { sensor_id, site_id, run, ts: *ts, seq: *seq }.check()?;
        if self.unit != self.kind.unit() {
            return Err(impossible("unit", &self.unit, format!("`{}`", self.kind.unit())));
        }
        if self.kind == SensorKind::Motion && ![0.0, 1.0].contains(&self.value) {
            return Err(impossible("value", &self.value, "0 or 1 for motion".into()));
        }
        // JSON has no NaN and serde_json refuses numbers beyond f64, so values are finite here.
        let Location { lat, lon } = self.location;
        if !(-90.0..=90.0).contains(&lat) {
            return Err(impossible("location.lat", &lat, "-90 to 90 degrees".into()));
        }
        if !(-180.0..=180.0).contains(&lon) {
            return Err(impossible("location.lon", &lon, "-180 to 180 degrees".into()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! The data contract of the topic: what a reading is, and which bytes are one
//! (docs/data-contract.md).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SensorKind;
use crate::dead_letter::Reason;

/// Kafka header that carries [`SCHEMA_VERSION`].
pub const SCHEMA_VERSION_HEADER: &str = "schema-version";
/// Version of the data contract; a change that old consumers cannot read raises it.
pub const SCHEMA_VERSION: &str = "1";

/// Most bytes in a record: an honest reading has about 200.
pub const RECORD_BYTES_MAX: usize = 4_096;
/// Most bytes in `sensor_id`, `site_id` and `run`.
pub const ID_BYTES_MAX: usize = 128;
/// Range of `ts`: 2000-01-01 to 2100-01-01 UTC, in epoch milliseconds. Outside it a clock is
/// broken.
pub const TS_RANGE_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

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

/// Why a record is not a reading.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The record is larger than any reading.
    #[error("the record has {bytes} bytes, more than {RECORD_BYTES_MAX}")]
    TooLarge {
        /// Size of the record.
        bytes: usize,
    },
    /// The bytes are no JSON, or lack a field, or a field has another type.
    #[error("the record is not a JSON reading: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A field has the right type but a value that no reading can have.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    Impossible {
        /// The field at fault.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        allowed: String,
    },
}

impl ContractError {
    /// Returns the reason that a dead letter gives.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::Malformed(error) if is_unknown_kind(error) => Reason::UnknownKind,
            Self::Malformed(_) => Reason::Malformed,
            Self::Impossible { field: "ts", .. } => Reason::TimestampOutOfBounds,
            Self::Impossible { .. } => Reason::ImpossibleValue,
        }
    }
}

/// serde tells an unknown name only in words: which names it would have known.
fn is_unknown_kind(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    text.starts_with("unknown variant") && text.contains(SensorKind::Temperature.name())
}

impl<'a> Reading<'a> {
    /// Decodes and checks one record value.
    pub fn decode(record: &'a [u8]) -> Result<Self, ContractError> {
        if record.len() > RECORD_BYTES_MAX {
            return Err(ContractError::TooLarge { bytes: record.len() });
        }
        let reading: Self = serde_json::from_slice(record)?;
        reading.check()?;
        Ok(reading)
    }

    fn check(&self) -> Result<(), ContractError> {
        for (field, id) in
            [("sensor_id", &self.sensor_id), ("site_id", &self.site_id), ("run", &self.run)]
        {
            if id.is_empty() || id.len() > ID_BYTES_MAX {
                return Err(impossible(field, id, format!("1 to {ID_BYTES_MAX} bytes")));
            }
        }
        if !TS_RANGE_MS.contains(&self.ts) {
            return Err(impossible("ts", &self.ts, "epoch milliseconds from 2000 to 2100".into()));
        }
        if self.seq < 0 {
            return Err(impossible("seq", &self.seq, "0 or more".into()));
        }
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

fn impossible(field: &'static str, value: &impl fmt::Debug, allowed: String) -> ContractError {
    ContractError::Impossible { field, value: format!("{value:?}"), allowed }
}

#[cfg(test)]
mod tests;

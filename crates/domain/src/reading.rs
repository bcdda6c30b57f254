//! The data contract of the topic: what a reading is, and which bytes are one
//! (docs/data-contract.md).

mod plain;

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SensorKind;
use crate::contract::{self, ContractError, Fields, ID_BYTES_MAX, SEQ_MAX, TS_RANGE_MS};
use crate::dead_letter::Reason;

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
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Location {
    /// Latitude, -90 to 90.
    pub lat: f64,
    /// Longitude, -180 to 180.
    pub lon: f64,
}

/// One reading as it stands in a Kafka record; text is borrowed from the record where JSON allows
/// it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading<'a> {
    /// The sensor, unique over all sites: `site-0042/temperature-07`.
    pub sensor_id: Cow<'a, str>,
    /// The building, which is also the record's key: `site-0042`.
    pub site_id: Cow<'a, str>,
    /// What is measured.
    pub kind: SensorKind,
    /// Event time in epoch milliseconds.
    pub ts: i64,
    /// The measured value, in `unit`.
    pub value: f64,
    /// The unit, always [`SensorKind::unit`].
    pub unit: Cow<'a, str>,
    /// Number of the reading, per sensor and run, from 0.
    pub seq: i64,
    /// The producer run that made it.
    pub run: Cow<'a, str>,
    /// The sensor's own verdict.
    pub status: Status,
    /// Where the site is.
    pub location: Location,
}

impl<'a> Reading<'a> {
    /// Decodes and checks one record value.
    pub fn decode(record: &'a [u8]) -> Result<Self, ContractError> {
        contract::check_size(record)?;
        match plain::read(record) {
            Some(reading) if reading.is_sound() => Ok(reading),
            _ => Self::decode_any(record),
        }
    }

    /// Decodes any form, and says everything that is wrong.
    fn decode_any(record: &[u8]) -> Result<Self, ContractError> {
        let object = contract::object(record)?;
        let mut fields = Fields::new(&object);
        let [sensor_id, site_id, run] = ["sensor_id", "site_id", "run"].map(|id| fields.id(id));
        let kind = fields.one_of("kind", &SensorKind::ALL, SensorKind::name, Reason::UnknownKind);
        let (ts, seq) = (fields.ts(), fields.seq());
        let value = fields.number("value", &"a number such as 21.5");
        let status = fields.one_of("status", &Status::ALL, Status::name, Reason::ImpossibleValue);
        let unit = take_unit(&mut fields, kind);
        if let (Some(SensorKind::Motion), Some(value)) = (kind, value)
            && ![0.0, 1.0].contains(&value)
        {
            let found = value.to_string();
            fields.refuse(Reason::ImpossibleValue, "value", &found, &"0 or 1 for motion");
        }
        let wanted = "an object such as {\"lat\":52.5,\"lon\":13.4}";
        let location = fields.within("location", "location.", &wanted, |fields| Location {
            lat: fields.degrees("lat", 90.0),
            lon: fields.degrees("lon", 180.0),
        });
        let text = |text: &str| Cow::Owned(text.to_owned());
        let reading = Self {
            sensor_id: text(sensor_id),
            site_id: text(site_id),
            kind: kind.unwrap_or(SensorKind::Temperature),
            ts,
            value: value.unwrap_or(0.0),
            unit: text(unit),
            seq,
            run: text(run),
            status: status.unwrap_or(Status::Ok),
            location: location.unwrap_or_default(),
        };
        // What was put in for what is missing is never seen.
        fields.finish()?;
        debug_assert!(reading.is_sound(), "{reading:?}");
        Ok(reading)
    }

    /// Tells whether all fields have values that they can have.
    fn is_sound(&self) -> bool {
        let is_id = |id: &str| !id.is_empty() && id.len() <= ID_BYTES_MAX;
        let Location { lat, lon } = self.location;
        is_id(&self.sensor_id)
            && is_id(&self.site_id)
            && is_id(&self.run)
            && TS_RANGE_MS.contains(&self.ts)
            && (0..=SEQ_MAX).contains(&self.seq)
            && self.unit == self.kind.unit()
            && (self.kind != SensorKind::Motion || [0.0, 1.0].contains(&self.value))
            && (-90.0..=90.0).contains(&lat)
            && (-180.0..=180.0).contains(&lon)
    }
}

/// Takes the unit, which has to be that of the kind.
fn take_unit<'a>(fields: &mut Fields<'a>, kind: Option<SensorKind>) -> &'a str {
    let units = SensorKind::ALL.map(SensorKind::unit);
    let known = kind.map_or(units.to_vec(), |kind| vec![kind.unit()]);
    fields.one_of("unit", &known, |unit| unit, Reason::ImpossibleValue).unwrap_or_default()
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

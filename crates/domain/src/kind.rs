//! The five kinds of sensors, with the unit each one measures in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a sensor measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SensorKind {
    /// Air temperature in °C.
    Temperature,
    /// Relative humidity in %RH.
    Humidity,
    /// Air pressure in hPa.
    Pressure,
    /// Whether somebody moves: 0 or 1.
    Motion,
    /// Illuminance in lx.
    Light,
}

impl SensorKind {
    /// Every kind, in the order in which a site lists its sensors.
    pub const ALL: [Self; 5] =
        [Self::Temperature, Self::Humidity, Self::Pressure, Self::Motion, Self::Light];

    /// Returns the name used in ids, JSON and CQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Temperature => "temperature",
            Self::Humidity => "humidity",
            Self::Pressure => "pressure",
            Self::Motion => "motion",
            Self::Light => "light",
        }
    }

    /// Returns the only unit in which this kind reports.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Temperature => "°C",
            Self::Humidity => "%RH",
            Self::Pressure => "hPa",
            Self::Motion => "0/1",
            Self::Light => "lx",
        }
    }
}

impl fmt::Display for SensorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of the five kinds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a sensor kind: use temperature, humidity, pressure, motion or light")]
pub struct UnknownKind(pub String);

impl FromStr for SensorKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

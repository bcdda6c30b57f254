//! The value of a sensor at a time: weather, offices and people, computable alone.
//!
//! A value depends on the seed, the sensor and the time, and on nothing that came before: a
//! correlated process is a sum of interpolated random lattices, not a walk. Every figure is that of
//! a data set or a data sheet, named where it stands; `fleet realism` checks the outcome against
//! them. Only additions, multiplications, divisions, square roots and `libm` are used: the same
//! bits on every machine.

mod calendar;
mod decimal;
mod indoor;
mod light;
mod noise;
mod occupancy;
mod sensor;
mod status;
mod stream;
mod wave;
mod weather;

pub use decimal::Decimal;
pub use indoor::relative_humidity;
pub use light::sun_elevation_sine;
pub use sensor::{innovation_sd, quantise, raw_value};
pub use status::{STATUS_SPELL_MS, status};
pub use weather::Outdoor;

use self::calendar::LocalTime;
use self::occupancy::{People, Presence};
use self::weather::Weather;
use super::fleet::Fleet;
use crate::reading::Status;

/// What a sensor reports at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The value in the unit of the sensor's kind.
    pub value: Decimal,
    /// The sensor's own verdict.
    pub status: Status,
}

/// Computes what a sensor reports at `ts_ms`, in epoch milliseconds.
pub fn measure(seed: u64, fleet: &Fleet, sensor: u64, ts_ms: i64) -> Measurement {
    let raw = raw_value(seed, fleet, sensor, ts_ms);
    Measurement { value: quantise(fleet.kind_of(sensor), raw), status: status(seed, sensor, ts_ms) }
}

/// Computes the weather outside a site, which no sensor reports but all feel.
pub fn outdoor(seed: u64, fleet: &Fleet, site_number: usize, ts_ms: i64) -> Outdoor {
    Weather::new(seed, fleet, site_number).outdoor(ts_ms)
}

/// Tells whether anybody is on a site.
pub fn is_occupied(seed: u64, fleet: &Fleet, site_number: usize, ts_ms: i64) -> bool {
    let time = LocalTime::new(&fleet.sites()[site_number], ts_ms);
    People::new(seed, site_number).presence(time) == Presence::Occupied
}

#[cfg(test)]
mod tests;

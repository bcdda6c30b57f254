//! A sensor's own verdict: now and then it is unwell for a quarter of an hour.

use super::stream;
use crate::reading::Status;
use crate::simulation::hash::{hash, own, unit};

/// Length of the spells in which a sensor keeps its status, in milliseconds.
pub const STATUS_SPELL_MS: i64 = 900_000;

/// Returns the status of a sensor at a time: 0.4 % of the spells are degraded, 0.1 % faulty.
pub fn status(seed: u64, sensor: u64, ts_ms: i64) -> Status {
    let spell = ts_ms.div_euclid(STATUS_SPELL_MS).cast_unsigned();
    match unit(hash(own(seed, sensor), stream::STATUS, spell)) {
        draw if draw < 0.001 => Status::Fault,
        draw if draw < 0.005 => Status::Degraded,
        _ => Status::Ok,
    }
}

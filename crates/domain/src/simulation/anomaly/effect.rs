//! What a sensor says while it is under an anomaly.

use super::super::fleet::Fleet;
use super::super::hash::{hash, own, symmetric};
use super::super::signal::{self, Decimal};
use super::event::{Event, stream};
use super::{AnomalyKind, DURATION_MAX_MS};
use crate::SensorKind;

// Progress is a quotient of durations, which a float holds exactly.
const _: () = assert!(DURATION_MAX_MS < 1 << 52);

/// Computes the value that takes the place of the clean one.
pub(in super::super) fn value(
    event: &Event,
    seed: u64,
    fleet: &Fleet,
    sensor: u64,
    ts_ms: i64,
) -> Decimal {
    let kind = fleet.kind_of(sensor);
    let raw_at = |ts_ms| signal::raw_value(seed, fleet, sensor, ts_ms);
    let value = match (event.kind, kind) {
        (AnomalyKind::Dropout, _) => lowest(kind),
        (AnomalyKind::Stuck, SensorKind::Motion) => 1.0,
        (AnomalyKind::Stuck, _) => raw_at(event.start_ms),
        (AnomalyKind::Contextual, _) => raw_at(ts_ms - event.context_ms),
        (AnomalyKind::Inverted, _) => 1.0 - raw_at(ts_ms),
        (AnomalyKind::NoiseBurst, SensorKind::Motion) => {
            f64::from(u8::from(noise(seed, sensor, ts_ms) < 0.0))
        }
        (AnomalyKind::NoiseBurst, SensorKind::Light) => {
            raw_at(ts_ms) + event.amount * noise(seed, sensor, ts_ms).abs()
        }
        (AnomalyKind::NoiseBurst, _) => raw_at(ts_ms) + event.amount * noise(seed, sensor, ts_ms),
        (AnomalyKind::Spike | AnomalyKind::Offset, _) => raw_at(ts_ms) + event.amount,
        (AnomalyKind::Drift, _) => raw_at(ts_ms) + event.amount * progress(event, ts_ms),
        (AnomalyKind::LevelShift, _) => {
            raw_at(ts_ms) + event.amount * plateau(progress(event, ts_ms))
        }
    };
    signal::quantise(kind, value)
}

/// The low end of a sensor's range (Bosch BME280 data sheet for the first three).
const fn lowest(kind: SensorKind) -> f64 {
    match kind {
        SensorKind::Temperature => -40.0,
        SensorKind::Pressure => 300.0,
        SensorKind::Humidity | SensorKind::Motion | SensorKind::Light => 0.0,
    }
}

/// White and uniform, with a standard deviation of 1.
fn noise(seed: u64, sensor: u64, ts_ms: i64) -> f64 {
    3.0_f64.sqrt() * symmetric(hash(own(seed, sensor), stream::NOISE, ts_ms.cast_unsigned()))
}

/// Above 0 in the first millisecond of an event, 1 in its last.
fn progress(event: &Event, ts_ms: i64) -> f64 {
    (ts_ms - event.start_ms + 1) as f64 / (event.end_ms - event.start_ms) as f64
}

/// Up within a tenth of the time, down within the last tenth.
fn plateau(progress: f64) -> f64 {
    (10.0 * progress.min(1.0 - progress)).min(1.0)
}

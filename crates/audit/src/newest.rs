//! The newest reading of each sensor that Kafka acknowledged and the table has: what `latest`,
//! `sensors` and `sites` must know of.
//!
//! A reading without a row is not among them: it expired before a consumer read it, is a dead
//! letter, or is missing, which the balance of the readings says.

use std::ops::Range;

use domain::simulation::{SimulatedReading, Simulation};
use domain::write_timestamp;

/// The place of a sensor without one.
const NONE: (i64, u64) = (i64::MIN, 0);

/// The newest reading of each sensor of a run: 16 bytes each.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    /// Event time and number of the newest reading, by the number of the sensor.
    readings: Vec<(i64, u64)>,
}

impl Newest {
    /// Notes that a reading with this event time, in epoch milliseconds, is stored.
    pub(crate) fn note(&mut self, simulation: &Simulation, index: u64, ts_ms: i64) {
        let sensors = simulation.fleet().sensors();
        let Ok(sensor) = usize::try_from(index % sensors) else {
            return;
        };
        if sensor >= self.readings.len() {
            self.readings.resize(sensor + 1, NONE);
        }
        let newest = &mut self.readings[sensor];
        if newest.0 < ts_ms || newest.0 == ts_ms && wins(simulation, index, newest.1) {
            *newest = (ts_ms, index);
        }
    }

    /// Returns the number of a sensor's newest reading.
    pub(crate) fn of_sensor(&self, sensor: u64) -> Option<u64> {
        let newest = self.readings.get(usize::try_from(sensor).ok()?)?;
        (newest.0 != NONE.0).then_some(newest.1)
    }

    /// Returns the latest event time of any of these sensors, in epoch milliseconds.
    pub(crate) fn of_sensors_ms(&self, sensors: Range<u64>) -> Option<i64> {
        let mut latest_ms = None;
        for sensor in sensors {
            let newest = usize::try_from(sensor).ok().and_then(|sensor| self.readings.get(sensor));
            let ts_ms = newest.map(|newest| newest.0).filter(|ts_ms| *ts_ms != NONE.0);
            latest_ms = latest_ms.max(ts_ms);
        }
        latest_ms
    }
}

/// Tells whether Cassandra keeps a reading in `latest` and not another one of the same time.
fn wins(simulation: &Simulation, index: u64, other: u64) -> bool {
    let order = |index| {
        let reading = simulation.reading(index);
        (latest_us(simulation, &reading), reading.measurement.value.to_f64().to_bits())
    };
    order(index) > order(other)
}

/// Returns the write timestamp that a reading has in `latest`, in epoch microseconds.
pub(crate) fn latest_us(simulation: &Simulation, reading: &SimulatedReading) -> i64 {
    let kind = simulation.fleet().kind_of(reading.sensor);
    let (status, run) = (reading.measurement.status, &simulation.manifest().run);
    let seq = reading.seq.cast_signed();
    write_timestamp::latest_us(reading.ts_ms, kind, status, run, seq)
}

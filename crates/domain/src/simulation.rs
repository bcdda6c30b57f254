//! The simulated fleet: every reading is a pure function of the run's manifest and the reading's
//! number.

pub mod anomaly;
pub mod climate;
pub mod fleet;
mod hash;
pub mod lifecycle;
pub mod report;
pub mod schedule;
pub mod signal;
pub mod transport;

pub use anomaly::{Anomaly, AnomalyKind, AnomalySpec};
pub use fleet::{Fleet, FleetSpec};
pub use lifecycle::LifecycleEvent;
pub use report::{RunManifest, RunReport};
pub use schedule::{Load, Rate, Schedule};
pub use signal::Measurement;
pub use transport::{Fate, FateCounts, TransportSpec};

use crate::simulation::schedule::NS_PER_MS;
use crate::simulation::transport::Parcel;

/// One simulated reading, as the fleet and the schedule define it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedReading {
    /// Number of the sensor in the fleet, from 0.
    pub sensor: u64,
    /// Number of the reading per sensor, from 0.
    pub seq: u64,
    /// When it is due, and measured, in epoch milliseconds.
    pub due_ms: i64,
    /// Event time: when it is due by the sensor's own clock, in epoch milliseconds.
    pub ts_ms: i64,
    /// Value and status.
    pub measurement: Measurement,
}

/// Everything that is needed to compute any reading of one run.
#[derive(Debug)]
pub struct Simulation {
    manifest: RunManifest,
    fleet: Fleet,
    transport_is_perfect: bool,
}

impl Simulation {
    /// Lays out the fleet of a run.
    pub fn new(manifest: RunManifest) -> Self {
        let fleet = Fleet::new(manifest.seed, &manifest.fleet);
        let transport_is_perfect = manifest.transport.is_perfect();
        Self { manifest, fleet, transport_is_perfect }
    }

    /// Returns what the simulation was made from.
    pub fn manifest(&self) -> &RunManifest {
        &self.manifest
    }

    /// Returns the sites and sensors.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// Computes reading number `index` of the run: the fleet reports in round robin.
    ///
    /// An anomaly changes the value and nothing else.
    pub fn reading(&self, index: u64) -> SimulatedReading {
        let mut reading = self.clean_reading(index);
        let (seed, sensor, due_ms) = (self.manifest.seed, reading.sensor, reading.due_ms);
        if let Some(event) = self.event_at(sensor, due_ms) {
            reading.measurement.value = anomaly::value(&event, seed, &self.fleet, sensor, due_ms);
        }
        reading
    }

    fn event_at(&self, sensor: u64, due_ms: i64) -> Option<anomaly::Event> {
        anomaly::Event::at(self.manifest.seed, self.manifest.anomalies, &self.fleet, sensor, due_ms)
    }

    /// Computes what reading number `index` would be if there were no anomalies.
    pub fn clean_reading(&self, index: u64) -> SimulatedReading {
        let sensor = index % self.fleet.sensors();
        let seq = index / self.fleet.sensors();
        let RunManifest { seed, schedule, transport, .. } = &self.manifest;
        let due_ms = schedule.event_time_ms(index);
        let ts_ms = due_ms + transport::clock_skew_ms(*seed, transport, sensor, due_ms);
        let measurement = signal::measure(*seed, &self.fleet, sensor, due_ms);
        SimulatedReading { sensor, seq, due_ms, ts_ms, measurement }
    }

    /// Decides what becomes of reading number `index` on its way.
    pub fn fate(&self, index: u64) -> Fate {
        if self.transport_is_perfect {
            return Fate::default();
        }
        let RunManifest { seed, schedule, transport, .. } = &self.manifest;
        let sensors = self.fleet.sensors();
        let (sensor, seq) = (index % sensors, index / sensors);
        let due_ms = schedule.event_time_ms(index);
        transport::fate(*seed, transport, schedule, sensors, Parcel { sensor, seq, index, due_ms })
    }

    /// Returns when reading number `index` is to be sent, in nanoseconds after the start.
    pub fn send_ns(&self, index: u64) -> u64 {
        let due_ns = self.manifest.schedule.due_ns(index);
        due_ns.saturating_add(self.fate(index).delay_ms * NS_PER_MS)
    }

    /// Tells whether every reading is sent once, when it is due.
    pub fn transport_is_perfect(&self) -> bool {
        self.transport_is_perfect
    }

    /// Returns the number of the reading that is `seq` of `sensor`; `None` where it overflows.
    pub fn index_of(&self, sensor: u64, seq: u64) -> Option<u64> {
        seq.checked_mul(self.fleet.sensors())?.checked_add(sensor)
    }

    /// Appends the JSON of a reading, about 200 bytes, to `record`.
    pub fn encode(&self, reading: &SimulatedReading, record: &mut Vec<u8>) {
        let mut integer = itoa::Buffer::new();
        let site = self.fleet.site_of(reading.sensor);
        record.extend_from_slice(b"{\"sensor_id\":\"");
        self.fleet.write_sensor_id(reading.sensor, record);
        record.extend_from_slice(b"\",\"site_id\":\"");
        record.extend_from_slice(site.id.as_bytes());
        record.extend_from_slice(b"\",\"kind\":\"");
        let kind = self.fleet.kind_of(reading.sensor);
        record.extend_from_slice(kind.name().as_bytes());
        record.extend_from_slice(b"\",\"ts\":");
        record.extend_from_slice(integer.format(reading.ts_ms).as_bytes());
        record.extend_from_slice(b",\"value\":");
        reading.measurement.value.write(record);
        record.extend_from_slice(b",\"unit\":\"");
        record.extend_from_slice(kind.unit().as_bytes());
        record.extend_from_slice(b"\",\"seq\":");
        record.extend_from_slice(integer.format(reading.seq).as_bytes());
        record.extend_from_slice(b",\"run\":\"");
        record.extend_from_slice(self.manifest.run.as_bytes());
        record.extend_from_slice(b"\",\"status\":\"");
        record.extend_from_slice(reading.measurement.status.name().as_bytes());
        record.extend_from_slice(b"\",\"location\":{\"lat\":");
        site.latitude.write(record);
        record.extend_from_slice(b",\"lon\":");
        site.longitude.write(record);
        record.extend_from_slice(b"}}");
    }
}

#[cfg(test)]
mod tests;

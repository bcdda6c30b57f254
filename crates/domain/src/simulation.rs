//! The simulated fleet: every reading is a pure function of the run's manifest and the reading's
//! number.

pub mod fleet;
mod hash;
pub mod report;
pub mod schedule;
pub mod signal;

pub use fleet::{Fleet, FleetSpec};
pub use report::{RunManifest, RunReport};
pub use schedule::{Rate, Schedule};
pub use signal::Measurement;

/// One simulated reading, as the fleet and the schedule define it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedReading {
    /// Number of the sensor in the fleet, from 0.
    pub sensor: u64,
    /// Number of the reading per sensor, from 0.
    pub seq: u64,
    /// Event time: the scheduled time, in epoch milliseconds.
    pub ts_ms: i64,
    /// Value and status.
    pub measurement: Measurement,
}

/// Everything that is needed to compute any reading of one run.
#[derive(Debug)]
pub struct Simulation {
    manifest: RunManifest,
    fleet: Fleet,
}

impl Simulation {
    /// Lays out the fleet of a run.
    pub fn new(manifest: RunManifest) -> Self {
        let fleet = Fleet::new(manifest.seed, &manifest.fleet);
        Self { manifest, fleet }
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
    pub fn reading(&self, index: u64) -> SimulatedReading {
        let sensor = index % self.fleet.sensors();
        let seq = index / self.fleet.sensors();
        let ts_ms = self.manifest.schedule.event_time_ms(index);
        let measurement = signal::measure(self.manifest.seed, &self.fleet, sensor, seq, ts_ms);
        SimulatedReading { sensor, seq, ts_ms, measurement }
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

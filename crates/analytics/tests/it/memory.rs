//! A sensor takes a KiB at most: its open windows, and what the detectors have learnt.

use std::sync::Arc;

use analytics::detect::Policy;
use analytics::window::{Arrival, Bookmark, Partition, Timing};
use domain::simulation::{
    AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, Simulation, TransportSpec,
};
use domain::{Reading, SensorKind};

const SENSORS: u64 = 500;
/// As many of a sensor as by default: 0.7 a second.
const READINGS_PER_S: u64 = SENSORS * 7 / 10;
const SECONDS: u64 = 30 * 60;

const TIMING: Timing = Timing::BY_DEFAULT;

#[test]
fn a_sensor_takes_a_kibibyte() {
    let simulation = Simulation::new(RunManifest {
        run: "20261121T013321-9f3a".into(),
        seed: 42,
        fleet: FleetSpec { sensors: SENSORS, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(
            1_764_000_000_000,
            Rate::per_second_milli(READINGS_PER_S * 1_000).unwrap(),
        ),
        anomalies: AnomalySpec { probability_ppm: 50_000 },
        transport: TransportSpec::default(),
    });
    let policy = Arc::new(Policy::built_in());
    let mut partition =
        Partition::resume(TIMING, policy, &Bookmark::start(0), Vec::new(), Vec::new());
    let (mut record, mut sum, mut most) = (Vec::new(), 0, 0);
    for offset in 0..READINGS_PER_S * SECONDS {
        record.clear();
        simulation.encode(&simulation.reading(offset), &mut record);
        let reading = Reading::decode(&record).unwrap();
        partition.accept(Arrival { offset, arrived_ms: i64::MAX, reading: Some(&reading) });
        if offset % READINGS_PER_S == 0 {
            partition.take();
            let bytes = partition.state_bytes() as u64 / SENSORS;
            sum += bytes;
            most = most.max(bytes);
        }
    }
    assert_eq!(partition.watches().count() as u64, SENSORS);
    // A window is still open for half of the next one, so that the most is above the mean.
    let mean = sum / SECONDS;
    println!("a sensor takes {mean} bytes, {most} at most");
    assert!(most <= 1_024, "a sensor takes {mean} bytes, {most} at most");
}

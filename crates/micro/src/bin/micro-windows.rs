//! How long windows and detectors together take for one reading, from the record's bytes on.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use analytics::detect::Policy;
use analytics::window::{Arrival, Bookmark, Partition, Timing};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::simulation::{
    AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, Simulation, TransportSpec,
};
use domain::{Reading, SensorKind};

const START_MS: i64 = 1_764_000_000_000;
const SENSORS: u64 = 5_000;
/// Records of one minute at the default rate: a window's worth, closed and shown to the detectors.
const READINGS: u64 = 210_000;

const TIMING: Timing = Timing::BY_DEFAULT;

fn simulation() -> Simulation {
    let rate = Rate::per_second_milli(3_500_000).expect("above 0");
    Simulation::new(RunManifest {
        run: "20261121T013321-9f3a".into(),
        seed: 42,
        fleet: FleetSpec { sensors: SENSORS, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(START_MS, rate),
        anomalies: AnomalySpec { probability_ppm: 50_000 },
        transport: TransportSpec::default(),
    })
}

/// The readings of a minute as they lie in their records.
fn minute(simulation: &Simulation, number: u64) -> Vec<Vec<u8>> {
    let one = |index| {
        let mut record = Vec::new();
        simulation.encode(&simulation.reading(index), &mut record);
        record
    };
    (number * READINGS..(number + 1) * READINGS).map(one).collect()
}

/// One partition that has all sensors: what it costs does not depend on how many there are.
fn windows(criterion: &mut Criterion) {
    let simulation = simulation();
    let policy = Arc::new(Policy::built_in());
    let mut group = criterion.benchmark_group("windows");
    group.throughput(Throughput::Elements(READINGS)).sample_size(10);
    group.bench_function("decode, windows and detectors", |bencher| {
        bencher.iter_custom(|minutes| {
            let bookmark = Bookmark::start(0);
            let policy = Arc::clone(&policy);
            let mut partition =
                Partition::resume(TIMING, policy, &bookmark, Vec::new(), Vec::new());
            let (mut offset, mut taken) = (0, Duration::ZERO);
            for number in 0..=minutes {
                let records = minute(&simulation, number);
                let begin = Instant::now();
                for record in &records {
                    let reading = Reading::decode(record).ok();
                    let reading = reading.as_ref();
                    partition.accept(Arrival { offset, arrived_ms: i64::MAX, reading });
                    offset += 1;
                }
                black_box(partition.take());
                // The first minute makes the acquaintance of all sensors.
                taken += if number > 0 { begin.elapsed() } else { Duration::ZERO };
            }
            taken
        });
    });
    group.finish();
}

criterion_group!(benches, windows);
criterion_main!(benches);

//! How long it takes to write one reading as JSON, and to read and check it.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::simulation::{
    AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, Simulation, TransportSpec,
};
use domain::{Reading, SensorKind};

/// More than a processor's branch predictor learns by heart.
const READINGS: u64 = 20_000;

fn simulation() -> Simulation {
    let rate = Rate::per_second_milli(3_500_000).expect("above 0");
    Simulation::new(RunManifest {
        run: "20261121T013321-9f3a".into(),
        seed: 42,
        fleet: FleetSpec { sensors: 5_000, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(1_764_000_000_000, rate),
        anomalies: AnomalySpec { probability_ppm: 50_000 },
        transport: TransportSpec::default(),
    })
}

fn contract(criterion: &mut Criterion) {
    let simulation = simulation();
    let readings: Vec<_> = (0..READINGS).map(|index| simulation.reading(index)).collect();
    let records: Vec<Vec<u8>> = readings
        .iter()
        .map(|reading| {
            let mut record = Vec::new();
            simulation.encode(reading, &mut record);
            record
        })
        .collect();
    let mut group = criterion.benchmark_group("contract");
    group.throughput(Throughput::Elements(1));
    let mut record = Vec::with_capacity(512);
    let mut all = readings.iter().cycle();
    group.bench_function("encode", |bencher| {
        bencher.iter(|| {
            record.clear();
            simulation.encode(all.next().expect("a cycle has no end"), &mut record);
            black_box(&record);
        });
    });
    let mut all = records.iter().cycle();
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let record = all.next().expect("a cycle has no end");
            black_box(Reading::decode(black_box(record)).expect("a reading"));
        });
    });
    group.finish();
}

criterion_group!(benches, contract);
criterion_main!(benches);

//! How long it takes to make one reading: its value, its status and its JSON.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::SensorKind;
use domain::simulation::fleet::SENSORS_PER_SITE;
use domain::simulation::{
    AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, Simulation, TransportSpec,
};

const FLEET: u64 = 5_000;

fn simulation(kinds: &[SensorKind]) -> Simulation {
    let rate = Rate::per_second_milli(3_500_000).expect("above 0");
    Simulation::new(RunManifest {
        run: "20261121T013321-9f3a".into(),
        seed: 42,
        fleet: FleetSpec { sensors: FLEET, kinds: kinds.to_vec() },
        schedule: Schedule::constant(1_764_000_000_000, rate),
        // As by default.
        anomalies: AnomalySpec { probability_ppm: 50_000 },
        transport: TransportSpec::default(),
    })
}

/// Sites in turn, as in a run, and from each to the next a few minutes, so that a week has its
/// nights and its weekend.
fn bench(criterion: &mut Criterion, name: &str, kinds: &[SensorKind]) {
    let simulation = simulation(kinds);
    let mut group = criterion.benchmark_group("generation");
    group.throughput(Throughput::Elements(1));
    let mut index = 0;
    let mut record = Vec::with_capacity(512);
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            index += 1;
            if index % SENSORS_PER_SITE == 0 {
                index = (index + 200 * FLEET) % (7 * 86_400 * 3_500);
            }
            record.clear();
            simulation.encode(&simulation.reading(index), &mut record);
            black_box(&record);
        });
    });
    group.finish();
}

fn generation(criterion: &mut Criterion) {
    for kind in SensorKind::ALL {
        bench(criterion, kind.name(), &[kind]);
    }
    bench(criterion, "mixed", &SensorKind::ALL);
}

criterion_group!(benches, generation);
criterion_main!(benches);

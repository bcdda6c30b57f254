//! How long the consumer's core takes for one reading, from the record to a batch that is written
//! and forgotten; and the ledger's part of it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use consumer::pipeline::ledger::{Ledger, RecordOffset};
use consumer::pipeline::record::{Record, Stream};
use consumer::pipeline::{Accepted, Ended, Limits, Pipeline};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::SensorKind;
use domain::simulation::{
    AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, Simulation, TransportSpec,
};
use runtime::clock::TimeOfDay;

const START_MS: i64 = 1_764_000_000_000;
const PARTITIONS: u32 = 12;
/// Records that are ready; they come again and again, with new offsets.
const READINGS: u64 = 20_000;
/// How far the writes under way are behind the newest record: 16 batches of 200 rows.
const OPEN_RECORDS: u64 = 3_200;

/// A record and the partition it lies in.
struct Ready {
    partition: i32,
    key: String,
    value: Vec<u8>,
}

/// Returns the records of one run.
fn records(run: &str) -> Vec<Ready> {
    let rate = Rate::per_second_milli(3_500_000).expect("above 0");
    let simulation = Simulation::new(RunManifest {
        run: run.to_owned(),
        seed: 42,
        fleet: FleetSpec { sensors: 5_000, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(START_MS, rate),
        anomalies: AnomalySpec { probability_ppm: 50_000 },
        transport: TransportSpec::default(),
    });
    let fleet = simulation.fleet();
    let partitions = fleet.partitions(PARTITIONS);
    let one = |index| {
        let reading = simulation.reading(index);
        let mut value = Vec::new();
        simulation.encode(&reading, &mut value);
        let partition = partitions[fleet.site_number_of(reading.sensor)].cast_signed();
        Ready { partition, key: fleet.site_of(reading.sensor).id.clone(), value }
    };
    (0..READINGS).map(one).collect()
}

/// As by default.
fn limits() -> Limits {
    Limits {
        batch_rows_max: 200,
        batch_bytes_max: 65_536,
        batch_age_max: Duration::from_millis(100),
        writes_in_flight_max: 16,
        rows_buffered_max: 50_000,
        commit_interval: Duration::from_secs(1),
        clock_ahead_max: Duration::from_hours(1),
    }
}

fn grouping(criterion: &mut Criterion) {
    let records = records("20261121T013321-9f3a");
    group_all(criterion, "grouping", &records);
}

/// The same with two runs that send at once.
fn grouping_two_runs(criterion: &mut Criterion) {
    let mut records = records("20261121T013321-9f3a");
    for (place, other) in records.iter_mut().zip(self::records("20261121T013322-07b1")).step_by(2) {
        *place = other;
    }
    group_all(criterion, "grouping two runs", &records);
}

/// Decoding, grouping by Cassandra partition and the books; every write succeeds at once.
fn group_all(criterion: &mut Criterion, name: &str, records: &[Ready]) {
    let (now, time) = (Instant::now(), TimeOfDay::exactly(START_MS));
    let mut pipeline = Pipeline::new(limits(), None, 1);
    pipeline.assign(0..PARTITIONS.cast_signed(), now);
    let mut offsets = [0_u64; PARTITIONS as usize];
    let mut all = records.iter().cycle();
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let Ready { partition, key, value } = all.next().expect("a cycle has no end");
            let offset = &mut offsets[partition.unsigned_abs() as usize];
            let record = Record {
                stream: Stream::Readings,
                partition: *partition,
                offset: RecordOffset(*offset),
                timestamp_ms: Some(START_MS),
                key: Some(key.as_bytes()),
                value: Some(value),
            };
            *offset += 1;
            let accepted = pipeline.accept(black_box(&record), now, time);
            assert!(matches!(accepted, Accepted::Row), "the reading is refused");
            while let Some((ticket, write)) = pipeline.next_write(now) {
                pipeline.finish(ticket, black_box(write), Ended::Durable, now);
            }
        });
    });
    group.finish();
}

/// A record comes in, an older one becomes durable, the prefix is asked for.
fn ledger(criterion: &mut Criterion) {
    let mut ledger = Ledger::default();
    let mut offset = 0;
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(1));
    group.bench_function("ledger", |bencher| {
        bencher.iter(|| {
            ledger.receive(RecordOffset(offset));
            if let Some(older) = offset.checked_sub(OPEN_RECORDS) {
                ledger.complete(RecordOffset(older));
            }
            offset += 1;
            black_box(ledger.prefix());
        });
    });
    group.finish();
}

criterion_group!(benches, grouping, grouping_two_runs, ledger);
criterion_main!(benches);

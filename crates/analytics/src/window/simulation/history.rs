//! What is on the topic: readings in and out of order, late, repeated, from clocks that jump, and
//! records that are none.

use std::borrow::Cow;

use domain::reading::Location;
use domain::{Reading, SensorKind, Status};
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// A record as it lies in its partition.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) arrived_ms: i64,
    pub(super) reading: Option<Reading<'static>>,
}

/// All partitions.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) partitions: Vec<Vec<Record>>,
}

const START_MS: i64 = 1_764_000_000_000;

impl Topic {
    pub(super) fn draw(random: &mut StdRng) -> Self {
        let partitions = random.random_range(1..=3);
        Self { partitions: (0..partitions).map(|number| draw(number, random)).collect() }
    }
}

fn draw(partition: usize, random: &mut StdRng) -> Vec<Record> {
    let sites = random.random_range(1..=2);
    let minutes = random.random_range(3..25);
    let interval_ms = random.random_range(4_000..30_000);
    let mut records = Vec::new();
    for site in 0..sites {
        for sensor in 0..random.random_range(1..=3) {
            let kind = SensorKind::ALL[random.random_range(0..5)];
            let site_id = format!("site-{partition}{site}");
            let sensor = Sensor { id: format!("{site_id}/{kind}-{sensor}"), site_id, kind };
            // Some leave windows without a reading.
            let slower = if random.random_bool(0.3) { random.random_range(4..12) } else { 1 };
            let interval_ms = interval_ms * slower;
            sensor.report(minutes * 60_000, interval_ms, random, &mut records);
        }
    }
    // A whole partition may be silent for a while.
    if random.random_bool(0.3) {
        let from_ms = START_MS + random.random_range(0..minutes * 60_000);
        let to_ms = from_ms + random.random_range(10_000..400_000);
        records.retain(|record: &Record| !(from_ms..to_ms).contains(&record.arrived_ms));
    }
    records.shuffle(random);
    records.sort_by_key(|record| record.arrived_ms);
    // Whoever reads a backlog cannot tell by the time of arrival which clock is ahead.
    if random.random_bool(0.5) {
        for record in &mut records {
            record.arrived_ms = START_MS + 1_000 * 3_600_000;
        }
    }
    records
}

struct Sensor {
    id: String,
    site_id: String,
    kind: SensorKind,
}

impl Sensor {
    fn report(
        &self,
        span_ms: i64,
        interval_ms: i64,
        random: &mut StdRng,
        records: &mut Vec<Record>,
    ) {
        // Each sensor has its own faults.
        let late = if random.random_bool(0.3) { 0.1 } else { 0.01 };
        let disordered = if random.random_bool(0.5) { 0.2 } else { 0.0 };
        let repeated = if random.random_bool(0.4) { 0.1 } else { 0.0 };
        let begin_ms = if random.random_bool(0.2) { random.random_range(0..span_ms) } else { 0 };
        let end_ms =
            if random.random_bool(0.2) { random.random_range(0..span_ms) } else { span_ms };
        let runs = random.random_range(1..=2);
        let (mut level, mut skew_ms) = (random.random_range(15.0..25.0), 0);
        let mut at_ms = random.random_range(0..interval_ms);
        let mut seq = 0;
        while at_ms < span_ms {
            if random.random_bool(0.005) {
                skew_ms = [0, -30_000, -200_000, 20_000, 55_000, 90_000, 4_000_000]
                    [random.random_range(0..7)];
            }
            if random.random_bool(0.02) {
                level = random.random_range(15.0..25.0);
            }
            let ts = START_MS + at_ms + skew_ms;
            let mut delay_ms = random.random_range(0..500);
            if random.random_bool(disordered) {
                delay_ms += random.random_range(0..15_000);
            }
            if random.random_bool(late) {
                delay_ms += random.random_range(0..400_000);
            }
            let arrived_ms = START_MS + at_ms + delay_ms;
            let run = if runs == 2 && at_ms > span_ms / 2 { "second" } else { "first" };
            let reading = self.reading(ts, level, seq, run, random);
            let is_there = (begin_ms..end_ms).contains(&at_ms);
            if is_there && random.random_bool(0.003) {
                records.push(Record { arrived_ms, reading: None });
            } else if is_there {
                if random.random_bool(repeated) {
                    let again_ms = arrived_ms + random.random_range(0..90_000);
                    let reading = Some(reading.clone());
                    records.push(Record { arrived_ms: again_ms, reading });
                }
                records.push(Record { arrived_ms, reading: Some(reading) });
            }
            at_ms += interval_ms;
            seq += 1;
        }
    }

    fn reading(
        &self,
        ts: i64,
        level: f64,
        seq: i64,
        run: &'static str,
        random: &mut StdRng,
    ) -> Reading<'static> {
        let noise: f64 = random.random_range(-0.5..0.5);
        let value = match self.kind {
            // Now and then somebody moves all the time.
            SensorKind::Motion => f64::from(u8::from(noise > 0.2 || level > 21.0)),
            _ => ((level + noise) * 100.0).round() / 100.0,
        };
        Reading {
            sensor_id: Cow::Owned(self.id.clone()),
            site_id: Cow::Owned(self.site_id.clone()),
            kind: self.kind,
            ts,
            value,
            unit: Cow::Borrowed(self.kind.unit()),
            seq,
            run: Cow::Borrowed(run),
            status: if noise > 0.49 { Status::Fault } else { Status::Ok },
            location: Location::default(),
        }
    }
}

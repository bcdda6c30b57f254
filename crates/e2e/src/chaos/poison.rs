//! Records that can never be stored, among good ones: the harness plays the producer.

mod damage;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use domain::SensorKind;
use domain::dead_letter::Reason;
use domain::simulation::{
    AnomalySpec, FleetSpec, Rate, RunManifest, RunReport, Schedule, Simulation, TransportSpec,
};
use futures::executor::block_on;
use rand::RngExt;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use runtime::clock::now_ms;

use super::cases::{admin, under_load};
use super::scene::{PATIENCE, Scene};
use super::{Case, letters};
use crate::program;

/// All of them.
pub(super) const ALL: &[Case] = &[
    Case {
        name: "poison",
        about: "200 records of eight sorts come that can never be stored",
        nodes: &[1],
        heavy: false,
        play: poison,
    },
    Case {
        name: "giant-keys",
        about: "300 records come with keys of 900 KiB",
        nodes: &[1],
        heavy: false,
        play: giant_keys,
    },
    Case {
        name: "poison-10000",
        about: "10 000 such records among 1 000 000 good ones, then repaired and sent again",
        nodes: &[1],
        heavy: true,
        play: poison_10000,
    },
];

/// Readings a second of the runs that the harness plays.
const RATE: u64 = 20_000;
/// How often a good record is between two bad ones, and one more.
const DAMAGED_EVERY: u64 = 101;

/// Undoes whichever damage the harness did to a record; `None` if it did none.
pub fn repair(record: &[u8]) -> Option<Vec<u8>> {
    damage::repair(record)
}

/// What is bad, by partition and offset, with the name of the reason.
pub(super) type Expected = BTreeMap<(i32, i64), String>;

fn poison(scene: &mut Scene<'_>) -> Result<()> {
    under_load(scene, |scene| {
        let expected = send_some(scene)?;
        await_letters(scene, &expected)
    })
}

/// Sends 200 bad records of a run that nobody audits; returns them.
pub(super) fn send_some(scene: &mut Scene<'_>) -> Result<Expected> {
    const RECORDS: u64 = 200;
    let simulation = simulation(RECORDS, now_ms())?;
    send(scene, &simulation, None, |_| true)
}

/// The keys alone would fill the memory that a consumer is given, and they do not compress.
fn giant_keys(scene: &mut Scene<'_>) -> Result<()> {
    const RECORDS: u64 = 300;
    const KEY_BYTES: usize = 900 << 10;
    const RESIDENT_MIB_MAX: u64 = 256;
    under_load(scene, |scene| {
        let mut key = vec![0; KEY_BYTES];
        rand::rng().fill(&mut key[..]);
        let simulation = simulation(RECORDS, now_ms())?;
        let expected = send(scene, &simulation, Some(&key), |_| true)?;
        await_letters(scene, &expected)?;
        let resident_mib = scene.consumers()[0].resident_peak_kib()? / 1_024;
        scene.note(format!("resident {resident_mib} MiB at most"));
        ensure!(resident_mib <= RESIDENT_MIB_MAX, "more than {RESIDENT_MIB_MAX} MiB resident");
        Ok(())
    })
}

fn poison_10000(scene: &mut Scene<'_>) -> Result<()> {
    const READINGS: u64 = 10_000 * DAMAGED_EVERY;
    create_topic(scene)?;
    let span_ms = i64::try_from(READINGS * 1_000 / RATE)?;
    let simulation = simulation(READINGS, now_ms() - span_ms)?;
    let expected = send(scene, &simulation, None, |index| index % DAMAGED_EVERY == 0)?;
    scene.trial().store_report(&report(&simulation, scene.trial().topic())?)?;
    scene.start_consumer()?;
    await_letters(scene, &expected)?;
    scene.prove_but_for(expected.len() as u64)?;
    let repair = format!("'{}' --repair", program("chaos")?.display());
    let verdict = scene.trial().run("dlq", &["redrive", "--through", &repair])?;
    let result = format!("redrive: sent {} kept 0", expected.len());
    let (code, last) = (verdict.code, verdict.last_line());
    ensure!((code, last) == (0, &result), "expected `{result}`, dlq ended with {code}: `{last}`");
    scene.prove()
}

/// The run of a usual fleet.
fn simulation(readings: u64, start_ms: i64) -> Result<Simulation> {
    let rate = Rate::per_second_milli(RATE * 1_000).context("the rate is not 0")?;
    let manifest = RunManifest {
        run: format!("poison-{start_ms}"),
        seed: 42,
        fleet: FleetSpec { sensors: 5_000, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule { readings_max: Some(readings), ..Schedule::constant(start_ms, rate) },
        anomalies: AnomalySpec::default(),
        transport: TransportSpec::default(),
    };
    Ok(Simulation::new(manifest))
}

/// What a producer would say of a run that is acknowledged as a whole.
fn report(simulation: &Simulation, topic: &str) -> Result<RunReport> {
    let manifest = simulation.manifest().clone();
    let readings = manifest.schedule.readings_max.context("the run is finite")?;
    Ok(RunReport { written_ms: now_ms(), ..RunReport::complete(manifest, topic, readings) })
}

fn create_topic(scene: &Scene<'_>) -> Result<()> {
    let topic = NewTopic::new(scene.trial().topic(), 12, TopicReplication::Fixed(1));
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    for result in block_on(admin(scene)?.create_topics([&topic], &options))? {
        result.map_err(|(topic, code)| anyhow!("{topic} is not created: {code}"))?;
    }
    Ok(())
}

/// Notes where the bad records went, and what failed.
#[derive(Default)]
struct Deliveries {
    bad: Mutex<Expected>,
    failed: Mutex<Option<KafkaError>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    /// The reason, for a bad one.
    type DeliveryOpaque = Box<Option<&'static str>>;

    fn delivery(&self, result: &DeliveryResult<'_>, reason: Self::DeliveryOpaque) {
        match (result, *reason) {
            (Ok(message), Some(reason)) => {
                let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
                bad.insert((message.partition(), message.offset()), reason.to_owned());
            }
            (Ok(_), None) => {}
            (Err((error, _)), _) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                *failed = Some(error.clone());
            }
        }
    }
}

/// Sends all readings of a run, some of them damaged, each sort in turn, or all with a key that is
/// too large; returns what is bad.
fn send(
    scene: &mut Scene<'_>,
    simulation: &Simulation,
    giant_key: Option<&[u8]>,
    is_bad: impl Fn(u64) -> bool,
) -> Result<Expected> {
    let producer: BaseProducer<Deliveries> = ClientConfig::new()
        .set("bootstrap.servers", scene.trial().setting("KAFKA_BOOTSTRAP_SERVERS"))
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .create_with_context(Deliveries::default())?;
    let fleet = simulation.fleet();
    let partitions = fleet.partitions(12);
    let mut sorts = damage::ALL.iter().cycle();
    let readings = simulation.manifest().schedule.readings_max.unwrap_or(0);
    for index in 0..readings {
        let reading = simulation.reading(index);
        let mut value = Vec::new();
        simulation.encode(&reading, &mut value);
        let mut reason = giant_key.map(|_| Reason::TooLarge.name());
        if giant_key.is_none()
            && is_bad(index)
            && let Some(damage) = sorts.next()
        {
            value = damage.apply(&value);
            reason = Some(damage.reason.name());
        }
        let partition = partitions[fleet.site_number_of(reading.sensor)];
        let (reason, site_id) = (Box::new(reason), &fleet.site_of(reading.sensor).id);
        let mut record = BaseRecord::with_opaque_to(scene.trial().topic(), reason)
            .partition(partition.cast_signed())
            .key(giant_key.unwrap_or(site_id.as_bytes()))
            .payload(&value);
        while let Err((error, refused)) = producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            ensure!(error == full, "kafka takes no records: {error}");
            producer.poll(Duration::from_millis(10));
            record = refused;
        }
    }
    producer.flush(PATIENCE)?;
    let deliveries = producer.context();
    let failed = deliveries.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
    failed.map_or(Ok(()), Err)?;
    Ok(std::mem::take(&mut *deliveries.bad.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Waits until there are as many dead letters as there should be, and compares each.
pub(super) fn await_letters(scene: &mut Scene<'_>, expected: &Expected) -> Result<()> {
    let servers = scene.trial().setting("KAFKA_BOOTSTRAP_SERVERS").to_owned();
    let topic = scene.trial().setting("KAFKA_DLQ_TOPIC_NAME").to_owned();
    let mut found = Vec::new();
    let waited = scene.until("every bad record is a dead letter", PATIENCE, |_| {
        found = letters::read(&servers, &topic)?;
        Ok(found.len() >= expected.len())
    });
    waited.with_context(|| format!("{} of {} dead letters", found.len(), expected.len()))?;
    ensure!(found.len() == expected.len(), "{} dead letters are too many", found.len());
    for letter in &found {
        let place = (letter.partition, letter.offset);
        let reason = expected.get(&place);
        ensure!(
            reason == Some(&letter.reason),
            "{place:?} is dead for the reason {}, expected {reason:?}",
            letter.reason
        );
    }
    let places: std::collections::BTreeSet<_> =
        found.iter().map(|letter| (letter.partition, letter.offset)).collect();
    ensure!(places.len() == expected.len(), "a record has more than one dead letter");
    scene.note(format!("{} dead letters, each with the right reason", found.len()));
    Ok(())
}

//! Cases in which a consumer cannot do its work for long enough to say so: its health endpoint is
//! watched.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use futures::executor::block_on;
use rdkafka::admin::{AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};

use super::cases::{admin, under_load};
use super::scene::{PATIENCE, Scene};
use super::{Case, poison, topics};
use crate::program;

/// All of them.
pub(super) const ALL: &[Case] = &[
    case(
        "dlq-deleted",
        "the dead-letter topic is deleted while records come that can never be stored",
        false,
        dead_letter_topic_deleted,
    ),
    case(
        "topic-deleted",
        "with everything stored, the topic is deleted, and made again much later",
        false,
        topic_deleted,
    ),
    case("commits-refused", "Kafka refuses all commits for a minute", false, commits_refused),
    case("kafka-away-5min", "Kafka is away for five minutes", true, kafka_away),
];

/// When a consumer that cannot do its work has said so, at the latest.
const SAID_AFTER_MAX: Duration = Duration::from_secs(45);
/// When it has called itself well again, at the latest.
const WELL_AFTER_MAX: Duration = Duration::from_secs(45);

const fn case(
    name: &'static str,
    about: &'static str,
    heavy: bool,
    play: fn(&mut Scene<'_>) -> Result<()>,
) -> Case {
    Case { name, about, nodes: &[1], heavy, play }
}

/// The health endpoint of the consumers.
struct Endpoint {
    address: String,
}

impl Endpoint {
    /// Gives the consumers that start from now on an endpoint: there must be one at a time.
    fn of_the_consumer(scene: &mut Scene<'_>) -> Result<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is a free port")?;
        let address = free.local_addr()?.to_string();
        scene.set_for_consumers("HEALTH_ADDRESS", address.clone());
        Ok(Self { address })
    }

    /// Returns what keeps the consumer from its work.
    fn impediment(&self) -> Result<Option<String>> {
        let mut check = Command::new(program("consumer")?);
        let output = check.arg("healthcheck").env("HEALTH_ADDRESS", &self.address).output()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok((!output.status.success()).then_some(said))
    }

    /// Waits until the consumer says that it cannot do its work, for this reason.
    fn await_unwell(&self, scene: &mut Scene<'_>, reason: &str) -> Result<()> {
        let since = Instant::now();
        let mut said = None;
        let waited = scene.until("the consumer is unwell", SAID_AFTER_MAX, |_| {
            said = self.impediment()?;
            Ok(said.as_ref().is_some_and(|said| said.contains(reason)))
        });
        let said = said.unwrap_or_else(|| "ok".into());
        waited.with_context(|| format!("it last said `{said}`, expected `{reason}`"))?;
        scene.note(format!("unwell after {} s: {said}", since.elapsed().as_secs()));
        Ok(())
    }

    /// Waits until the consumer calls itself well.
    fn await_well(&self, scene: &mut Scene<'_>) -> Result<()> {
        let since = Instant::now();
        scene
            .until("the consumer is well", WELL_AFTER_MAX, |_| Ok(self.impediment()?.is_none()))?;
        scene.note(format!("well again after {} s", since.elapsed().as_secs()));
        Ok(())
    }
}

fn dead_letter_topic_deleted(scene: &mut Scene<'_>) -> Result<()> {
    let endpoint = Endpoint::of_the_consumer(scene)?;
    under_load(scene, |scene| {
        let topic = scene.trial().dead_letter_topic().to_owned();
        let before = poison::send_some(scene)?;
        poison::await_letters(scene, &before)?;
        topics::delete_topic(scene, &topic)?;
        let expected = poison::send_some(scene)?;
        endpoint.await_unwell(scene, &topic)?;
        let replication = TopicReplication::Fixed(1);
        let made = NewTopic::new(&topic, 12, replication).set("max.message.bytes", "10485760");
        for result in block_on(admin(scene)?.create_topics([&made], &AdminOptions::new()))? {
            result.map_err(|(topic, code)| anyhow!("{topic} is not created: {code}"))?;
        }
        poison::await_letters(scene, &expected)?;
        endpoint.await_well(scene)
    })
}

/// The first run is audited before its topic goes.
fn topic_deleted(scene: &mut Scene<'_>) -> Result<()> {
    let endpoint = Endpoint::of_the_consumer(scene)?;
    scene.start_consumer()?;
    scene.start_producer()?;
    scene.calm()?;
    scene.stop_producer()?;
    scene.prove()?;
    scene.forget_proof();
    topics::delete_topic(scene, scene.trial().topic())?;
    let missing = format!("the topic `{}` has not existed for", scene.trial().topic());
    endpoint.await_unwell(scene, &missing)?;
    // The next run makes the topic.
    scene.start_producer()?;
    scene.recover()?;
    endpoint.await_well(scene)?;
    scene.stop_producer()
}

/// Offsets are records of a topic, and a topic can be told to take small ones only.
fn commits_refused(scene: &mut Scene<'_>) -> Result<()> {
    const SPAN: Duration = Duration::from_mins(1);
    let endpoint = Endpoint::of_the_consumer(scene)?;
    under_load(scene, |scene| {
        let since = Instant::now();
        limit_offsets(scene, "1")?;
        let unwell = endpoint.await_unwell(scene, "commit");
        let passed = scene.pass(SPAN.saturating_sub(since.elapsed()));
        limit_offsets(scene, "1048588")?;
        unwell.and(passed)?;
        let refused = scene.consumers()[0].last_now("commit_failures_total").unwrap_or(0.0);
        ensure!(refused > 0.0, "no commit was refused");
        scene.note(format!("{refused} commits refused"));
        endpoint.await_well(scene)
    })
}

/// Sets the most bytes that a record of an offset may have.
fn limit_offsets(scene: &Scene<'_>, bytes_max: &str) -> Result<()> {
    let topic = ResourceSpecifier::Topic("__consumer_offsets");
    let config = AlterConfig::new(topic).set("max.message.bytes", bytes_max);
    // All other settings of the topic go back to their defaults, but for these two.
    let config = config.set("cleanup.policy", "compact").set("segment.bytes", "104857600");
    for result in block_on(admin(scene)?.alter_configs([&config], &AdminOptions::new()))? {
        result.map_err(|(_, code)| anyhow!("the topic of the offsets is not altered: {code}"))?;
    }
    Ok(())
}

fn kafka_away(scene: &mut Scene<'_>) -> Result<()> {
    const OUTAGE: Duration = Duration::from_mins(5);
    let endpoint = Endpoint::of_the_consumer(scene)?;
    under_load(scene, |scene| {
        let kafka = scene.servers().stack.kafka(0);
        let since = Instant::now();
        kafka.kill()?;
        endpoint.await_unwell(scene, "broker")?;
        scene.until("the outage is over", OUTAGE + PATIENCE, |_| Ok(since.elapsed() >= OUTAGE))?;
        let said = endpoint.impediment()?;
        ensure!(said.is_some(), "the consumer calls itself well without kafka");
        kafka.start()?;
        endpoint.await_well(scene)
    })
}

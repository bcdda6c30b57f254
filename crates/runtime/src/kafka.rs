//! Kafka: the settings of every client, the topics that the programs agree on, and what a member
//! of a consumer group needs.

pub mod committer;
pub mod member;
pub mod monitor;
pub mod probe;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::metadata::Metadata;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::settings::{Reader, Setting};
use crate::shutdown::Shutdown;

/// Longest wait for one answer of the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two looks for a topic that is not there yet.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(200);
/// How long a topic may be missing before that is worth a word.
const TOPIC_PATIENCE: Duration = Duration::from_secs(3);
/// Time between two complaints about brokers that do not answer.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(5);

/// Where Kafka is and which topic carries the readings.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// Comma-separated `host:port`.
    pub bootstrap_servers: String,
    /// Topic of the readings.
    pub topic: String,
    /// Partitions of that topic.
    pub partitions: u32,
    /// Copies of each partition, for a topic that has to be created.
    pub replication_factor: i32,
}

impl KafkaSettings {
    /// Reads the `KAFKA_*` settings that every client shares.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            bootstrap_servers: read_bootstrap_servers(reader),
            topic: read_topic(
                reader,
                Setting::plain("KAFKA_TOPIC_NAME", "sensor-readings", "Topic of the readings"),
            ),
            partitions: reader.number(
                Setting {
                    name: "KAFKA_NUM_PARTITIONS",
                    default: "12",
                    unit: "partitions",
                    meaning: "Partitions of the topic: the most consumers that can share it",
                },
                1..=10_000,
            ),
            replication_factor: reader.number(
                Setting {
                    name: "KAFKA_REPLICATION_FACTOR",
                    default: "1",
                    unit: "replicas",
                    meaning: "Copies of each partition, where the topic has to be created",
                },
                1..=100,
            ),
        }
    }

    /// Returns the configuration that every client starts from.
    pub fn client(&self, client_id: &str) -> ClientConfig {
        client(&self.bootstrap_servers, client_id)
    }

    /// Returns the topic of the readings.
    pub fn readings(&self) -> TopicSpec<'_> {
        let name = &self.topic;
        TopicSpec { name, partitions: None, retention_days: 7, message_bytes_max: None }
    }
}

/// Returns the configuration that every client starts from.
pub fn client(bootstrap_servers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap_servers)
        .set("client.id", client_id)
        // A broker that comes back is found within a second.
        .set("reconnect.backoff.max.ms", "1000")
        // New partitions of a topic that grows are found within this time.
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("socket.keepalive.enable", "true")
        // Brokers could ask for figures (KIP-714), which would be kept anew at every poll.
        .set("enable.metrics.push", "false");
    config
}

/// Returns the configuration of a client that sends: idempotent, acknowledged by all replicas, and
/// nothing is ever dropped, because Kafka away means wait.
pub fn durable_producer(bootstrap_servers: &str, client_id: &str) -> ClientConfig {
    let mut config = client(bootstrap_servers, client_id);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", "0")
        // As Java clients choose.
        .set("partitioner", "murmur2_random");
    config
}

/// Reads where Kafka is: comma-separated `host:port`.
pub fn read_bootstrap_servers(reader: &mut Reader) -> String {
    let servers = reader.addresses(Setting {
        name: "KAFKA_BOOTSTRAP_SERVERS",
        default: "localhost:9092",
        unit: "",
        meaning: "Brokers to start from",
    });
    servers.join(",")
}

/// Reads the name of a topic; refuses what Kafka would refuse when the topic is created.
pub fn read_topic(reader: &mut Reader, setting: Setting) -> String {
    let name = reader.text(setting);
    if !name.is_empty() && !is_topic(&name) {
        let allowed = "1 to 249 ASCII letters, digits, `.`, `_` and `-`, but not `.` or `..`";
        reader.refuse(setting.name, &name, allowed);
    }
    name
}

/// Tells whether Kafka takes this name, as `org.apache.kafka.common.internals.Topic` decides.
fn is_topic(name: &str) -> bool {
    (1..=249).contains(&name.len())
        && ![".", ".."].contains(&name)
        && name.chars().all(|c| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c))
}

/// Reads the name of the topic for records that can never be stored.
pub fn read_dead_letter_topic(reader: &mut Reader) -> String {
    let meaning = "Topic of the dead letters: records that can never be stored";
    read_topic(reader, Setting::plain("KAFKA_DLQ_TOPIC_NAME", "sensor-readings-dlq", meaning))
}

/// Reads the name of the topic of the events.
pub fn read_events_topic(reader: &mut Reader) -> String {
    let meaning = "Topic of the events: what happens to a sensor, as against what it measures";
    read_topic(reader, Setting::plain("KAFKA_EVENTS_TOPIC_NAME", "sensor-events", meaning))
}

/// A topic as it is to be created, with the replicas of [`KafkaSettings`].
#[derive(Clone, Copy, Debug)]
pub struct TopicSpec<'a> {
    /// Name.
    pub name: &'a str,
    /// Partitions to create it with, where these are not the readings'; then any number will do
    /// that it has already.
    pub partitions: Option<u32>,
    /// Days after which its records may go.
    pub retention_days: u32,
    /// Most bytes in a record, if that is not the broker's default.
    pub message_bytes_max: Option<u32>,
}

impl<'a> TopicSpec<'a> {
    /// Most bytes in a dead letter: whatever the topic of the readings takes by default, and
    /// headers, ten times over.
    pub const DEAD_LETTER_BYTES_MAX: u32 = 10 << 20;

    /// Returns the topic of the dead letters of a topic with so many partitions.
    ///
    /// It need not grow with that topic: a dead letter lies in the partition whose number is that
    /// of its origin modulo the partitions there are.
    pub fn dead_letters(name: &'a str, partitions: u32) -> Self {
        let message_bytes_max = Some(Self::DEAD_LETTER_BYTES_MAX);
        Self { name, partitions: Some(partitions), retention_days: 14, message_bytes_max }
    }

    /// Returns the topic of the aggregates.
    pub fn aggregates(name: &'a str) -> Self {
        Self { name, partitions: Some(3), retention_days: 7, message_bytes_max: None }
    }

    /// Returns the topic of the alerts.
    pub fn alerts(name: &'a str) -> Self {
        Self { name, partitions: Some(1), retention_days: 90, message_bytes_max: None }
    }

    /// Returns the topic of the late readings.
    pub fn late(name: &'a str) -> Self {
        Self { name, partitions: Some(3), retention_days: 14, message_bytes_max: None }
    }

    /// Returns the topic of the events.
    pub fn events(name: &'a str) -> Self {
        Self { name, partitions: Some(3), retention_days: 30, message_bytes_max: None }
    }
}

/// Why a topic cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The client could not be made at all.
    #[error("the kafka client cannot be made")]
    Client(#[from] KafkaError),
    /// The topic exists with another number of partitions; keys would move to other partitions.
    #[error(
        "topic `{topic}` has {found} partitions, KAFKA_NUM_PARTITIONS asks for {asked}: \
         set it to {found}"
    )]
    Partitions {
        /// The topic.
        topic: String,
        /// Partitions it has.
        found: usize,
        /// Partitions asked for.
        asked: u32,
    },
    /// Kafka refuses to create the topic.
    #[error("topic `{topic}` cannot be created: {code}")]
    Refused {
        /// The topic.
        topic: String,
        /// Kafka's reason.
        code: RDKafkaErrorCode,
    },
    /// The process was asked to stop while it waited.
    #[error("stopped while waiting for kafka at {servers}")]
    Stopped {
        /// The brokers that did not answer.
        servers: String,
    },
}

/// Waits for the brokers, creates the topic if it is missing, and refuses one that has to have the
/// readings' partition count and has another.
///
/// Waits without end, and says so every few seconds: an outage is no reason to give up.
pub async fn ensure_topic(
    settings: &KafkaSettings,
    topic: TopicSpec<'_>,
    shutdown: &Shutdown,
) -> Result<(), TopicError> {
    tokio::select! {
        outcome = ensure(settings, topic) => outcome,
        () = shutdown.stopped() => {
            Err(TopicError::Stopped { servers: settings.bootstrap_servers.clone() })
        }
    }
}

async fn ensure(settings: &KafkaSettings, topic: TopicSpec<'_>) -> Result<(), TopicError> {
    let admin: AdminClient<DefaultClientContext> = settings.client("sensorium-admin").create()?;
    let admin = Arc::new(admin);
    let mut complaint = Complaint::default();
    loop {
        match known_partitions(&admin, topic.name).await {
            Ok(Some(_)) if topic.partitions.is_some() => return Ok(()),
            Ok(Some(found)) => {
                return match u32::try_from(found) {
                    Ok(count) if count == settings.partitions => Ok(()),
                    _ => Err(TopicError::Partitions {
                        topic: topic.name.to_owned(),
                        found,
                        asked: settings.partitions,
                    }),
                };
            }
            Ok(None) => create(&admin, settings, topic).await?,
            Err(error) => complaint.raise(|| unanswered(settings, &error)),
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
}

/// Waits until the topic of the readings exists, saying every few seconds what is missing.
///
/// Returns the number of its partitions; `None` if asked to stop.
pub async fn await_topic(
    settings: &KafkaSettings,
    shutdown: &Shutdown,
) -> Result<Option<u32>, TopicError> {
    tokio::select! {
        found = until_there(settings) => found.map(Some),
        () = shutdown.stopped() => Ok(None),
    }
}

async fn until_there(settings: &KafkaSettings) -> Result<u32, TopicError> {
    let admin: AdminClient<DefaultClientContext> = settings.client("sensorium-admin").create()?;
    let admin = Arc::new(admin);
    let mut complaint = Complaint::default();
    let asked = Instant::now();
    loop {
        match known_partitions(&admin, &settings.topic).await {
            Ok(Some(found)) => return Ok(u32::try_from(found).unwrap_or(u32::MAX)),
            // Whoever creates it may have been started at the same time.
            Ok(None) if asked.elapsed() < TOPIC_PATIENCE => {}
            Ok(None) => complaint.raise(|| {
                warn!(topic = settings.topic, "the topic does not exist yet, waiting for it");
            }),
            Err(error) => complaint.raise(|| unanswered(settings, &error)),
        }
        sleep(ATTEMPT_INTERVAL).await;
    }
}

async fn known_partitions(
    admin: &Arc<AdminClient<DefaultClientContext>>,
    name: &str,
) -> KafkaResult<Option<usize>> {
    let admin = Arc::clone(admin);
    let fetch = move |topic: &str, timeout| admin.inner().fetch_metadata(Some(topic), timeout);
    partition_count(name, fetch).await
}

fn unanswered(settings: &KafkaSettings, error: &KafkaError) {
    warn!(servers = settings.bootstrap_servers, "kafka does not answer, trying again: {error}");
}

/// Returns the number of partitions; `None` if there is no such topic. `fetch` is given the topic
/// and how long to wait for its metadata.
///
/// The client's call blocks, so it is made aside: signals are to be heard and the health endpoint
/// is to answer meanwhile.
pub async fn partition_count(
    name: &str,
    fetch: impl FnOnce(&str, Duration) -> KafkaResult<Metadata> + Send + 'static,
) -> KafkaResult<Option<usize>> {
    let topic = name.to_owned();
    let fetched = spawn_blocking(move || fetch(&topic, REQUEST_TIMEOUT)).await;
    // It has no outcome if it panics, or if the process is ending.
    let metadata = fetched.unwrap_or(Err(KafkaError::Canceled))?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    let Some(topic) = topic else { return Ok(None) };
    match topic.error().map(RDKafkaErrorCode::from) {
        None => Ok(Some(topic.partitions().len())),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
            Ok(None)
        }
        Some(code) => Err(KafkaError::MetadataFetch(code)),
    }
}

async fn create(
    admin: &AdminClient<DefaultClientContext>,
    settings: &KafkaSettings,
    TopicSpec { name, partitions, retention_days, message_bytes_max }: TopicSpec<'_>,
) -> Result<(), TopicError> {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    let partitions = i32::try_from(partitions.unwrap_or(settings.partitions)).unwrap_or(i32::MAX);
    let replication = TopicReplication::Fixed(settings.replication_factor);
    let retention_ms = (u64::from(retention_days) * DAY_MS).to_string();
    let message_bytes_max = message_bytes_max.map(|bytes| bytes.to_string());
    let mut topic = NewTopic::new(name, partitions, replication).set("retention.ms", &retention_ms);
    if let Some(bytes) = &message_bytes_max {
        topic = topic.set("max.message.bytes", bytes);
    }
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let results = match admin.create_topics([&topic], &options).await {
        Ok(results) => results,
        Err(error) => {
            warn!("topic creation got no answer, trying again: {error}");
            return Ok(());
        }
    };
    for result in results {
        match result {
            Ok(name) => info!(topic = name, partitions, "created topic"),
            // Somebody else was faster: the next look tells whether it is the right one.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((
                topic,
                code @ (RDKafkaErrorCode::InvalidReplicationFactor
                | RDKafkaErrorCode::InvalidPartitions
                | RDKafkaErrorCode::InvalidTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed
                | RDKafkaErrorCode::PolicyViolation),
            )) => return Err(TopicError::Refused { topic, code }),
            Err((topic, code)) => warn!(topic, "topic not created yet, trying again: {code}"),
        }
    }
    Ok(())
}

/// A header of a record: its name and its value.
pub type Header = (String, Option<Vec<u8>>);

/// Returns the headers of a record; `None` if a name is no UTF-8, which Kafka allows.
pub fn headers(message: &BorrowedMessage<'_>) -> Option<Vec<Header>> {
    let Some(headers) = message.headers() else {
        return Some(Vec::new());
    };
    // The client panics at such a name, and one record must not end a program.
    let copy = || {
        let headers = headers.iter();
        headers.map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    };
    panic::catch_unwind(AssertUnwindSafe(copy)).ok()
}

/// Lets a recurring complaint through every few seconds.
#[derive(Debug, Default)]
pub struct Complaint {
    last: Option<Instant>,
}

impl Complaint {
    /// Calls `say` unless it was called within the last five seconds.
    pub fn raise(&mut self, say: impl FnOnce()) {
        if self.last.is_none_or(|last| last.elapsed() >= COMPLAINT_INTERVAL) {
            self.last = Some(Instant::now());
            say();
        }
    }
}

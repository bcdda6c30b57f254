//! Kafka: the settings of every client, and the topic that producer and consumer agree on.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{info, warn};

use crate::settings::{Reader, Setting};
use crate::shutdown::Shutdown;

/// Longest wait for one answer of the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
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
        let servers = reader.addresses(Setting {
            name: "KAFKA_BOOTSTRAP_SERVERS",
            default: "localhost:9092",
            unit: "",
            meaning: "Brokers to start from",
        });
        Self {
            bootstrap_servers: servers.join(","),
            topic: reader.text(Setting {
                name: "KAFKA_TOPIC_NAME",
                default: "sensor-readings",
                unit: "",
                meaning: "Topic of the readings",
            }),
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
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", client_id)
            // A broker that comes back is found within a second.
            .set("reconnect.backoff.max.ms", "1000")
            .set("topic.metadata.refresh.interval.ms", "30000")
            .set("socket.keepalive.enable", "true");
        config
    }
}

/// Why a topic cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The client could not be made at all.
    #[error("the kafka client cannot be made: {0}")]
    Client(#[from] KafkaError),
    /// The topic exists with another number of partitions; keys would move to other partitions.
    #[error(
        "topic `{topic}` has {found} partitions, KAFKA_NUM_PARTITIONS asks for {asked}: \
         set it to {found}, or delete the topic"
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

/// Waits for the brokers, creates the topic if it is missing, and refuses one with another
/// partition count.
///
/// Waits without end, and says so every few seconds: an outage is no reason to give up.
pub async fn ensure_topic(settings: &KafkaSettings, shutdown: &Shutdown) -> Result<(), TopicError> {
    let admin: AdminClient<DefaultClientContext> = settings.client("sensorium-admin").create()?;
    let mut complaint = Complaint::default();
    loop {
        match partition_count(&admin, settings) {
            Ok(Some(found)) => {
                return match u32::try_from(found) {
                    Ok(count) if count == settings.partitions => Ok(()),
                    _ => Err(TopicError::Partitions {
                        topic: settings.topic.clone(),
                        found,
                        asked: settings.partitions,
                    }),
                };
            }
            Ok(None) => create(&admin, settings).await?,
            Err(error) => {
                complaint.raise(|| {
                    let servers = &settings.bootstrap_servers;
                    warn!(servers, "kafka does not answer, trying again: {error}");
                });
            }
        }
        if shutdown.stopped_within(Duration::from_millis(200)).await {
            let servers = settings.bootstrap_servers.clone();
            return Err(TopicError::Stopped { servers });
        }
    }
}

/// Waits until the topic exists, saying every few seconds what is missing; returns false if asked
/// to stop.
pub async fn await_topic(
    settings: &KafkaSettings,
    shutdown: &Shutdown,
) -> Result<bool, TopicError> {
    let admin: AdminClient<DefaultClientContext> = settings.client("sensorium-admin").create()?;
    let mut complaint = Complaint::default();
    let asked = Instant::now();
    while !shutdown.is_stopping() {
        match partition_count(&admin, settings) {
            Ok(Some(_)) => return Ok(true),
            // Whoever creates it may have been started at the same time.
            Ok(None) if asked.elapsed() < TOPIC_PATIENCE => {}
            Ok(None) => complaint.raise(|| {
                warn!(topic = settings.topic, "the topic does not exist yet, waiting for it");
            }),
            Err(error) => complaint.raise(|| {
                let servers = &settings.bootstrap_servers;
                warn!(servers, "kafka does not answer, trying again: {error}");
            }),
        }
        shutdown.stopped_within(Duration::from_millis(200)).await;
    }
    Ok(false)
}

/// Returns the number of partitions; `None` if there is no such topic.
fn partition_count(
    admin: &AdminClient<DefaultClientContext>,
    settings: &KafkaSettings,
) -> Result<Option<usize>, KafkaError> {
    let metadata = admin.inner().fetch_metadata(Some(&settings.topic), REQUEST_TIMEOUT)?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == settings.topic);
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
) -> Result<(), TopicError> {
    let partitions = i32::try_from(settings.partitions).unwrap_or(i32::MAX);
    let replication = TopicReplication::Fixed(settings.replication_factor);
    let topic = NewTopic::new(&settings.topic, partitions, replication)
        // 7 days, the retention of readings.
        .set("retention.ms", "604800000");
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

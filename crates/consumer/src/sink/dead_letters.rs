//! Puts records that can never be rows on the dead-letter topic, acknowledged by all replicas (I5).

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use domain::dead_letter::{
    ATTEMPTS_HEADER, DETAIL_HEADER, HEADER_PREFIX, HEADERS_BYTES_HEADER, KEY_BYTES_HEADER,
    KEY_SHA256_HEADER, OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER, SERVICE_HEADER,
    TIMESTAMP_HEADER, TOPIC_HEADER, VALUE_BYTES_HEADER, VALUE_SHA256_HEADER,
};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;
use runtime::cassandra::failure::Disposition;
use runtime::kafka::{TopicSpec, durable_producer, partition_count};
use tokio::sync::OnceCell;

use super::Outcome;
use crate::error::{ConsumerError, dead_letter_disposition};
use crate::pipeline::record::{DeadLetter, Stream};
use crate::settings::ConsumerSettings;

/// Longest wait for a place in the client's queue, after which the core tries again.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes at which a batch takes no further dead letter: a topic that takes small records only is to
/// refuse a large one alone, not what happens to be sent with it.
const BATCH_BYTES: u32 = 64 * 1_024;
const SERVICE: &str = concat!("consumer ", env!("CARGO_PKG_VERSION"));

/// A producer for the dead-letter topic.
pub(crate) struct DeadLetters {
    config: ClientConfig,
    /// Made for the first dead letter: most consumers never see one, and its threads never rest.
    producer: OnceCell<FutureProducer>,
    topic: String,
    /// Partitions of the topic; 0 is not known yet.
    partitions: AtomicI32,
    /// Topics that the records come from.
    readings_topic: String,
    events_topic: String,
}

impl DeadLetters {
    /// Sets up what makes the producer.
    pub(crate) fn new(settings: &ConsumerSettings) -> Self {
        let servers = &settings.kafka.bootstrap_servers;
        let mut config = durable_producer(servers, "sensorium-consumer-dlq");
        config
            .set("linger.ms", "5")
            .set("batch.size", BATCH_BYTES.to_string())
            .set("message.max.bytes", TopicSpec::DEAD_LETTER_BYTES_MAX.to_string());
        Self {
            config,
            producer: OnceCell::new(),
            topic: settings.dead_letter_topic.clone(),
            partitions: AtomicI32::new(0),
            readings_topic: settings.kafka.topic.clone(),
            events_topic: settings.events_topic.clone(),
        }
    }

    fn origin(&self, stream: Stream) -> &str {
        match stream {
            Stream::Readings => &self.readings_topic,
            Stream::Events => &self.events_topic,
        }
    }

    /// Writes one, and waits until all replicas have it. What the topic does not take whole, it
    /// gets cut.
    pub(super) async fn write(&self, letter: &DeadLetter) -> Outcome {
        let mut error = match self.attempt(letter).await {
            Ok(()) => return Outcome::Durable,
            Err(error) => error,
        };
        if is_too_large(&error) {
            let mut cut = letter.clone();
            cut.cut();
            error = match self.attempt(&cut).await {
                Ok(()) => return Outcome::Durable,
                Err(error) => error,
            };
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownPartition) {
            // The topic is another one by now.
            self.partitions.store(0, Ordering::Relaxed);
        }
        match dead_letter_disposition(&error) {
            Disposition::Retry => Outcome::Failed(format!("topic `{}`: {error}", self.topic)),
            Disposition::Poison | Disposition::Fatal => {
                let (topic, offset) = (self.topic.clone(), letter.offset.0);
                let partition = letter.partition;
                let source = error;
                Outcome::Fatal(ConsumerError::DeadLetter { topic, partition, offset, source })
            }
        }
    }

    async fn attempt(&self, letter: &DeadLetter) -> Result<(), KafkaError> {
        let producer = self.producer.get_or_try_init(async || self.config.create()).await?;
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(self.headers(letter));
        // By the number of its origin, so that a topic which grows needs no larger one of these.
        // Events have fewer partitions: the key decides.
        if letter.stream == Stream::Readings {
            record = record.partition(letter.partition % self.partitions(producer).await?);
        }
        if let Some(key) = &letter.key {
            record = record.key(key);
        }
        if let Some(value) = &letter.value {
            record = record.payload(value);
        }
        let sent = producer.send(record, Timeout::After(QUEUE_TIMEOUT)).await;
        sent.map(drop).map_err(|(error, _)| error)
    }

    /// Returns how many partitions the topic has.
    async fn partitions(&self, producer: &FutureProducer) -> Result<i32, KafkaError> {
        let known = self.partitions.load(Ordering::Relaxed);
        if known > 0 {
            return Ok(known);
        }
        let producer = producer.clone();
        let fetch = move |topic: &str, wait| producer.client().fetch_metadata(Some(topic), wait);
        let partitions = match partition_count(&self.topic, fetch).await?.map(i32::try_from) {
            Some(Ok(partitions)) if partitions > 0 => partitions,
            _ => return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
        };
        self.partitions.store(partitions, Ordering::Relaxed);
        Ok(partitions)
    }

    fn headers(&self, letter: &DeadLetter) -> OwnedHeaders {
        let own = letter.headers.iter().filter(|(name, _)| !name.starts_with(HEADER_PREFIX));
        let headers = own.fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_ref() })
        });
        let timestamp = letter.timestamp_ms.map(|timestamp_ms| timestamp_ms.to_string());
        let said = [
            (TOPIC_HEADER, Some(self.origin(letter.stream).to_owned())),
            (PARTITION_HEADER, Some(letter.partition.to_string())),
            (OFFSET_HEADER, Some(letter.offset.0.to_string())),
            (TIMESTAMP_HEADER, timestamp),
            (REASON_HEADER, Some(letter.rejection.reason.name().to_owned())),
            (DETAIL_HEADER, Some(letter.rejection.detail.clone())),
            (ATTEMPTS_HEADER, Some(letter.attempts_before.saturating_add(1).to_string())),
            (SERVICE_HEADER, Some(SERVICE.to_owned())),
            (VALUE_BYTES_HEADER, letter.value_cut.map(|cut| cut.bytes.to_string())),
            (VALUE_SHA256_HEADER, letter.value_cut.map(|cut| hexadecimal(&cut.sha256))),
            (KEY_BYTES_HEADER, letter.key_cut.map(|cut| cut.bytes.to_string())),
            (KEY_SHA256_HEADER, letter.key_cut.map(|cut| hexadecimal(&cut.sha256))),
            (HEADERS_BYTES_HEADER, letter.headers_cut.map(|bytes| bytes.to_string())),
        ];
        let said = said.into_iter().filter_map(|(key, value)| Some((key, value?)));
        said.fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(&value) })
        })
    }
}

/// Tells whether the client or the broker takes no record that large.
fn is_too_large(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize)
    )
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

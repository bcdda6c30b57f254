//! Puts records that can never be rows on the dead-letter topic, acknowledged by all replicas (I5).

use std::time::Duration;

use domain::dead_letter::{
    ATTEMPTS_HEADER, DETAIL_HEADER, HEADER_PREFIX, OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER,
    SERVICE_HEADER, TIMESTAMP_HEADER, TOPIC_HEADER,
};
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use runtime::cassandra::failure::Disposition;
use runtime::kafka::{TopicSpec, durable_producer};
use tokio::sync::OnceCell;

use super::Outcome;
use crate::error::{ConsumerError, dead_letter_disposition};
use crate::pipeline::record::{DeadLetter, Stream};
use crate::settings::ConsumerSettings;

/// Longest wait for a place in the client's queue, after which the core tries again.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
const SERVICE: &str = concat!("consumer ", env!("CARGO_PKG_VERSION"));

/// A producer for the dead-letter topic.
pub(crate) struct DeadLetters {
    config: ClientConfig,
    /// Made for the first dead letter: most consumers never see one, and its threads never rest.
    producer: OnceCell<FutureProducer>,
    topic: String,
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
            .set("message.max.bytes", TopicSpec::DEAD_LETTER_BYTES_MAX.to_string());
        Self {
            config,
            producer: OnceCell::new(),
            topic: settings.dead_letter_topic.clone(),
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

    /// Writes one, and waits until all replicas have it.
    pub(super) async fn write(&self, letter: &DeadLetter) -> Outcome {
        let mut record = FutureRecord::<[u8], [u8]>::to(&self.topic).headers(self.headers(letter));
        // The topic has a partition for each of the readings'. What it has for the events, fewer or
        // more, the key decides.
        if letter.stream == Stream::Readings {
            record = record.partition(letter.partition);
        }
        if let Some(key) = &letter.key {
            record = record.key(key);
        }
        if let Some(value) = &letter.value {
            record = record.payload(value);
        }
        let Err(error) = self.send(record).await else {
            return Outcome::Durable;
        };
        match dead_letter_disposition(&error) {
            Disposition::Retry => Outcome::Failed(error.to_string()),
            Disposition::Poison | Disposition::Fatal => {
                let (topic, offset) = (self.topic.clone(), letter.offset.0);
                let partition = letter.partition;
                let source = error;
                Outcome::Fatal(ConsumerError::DeadLetter { topic, partition, offset, source })
            }
        }
    }

    async fn send(&self, record: FutureRecord<'_, [u8], [u8]>) -> Result<(), KafkaError> {
        let producer = self.producer.get_or_try_init(async || self.config.create()).await?;
        let sent = producer.send(record, Timeout::After(QUEUE_TIMEOUT)).await;
        sent.map(drop).map_err(|(error, _)| error)
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
            (ATTEMPTS_HEADER, Some((letter.attempts_before + 1).to_string())),
            (SERVICE_HEADER, Some(SERVICE.to_owned())),
        ];
        let said = said.into_iter().filter_map(|(key, value)| Some((key, value?)));
        said.fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(&value) })
        })
    }
}

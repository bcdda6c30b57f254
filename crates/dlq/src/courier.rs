//! Sends records where they belong: idempotent, acknowledged by all replicas.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{self, DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, NoCustomPartitioner, Producer, ProducerContext};
use runtime::kafka::{TopicSpec, durable_producer};

use crate::client::Voice;
use crate::error::DlqError;
use crate::record::Header;

/// How long room for a record is waited for at a time.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// A record to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parcel<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header],
}

/// What became of the record with a tag.
pub(crate) type Outcome = (usize, Result<(), RDKafkaErrorCode>);

/// The Kafka client that sends.
pub(crate) struct Courier {
    producer: BaseProducer<Outcomes>,
}

impl Courier {
    /// Makes the client; it connects in the background.
    pub(crate) fn open(bootstrap_servers: &str) -> Result<Self, DlqError> {
        let producer = durable_producer(bootstrap_servers, "sensorium-dlq")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("message.max.bytes", TopicSpec::DEAD_LETTER_BYTES_MAX.to_string())
            .create_with_context(Outcomes::default())
            .map_err(DlqError::Client)?;
        Ok(Self { producer })
    }

    /// Hands a record to the client; [`Self::outcomes`] tells what becomes of it.
    pub(crate) fn send(&self, tag: usize, parcel: Parcel<'_>) {
        let mut headers = OwnedHeaders::new_with_capacity(parcel.headers.len());
        for Header { name, value } in parcel.headers {
            headers = headers.insert(message::Header { key: name, value: value.as_ref() });
        }
        let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(parcel.topic, tag)
            .partition(parcel.partition)
            .headers(headers);
        record.key = parcel.key;
        record.payload = parcel.value;
        record.timestamp = parcel.timestamp_ms;
        while let Err((error, returned)) = self.producer.send(record) {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            if code != RDKafkaErrorCode::QueueFull {
                self.producer.context().note(tag, Err(code));
                return;
            }
            self.producer.poll(POLL_TIMEOUT);
            record = returned;
        }
    }

    /// Waits for outcomes and returns those that have not been returned yet.
    pub(crate) fn outcomes(&self, timeout: Duration) -> Vec<Outcome> {
        let known = self.producer.context().take();
        if !known.is_empty() {
            return known;
        }
        self.producer.poll(timeout);
        self.producer.context().take()
    }
}

/// Gathers what the client reports.
#[derive(Debug, Default)]
struct Outcomes {
    voice: Voice,
    known: Mutex<Vec<Outcome>>,
}

impl Outcomes {
    fn note(&self, tag: usize, result: Result<(), RDKafkaErrorCode>) {
        self.known().push((tag, result));
    }

    fn take(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.known())
    }

    /// A panic elsewhere does not make the outcomes wrong.
    fn known(&self) -> MutexGuard<'_, Vec<Outcome>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Outcomes {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.voice.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.voice.error(error, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for Outcomes {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        let result = match result {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        };
        self.note(tag, result);
    }
}

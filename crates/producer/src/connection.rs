//! The connection to Kafka: idempotent, acknowledged by all replicas, and nothing is ever dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domain::contract::{SCHEMA_VERSION, SCHEMA_VERSION_HEADER};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use runtime::kafka::durable_producer;

use crate::deliveries::{Deliveries, Tag};
use crate::error::ProducerError;
use crate::settings::ProducerSettings;

/// How long one round of callbacks is waited for, and so how long it takes to stop doing so.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// The Kafka client and the thread that serves its callbacks.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    stopping: Arc<AtomicBool>,
    poll_thread: JoinHandle<()>,
}

/// A handle of the client that can be shared and shown.
#[derive(Clone)]
pub(crate) struct Client(Arc<BaseProducer<Deliveries>>);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Connection {
    /// Makes the client; it connects in the background.
    pub(crate) fn open(
        settings: &ProducerSettings,
        deliveries: Deliveries,
    ) -> Result<Self, ProducerError> {
        let servers = &settings.kafka.bootstrap_servers;
        let mut config = durable_producer(servers, "sensorium-producer");
        config.set("max.in.flight.requests.per.connection", "5");
        settings.client.apply(&mut config);
        let producer: BaseProducer<Deliveries> =
            config.create_with_context(deliveries).map_err(ProducerError::Client)?;
        let client = Client(Arc::new(producer));
        let stopping = Arc::new(AtomicBool::new(false));
        let (polled, stop) = (client.clone(), Arc::clone(&stopping));
        let poll_thread = spawn("deliveries", move || {
            while !stop.load(Ordering::Relaxed) {
                polled.0.poll(POLL_TIMEOUT);
            }
        })?;
        Ok(Self { client, stopping, poll_thread })
    }

    /// Returns the books.
    pub(crate) fn deliveries(&self) -> &Deliveries {
        self.client.0.context()
    }

    /// Ends the client, which has nothing under way any more.
    pub(crate) fn close(self) -> Result<(), ProducerError> {
        self.stopping.store(true, Ordering::Relaxed);
        let joined = self.poll_thread.join();
        joined.map_err(|_panic| ProducerError::ThreadLost("deliveries"))
    }

    /// Returns a handle of the client.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }
}

/// A record to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    /// `None` leaves it to the client, which goes by the key.
    pub(crate) partition: Option<u32>,
    pub(crate) key: &'a str,
    pub(crate) value: &'a [u8],
    pub(crate) ts_ms: i64,
    pub(crate) tag: Tag,
}

impl Client {
    /// Returns the books.
    pub(crate) fn deliveries(&self) -> &Deliveries {
        self.0.context()
    }

    /// Sends a record; returns whether there was room for it.
    pub(crate) fn send(&self, outgoing: Outgoing<'_>) -> Result<bool, KafkaError> {
        let Outgoing { topic, partition, key, value, ts_ms, tag } = outgoing;
        let version = Header { key: SCHEMA_VERSION_HEADER, value: Some(SCHEMA_VERSION) };
        let mut record = BaseRecord::with_opaque_to(topic, tag.word())
            .key(key)
            .payload(value)
            .timestamp(ts_ms)
            .headers(OwnedHeaders::new_with_capacity(1).insert(version));
        record.partition = partition.map(u32::cast_signed);
        if tag.is_extra() {
            self.deliveries().extra_leaves();
        }
        let outcome = self.0.send(record).map_err(|(error, _)| error);
        if tag.is_extra() && outcome.is_err() {
            self.deliveries().extra_arrives();
        }
        match outcome {
            Ok(()) => Ok(true),
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Starts a thread with a name.
pub(crate) fn spawn<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, ProducerError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|source| ProducerError::Thread { name, source })
}

//! Hands readings to the Kafka client: idempotent, acknowledged by all replicas, never dropped.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use domain::reading::{SCHEMA_VERSION, SCHEMA_VERSION_HEADER};
use domain::simulation::report::DurationSummary;
use domain::simulation::{Schedule, Simulation};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use runtime::Shutdown;

use crate::deliveries::{Deliveries, Tag, WINDOW_MAX};
use crate::error::ProducerError;
use crate::pace::{Clock, Pace, Step};
use crate::settings::ProducerSettings;
use crate::statistics::Durations;

/// Pause while the client takes no more readings; a batch is acknowledged meanwhile.
const FULL_PAUSE: Duration = Duration::from_millis(1);
/// How long one round of callbacks is waited for, and so how long it takes to stop doing so.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Readings that Kafka may refuse for good before the run gives up.
const FAILURES_MAX: u64 = 10_000;

/// The Kafka client and the thread that serves its callbacks.
#[derive(Debug)]
pub(crate) struct Connection {
    client: Client,
    stopping: Arc<AtomicBool>,
    poll_thread: JoinHandle<()>,
}

/// A handle of the client that can be shared and shown.
#[derive(Clone)]
struct Client(Arc<BaseProducer<Deliveries>>);

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
        let readings_max = settings.queue_readings_max;
        let producer: BaseProducer<Deliveries> = settings
            .kafka
            .client("sensorium-producer")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("max.in.flight.requests.per.connection", "5")
            .set("compression.type", "lz4")
            .set("linger.ms", settings.linger_ms.to_string())
            // Readings wait for Kafka as long as it takes: an outage makes them late, not lost.
            .set("message.timeout.ms", "0")
            .set("queue.buffering.max.messages", readings_max.to_string())
            // 1 KiB a reading is several times its size: the count is the limit.
            .set("queue.buffering.max.kbytes", readings_max.to_string())
            .create_with_context(deliveries)
            .map_err(ProducerError::Client)?;
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

    /// Makes a publisher for a run; `partitions` has the partition of each site.
    pub(crate) fn publisher(
        &self,
        topic: &str,
        partitions: &[u32],
        simulation: Simulation,
        clock: Clock,
        progress: Arc<Progress>,
    ) -> Publisher {
        Publisher {
            client: self.client.clone(),
            topic: topic.to_owned(),
            partitions: partitions.iter().map(|p| p.cast_signed()).collect(),
            simulation,
            clock,
            progress,
            record: Vec::new(),
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

/// How far sending has come; written by the publisher, read by whoever reports.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    scheduled: AtomicU64,
    first_ns: AtomicU64,
    last_ns: AtomicU64,
    lateness: Mutex<Durations>,
}

impl Progress {
    /// Returns a number that every reading ever sent is below: it is raised before they are sent.
    pub(crate) fn scheduled(&self) -> u64 {
        self.scheduled.load(Ordering::SeqCst)
    }

    /// Returns the time from the first to the latest reading sent.
    pub(crate) fn elapsed(&self) -> Duration {
        let last_ns = self.last_ns.load(Ordering::Relaxed);
        Duration::from_nanos(last_ns.saturating_sub(self.first_ns.load(Ordering::Relaxed)))
    }

    /// Notes that `count` readings from `first` on were sent at `now_ns`.
    fn sent(&self, schedule: &Schedule, first: u64, count: u64, now_ns: u64) {
        if first == 0 {
            self.first_ns.store(now_ns, Ordering::Relaxed);
        }
        self.last_ns.store(now_ns, Ordering::Relaxed);
        self.lateness().record_lateness(schedule, first, count, now_ns);
    }

    fn lateness(&self) -> MutexGuard<'_, Durations> {
        self.lateness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends an interval; returns the lateness in it and since the start.
    pub(crate) fn end_interval(&self) -> (DurationSummary, DurationSummary) {
        let mut lateness = self.lateness();
        (lateness.end_interval(), lateness.total())
    }
}

/// Sends the readings of one run, on a thread of its own: between readings it sleeps.
#[derive(Debug)]
pub(crate) struct Publisher {
    client: Client,
    topic: String,
    partitions: Vec<i32>,
    simulation: Simulation,
    clock: Clock,
    progress: Arc<Progress>,
    record: Vec<u8>,
}

impl Publisher {
    /// Follows the schedule to its end, or until asked to stop.
    pub(crate) fn publish_all(mut self, shutdown: &Shutdown) -> Result<(), ProducerError> {
        let mut pace = Pace::new(self.simulation.manifest().schedule.clone());
        thread::sleep(self.clock.until_origin());
        let outcome = loop {
            if shutdown.is_stopping() {
                break Ok(());
            }
            let now_ns = self.clock.now_ns();
            match pace.step(now_ns) {
                Step::Done => break Ok(()),
                Step::Sleep(duration) => thread::sleep(duration),
                Step::Send(range) => match self.publish_batch(range.clone(), now_ns) {
                    Ok(count) => {
                        pace.advance(count);
                        if count < range.end - range.start {
                            thread::sleep(FULL_PAUSE);
                        }
                    }
                    Err(error) => break Err(error),
                },
            }
        };
        // What was announced for a batch that was cut short did not happen.
        self.progress.scheduled.store(pace.sent(), Ordering::SeqCst);
        outcome
    }

    /// Sends readings until the client has no more room; returns how many it took.
    fn publish_batch(&mut self, range: Range<u64>, now_ns: u64) -> Result<u64, ProducerError> {
        let deliveries = self.client.0.context();
        let failed = deliveries.failed();
        if failed > FAILURES_MAX {
            let reason = deliveries.latest_failure();
            return Err(ProducerError::TooManyFailures { failed, reason });
        }
        let end = range.end.min(deliveries.settled_below() + WINDOW_MAX);
        let first = range.start;
        if first >= end {
            return Ok(0);
        }
        self.progress.scheduled.store(end, Ordering::SeqCst);
        let mut next = first;
        while next < end && self.publish(next, now_ns)? {
            next += 1;
        }
        if next > first {
            let schedule = &self.simulation.manifest().schedule;
            self.progress.sent(schedule, first, next - first, now_ns);
        }
        Ok(next - first)
    }

    /// Sends one reading; returns whether the client had room for it.
    fn publish(&mut self, index: u64, now_ns: u64) -> Result<bool, ProducerError> {
        let reading = self.simulation.reading(index);
        self.record.clear();
        self.simulation.encode(&reading, &mut self.record);
        let fleet = self.simulation.fleet();
        let version = Header { key: SCHEMA_VERSION_HEADER, value: Some(SCHEMA_VERSION) };
        let record =
            BaseRecord::with_opaque_to(&self.topic, Tag::new(index, now_ns / 1_000).word())
                .partition(self.partitions[fleet.site_number_of(reading.sensor)])
                .key(fleet.site_of(reading.sensor).id.as_str())
                .payload(&self.record)
                .timestamp(reading.ts_ms)
                .headers(OwnedHeaders::new_with_capacity(1).insert(version));
        match self.client.0.send(record) {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(ProducerError::Refused { index, error }),
        }
    }
}

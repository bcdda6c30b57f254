//! Hands readings to the Kafka client: idempotent, acknowledged by all replicas, never dropped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use domain::contract::{SCHEMA_VERSION, SCHEMA_VERSION_HEADER};
use domain::simulation::report::Shard;
use domain::simulation::{Fate, FateCounts, Simulation};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use runtime::Shutdown;

use crate::deliveries::{Deliveries, Tag, WINDOW_MAX};
use crate::error::ProducerError;
use crate::pace::{CatchUp, Clock, Pace, SLEEP_MAX, Step, TICK};
use crate::progress::Progress;
use crate::settings::ProducerSettings;

const NS_PER_MS: u64 = 1_000_000;
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

    /// Makes a publisher for a run.
    pub(crate) fn publisher(&self, assignment: Assignment) -> Publisher {
        Publisher {
            client: self.client.clone(),
            assignment,
            held: Held::default(),
            record: Vec::new(),
        }
    }
}

/// What is to be sent, and where.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) topic: String,
    /// The partition of each site.
    pub(crate) partitions: Vec<u32>,
    pub(crate) simulation: Arc<Simulation>,
    pub(crate) shard: Shard,
    pub(crate) clock: Clock,
    pub(crate) progress: Arc<Progress>,
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

/// Readings that are sent later than they are due, the next one on top.
#[derive(Debug, Default)]
struct Held(BinaryHeap<Reverse<HeldReading>>);

/// A reading that is held back, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HeldReading {
    send_ns: u64,
    index: u64,
    is_copy: bool,
}

impl Held {
    fn push(&mut self, due_ns: u64, delay_ms: u64, index: u64, is_copy: bool) {
        let send_ns = due_ns.saturating_add(delay_ms * NS_PER_MS);
        self.0.push(Reverse(HeldReading { send_ns, index, is_copy }));
    }

    fn next(&self) -> Option<HeldReading> {
        self.0.peek().map(|Reverse(reading)| *reading)
    }

    /// Returns how long it is until the next one is to be sent; `longest` if there is none before.
    fn pause(&self, now_ns: u64, longest: Duration) -> Duration {
        let Some(next) = self.next() else { return longest };
        Duration::from_nanos(next.send_ns.saturating_sub(now_ns)).max(TICK).min(longest)
    }
}

/// What is handled under one reading of the clock.
#[derive(Debug, Default)]
struct Batch {
    /// Readings handed over.
    sent: u64,
    /// Readings that are not to be sent by this producer.
    passed_over: Vec<u64>,
    fates: FateCounts,
}

/// Sends the readings of one run, on a thread of its own: between readings it sleeps.
#[derive(Debug)]
pub(crate) struct Publisher {
    client: Client,
    assignment: Assignment,
    held: Held,
    record: Vec<u8>,
}

impl Publisher {
    /// Follows the schedule to its end, or until asked to stop; then it sends what it holds back,
    /// within `grace`.
    pub(crate) fn publish_all(
        mut self,
        catch_up: CatchUp,
        shutdown: &Shutdown,
        grace: Duration,
    ) -> Result<(), ProducerError> {
        let mut pace = Pace::new(self.assignment.simulation.manifest().schedule.clone(), catch_up);
        thread::sleep(self.assignment.clock.until_origin());
        let outcome = self.follow(&mut pace, shutdown);
        // What was announced for a batch that was cut short did not happen.
        self.assignment.progress.announce(pace.sent());
        outcome?;
        let deadline = Instant::now() + grace;
        while !self.publish_held(u64::MAX)? && Instant::now() < deadline {
            thread::sleep(FULL_PAUSE);
        }
        Ok(())
    }

    fn follow(&mut self, pace: &mut Pace, shutdown: &Shutdown) -> Result<(), ProducerError> {
        while !shutdown.is_stopping() {
            let now_ns = self.assignment.clock.now_ns();
            if !self.publish_held(now_ns)? {
                self.sleep(FULL_PAUSE);
                continue;
            }
            match pace.step(now_ns) {
                Step::Done if self.held.next().is_none() => break,
                Step::Done => self.sleep(self.held.pause(now_ns, SLEEP_MAX)),
                Step::Sleep(duration) => self.sleep(self.held.pause(now_ns, duration)),
                Step::Send(range) => {
                    let count = self.publish_batch(range.clone(), now_ns)?;
                    pace.advance(count);
                    if count < range.end - range.start {
                        self.sleep(FULL_PAUSE);
                    }
                }
            }
            self.assignment.progress.owe(pace.debt_ns());
        }
        Ok(())
    }

    fn sleep(&self, duration: Duration) {
        let begin = Instant::now();
        thread::sleep(duration);
        self.assignment.progress.slept(duration, begin.elapsed());
    }

    /// Handles readings until the client has no more room; returns how many it took.
    fn publish_batch(&mut self, range: Range<u64>, now_ns: u64) -> Result<u64, ProducerError> {
        let client = self.client.clone();
        let deliveries = client.0.context();
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
        self.assignment.progress.announce(end);
        let mut batch = Batch::default();
        let mut next = first;
        while next < end && self.handle(next, now_ns, &mut batch)? {
            next += 1;
        }
        deliveries.pass_over(&batch.passed_over);
        if next > first {
            let schedule = &self.assignment.simulation.manifest().schedule;
            let (count, Batch { sent, fates, .. }) = (next - first, batch);
            self.assignment.progress.batch(schedule, first, count, sent, &fates, now_ns);
        }
        Ok(next - first)
    }

    /// Decides about one reading, and sends it if that is to be done now; returns whether the client
    /// had room for it.
    fn handle(
        &mut self,
        index: u64,
        now_ns: u64,
        batch: &mut Batch,
    ) -> Result<bool, ProducerError> {
        let fleet = self.assignment.simulation.fleet();
        if !self.assignment.shard.has_site(fleet.site_number_of(index % fleet.sensors()) as u64) {
            batch.passed_over.push(index);
            return Ok(true);
        }
        let fate = self.assignment.simulation.fate(index);
        if fate == Fate::default() {
            let is_sent = self.publish(index, false, now_ns)?;
            batch.sent += u64::from(is_sent);
            return Ok(is_sent);
        }
        let due_ns = self.assignment.simulation.manifest().schedule.due_ns(index);
        if !fate.is_sent() {
            batch.passed_over.push(index);
        } else if fate.delay_ms > 0 {
            self.held.push(due_ns, fate.delay_ms, index, false);
        } else if self.publish(index, false, now_ns)? {
            batch.sent += 1;
        } else {
            return Ok(false);
        }
        if let Some(delay_ms) = fate.copy_delay_ms {
            self.held.push(due_ns, delay_ms, index, true);
        }
        batch.fates.add(&fate);
        Ok(true)
    }

    /// Sends what was held back and is to be sent by `now_ns`; returns whether the client had room.
    fn publish_held(&mut self, now_ns: u64) -> Result<bool, ProducerError> {
        while let Some(reading) = self.held.next().filter(|next| next.send_ns <= now_ns) {
            let handed_ns = self.assignment.clock.now_ns();
            if !self.publish(reading.index, reading.is_copy, handed_ns)? {
                return Ok(false);
            }
            self.held.0.pop();
            if !reading.is_copy {
                self.assignment
                    .progress
                    .released(handed_ns, handed_ns.saturating_sub(reading.send_ns));
            }
        }
        Ok(true)
    }

    /// Sends one reading; returns whether the client had room for it.
    fn publish(&mut self, index: u64, is_copy: bool, now_ns: u64) -> Result<bool, ProducerError> {
        let simulation = &self.assignment.simulation;
        let reading = simulation.reading(index);
        self.record.clear();
        simulation.encode(&reading, &mut self.record);
        let fleet = simulation.fleet();
        let site = fleet.site_number_of(reading.sensor);
        let version = Header { key: SCHEMA_VERSION_HEADER, value: Some(SCHEMA_VERSION) };
        let tag = Tag::new(index, is_copy, now_ns / 1_000);
        let record = BaseRecord::with_opaque_to(&self.assignment.topic, tag.word())
            .partition(self.assignment.partitions[site].cast_signed())
            .key(fleet.sites()[site].id.as_str())
            .payload(&self.record)
            .timestamp(reading.ts_ms)
            .headers(OwnedHeaders::new_with_capacity(1).insert(version));
        let deliveries = self.client.0.context();
        if is_copy {
            deliveries.copy_leaves();
        }
        let outcome = self.client.0.send(record);
        if is_copy && outcome.is_err() {
            deliveries.copy_arrives();
        }
        match outcome {
            Ok(()) => Ok(true),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
            Err((error, _)) => Err(ProducerError::Refused { index, error }),
        }
    }
}

//! Hands readings to the Kafka client, each when it is to be sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use domain::simulation::report::Shard;
use domain::simulation::schedule::NS_PER_MS;
use domain::simulation::{Fate, FateCounts, Simulation};
use runtime::Shutdown;

use crate::connection::{Client, Outgoing};
use crate::deliveries::{Tag, WINDOW_MAX};
use crate::error::ProducerError;
use crate::pace::{CatchUp, Clock, Pace, SLEEP_MAX, Step, TICK};
use crate::progress::Progress;

/// Pause while the client takes no more readings; a batch is acknowledged meanwhile.
pub(crate) const FULL_PAUSE: Duration = Duration::from_millis(1);
/// Readings that are held back for longer are kept apart in the books: these need not reach back to
/// them, however many are due meanwhile.
const HELD_IN_WINDOW_MAX_MS: u64 = 1_000;
/// Readings that Kafka may refuse for good before the run gives up.
const FAILURES_MAX: u64 = 10_000;

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

/// Readings that are sent later than they are due, the next one on top.
#[derive(Debug, Default)]
struct Held {
    readings: BinaryHeap<Reverse<HeldReading>>,
    /// Second copies among them.
    copies: u64,
}

/// A reading that is held back, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct HeldReading {
    send_ns: u64,
    index: u64,
    sort: Sort,
}

/// What a record is to the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    /// A reading in the window.
    Reading,
    /// A reading that is kept apart.
    Deferred,
    /// The second copy of a reading.
    Copy,
}

impl Held {
    fn push(&mut self, due_ns: u64, delay_ms: u64, index: u64, sort: Sort) {
        let send_ns = due_ns.saturating_add(delay_ms * NS_PER_MS);
        self.readings.push(Reverse(HeldReading { send_ns, index, sort }));
        self.copies += u64::from(sort == Sort::Copy);
    }

    fn pop(&mut self) {
        if let Some(Reverse(reading)) = self.readings.pop() {
            self.copies -= u64::from(reading.sort == Sort::Copy);
        }
    }

    /// Returns how many readings have yet to be sent for the first time.
    fn first_copies(&self) -> u64 {
        self.readings.len() as u64 - self.copies
    }

    fn next(&self) -> Option<HeldReading> {
        self.readings.peek().map(|Reverse(reading)| *reading)
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
    assignment: Arc<Assignment>,
    held: Held,
    record: Vec<u8>,
}

impl Publisher {
    /// Makes a publisher for a run.
    pub(crate) fn new(client: Client, assignment: Arc<Assignment>) -> Self {
        Self { client, assignment, held: Held::default(), record: Vec::new() }
    }

    /// Follows the schedule to its end, or until asked to stop; then it sends what it holds back,
    /// within `grace`.
    pub(crate) fn publish_all(
        mut self,
        catch_up: CatchUp,
        shutdown: &Shutdown,
        grace: Duration,
    ) -> Result<(), ProducerError> {
        let mut pace = Pace::new(self.assignment.simulation.manifest().schedule.clone(), catch_up);
        while let Some(left) = self.assignment.clock.until_origin()
            && !shutdown.is_stopping()
        {
            thread::sleep(left.min(SLEEP_MAX));
        }
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
            let step = pace.step(now_ns);
            // What is held back keeps its place among overdue readings: so history has the disorder
            // that it would have had.
            let schedule_ns = if step == Step::Done { now_ns } else { now_ns - pace.debt_ns() };
            if !matches!(step, Step::Send(_)) && !self.publish_held(schedule_ns)? {
                self.sleep(FULL_PAUSE);
                continue;
            }
            match step {
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
            self.assignment.progress.owe(pace.debt_ns(), self.held.first_copies());
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
        let deliveries = client.deliveries();
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
        while next < end && self.release_before(next)? && self.handle(next, now_ns, &mut batch)? {
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

    /// Sends what was held back and is to be sent before this reading is due; returns whether the
    /// client had room.
    fn release_before(&mut self, index: u64) -> Result<bool, ProducerError> {
        if self.held.next().is_none() {
            return Ok(true);
        }
        let due_ns = self.assignment.simulation.manifest().schedule.due_ns(index);
        self.publish_held(due_ns)
    }

    /// Decides about one reading, and sends it if that is to be done now; returns whether the
    /// client had room for it.
    fn handle(
        &mut self,
        index: u64,
        now_ns: u64,
        batch: &mut Batch,
    ) -> Result<bool, ProducerError> {
        let sensors = self.assignment.simulation.fleet().sensors();
        if !self.assignment.shard.has_sensor(index % sensors) {
            batch.passed_over.push(index);
            return Ok(true);
        }
        let fate = self.assignment.simulation.fate(index);
        if fate == Fate::default() {
            let is_sent = self.publish(index, Sort::Reading, now_ns)?;
            batch.sent += u64::from(is_sent);
            return Ok(is_sent);
        }
        let due_ns = self.assignment.simulation.manifest().schedule.due_ns(index);
        if !fate.is_sent() {
            batch.passed_over.push(index);
        } else if fate.delay_ms > 0 {
            let mut sort = Sort::Reading;
            if fate.delay_ms > HELD_IN_WINDOW_MAX_MS {
                self.client.deliveries().defer(index);
                sort = Sort::Deferred;
            }
            self.held.push(due_ns, fate.delay_ms, index, sort);
        } else if self.publish(index, Sort::Reading, now_ns)? {
            batch.sent += 1;
        } else {
            return Ok(false);
        }
        if let Some(delay_ms) = fate.copy_delay_ms {
            self.held.push(due_ns, delay_ms, index, Sort::Copy);
        }
        batch.fates.add(&fate);
        Ok(true)
    }

    /// Sends what was held back and is to be sent by `now_ns`; returns whether the client had room.
    fn publish_held(&mut self, now_ns: u64) -> Result<bool, ProducerError> {
        while let Some(reading) = self.held.next().filter(|next| next.send_ns <= now_ns) {
            let handed_ns = self.assignment.clock.now_ns();
            if !self.publish(reading.index, reading.sort, handed_ns)? {
                return Ok(false);
            }
            self.held.pop();
            if reading.sort != Sort::Copy {
                self.assignment
                    .progress
                    .released(handed_ns, handed_ns.saturating_sub(reading.send_ns));
            }
        }
        Ok(true)
    }

    /// Sends one reading; returns whether the client had room for it.
    fn publish(&mut self, index: u64, sort: Sort, now_ns: u64) -> Result<bool, ProducerError> {
        let simulation = &self.assignment.simulation;
        let reading = simulation.reading(index);
        self.record.clear();
        simulation.encode(&reading, &mut self.record);
        let site = simulation.fleet().site_number_of(reading.sensor);
        let deliveries = self.client.deliveries();
        let tag = match sort {
            Sort::Reading => Tag::new(index, now_ns / 1_000),
            Sort::Deferred => deliveries.tag_deferred(index, now_ns / 1_000),
            Sort::Copy => Tag::copy(),
        };
        let sent = self.client.send(Outgoing {
            topic: &self.assignment.topic,
            partition: Some(self.assignment.partitions[site]),
            key: &simulation.fleet().sites()[site].id,
            value: &self.record,
            ts_ms: reading.ts_ms,
            tag,
        });
        if !matches!(sent, Ok(true)) {
            deliveries.untag(tag);
        }
        sent.map_err(|source| ProducerError::Refused { index, source })
    }
}

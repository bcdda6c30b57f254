//! What becomes of readings that were sent: serves the client's callbacks and keeps the books.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::simulation::Simulation;
use domain::simulation::report::IndexRange;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, ProducerContext};
use runtime::kafka::Complaint;
use tracing::{debug, error, warn};

use crate::acknowledgements::Acknowledgements;
use crate::events::ledger::EventLedger;
use crate::pace::Clock;
use crate::statistics::Durations;

/// Most readings from the oldest one under way to the newest: 8 MiB of window.
pub(crate) const WINDOW_MAX: u64 = 1 << 26;

/// What travels with a reading through the client, in one word: its number and when it was sent.
///
/// The number is cut to what the window needs, the time to nine hours of microseconds: who reads it
/// knows the rest. The bit between them marks what is no reading of the window, with its sort in
/// place of the time: the second copy of a reading, an event under its own number, or a reading
/// that was kept apart, under the number of its place in the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(usize);

const INDEX_BITS: u32 = 28;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const OTHER_BIT: u64 = 1 << INDEX_BITS;
const TIME_SHIFT: u32 = INDEX_BITS + 1;
const TIME_MASK: u64 = u64::MAX >> TIME_SHIFT;
/// What they have in place of a time.
const COPY: u64 = 0;
const EVENT: u64 = 1;
const DEFERRED: u64 = 2;

// The client carries one pointer, which has to hold the tag.
const _: () = assert!(usize::BITS == u64::BITS && WINDOW_MAX + 64 <= INDEX_MASK);

impl Tag {
    /// Packs a reading's number and the time of its hand-over.
    pub(crate) fn new(index: u64, handed_us: u64) -> Self {
        Self::pack(handed_us << TIME_SHIFT | index & INDEX_MASK)
    }

    /// Marks a second copy.
    pub(crate) fn copy() -> Self {
        Self::other(COPY, 0)
    }

    /// Marks the event of a number.
    pub(crate) fn event(number: u64) -> Self {
        Self::other(EVENT, number)
    }

    /// Marks a reading that is kept apart, by its place in the books.
    fn deferred(place: u64) -> Self {
        Self::other(DEFERRED, place)
    }

    fn other(sort: u64, number: u64) -> Self {
        Self::pack(sort << TIME_SHIFT | OTHER_BIT | number & INDEX_MASK)
    }

    fn pack(word: u64) -> Self {
        Self(usize::try_from(word).expect("a pointer has 64 bits"))
    }

    /// Returns the word that the client carries.
    pub(crate) fn word(self) -> usize {
        self.0
    }

    /// Returns the sort of what is no reading of the window.
    fn sort(self) -> Option<u64> {
        let word = self.0 as u64;
        (word & OTHER_BIT != 0).then_some(word >> TIME_SHIFT)
    }

    /// Returns the number of the reading or event, which is not below `base` and within the window
    /// above it.
    fn index(self, base: u64) -> u64 {
        base + ((self.0 as u64).wrapping_sub(base) & INDEX_MASK)
    }

    /// Returns the place in the books of a reading that is kept apart.
    fn place(self) -> usize {
        usize::try_from(self.0 as u64 & INDEX_MASK).expect("a pointer has 64 bits")
    }

    /// Tells whether it is not one of the readings that are counted.
    pub(crate) fn is_extra(self) -> bool {
        matches!(self.sort(), Some(COPY | EVENT))
    }

    /// Returns how long ago the hand-over was.
    fn age_us(self, now_us: u64) -> u64 {
        now_us.wrapping_sub(self.0 as u64 >> TIME_SHIFT) & TIME_MASK
    }
}

/// Readings under way that are kept apart, each with the time of its hand-over in microseconds.
#[derive(Debug, Default)]
struct Deferred {
    places: Vec<(u64, u64)>,
    free: Vec<usize>,
}

impl Deferred {
    /// Finds a place for a reading.
    fn add(&mut self, index: u64, handed_us: u64) -> usize {
        if let Some(place) = self.free.pop() {
            self.places[place] = (index, handed_us);
            return place;
        }
        self.places.push((index, handed_us));
        self.places.len() - 1
    }

    /// Gives a place free, and returns what was there.
    fn remove(&mut self, place: usize) -> (u64, u64) {
        self.free.push(place);
        self.places[place]
    }
}

/// The books.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// What became of each reading.
    pub(crate) acknowledgements: Acknowledgements,
    /// How long Kafka took to acknowledge, from the hand-over.
    pub(crate) latency: Durations,
    /// The same from the time at which a reading was to be sent.
    pub(crate) response: Durations,
    /// Acknowledged readings by partition.
    pub(crate) by_partition: Vec<u64>,
    /// Why the latest failure failed.
    latest_failure: Option<RDKafkaErrorCode>,
    deferred: Deferred,
}

impl Ledger {
    /// Returns which reading a tag means, and how long ago it was handed over; what is kept apart
    /// loses its place.
    fn take(&mut self, tag: Tag, now_us: u64) -> (u64, u64) {
        if tag.sort() == Some(DEFERRED) {
            let (index, handed_us) = self.deferred.remove(tag.place());
            return (index, now_us.saturating_sub(handed_us));
        }
        (tag.index(self.acknowledgements.settled_below()), tag.age_us(now_us))
    }
}

/// Receives what the client says.
#[derive(Debug)]
pub(crate) struct Deliveries {
    clock: Clock,
    simulation: Arc<Simulation>,
    ledger: Mutex<Ledger>,
    events: Mutex<EventLedger>,
    /// Copies for the pacing thread, which never waits for the books.
    settled_below: AtomicU64,
    failed: AtomicU64,
    /// Second copies and events under way.
    extras: AtomicU64,
    failure_complaint: Mutex<Complaint>,
    client_complaint: Mutex<Complaint>,
}

impl Deliveries {
    /// Opens the books for a topic of so many partitions.
    pub(crate) fn new(clock: Clock, simulation: Arc<Simulation>, partitions: u32) -> Self {
        let start_ms = simulation.manifest().schedule.start_ms;
        Self {
            clock,
            simulation,
            events: Mutex::new(EventLedger::new(start_ms)),
            ledger: Mutex::new(Ledger {
                acknowledgements: Acknowledgements::default(),
                latency: Durations::default(),
                response: Durations::default(),
                by_partition: vec![0; partitions as usize],
                latest_failure: None,
                deferred: Deferred::default(),
            }),
            settled_below: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            extras: AtomicU64::new(0),
            failure_complaint: Mutex::default(),
            client_complaint: Mutex::default(),
        }
    }

    /// Gives access to the books; delivery waits meanwhile.
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }

    /// Gives access to the books of the events; delivery waits meanwhile.
    pub(crate) fn events(&self) -> MutexGuard<'_, EventLedger> {
        lock(&self.events)
    }

    /// Returns a number that no unsettled reading is below; never blocks.
    pub(crate) fn settled_below(&self) -> u64 {
        self.settled_below.load(Ordering::Relaxed)
    }

    /// Returns how many readings Kafka refused for good; never blocks.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Returns why Kafka refused the latest of them.
    pub(crate) fn latest_failure(&self) -> RDKafkaErrorCode {
        self.ledger().latest_failure.unwrap_or(RDKafkaErrorCode::Unknown)
    }

    /// Returns how many second copies and events are under way; never blocks.
    pub(crate) fn extras_under_way(&self) -> u64 {
        self.extras.load(Ordering::SeqCst)
    }

    /// Notes that a second copy or an event is about to be handed over.
    pub(crate) fn extra_leaves(&self) {
        self.extras.fetch_add(1, Ordering::SeqCst);
    }

    /// Notes that one of them is not under way any more.
    pub(crate) fn extra_arrives(&self) {
        self.extras.fetch_sub(1, Ordering::SeqCst);
    }

    /// Notes that readings are not to be sent.
    pub(crate) fn pass_over(&self, indices: &[u64]) {
        if indices.is_empty() {
            return;
        }
        let mut ledger = self.ledger();
        let base = ledger.acknowledgements.settled_below();
        for index in indices {
            ledger.acknowledgements.pass_over(*index);
        }
        self.publish(base, &ledger);
    }

    /// Notes that a reading is sent much later than it is due.
    pub(crate) fn defer(&self, index: u64) {
        let mut ledger = self.ledger();
        let base = ledger.acknowledgements.settled_below();
        ledger.acknowledgements.defer(index);
        self.publish(base, &ledger);
    }

    /// Returns the tag of a reading that was kept apart and is about to be handed over.
    pub(crate) fn tag_deferred(&self, index: u64, handed_us: u64) -> Tag {
        Tag::deferred(self.ledger().deferred.add(index, handed_us) as u64)
    }

    /// Notes that it was not handed over.
    pub(crate) fn untag(&self, tag: Tag) {
        if tag.sort() == Some(DEFERRED) {
            self.ledger().deferred.remove(tag.place());
        }
    }

    fn acknowledge(&self, tag: Tag, partition: i32) {
        let now_us = self.clock.now_ns() / 1_000;
        let mut ledger = self.ledger();
        let base = ledger.acknowledgements.settled_below();
        let (index, age_us) = ledger.take(tag, now_us);
        if !ledger.acknowledgements.acknowledge(index) {
            return;
        }
        ledger.latency.record(age_us);
        ledger.response.record(now_us.saturating_sub(self.simulation.send_ns(index) / 1_000));
        let share = usize::try_from(partition)
            .ok()
            .and_then(|partition| ledger.by_partition.get_mut(partition));
        if let Some(count) = share {
            *count += 1;
        }
        self.publish(base, &ledger);
    }

    fn fail(&self, tag: Tag, error: &KafkaError) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let mut ledger = self.ledger();
        let base = ledger.acknowledgements.settled_below();
        let (index, _) = ledger.take(tag, 0);
        if ledger.acknowledgements.fail(index) {
            ledger.latest_failure = Some(code);
            let failed = ledger.acknowledgements.failed();
            self.failed.store(failed, Ordering::Relaxed);
            self.publish(base, &ledger);
            lock(&self.failure_complaint)
                .raise(|| error!(index, failed, "kafka refused a reading for good: {code}"));
        }
    }

    fn settle_extra(&self, tag: Tag, is_refused: bool) {
        if tag.sort() == Some(EVENT) {
            let mut events = self.events();
            let number = tag.index(events.base());
            events.settle(number, is_refused);
        }
        self.extra_arrives();
    }

    fn publish(&self, base_before: u64, ledger: &Ledger) {
        let base = ledger.acknowledgements.settled_below();
        if base != base_before {
            self.settled_below.store(base, Ordering::Relaxed);
        }
    }
}

/// A panic elsewhere does not make the books wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, "kafka client: {message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        lock(&self.client_complaint)
            .raise(|| warn!("kafka is not well, readings wait for it: {error}: {reason}"));
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, word: usize) {
        let tag = Tag(word);
        match result {
            Ok(_) if tag.is_extra() => self.settle_extra(tag, false),
            Err((error, _)) if tag.is_extra() => {
                lock(&self.failure_complaint)
                    .raise(|| error!("kafka refused an event or a copy for good: {error}"));
                self.settle_extra(tag, true);
            }
            Ok(message) => self.acknowledge(tag, message.partition()),
            Err((error, _)) => self.fail(tag, error),
        }
    }
}

/// Returns how many readings the ranges hold.
pub(crate) fn count(ranges: &[IndexRange]) -> u64 {
    ranges.iter().map(|range| range.to - range.from).sum()
}

#[cfg(test)]
mod tests {
    use domain::SensorKind;
    use domain::simulation::{AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, TransportSpec};
    use proptest::prelude::*;

    use super::*;

    fn simulation() -> Simulation {
        Simulation::new(RunManifest {
            run: "test".into(),
            seed: 1,
            fleet: FleetSpec { sensors: 25, kinds: SensorKind::ALL.to_vec() },
            schedule: Schedule::constant(0, Rate::per_second_milli(1_000_000).unwrap()),
            anomalies: AnomalySpec::default(),
            transport: TransportSpec::default(),
        })
    }

    proptest! {
        #[test]
        fn a_tag_is_read_back_anywhere_in_the_window(
            base in 0_u64..1 << 60,
            ahead in 0..WINDOW_MAX + 64,
            handed_us in 0_u64..1 << 50,
            took_us in 0_u64..1 << 35,
        ) {
            let tag = Tag::new(base + ahead, handed_us);
            prop_assert_eq!(tag.sort(), None);
            prop_assert_eq!(tag.index(base), base + ahead);
            prop_assert_eq!(tag.age_us(handed_us + took_us), took_us);
            let event = Tag::event(base + ahead);
            prop_assert_eq!((event.sort(), event.is_extra()), (Some(EVENT), true));
            prop_assert_eq!(event.index(base), base + ahead);
            prop_assert_eq!((Tag::copy().sort(), Tag::copy().is_extra()), (Some(COPY), true));
            let deferred = Tag::deferred(ahead);
            prop_assert_eq!((deferred.sort(), deferred.is_extra()), (Some(DEFERRED), false));
            prop_assert_eq!(deferred.place() as u64, ahead);
        }
    }

    /// Goal: the window need not reach back to what is sent much later, or nothing could be sent
    /// until then.
    #[test]
    fn a_reading_that_is_kept_apart_holds_no_other_up() {
        let deliveries =
            Deliveries::new(Clock::new(std::time::Instant::now(), 0), Arc::new(simulation()), 1);
        for index in [0, 1] {
            deliveries.defer(index);
        }
        for index in 2..640 {
            deliveries.acknowledge(Tag::new(index, 0), 0);
        }
        assert!(deliveries.settled_below() > 64);
        let tags = [0, 1].map(|index| deliveries.tag_deferred(index, 5));
        deliveries.untag(tags[1]);
        assert_eq!(deliveries.tag_deferred(1, 5), tags[1], "its place is free");
        let open =
            |deliveries: &Deliveries| deliveries.ledger().acknowledgements.unacknowledged(64);
        assert_eq!(open(&deliveries), [IndexRange { from: 0, to: 2 }]);
        deliveries.acknowledge(tags[0], 0);
        assert_eq!(open(&deliveries), [IndexRange { from: 1, to: 2 }]);
        deliveries.fail(tags[1], &KafkaError::MessageProduction(RDKafkaErrorCode::PolicyViolation));
        assert_eq!(open(&deliveries), [IndexRange { from: 1, to: 2 }]);
        assert_eq!(deliveries.failed(), 1);
    }

    #[test]
    fn the_books_tell_what_became_of_each_reading() {
        let clock = Clock::new(std::time::Instant::now(), 0);
        let deliveries = Deliveries::new(clock, Arc::new(simulation()), 2);
        for index in 0..200 {
            let tag = Tag::new(index, 0);
            if index == 70 {
                deliveries
                    .fail(tag, &KafkaError::MessageProduction(RDKafkaErrorCode::PolicyViolation));
            } else {
                deliveries.acknowledge(tag, i32::try_from(index % 2).unwrap());
            }
        }
        assert_eq!(deliveries.settled_below(), 192);
        assert_eq!(deliveries.failed(), 1);
        assert_eq!(deliveries.latest_failure(), RDKafkaErrorCode::PolicyViolation);
        let ledger = deliveries.ledger();
        assert_eq!(ledger.by_partition, [99, 100]);
        let open = ledger.acknowledgements.unacknowledged(210);
        assert_eq!(open, [IndexRange { from: 70, to: 71 }, IndexRange { from: 200, to: 210 }]);
        assert_eq!(count(&open), 11);
    }
}

//! Tells what happens to the sensors themselves, on a thread of its own: each event when the
//! readings have come to its time.

pub(crate) mod ledger;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use domain::event::EventKind;
use domain::hour::{HOUR_MS, hour_start_ms};
use domain::simulation::lifecycle::LifecycleEvent;
use domain::simulation::schedule::NS_PER_MS;
use runtime::Shutdown;

use crate::connection::{Client, Outgoing};
use crate::deliveries::Tag;
use crate::error::ProducerError;
use crate::pace::SLEEP_MAX;
use crate::publish::{Assignment, FULL_PAUSE};

/// An event with its number.
type Numbered = (u64, LifecycleEvent);

/// Sends the events of one run.
#[derive(Debug)]
pub(crate) struct Herald {
    client: Client,
    topic: String,
    assignment: Arc<Assignment>,
    ending: Arc<AtomicBool>,
    record: Vec<u8>,
}

impl Herald {
    /// Makes a herald for a run.
    pub(crate) fn new(client: Client, topic: String, assignment: Arc<Assignment>) -> Self {
        Self { client, topic, assignment, ending: Arc::default(), record: Vec::new() }
    }

    /// Returns what to set once all readings are sent.
    pub(crate) fn ending(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ending)
    }

    /// Sends events until the readings have ended, those up to the last reading among them.
    pub(crate) fn announce_all(mut self, shutdown: &Shutdown) -> Result<(), ProducerError> {
        let mut hour_ms = hour_start_ms(self.assignment.simulation.manifest().schedule.start_ms);
        loop {
            let assignment = Arc::clone(&self.assignment);
            for (number, event) in Agenda::new(&assignment, hour_ms) {
                self.client.deliveries().events().come_to(event.ts_ms);
                if !self.await_time(event.ts_ms, shutdown)
                    || !self.announce(number, &event, shutdown)?
                {
                    return Ok(());
                }
            }
            hour_ms += HOUR_MS;
            self.client.deliveries().events().come_to(hour_ms);
            if !self.await_time(hour_ms, shutdown) {
                return Ok(());
            }
        }
    }

    /// Waits until the readings have come to a time; `false` if they never will.
    fn await_time(&self, ts_ms: i64, shutdown: &Shutdown) -> bool {
        let Assignment { clock, progress, simulation, .. } = &*self.assignment;
        let schedule = &simulation.manifest().schedule;
        loop {
            // In this order: what was sent before the end is known at the end.
            let is_ending = self.ending.load(Ordering::SeqCst);
            let sent = progress.scheduled();
            if sent.checked_sub(1).is_some_and(|last| schedule.event_time_ms(last) >= ts_ms) {
                return true;
            }
            if is_ending || shutdown.is_stopping() {
                return false;
            }
            let due_ns = ts_ms.abs_diff(schedule.start_ms).saturating_mul(NS_PER_MS);
            let until_due = Duration::from_nanos(due_ns.saturating_sub(clock.now_ns()));
            thread::sleep(until_due.clamp(FULL_PAUSE, SLEEP_MAX));
        }
    }

    /// Sends an event; returns whether the client took it before the process was to stop.
    fn announce(
        &mut self,
        number: u64,
        event: &LifecycleEvent,
        shutdown: &Shutdown,
    ) -> Result<bool, ProducerError> {
        let simulation = &self.assignment.simulation;
        let fleet = simulation.fleet();
        self.record.clear();
        event.record(fleet, &simulation.manifest().run, number).encode(&mut self.record);
        let deliveries = self.client.deliveries();
        loop {
            // Before it is sent: the acknowledgement may be faster than the return.
            let tag = Tag::event(deliveries.events().leave(event.ts_ms));
            let taken = self.client.send(Outgoing {
                topic: &self.topic,
                partition: None,
                key: &fleet.site_of(event.sensor).id,
                value: &self.record,
                ts_ms: event.ts_ms,
                tag,
            });
            if !matches!(taken, Ok(true)) {
                deliveries.events().turn_back();
            }
            if taken.map_err(ProducerError::EventRefused)? {
                self.assignment.progress.event();
                return Ok(true);
            }
            if shutdown.is_stopping() {
                return Ok(false);
            }
            thread::sleep(FULL_PAUSE);
        }
    }
}

/// The events of one hour, in order of time.
///
/// That sensors come online is computed as it goes: a million of them would take 60 MB.
struct Agenda<'a> {
    assignment: &'a Assignment,
    hour_ms: i64,
    /// All others, the next one last.
    others: Vec<Numbered>,
    /// The next sensor to come online with its first reading.
    newcomer: u64,
}

impl<'a> Agenda<'a> {
    fn new(assignment: &'a Assignment, hour_ms: i64) -> Self {
        let schedule = &assignment.simulation.manifest().schedule;
        let sensors = assignment.simulation.fleet().sensors();
        let mut agenda = Self { assignment, hour_ms, others: Vec::new(), newcomer: 0 };
        while agenda.newcomer < sensors && schedule.event_time_ms(agenda.newcomer) < hour_ms {
            agenda.newcomer += 1;
        }
        for sensor in (0..sensors).filter(|sensor| assignment.shard.has_sensor(*sensor)) {
            let events = assignment.simulation.events(sensor, hour_ms);
            let first_ms = schedule.event_time_ms(sensor);
            let mut has_arrived = false;
            for (number, event) in events {
                if !has_arrived && is_arrival(&event, first_ms) {
                    has_arrived = true;
                } else {
                    agenda.others.push((number, event));
                }
            }
        }
        agenda.others.sort_by_key(|(_, event)| std::cmp::Reverse(event.ts_ms));
        agenda
    }

    /// Returns when the next sensor comes online in this hour.
    fn arrival_ms(&mut self) -> Option<i64> {
        let sensors = self.assignment.simulation.fleet().sensors();
        while self.newcomer < sensors && !self.assignment.shard.has_sensor(self.newcomer) {
            self.newcomer += 1;
        }
        let schedule = &self.assignment.simulation.manifest().schedule;
        let first_ms = (self.newcomer < sensors).then(|| schedule.event_time_ms(self.newcomer))?;
        (first_ms < self.hour_ms + HOUR_MS).then_some(first_ms)
    }
}

impl Iterator for Agenda<'_> {
    type Item = Numbered;

    fn next(&mut self) -> Option<Numbered> {
        let arrival_ms = self.arrival_ms();
        let other_ms = self.others.last().map(|(_, event)| event.ts_ms);
        if let Some(first_ms) = arrival_ms
            && other_ms.is_none_or(|other_ms| first_ms <= other_ms)
        {
            let mut events = self.assignment.simulation.events(self.newcomer, self.hour_ms);
            self.newcomer += 1;
            return events.find(|(_, event)| is_arrival(event, first_ms));
        }
        self.others.pop()
    }
}

fn is_arrival(event: &LifecycleEvent, first_ms: i64) -> bool {
    event.kind == EventKind::Online && event.ts_ms == first_ms
}

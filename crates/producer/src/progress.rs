//! How far sending has come: written by the thread that sends, read by whoever reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::simulation::report::{DurationSummary, RateProof};
use domain::simulation::{FateCounts, Schedule};

use crate::proof::{Target, Watch};
use crate::statistics::Durations;

/// How far sending has come.
#[derive(Debug)]
pub(crate) struct Progress {
    scheduled: AtomicU64,
    first_ns: AtomicU64,
    last_ns: AtomicU64,
    debt_ns: AtomicU64,
    held: AtomicU64,
    events: AtomicU64,
    books: Mutex<Books>,
}

/// What takes more than a number.
#[derive(Debug)]
struct Books {
    lateness: Durations,
    watch: Watch,
    fates: FateCounts,
}

impl Progress {
    /// Starts before the first reading, at `now_ns` after the start of the schedule.
    pub(crate) fn new(target: Target, now_ns: u64) -> Self {
        Self {
            scheduled: AtomicU64::new(0),
            first_ns: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
            debt_ns: AtomicU64::new(0),
            held: AtomicU64::new(0),
            events: AtomicU64::new(0),
            books: Mutex::new(Books {
                lateness: Durations::default(),
                watch: Watch::new(target, now_ns),
                fates: FateCounts::default(),
            }),
        }
    }

    /// Returns a number that every reading ever sent is below: it is raised before they are sent.
    pub(crate) fn scheduled(&self) -> u64 {
        self.scheduled.load(Ordering::SeqCst)
    }

    /// Notes that readings below `scheduled` are about to be sent, or that no others were.
    pub(crate) fn announce(&self, scheduled: u64) {
        self.scheduled.store(scheduled, Ordering::SeqCst);
    }

    /// Returns the time from the first to the latest reading sent.
    pub(crate) fn elapsed(&self) -> Duration {
        let last_ns = self.last_ns.load(Ordering::Relaxed);
        Duration::from_nanos(last_ns.saturating_sub(self.first_ns.load(Ordering::Relaxed)))
    }

    /// Returns how far behind the schedule sending is.
    pub(crate) fn debt(&self) -> Duration {
        Duration::from_nanos(self.debt_ns.load(Ordering::Relaxed))
    }

    /// Returns how many readings are held back, to be sent later than they are due.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Notes how far behind the schedule sending is, and how many readings are held back.
    pub(crate) fn owe(&self, debt_ns: u64, held: u64) {
        self.debt_ns.store(debt_ns, Ordering::Relaxed);
        self.held.store(held, Ordering::Relaxed);
    }

    /// Returns how many events were handed over.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Notes that an event was handed over.
    pub(crate) fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes a batch of readings from `first` on, of which `sent` were handed over at `now_ns`.
    pub(crate) fn batch(
        &self,
        schedule: &Schedule,
        first: u64,
        count: u64,
        sent: u64,
        fates: &FateCounts,
        now_ns: u64,
    ) {
        if first == 0 {
            self.first_ns.store(now_ns, Ordering::Relaxed);
        }
        self.last_ns.store(now_ns, Ordering::Relaxed);
        let mut books = self.books();
        books.fates.merge(fates);
        books.watch.sent(now_ns, sent);
        // Readings that are not sent now are as late as those around them.
        if sent > 0 {
            books.lateness.record_lateness(schedule, first, count, now_ns);
        }
    }

    /// Notes that a reading which was held back is handed over `late_ns` after it was to be.
    pub(crate) fn released(&self, now_ns: u64, late_ns: u64) {
        self.last_ns.store(now_ns, Ordering::Relaxed);
        let mut books = self.books();
        books.lateness.record(late_ns / 1_000);
        books.watch.sent(now_ns, 1);
    }

    /// Notes how long a sleep took that should have taken `wanted`.
    pub(crate) fn slept(&self, wanted: Duration, took: Duration) {
        if took > wanted * 2 {
            self.books().watch.slept(wanted, took);
        }
    }

    /// Returns how evenly readings were sent, and what became of them.
    pub(crate) fn proof(&self) -> (RateProof, FateCounts) {
        let books = self.books();
        (books.watch.proof(), books.fates)
    }

    /// Ends an interval; returns the lateness in it and since the start.
    pub(crate) fn end_interval(&self) -> (DurationSummary, DurationSummary) {
        let mut books = self.books();
        (books.lateness.end_interval(), books.lateness.total())
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

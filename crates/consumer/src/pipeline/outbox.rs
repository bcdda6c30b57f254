//! Writes to one server: those that wait, those that failed and wait to be repeated, and whether
//! the server seems to be there at all.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use runtime::backoff::full_jitter;

use super::{Ticket, Write};

/// First bound of the wait before a failed write is repeated.
const BACKOFF_BASE: Duration = Duration::from_millis(50);
/// Last bound: how late a server that is back is noticed at the most.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Failures without a success in between after which the server counts as away.
const FAILURES_TO_OPEN: u32 = 5;

/// Stops the stream of writes to a server that is away; one write at a time goes on trying.
#[derive(Clone, Debug, Default)]
struct Breaker {
    failures: u32,
    probe_after: Option<Instant>,
}

impl Breaker {
    fn is_open(&self) -> bool {
        self.failures >= FAILURES_TO_OPEN
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    fn failed(&mut self, now: Instant, random: &mut SmallRng) {
        self.failures = self.failures.saturating_add(1);
        let since_open = self.failures.saturating_sub(FAILURES_TO_OPEN);
        self.probe_after = Some(now + full_jitter(BACKOFF_BASE, BACKOFF_MAX, since_open, random));
    }

    fn allows(&self, now: Instant, in_flight: usize) -> bool {
        !self.is_open() || in_flight == 0 && self.probe_after.is_none_or(|after| now >= after)
    }
}

/// Writes to one server, in no promised order.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    ready: VecDeque<(Ticket, Write)>,
    /// Failed writes by the time at which they are repeated; the number tells equal times apart.
    delayed: BTreeMap<(Instant, u64), (Ticket, Write)>,
    delays: u64,
    in_flight: usize,
    in_flight_max: usize,
    breaker: Breaker,
}

impl Outbox {
    pub(super) fn new(in_flight_max: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            delays: 0,
            in_flight: 0,
            in_flight_max,
            breaker: Breaker::default(),
        }
    }

    pub(super) fn push(&mut self, ticket: Ticket, write: Write) {
        self.ready.push_back((ticket, write));
    }

    /// Puts in a part of a write that was refused: it goes next, since an offset waits for it.
    pub(super) fn push_front(&mut self, ticket: Ticket, write: Write) {
        self.ready.push_front((ticket, write));
    }

    /// Tells whether one more write would be handed out soon.
    pub(super) fn is_hungry(&self) -> bool {
        self.in_flight + self.ready.len() < self.in_flight_max
    }

    /// Hands out the next write, as long as fewer than the limit are under way.
    pub(super) fn next(&mut self, now: Instant) -> Option<(Ticket, Write)> {
        if self.in_flight >= self.in_flight_max || !self.breaker.allows(now, self.in_flight) {
            return None;
        }
        let next = match self.delayed.first_entry() {
            Some(entry) if entry.key().0 <= now => Some(entry.remove()),
            _ => self.ready.pop_front(),
        };
        // The server is being probed: which write does it is all the same.
        let next = match next {
            None if self.breaker.is_open() => self.delayed.pop_first().map(|(_, write)| write),
            next => next,
        };
        self.in_flight += usize::from(next.is_some());
        next
    }

    /// Notes that a write ended with an answer of the server, whichever.
    pub(super) fn answered(&mut self) {
        self.in_flight -= 1;
        self.breaker.succeeded();
    }

    /// Notes that a write ended without one.
    pub(super) fn failed(&mut self, now: Instant, random: &mut SmallRng) {
        self.in_flight -= 1;
        self.breaker.failed(now, random);
    }

    /// Puts a failed write back, to be repeated after a while.
    pub(super) fn repeat(
        &mut self,
        mut ticket: Ticket,
        write: Write,
        now: Instant,
        random: &mut SmallRng,
    ) {
        let delay = full_jitter(BACKOFF_BASE, BACKOFF_MAX, ticket.failures, random);
        ticket.failures = ticket.failures.saturating_add(1);
        self.delays += 1;
        self.delayed.insert((now + delay, self.delays), (ticket, write));
    }

    /// Throws out what is not under way and not wanted, and shows it to `thrown_out`.
    pub(super) fn retain(
        &mut self,
        keep: impl Fn(&Ticket) -> bool,
        mut thrown_out: impl FnMut(&Write),
    ) {
        let mut keep = |(ticket, write): &(Ticket, Write)| {
            let keep = keep(ticket);
            if !keep {
                thrown_out(write);
            }
            keep
        };
        self.ready.retain(&mut keep);
        self.delayed.retain(|_, entry| keep(entry));
    }

    /// Tells whether the server seems to be away. Without a write that finds out, nobody knows.
    pub(super) fn is_broken(&self) -> bool {
        let waiting = self.in_flight + self.ready.len() + self.delayed.len();
        self.breaker.is_open() && waiting > 0
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }
}

//! The consumer's core, without IO: what comes in, what is to be written, what may be committed.
//!
//! Records go in through [`Pipeline::accept`], writes come out of [`Pipeline::next_write`] and
//! their ends go back in through [`Pipeline::finish`]; [`Pipeline::take_commits`] hands out
//! offsets. Time is an argument and chance a seed.

pub mod batch;
mod lane;
pub mod ledger;
mod limits;
mod outbox;
pub mod record;
pub mod site;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::dead_letter::Reason;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use runtime::clock::TimeOfDay;

use batch::RowBatch;
use lane::Lane;
use ledger::NextOffset;
use limits::Buffered;
use outbox::Outbox;
use record::{Content, DeadLetter, Record, Rejection};
use site::{Known, Runs, SiteWrite};

pub use limits::Limits;

/// Most offsets between the lowest open one of a partition and its newest: bounds the ledger (I6).
const SPAN_MAX: u64 = 1 << 20;
/// Bytes of dead letters in memory at which no more records are taken in (I6).
const DEAD_LETTER_BYTES_MAX: usize = 16 << 20;
/// Dead letters on their way to Kafka at once: its client gathers them into batches by itself.
const DEAD_LETTERS_IN_FLIGHT_MAX: usize = 256;

/// One part in so many of the rows allowed in memory is a backlog: by default several times what
/// waits for its batch to fill while the consumer keeps up, and less than what it settles at where
/// it does not.
const BACKLOG_SHARE: usize = 8;

/// Number of an assignment: what is left of an earlier one must not touch a later one (I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(u64);

/// Whose write it is.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    partition: i32,
    epoch: Epoch,
    failures: u32,
}

/// Something a server has to be told.
#[derive(Clone, Debug)]
pub enum Write {
    /// Rows of `readings` or `events`, all of one Cassandra partition.
    Rows(RowBatch),
    /// News for `latest`, `sensors` and `sites`, all of one site.
    Site(SiteWrite),
    /// A record for the dead-letter topic.
    DeadLetter(Box<DeadLetter>),
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is durable.
    Durable,
    /// Nobody knows, or the server cannot do it now: it has to be repeated.
    Failed,
    /// The server will never do it, for the reason given.
    Refused(String),
}

/// What became of a record.
#[derive(Debug)]
pub enum Accepted {
    /// It will be a row.
    Row,
    /// It would be a row that has expired: there is nothing to write.
    Expired {
        /// Its event time in epoch milliseconds.
        ts_ms: i64,
        /// How long rows live after it.
        time_to_live: Duration,
    },
    /// It can never be a row; [`Pipeline::bury`] wants it, with its headers.
    Rejected(Rejection),
    /// It belongs to no partition of ours, or was seen before.
    Ignored,
}

/// An offset to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Kafka partition.
    pub partition: i32,
    /// Offset to read next.
    pub next: NextOffset,
}

/// All partitions this process owns.
#[derive(Clone, Debug)]
pub struct Pipeline {
    limits: Limits,
    time_to_live: Option<Duration>,
    lanes: BTreeMap<i32, Lane>,
    epochs: u64,
    cassandra: Outbox,
    dead_letters: Outbox,
    buffered: Buffered,
    dead_letter_bytes: usize,
    known: Known,
    runs: Runs,
    random: SmallRng,
}

impl Pipeline {
    /// Starts without any partition.
    ///
    /// A row expires `time_to_live` after its event time; `None` keeps rows for good. The waits
    /// between attempts are drawn from `seed`.
    pub fn new(limits: Limits, time_to_live: Option<Duration>, seed: u64) -> Self {
        Self {
            cassandra: Outbox::new(limits.writes_in_flight_max),
            dead_letters: Outbox::new(DEAD_LETTERS_IN_FLIGHT_MAX),
            limits,
            time_to_live,
            lanes: BTreeMap::new(),
            epochs: 0,
            buffered: Buffered::default(),
            dead_letter_bytes: 0,
            known: Known::default(),
            runs: Runs::default(),
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// Takes over how long after their event time rows expire.
    pub fn set_time_to_live(&mut self, time_to_live: Option<Duration>) {
        self.time_to_live = time_to_live;
    }

    /// Begins a new epoch for each of the partitions.
    pub fn assign(&mut self, partitions: impl IntoIterator<Item = i32>, now: Instant) {
        for partition in partitions {
            // Of an assignment that ended without a word, nothing is left over.
            self.remove(&[partition]);
            self.epochs += 1;
            self.lanes.insert(partition, Lane::new(Epoch(self.epochs), &self.limits, now));
        }
    }

    /// Forgets partitions: whatever ends for them later has no effect (I4).
    pub fn remove(&mut self, partitions: &[i32]) {
        for partition in partitions {
            let Some(lane) = self.lanes.remove(partition) else {
                continue;
            };
            self.buffered -= lane.open();
            if !lane.is_settled() {
                self.known.forget();
            }
        }
        let lanes = &self.lanes;
        for outbox in [&mut self.cassandra, &mut self.dead_letters] {
            outbox.retain(
                |ticket| lanes.contains_key(&ticket.partition),
                |write| match write {
                    Write::Rows(batch) => self.buffered -= batch.held(),
                    Write::Site(_) => {}
                    Write::DeadLetter(letter) => self.dead_letter_bytes -= letter.bytes(),
                },
            );
        }
    }

    /// Takes in one record. What has expired or comes too early does so at any time within the
    /// bounds of `time`.
    pub fn accept(&mut self, record: &Record<'_>, now: Instant, time: TimeOfDay) -> Accepted {
        let Record { partition, offset, .. } = *record;
        if self.lanes.get(&partition).is_some_and(|lane| lane.ledger.is_behind(offset)) {
            self.restart(partition);
        }
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return Accepted::Ignored;
        };
        if !lane.receive(offset) {
            return Accepted::Ignored;
        }
        let content = match Content::decode(record) {
            Ok(content) => content,
            Err(error) => {
                let (reason, detail) = (error.reason(), error.to_string());
                return Accepted::Rejected(Rejection { reason, detail });
            }
        };
        let ahead_ms = content.ts_ms() - time.latest_ms;
        if ahead_ms > milliseconds(self.limits.clock_ahead_max) {
            let detail = format!("`ts` is {}, {} s ahead", content.ts_ms(), ahead_ms / 1_000);
            return Accepted::Rejected(Rejection { reason: Reason::ClockAhead, detail });
        }
        if let Some(time_to_live) = self.time_to_live
            && time.earliest_ms - content.ts_ms() >= milliseconds(time_to_live)
        {
            lane.ledger.complete(offset);
            return Accepted::Expired { ts_ms: content.ts_ms(), time_to_live };
        }
        self.buffered += RowBatch::cost(record);
        let full = lane.add(record, &content, &mut self.known, &mut self.runs, &self.limits, now);
        if let Some(batch) = full {
            self.cassandra.push(ticket(partition, lane), Write::Rows(batch));
        }
        Accepted::Row
    }

    /// Starts a partition once more whose offsets went back: it was truncated, or its topic was
    /// deleted and created again.
    ///
    /// What is being written may still end well, but says nothing about the new offsets. It may
    /// fail as well, and is not repeated.
    pub fn restart(&mut self, partition: i32) {
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return;
        };
        if !lane.is_settled() {
            self.known.forget();
        }
        let earlier = ticket(partition, lane);
        self.epochs += 1;
        for batch in lane.restart(Epoch(self.epochs)) {
            self.cassandra.push(earlier, Write::Rows(batch));
        }
    }

    /// Returns the offset that a partition's next record is expected at; `None` before the first.
    pub fn expected(&self, partition: i32) -> Option<NextOffset> {
        self.lanes.get(&partition)?.ledger.received()
    }

    /// Takes in a dead letter: its offset is open until the dead-letter topic has it (I5).
    pub fn bury(&mut self, letter: DeadLetter) {
        if let Some(lane) = self.lanes.get(&letter.partition) {
            let ticket = ticket(letter.partition, lane);
            self.push_dead_letter(ticket, letter);
        }
    }

    fn push_dead_letter(&mut self, ticket: Ticket, letter: DeadLetter) {
        self.dead_letter_bytes += letter.bytes();
        self.dead_letters.push(ticket, Write::DeadLetter(Box::new(letter)));
    }

    /// Does what time asks for: writes batches that are old enough and starts commits that are due.
    pub fn tick(&mut self, now: Instant) {
        if let Some(opened) = now.checked_sub(self.limits.batch_age_max) {
            self.take_due(opened);
        }
        let has_backlog = self.buffered.rows >= self.limits.rows_buffered_max / BACKLOG_SHARE;
        for (partition, lane) in &mut self.lanes {
            if lane.commit_is_due(now) {
                let ticket = ticket(*partition, lane);
                let writes = lane.start_commit(now, &self.limits, has_backlog);
                let writes = writes.into_iter().flatten();
                writes.for_each(|write| self.cassandra.push(ticket, Write::Site(write)));
            }
        }
    }

    /// Writes batches that were opened at `opened` or before, the oldest first, as long as they
    /// need not wait: those that would have to may as well grow.
    fn take_due(&mut self, opened: Instant) {
        while self.cassandra.is_hungry() {
            let due = self.lanes.iter_mut().filter_map(|(partition, lane)| {
                let oldest = lane.oldest().filter(|oldest| *oldest <= opened)?;
                Some((oldest, *partition, lane))
            });
            let Some((_, partition, lane)) = due.min_by_key(|(oldest, ..)| *oldest) else {
                return;
            };
            let ticket = ticket(partition, lane);
            if let Some(batch) = lane.take_due(opened) {
                self.cassandra.push(ticket, Write::Rows(batch));
            }
        }
    }

    /// Hurries: writes all open batches of the partitions and, once they are durable, starts their
    /// last commit.
    pub fn settle(&mut self, partitions: &[i32], now: Instant) {
        for partition in partitions {
            let Some(lane) = self.lanes.get_mut(partition) else {
                continue;
            };
            let ticket = ticket(*partition, lane);
            while let Some(batch) = lane.take_due(now) {
                self.cassandra.push(ticket, Write::Rows(batch));
            }
            if lane.ledger.is_drained() {
                let writes = lane.start_commit(now, &self.limits, false).into_iter().flatten();
                writes.for_each(|write| self.cassandra.push(ticket, Write::Site(write)));
            }
        }
    }

    /// Tells whether all these partitions are durable and their offsets handed out.
    pub fn is_settled(&self, partitions: &[i32]) -> bool {
        let mut lanes = partitions.iter().filter_map(|partition| self.lanes.get(partition));
        lanes.all(Lane::is_settled)
    }

    /// Tells whether nothing has to be done, now or later, unless another record comes.
    pub fn is_idle(&self) -> bool {
        let is_empty = self.buffered.rows == 0 && self.dead_letter_bytes == 0;
        is_empty && self.lanes.values().all(Lane::is_settled)
    }

    /// Hands out the next write, as long as its server is there and fewer than the limit are under
    /// way.
    pub fn next_write(&mut self, now: Instant) -> Option<(Ticket, Write)> {
        self.cassandra.next(now).or_else(|| self.dead_letters.next(now))
    }

    /// Notes how a write ended. Only a durable one counts for its offsets (I1).
    pub fn finish(&mut self, ticket: Ticket, write: Write, ended: Ended, now: Instant) {
        let outbox = match &write {
            Write::Rows(_) | Write::Site(_) => &mut self.cassandra,
            Write::DeadLetter(_) => &mut self.dead_letters,
        };
        match ended {
            Ended::Failed => outbox.failed(now, &mut self.random),
            Ended::Durable | Ended::Refused(_) => outbox.answered(),
        }
        // I4: a write of an earlier assignment counts for nothing, and nobody waits for it.
        let lane = self.lanes.get_mut(&ticket.partition);
        let lane = lane.filter(|lane| lane.epoch == ticket.epoch);
        let (lane, ended) = match (lane, ended) {
            (Some(_), Ended::Failed) => {
                outbox.repeat(ticket, write, now, &mut self.random);
                return;
            }
            (lane, ended) => (lane, ended),
        };
        match &write {
            Write::Rows(batch) => self.buffered -= batch.held(),
            Write::Site(_) => {}
            Write::DeadLetter(letter) => self.dead_letter_bytes -= letter.bytes(),
        }
        match (lane, ended) {
            (Some(lane), Ended::Durable) => complete(lane, &write),
            (Some(_), Ended::Refused(detail)) => self.part(ticket, write, detail),
            _ => {}
        }
    }

    /// Finds out what of a write is refused: halves go on their own, down to the one row that is
    /// to blame.
    fn part(&mut self, ticket: Ticket, write: Write, detail: String) {
        let Some(lane) = self.lanes.get_mut(&ticket.partition) else {
            return;
        };
        match write {
            Write::Rows(batch) => {
                let rejection = Rejection { reason: Reason::RefusedByCassandra, detail };
                if let Some(letter) = batch.dead_letter(ticket.partition, rejection) {
                    self.push_dead_letter(ticket, letter);
                    return;
                }
                self.buffered += batch.held();
                for half in batch.split() {
                    self.cassandra.push_front(ticket, Write::Rows(half));
                }
            }
            Write::Site(news) => match news.split() {
                Some(halves) => {
                    lane.site_write_split();
                    for half in halves {
                        self.cassandra.push_front(ticket, Write::Site(half));
                    }
                }
                // It tells of a reading that is refused itself, or of nothing worth an outage.
                None => lane.site_written(),
            },
            // Kafka refuses a dead letter only where the set-up is wrong, which ends the process.
            letter @ Write::DeadLetter(_) => self.dead_letters.push_front(ticket, letter),
        }
    }

    /// Returns what may be committed now (I1).
    pub fn take_commits(&mut self) -> Vec<Commit> {
        let lanes = self.lanes.iter_mut();
        lanes
            .filter_map(|(partition, lane)| {
                lane.take_commit().map(|next| Commit { partition: *partition, next })
            })
            .collect()
    }

    /// Makes every partition commit again, because a commit failed.
    pub fn repeat_commits(&mut self) {
        self.lanes.values_mut().for_each(Lane::repeat_commit);
    }

    /// Tells whether more records may be taken in: nothing is to be gathered for a Cassandra that
    /// is away, and memory is bounded (I6).
    pub fn has_room(&self) -> bool {
        let (Buffered { rows, bytes }, rows_max) = (self.buffered, self.limits.rows_buffered_max);
        let news: usize = self.lanes.values().map(Lane::news).sum();
        !self.cassandra.is_broken()
            && rows < rows_max
            && bytes < self.limits.bytes_buffered_max()
            && news < rows_max
            && self.dead_letter_bytes < DEAD_LETTER_BYTES_MAX
            && self.lanes.values().all(|lane| lane.ledger.span() < SPAN_MAX)
    }

    /// Tells whether Cassandra seems to be away: only one write at a time goes on trying.
    pub fn is_cassandra_away(&self) -> bool {
        self.cassandra.is_broken()
    }

    /// Returns all assigned partitions.
    pub fn partitions(&self) -> Vec<i32> {
        self.lanes.keys().copied().collect()
    }

    /// Returns up to where a partition is durable; `None` if it is not ours or nothing came yet.
    pub fn durable(&self, partition: i32) -> Option<NextOffset> {
        self.lanes.get(&partition)?.ledger.prefix()
    }

    /// Returns the number of rows in memory: open, waiting or being written.
    pub fn rows_buffered(&self) -> usize {
        self.buffered.rows
    }

    /// Returns the bytes of the dead letters in memory.
    pub fn dead_letter_bytes(&self) -> usize {
        self.dead_letter_bytes
    }

    /// Returns the number of writes to Cassandra under way.
    pub fn in_flight(&self) -> usize {
        self.cassandra.in_flight()
    }

    /// Returns the most writes that can be under way at once, to all servers.
    pub fn in_flight_max(&self) -> usize {
        self.limits.writes_in_flight_max + DEAD_LETTERS_IN_FLIGHT_MAX
    }
}

fn ticket(partition: i32, lane: &Lane) -> Ticket {
    Ticket { partition, epoch: lane.epoch, failures: 0 }
}

fn complete(lane: &mut Lane, write: &Write) {
    match write {
        Write::Rows(batch) => batch.offsets().for_each(|offset| lane.ledger.complete(offset)),
        Write::Site(_) => lane.site_written(),
        Write::DeadLetter(letter) => lane.ledger.complete(letter.offset),
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod exploration;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

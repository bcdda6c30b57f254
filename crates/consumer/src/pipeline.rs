//! The consumer's core, without IO: what comes in, what is to be written, what may be committed.
//!
//! Records go in through [`Pipeline::accept`], writes come out of [`Pipeline::next_write`] and
//! their ends go back in through [`Pipeline::finish`]; [`Pipeline::take_commits`] hands out
//! offsets. Time is an argument.

pub mod batch;
mod lane;
pub mod ledger;
pub mod site;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{ContractError, Reading};

use batch::RowBatch;
use lane::Lane;
use ledger::{NextOffset, RecordOffset};
use site::{Known, SiteWrite};

/// Most offsets between the lowest open one of a partition and its newest: bounds the ledger (I6).
const SPAN_MAX: u64 = 1 << 20;

/// How much may be gathered before it is written, and how much may be in memory at all (I6).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows at which a batch is written.
    pub batch_rows_max: usize,
    /// Bytes at which a batch is written.
    pub batch_bytes_max: usize,
    /// Age of its oldest reading at which a batch is written.
    pub batch_age_max: Duration,
    /// Writes under way at once.
    pub writes_in_flight_max: usize,
    /// Rows in memory at which no more are taken in.
    pub rows_buffered_max: usize,
    /// Time between two commits of a partition.
    pub commit_interval: Duration,
}

/// Number of an assignment: what is left of an earlier one must not touch a later one (I4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(u64);

/// Whose write it is.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    partition: i32,
    epoch: Epoch,
}

/// Something Cassandra has to be told, always about one partition of its own.
#[derive(Debug)]
pub enum Write {
    /// Rows of `readings`.
    Rows(RowBatch),
    /// News for `latest`, `sensors` and `sites`.
    Site(SiteWrite),
}

/// What became of a record.
#[derive(Debug)]
pub enum Accepted {
    /// It will be a row.
    Row,
    /// It breaks the data contract.
    Rejected(ContractError),
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
#[derive(Debug)]
pub struct Pipeline {
    limits: Limits,
    lanes: BTreeMap<i32, Lane>,
    epochs: u64,
    ready: VecDeque<(Ticket, Write)>,
    in_flight: usize,
    rows_buffered: usize,
    known: Known,
    /// The run of the latest reading: one copy of its id serves many sensors.
    run: Arc<str>,
}

impl Pipeline {
    /// Starts without any partition.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: BTreeMap::new(),
            epochs: 0,
            ready: VecDeque::new(),
            in_flight: 0,
            rows_buffered: 0,
            known: Known::default(),
            run: "".into(),
        }
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
            self.rows_buffered -= lane.rows_open();
            if !lane.is_settled() {
                self.known.forget();
            }
        }
        let lanes = &self.lanes;
        self.ready.retain(|(ticket, write)| {
            let keep = lanes.contains_key(&ticket.partition);
            if let (false, Write::Rows(batch)) = (keep, write) {
                self.rows_buffered -= batch.len();
            }
            keep
        });
    }

    /// Takes in one record of an assigned partition.
    pub fn accept(
        &mut self,
        partition: i32,
        offset: RecordOffset,
        record: &[u8],
        now: Instant,
    ) -> Accepted {
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return Accepted::Ignored;
        };
        if !lane.receive(offset) {
            return Accepted::Ignored;
        }
        let reading = match Reading::decode(record) {
            Ok(reading) => reading,
            Err(error) => {
                lane.ledger.complete(offset);
                return Accepted::Rejected(error);
            }
        };
        if *self.run != *reading.run {
            self.run = reading.run.as_ref().into();
        }
        self.rows_buffered += 1;
        let full = lane.add(offset, &reading, &self.run, &mut self.known, &self.limits, now);
        if let Some(batch) = full {
            let ticket = Ticket { partition, epoch: lane.epoch };
            self.ready.push_back((ticket, Write::Rows(batch)));
        }
        Accepted::Row
    }

    /// Does what time asks for: writes batches that are old enough and starts commits that are due.
    pub fn tick(&mut self, now: Instant) {
        let opened = now.checked_sub(self.limits.batch_age_max);
        for (partition, lane) in &mut self.lanes {
            let ticket = Ticket { partition: *partition, epoch: lane.epoch };
            if let Some(opened) = opened {
                lane.take_due(opened, |batch| {
                    self.ready.push_back((ticket, Write::Rows(batch)));
                });
            }
            if lane.commit_is_due(now) {
                let writes = lane.start_commit(now, &self.limits).into_iter().flatten();
                self.ready.extend(writes.map(|write| (ticket, Write::Site(write))));
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
            let ticket = Ticket { partition: *partition, epoch: lane.epoch };
            lane.take_due(now, |batch| {
                self.ready.push_back((ticket, Write::Rows(batch)));
            });
            if lane.ledger.is_drained() {
                let writes = lane.start_commit(now, &self.limits).into_iter().flatten();
                self.ready.extend(writes.map(|write| (ticket, Write::Site(write))));
            }
        }
    }

    /// Tells whether all these partitions are durable and their offsets handed out.
    pub fn is_settled(&self, partitions: &[i32]) -> bool {
        let mut lanes = partitions.iter().filter_map(|partition| self.lanes.get(partition));
        // A partition that delivered nothing has nothing to commit.
        lanes.all(|lane| lane.ledger.prefix().is_none() || lane.is_settled())
    }

    /// Hands out the next write, as long as fewer than the limit are under way.
    pub fn next_write(&mut self) -> Option<(Ticket, Write)> {
        if self.in_flight >= self.limits.writes_in_flight_max {
            return None;
        }
        let next = self.ready.pop_front()?;
        self.in_flight += 1;
        Some(next)
    }

    /// Notes that a write is durable.
    pub fn finish(&mut self, ticket: Ticket, write: &Write) {
        self.in_flight -= 1;
        if let Write::Rows(batch) = write {
            self.rows_buffered -= batch.len();
        }
        // I4: a write of an earlier assignment counts for nothing.
        let lane = self.lanes.get_mut(&ticket.partition);
        let Some(lane) = lane.filter(|lane| lane.epoch == ticket.epoch) else {
            return;
        };
        match write {
            Write::Rows(batch) => batch.offsets().for_each(|offset| lane.ledger.complete(offset)),
            Write::Site(_) => lane.site_written(),
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

    /// Tells whether more records may be taken in without breaking the memory bound (I6).
    pub fn has_room(&self) -> bool {
        let rows_max = self.limits.rows_buffered_max;
        let news: usize = self.lanes.values().map(Lane::news).sum();
        self.rows_buffered < rows_max
            && news < rows_max
            && self.lanes.values().all(|lane| lane.ledger.span() < SPAN_MAX)
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
        self.rows_buffered
    }

    /// Returns the number of writes under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests;

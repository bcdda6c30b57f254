//! The partitions at work: records in, work for the writer out, offsets to commit once that is
//! durable; all on the Kafka thread.

mod silence;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use domain::{Alert, Reading};
use rdkafka::Timestamp;
use rdkafka::message::{BorrowedMessage, Message};
use runtime::clock::CheckedClock;
use runtime::kafka::monitor::Deleted;
use runtime::kafka::{self, Complaint};
use tracing::{debug, error, warn};

use crate::detect::Policy;
use crate::error::AnalyticsError;
use crate::publish::LateReading;
use crate::settings::ServiceSettings;
use crate::statistics::Statistics;
use crate::window::{Arrival, Bookmark, Fate, Known, Late, Partition, Timing};
use crate::writer::{Work, Writer, Written};
use silence::Silence;

/// Most bytes of a late reading's key, and of its headers; larger ones are left out, so that its
/// topic takes it and memory is bounded (I6).
const LATE_EXTRA_BYTES_MAX: usize = 4_096;

/// A partition that this process has.
#[derive(Debug)]
struct Owned {
    partition: Partition,
    /// Tells this assignment from earlier ones of the same partition (I4).
    epoch: u64,
    silence: Silence,
    committed: Option<Bookmark>,
}

/// What is being written, and what may be committed after it.
#[derive(Debug)]
struct Flight {
    bookmarks: Vec<(i32, u64, Bookmark)>,
}

/// All of them, and what is under way.
pub(crate) struct Engine {
    timing: Timing,
    policy: Arc<Policy>,
    flush_interval: Duration,
    idle_timeout: Duration,
    rows_waiting_max: usize,
    partitions: BTreeMap<i32, Owned>,
    epochs: u64,
    late: Vec<LateReading>,
    writer: Writer,
    clock: Arc<CheckedClock>,
    flight: Option<Flight>,
    last_flush: Instant,
    to_commit: BTreeMap<i32, (u64, Bookmark)>,
    complaint: Complaint,
    /// Of larger windows that are missing.
    unmerged: Complaint,
    pub(crate) statistics: Statistics,
}

impl Engine {
    pub(crate) fn new(
        settings: &ServiceSettings,
        writer: Writer,
        clock: Arc<CheckedClock>,
    ) -> Self {
        let now = Instant::now();
        Self {
            timing: settings.timing,
            policy: Arc::new(settings.policy.clone()),
            flush_interval: settings.flush_interval,
            idle_timeout: settings.idle_timeout,
            rows_waiting_max: settings.rows_waiting_max,
            partitions: BTreeMap::new(),
            epochs: 0,
            late: Vec::new(),
            writer,
            clock,
            flight: None,
            last_flush: now,
            to_commit: BTreeMap::new(),
            complaint: Complaint::default(),
            unmerged: Complaint::default(),
            statistics: Statistics::new(settings.progress_interval, now),
        }
    }

    /// Goes on with a partition from what was committed and stored.
    pub(crate) fn assign(&mut self, number: i32, resumed: Resumed) {
        let Resumed { bookmark, known, provisional } = resumed;
        let policy = Arc::clone(&self.policy);
        let partition = Partition::resume(self.timing, policy, &bookmark, known, provisional);
        self.epochs += 1;
        let owned = Owned {
            partition,
            epoch: self.epochs,
            silence: Silence::begin(Instant::now()),
            committed: None,
        };
        self.partitions.insert(number, owned);
    }

    /// Forgets partitions: whoever has them next reads again what is not committed.
    pub(crate) fn remove(&mut self, numbers: &[i32]) {
        for number in numbers {
            self.partitions.remove(number);
            self.to_commit.remove(number);
        }
    }

    pub(crate) fn numbers(&self) -> Vec<i32> {
        self.partitions.keys().copied().collect()
    }

    /// Returns the offset that a partition's next record is expected at.
    pub(crate) fn expected(&self, number: i32) -> Option<u64> {
        self.partitions.get(&number).map(|owned| owned.partition.position())
    }

    /// Returns the same for all partitions.
    pub(crate) fn positions(&self) -> Vec<(i32, Option<u64>)> {
        let mut positions = Vec::new();
        for (number, owned) in &self.partitions {
            positions.push((*number, Some(owned.partition.position())));
        }
        positions
    }

    /// Says and counts that records were deleted before they were read.
    pub(crate) fn deleted(&mut self, Deleted { partition, offset, records }: Deleted) {
        self.statistics.deleted(records);
        warn!(
            partition,
            offset,
            records,
            "records were deleted before they were read: windows and alerts know nothing of them"
        );
    }

    /// Takes in one record.
    pub(crate) fn accept(&mut self, message: &BorrowedMessage<'_>, now: Instant) {
        let (number, Ok(offset)) = (message.partition(), u64::try_from(message.offset())) else {
            return;
        };
        let Some(owned) = self.partitions.get_mut(&number) else { return };
        if offset < owned.partition.position() {
            warn!(partition = number, offset, "the partition begins anew");
            let known = owned.partition.known();
            let policy = Arc::clone(&self.policy);
            let bookmark = Bookmark::start(offset);
            owned.partition = Partition::resume(self.timing, policy, &bookmark, known, Vec::new());
            self.epochs += 1;
            owned.epoch = self.epochs;
        }
        let payload = message.payload().unwrap_or_default();
        let reading = Reading::decode(payload);
        let arrived_ms = match message.timestamp() {
            Timestamp::LogAppendTime(arrived_ms) => arrived_ms,
            // A reading is early only if it is so by every clock.
            Timestamp::CreateTime(_) | Timestamp::NotAvailable => self.clock.now().latest_ms,
        };
        let reading = reading.as_ref().ok();
        let fate = owned.partition.accept(Arrival { offset, arrived_ms, reading });
        owned.silence.heard(&fate, now);
        let kind = reading.map(|reading| reading.kind);
        self.statistics.taken(kind, &fate);
        let (reason, window_start_ms, by_ms) = match fate {
            Fate::Late(Late { window_start_ms, lateness_ms }) => {
                ("late", window_start_ms, lateness_ms)
            }
            Fate::ClockAhead { ahead_ms } => {
                let ts = reading.map_or(0, |reading| reading.ts);
                ("clock-ahead", self.timing.window_start_ms(ts), ahead_ms)
            }
            Fate::Windowed | Fate::Duplicate | Fate::Invalid | Fate::Replayed => return,
        };
        self.complaint.raise(|| {
            warn!(partition = number, offset, reason, by_ms, "a reading that no window takes");
        });
        // The value of a reading is small; key and headers may be anything that the broker takes.
        let key = message.key().filter(|key| key.len() <= LATE_EXTRA_BYTES_MAX);
        self.late.push(LateReading {
            partition: number,
            offset,
            key: key.map(<[u8]>::to_vec),
            value: payload.to_vec(),
            headers: small_headers(message),
            reason,
            window_start_ms,
            by_ms,
        });
    }

    /// Notes that everything in a partition has been read.
    pub(crate) fn reached_end(&mut self, number: i32) {
        if let Some(owned) = self.partitions.get_mut(&number) {
            owned.silence.reached_end();
        }
    }

    /// Tells whether more may be taken in.
    pub(crate) fn has_room(&self) -> bool {
        let rows = self.partitions.values().map(|owned| owned.partition.rows_waiting());
        rows.sum::<usize>() + self.late.len() < self.rows_waiting_max
    }

    /// Looks at the clock: what was written, what is to be, who is silent.
    pub(crate) fn turn(&mut self, now: Instant) -> Result<(), AnalyticsError> {
        for owned in self.partitions.values_mut() {
            if owned.silence.has_lasted(self.idle_timeout, now) {
                owned.partition.fall_silent();
            }
        }
        match self.writer.done().try_recv() {
            Ok(written) => self.landed(written?),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(AnalyticsError::Ended("writer")),
        }
        if now.saturating_duration_since(self.last_flush) >= self.flush_interval {
            self.flush(now)?;
        }
        Ok(())
    }

    fn landed(&mut self, written: Written) {
        self.statistics.written(written);
        if written.unmerged > 0 {
            let larger_windows = written.unmerged;
            self.unmerged.raise(|| {
                warn!(
                    larger_windows,
                    "not merged, and missing in aggregates_1h: windows that they are made of have \
                     outlived the time to live of aggregates_1m, or are about to"
                );
            });
        }
        let Some(Flight { bookmarks }) = self.flight.take() else { return };
        let landed = bookmarks.into_iter().map(|(number, epoch, mark)| (number, (epoch, mark)));
        self.to_commit.extend(landed);
    }

    /// Hands everything over to the writer, unless it has not written what it was given before.
    fn flush(&mut self, now: Instant) -> Result<(), AnalyticsError> {
        if self.flight.is_some() {
            return Ok(());
        }
        self.last_flush = now;
        let mut work = Work { outcomes: Vec::new(), late: std::mem::take(&mut self.late) };
        let mut bookmarks = Vec::new();
        for (number, owned) in &mut self.partitions {
            let Some((outcome, bookmark)) = owned.partition.take() else { continue };
            if owned.committed != Some(bookmark) {
                bookmarks.push((*number, owned.epoch, bookmark));
            }
            if !outcome.is_empty() {
                work.outcomes.push((*number, outcome));
            }
        }
        if bookmarks.is_empty() && work.outcomes.is_empty() && work.late.is_empty() {
            return Ok(());
        }
        self.writer.write(work)?;
        self.flight = Some(Flight { bookmarks });
        Ok(())
    }

    /// Returns what may be committed by now, and forgets it.
    pub(crate) fn take_commits(&mut self) -> Vec<(i32, Bookmark)> {
        let commits = std::mem::take(&mut self.to_commit).into_iter();
        let mut bookmarks = Vec::with_capacity(commits.len());
        for (number, (epoch, bookmark)) in commits {
            let Some(owned) = self.partitions.get_mut(&number) else { continue };
            if owned.epoch != epoch {
                continue;
            }
            owned.committed = Some(bookmark);
            let counts = bookmark.counts;
            if counts.are_conserved() {
                debug!(partition = number, ?counts, "conserved");
            } else {
                error!(partition = number, ?counts, "records were lost count of, a defect");
            }
            bookmarks.push((number, bookmark));
        }
        bookmarks
    }

    /// Commits have to be repeated.
    pub(crate) fn repeat_commits(&mut self) {
        self.partitions.values_mut().for_each(|owned| owned.committed = None);
    }

    /// Writes everything, as far as time suffices; returns whether it did.
    pub(crate) fn drain(&mut self, deadline: Instant) -> Result<bool, AnalyticsError> {
        if !self.land(deadline)? {
            return Ok(false);
        }
        self.flush(Instant::now())?;
        self.land(deadline)
    }

    /// Waits until nothing is being written; returns whether that came true in time.
    fn land(&mut self, deadline: Instant) -> Result<bool, AnalyticsError> {
        if self.flight.is_some() {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.writer.done().recv_timeout(left) {
                Ok(written) => self.landed(written?),
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Returns the partitions.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.partitions.values().map(|owned| &owned.partition)
    }
}

/// Returns the headers of a record; none where they are too large for the topic of late readings.
fn small_headers(message: &BorrowedMessage<'_>) -> Vec<kafka::Header> {
    let headers = kafka::headers(message).unwrap_or_default();
    let mut bytes = 0;
    for (name, value) in &headers {
        bytes += name.len() + value.as_ref().map_or(0, Vec::len);
    }
    if bytes > LATE_EXTRA_BYTES_MAX { Vec::new() } else { headers }
}

/// What a partition goes on from.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) bookmark: Bookmark,
    pub(crate) known: Vec<Known>,
    pub(crate) provisional: Vec<Alert>,
}

//! One partition during one assignment: its ledger, its open batches and the commit that is under
//! way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::batch::RowBatch;
use super::ledger::{Ledger, NextOffset, RecordOffset};
use super::limits::Buffered;
use super::record::{Content, Record};
use super::site::{Known, Runs, SiteNews, SiteWrite};
use super::{Epoch, Limits};

/// Entries of `due` that may be stale beside one for each open batch.
const DUE_STALE_MAX: usize = 64;

/// Commits in a row for which news may be held back.
const HELD_BACK_MAX: u32 = 4;

/// A commit that waits until the tables kept by site know what they have to before its offset is
/// committed.
#[derive(Clone, Debug)]
struct PendingCommit {
    next: NextOffset,
    site_writes: usize,
}

/// What is gathered about one site.
#[derive(Clone, Debug, Default)]
struct Site {
    open: Vec<RowBatch>,
    news: SiteNews,
}

/// When an open batch has to be written, and which one.
#[derive(Clone, Debug)]
struct Due {
    opened: Instant,
    site_id: Arc<str>,
    bucket_ms: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) epoch: Epoch,
    pub(super) ledger: Ledger,
    sites: FxHashMap<Arc<str>, Site>,
    /// Batches in the order in which they were opened; of those that were full before they were
    /// due, entries are left.
    due: VecDeque<Due>,
    batches_open: usize,
    open: Buffered,
    news: usize,
    /// Commits in a row for which news was held back.
    held_back: u32,
    commit: Option<PendingCommit>,
    committed: Option<NextOffset>,
    commit_after: Instant,
}

impl Lane {
    pub(super) fn new(epoch: Epoch, limits: &Limits, now: Instant) -> Self {
        Self {
            epoch,
            ledger: Ledger::default(),
            sites: FxHashMap::default(),
            due: VecDeque::new(),
            batches_open: 0,
            open: Buffered::default(),
            news: 0,
            held_back: 0,
            commit: None,
            committed: None,
            commit_after: now + limits.commit_interval,
        }
    }

    /// Begins anew under another epoch, as if the partition had just been assigned, and returns the
    /// open batches: their records do not come again.
    pub(super) fn restart(&mut self, epoch: Epoch) -> Vec<RowBatch> {
        self.epoch = epoch;
        self.ledger = Ledger::default();
        self.commit = None;
        self.committed = None;
        self.due.clear();
        (self.batches_open, self.open) = (0, Buffered::default());
        // The offsets of the news mean nothing any more.
        self.held_back = HELD_BACK_MAX;
        self.sites.values_mut().flat_map(|site| site.open.drain(..)).collect()
    }

    /// Notes that a record came in; returns false if this assignment has seen it before.
    pub(super) fn receive(&mut self, offset: RecordOffset) -> bool {
        if self.ledger.prefix().is_none() {
            // This is where Kafka told us to begin: committing it would say nothing new.
            self.committed = Some(NextOffset(offset.0));
        }
        self.ledger.receive(offset)
    }

    /// Adds a row; returns the batch that is full by it.
    pub(super) fn add(
        &mut self,
        record: &Record<'_>,
        content: &Content<'_>,
        known: &mut Known,
        runs: &mut Runs,
        limits: &Limits,
        now: Instant,
    ) -> Option<RowBatch> {
        let (site_id, bucket_ms) = (content.site_id(), content.bucket_ms());
        let site = match self.sites.get_mut(site_id) {
            Some(site) => site,
            None => self.sites.entry(site_id.into()).or_default(),
        };
        if let Content::Reading(reading) = content {
            self.news += site.news.note(reading, record.offset, known, runs);
        }

        let found = site.open.iter().position(|batch| batch.bucket_ms() == bucket_ms);
        let position = found.unwrap_or_else(|| {
            let site_id: Arc<str> = site_id.into();
            self.due.push_back(Due { opened: now, site_id: Arc::clone(&site_id), bucket_ms });
            site.open.push(RowBatch::open(record.stream, site_id, bucket_ms, now));
            self.batches_open += 1;
            site.open.len() - 1
        });
        let batch = &mut site.open[position];
        batch.push(record, content);
        self.open += RowBatch::cost(record);
        let full = batch.len() >= limits.batch_rows_max || batch.bytes() >= limits.batch_bytes_max;
        if !full {
            return None;
        }
        let batch = site.open.swap_remove(position);
        self.open -= batch.held();
        self.batches_open -= 1;
        self.forget_stale();
        Some(batch)
    }

    /// Bounds what is left of batches that were full before they were due (I6): in a backlog all
    /// are, and nobody asks which one is due.
    fn forget_stale(&mut self) {
        if self.due.len() <= 2 * self.batches_open + DUE_STALE_MAX {
            return;
        }
        let sites = &self.sites;
        self.due.retain(|due| {
            let is_it = |batch: &RowBatch| {
                batch.bucket_ms() == due.bucket_ms && batch.opened() == due.opened
            };
            sites.get(&due.site_id).is_some_and(|site| site.open.iter().any(is_it))
        });
    }

    /// Returns when the oldest open batch was opened; it may have been written since.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.due.front().map(|due| due.opened)
    }

    /// Takes out the oldest batch that was opened at `opened` or before.
    pub(super) fn take_due(&mut self, opened: Instant) -> Option<RowBatch> {
        while let Some(due) = self.due.pop_front_if(|due| due.opened <= opened) {
            let Some(site) = self.sites.get_mut(&due.site_id) else {
                continue;
            };
            // A batch that was full in the meantime is gone, or has a younger successor with an
            // entry of its own.
            let position = site.open.iter().position(|batch| {
                batch.bucket_ms() == due.bucket_ms && batch.opened() <= due.opened
            });
            if let Some(position) = position {
                let batch = site.open.swap_remove(position);
                self.open -= batch.held();
                self.batches_open -= 1;
                return Some(batch);
            }
        }
        None
    }

    /// Starts to commit the durable prefix, if there is news and no commit under way.
    ///
    /// Returns what the tables kept by site have to be told first. Their news may run ahead of the
    /// prefix, never behind it: so a committed reading is in `latest`. Where there is a backlog, a
    /// few commits in a row leave out sensors with a newer reading beyond the prefix, which a
    /// replay would bring: nobody waits for values that are old already.
    pub(super) fn start_commit(
        &mut self,
        now: Instant,
        limits: &Limits,
        has_backlog: bool,
    ) -> Option<Vec<SiteWrite>> {
        let next = self.ledger.prefix()?;
        if self.commit.is_some() || self.committed == Some(next) {
            return None;
        }
        self.commit_after = now + limits.commit_interval;
        let hold_back = has_backlog && self.held_back < HELD_BACK_MAX;
        self.held_back = if hold_back { self.held_back + 1 } else { 0 };
        let mut writes = Vec::new();
        self.news = 0;
        self.sites.retain(|site_id, site| {
            site.news.take(site_id, hold_back.then_some(next), &mut writes);
            self.news += site.news.len();
            !site.open.is_empty() || !site.news.is_empty()
        });
        self.commit = Some(PendingCommit { next, site_writes: writes.len() });
        Some(writes)
    }

    /// Notes that one of the commit's writes is durable.
    pub(super) fn site_written(&mut self) {
        if let Some(commit) = &mut self.commit {
            commit.site_writes = commit.site_writes.saturating_sub(1);
        }
    }

    /// Notes that one of the commit's writes was parted into two.
    pub(super) fn site_write_split(&mut self) {
        if let Some(commit) = &mut self.commit {
            commit.site_writes += 1;
        }
    }

    /// Returns the offset to commit now, if all it waited for is durable.
    pub(super) fn take_commit(&mut self) -> Option<NextOffset> {
        let commit = self.commit.take_if(|commit| commit.site_writes == 0)?;
        self.committed = Some(commit.next);
        self.committed
    }

    /// Makes the next commit say again what the last one said.
    pub(super) fn repeat_commit(&mut self) {
        self.committed = None;
    }

    pub(super) fn commit_is_due(&self, now: Instant) -> bool {
        now >= self.commit_after
    }

    /// Tells whether everything received is durable and its offset handed out to be committed.
    pub(super) fn is_settled(&self) -> bool {
        self.ledger.is_drained() && self.commit.is_none() && self.committed == self.ledger.prefix()
    }

    /// Returns what the open batches take.
    pub(super) fn open(&self) -> Buffered {
        self.open
    }

    /// Returns how many sensors have news that is not handed out yet.
    pub(super) fn news(&self) -> usize {
        self.news
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::record::Stream;
    use super::super::tests::{LIMITS, record};
    use super::*;

    /// Takes in a reading of a sensor.
    fn add(lane: &mut Lane, known: &mut Known, offset: u64, sensor: u32, now: Instant) {
        let value = record(1, sensor, offset.cast_signed());
        let record = Record {
            stream: Stream::Readings,
            partition: 0,
            offset: RecordOffset(offset),
            timestamp_ms: None,
            key: None,
            value: Some(&value),
        };
        let content = Content::decode(&record).unwrap();
        assert!(lane.receive(record.offset));
        lane.add(&record, &content, known, &mut Runs::default(), &LIMITS, now);
    }

    #[test]
    fn a_backlog_leaves_nothing_of_full_batches_behind() {
        let now = Instant::now();
        let (mut lane, mut known) = (Lane::new(Epoch(1), &LIMITS, now), Known::default());
        for offset in 0..10_000 {
            add(&mut lane, &mut known, offset, 1, now + Duration::from_micros(offset));
            assert!(lane.due.len() <= 2 + DUE_STALE_MAX + 1, "{} entries", lane.due.len());
        }
        add(&mut lane, &mut known, 10_000, 1, now + Duration::from_secs(1));
        assert_eq!((lane.batches_open, lane.open().rows), (1, 1));
        let due = lane.take_due(now + Duration::from_secs(1)).map(|batch| batch.len());
        assert_eq!((due, lane.batches_open, lane.open()), (Some(1), 0, Buffered::default()));
    }

    /// Commits and returns the sensors that `latest` has to be told of.
    fn commit(lane: &mut Lane, now: Instant, has_backlog: bool) -> Vec<String> {
        let writes = lane.start_commit(now, &LIMITS, has_backlog).unwrap();
        for _ in &writes {
            lane.site_written();
        }
        assert_eq!(lane.take_commit(), lane.ledger.prefix());
        let told = writes.into_iter().flat_map(|write| write.sensors);
        let mut told: Vec<String> = told.map(|(id, _)| id[16..].to_owned()).collect();
        told.sort_unstable();
        told
    }

    #[test]
    fn a_backlog_spares_latest_what_a_replay_would_bring() {
        let now = Instant::now();
        let (mut lane, mut known) = (Lane::new(Epoch(1), &LIMITS, now), Known::default());
        add(&mut lane, &mut known, 0, 1, now);
        add(&mut lane, &mut known, 1, 2, now);
        lane.ledger.complete(RecordOffset(0));
        assert_eq!(commit(&mut lane, now, true), ["01", "02"], "the registry hears of all at once");
        lane.ledger.complete(RecordOffset(1));

        for offset in 2..20 {
            // The third sensor reports once, the others again and again.
            let sensor = if offset == 2 { 3 } else { 1 + u32::from(offset % 2 == 0) };
            add(&mut lane, &mut known, offset, sensor, now);
        }
        let mut told = Vec::new();
        for offset in 2..10 {
            lane.ledger.complete(RecordOffset(offset));
            told.push(commit(&mut lane, now, true).join(" "));
        }
        assert_eq!(told, ["03", "", "", "01 02", "", "", "", ""], "all in each fifth");
        assert_eq!(lane.news(), 0);

        add(&mut lane, &mut known, 20, 1, now);
        add(&mut lane, &mut known, 21, 2, now);
        lane.ledger.complete(RecordOffset(10));
        assert_eq!((commit(&mut lane, now, true).len(), lane.news()), (2, 0), "their turn again");
        add(&mut lane, &mut known, 22, 1, now);
        lane.ledger.complete(RecordOffset(11));
        assert!(commit(&mut lane, now, true).is_empty());
        assert_eq!(lane.news(), 1, "what is held back is kept");
        lane.ledger.complete(RecordOffset(12));
        assert_eq!(commit(&mut lane, now, false), ["01"], "without a backlog nothing is held back");
    }

    #[test]
    fn a_topic_made_anew_brings_nothing_back() {
        let now = Instant::now();
        let (mut lane, mut known) = (Lane::new(Epoch(1), &LIMITS, now), Known::default());
        add(&mut lane, &mut known, 20, 1, now);
        lane.ledger.complete(RecordOffset(20));
        assert_eq!(commit(&mut lane, now, true), ["01"]);
        add(&mut lane, &mut known, 21, 1, now);
        add(&mut lane, &mut known, 22, 1, now);
        lane.ledger.complete(RecordOffset(21));
        assert!(commit(&mut lane, now, true).is_empty(), "a replay would bring the newer one");

        lane.restart(Epoch(2));
        add(&mut lane, &mut known, 0, 2, now);
        lane.ledger.complete(RecordOffset(0));
        assert_eq!(commit(&mut lane, now, true), ["01", "02"], "no replay brings it any more");
    }
}

//! Watches whether the partitions of a group member advance, and names what keeps one from it.
//!
//! Pure: what librdkafka says and the time come in as arguments; what to look into comes out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::Statistics;

/// A partition with records that has not advanced for this long is looked into.
pub const STALLED_AFTER: Duration = Duration::from_secs(10);
/// A partition that has not advanced for this long although there are records, brokers that have
/// not been reachable, or a commit that has not worked, make the process unhealthy.
pub const UNHEALTHY_AFTER: Duration = Duration::from_secs(30);
/// The same for a member that is outside of its group: a rebalance alone may take that long.
pub const OUTSIDE_GROUP_MAX: Duration = Duration::from_mins(1);
/// Time between two looks into the same partition.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// Time between two looks for a topic that does not exist.
const TOPIC_LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How long after an error about records a gap between offsets is not taken on trust.
const SUSPICION: Duration = Duration::from_mins(2);

/// What a look into a partition found at the offset that is read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is no record.
    Empty,
    /// The next record can be read; its offset.
    Readable(u64),
    /// The next record cannot be read, for the reason given.
    Unreadable(String),
}

/// Records that Kafka deleted before they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deleted {
    /// Their partition.
    pub partition: i32,
    /// Offset of the first one.
    pub offset: u64,
    /// How many there were.
    pub records: u64,
}

/// What is known of one assigned partition.
#[derive(Clone, Debug)]
struct Watched {
    /// Offset that is read next; `None` until Kafka says where the partition starts.
    position: Option<u64>,
    /// When the position last moved, or there was no reason why it should.
    advanced: Instant,
    /// First offset that Kafka still has.
    low: Option<u64>,
    /// One past the last record that can be read.
    end: Option<u64>,
    /// Records behind `end` that belong to an open transaction.
    held_back: u64,
    /// Offsets that were skipped, until it is known whether they were deleted.
    gap: Option<(u64, u64)>,
    probe_after: Option<Instant>,
    obstacle: Option<String>,
    /// Offset behind a gap that a look found to be in order.
    confirmed: Option<u64>,
}

impl Watched {
    fn starting(position: Option<u64>, now: Instant) -> Self {
        Self {
            position,
            advanced: now,
            low: None,
            end: None,
            held_back: 0,
            gap: None,
            probe_after: None,
            obstacle: None,
            confirmed: None,
        }
    }

    /// Returns the offset that is read next, the first there is if nothing was read yet.
    fn next(&self) -> Option<u64> {
        self.position.or(self.low)
    }

    /// Returns whether there is something to advance to, as far as is known. While a batch cannot
    /// be read, librdkafka often does not know where the partition ends.
    fn has_records(&self) -> bool {
        let is_behind = self.next().zip(self.end).is_some_and(|(next, end)| next < end);
        is_behind || self.held_back > 0 || self.obstacle.is_some()
    }
}

/// The partitions of one member, its group and its brokers, as far as it can tell.
#[derive(Debug)]
pub struct Monitor {
    topic: String,
    partitions: BTreeMap<i32, Watched>,
    unreachable_since: Option<Instant>,
    outside_since: Option<Instant>,
    uncommitted_since: Option<Instant>,
    commit_error: Option<String>,
    /// Since when the topic is said not to exist, and when that was last asked.
    missing_since: Option<Instant>,
    asked: Option<Instant>,
    /// Latest error that was reported, which may be why a member stays outside of its group.
    reported: Option<String>,
    suspicious_until: Option<Instant>,
}

impl Monitor {
    /// Starts to watch a member that has no partition yet.
    pub fn new(topic: &str, now: Instant) -> Self {
        Self {
            topic: topic.to_owned(),
            partitions: BTreeMap::new(),
            unreachable_since: None,
            outside_since: Some(now),
            uncommitted_since: None,
            commit_error: None,
            missing_since: None,
            asked: None,
            reported: None,
            suspicious_until: None,
        }
    }

    /// Begins to watch partitions, each with the offset that it is read from, if that is known.
    pub fn assigned(&mut self, starts: &[(i32, Option<u64>)], now: Instant) {
        for (partition, start) in starts {
            self.partitions.insert(*partition, Watched::starting(*start, now));
        }
    }

    /// Ends watching partitions.
    pub fn revoked(&mut self, partitions: &[i32]) {
        self.partitions.retain(|partition, _| !partitions.contains(partition));
    }

    /// Takes in what librdkafka says of brokers, group and partitions; returns what turned out to
    /// have been deleted before it was read.
    pub fn statistics(&mut self, statistics: &Statistics, now: Instant) -> Vec<Deleted> {
        let is_reachable = statistics.brokers.values().any(|broker| broker.state == "UP");
        since(&mut self.unreachable_since, !is_reachable, now);
        if let Some(group) = &statistics.cgrp {
            let is_member = group.state == "up" && group.join_state == "steady";
            since(&mut self.outside_since, !is_member, now);
        }
        let Some(topic) = statistics.topics.get(&self.topic) else {
            return Vec::new();
        };
        let mut deleted = Vec::new();
        for (partition, said) in &topic.partitions {
            let Some(watched) = self.partitions.get_mut(partition) else {
                continue;
            };
            if let Ok(low) = u64::try_from(said.lo_offset) {
                watched.low = Some(low);
                deleted.extend(watched.gap.take().and_then(|(from, to)| {
                    let records = low.min(to).saturating_sub(from);
                    let partition = *partition;
                    (records > 0).then_some(Deleted { partition, offset: from, records })
                }));
            }
            // Records of an open transaction are behind the last stable offset and cannot be read.
            let high = u64::try_from(said.hi_offset).ok();
            let stable = u64::try_from(said.ls_offset).ok();
            watched.end = stable.or(high).or(watched.end);
            watched.held_back =
                high.zip(stable).map_or(0, |(high, stable)| high - stable.min(high));
        }
        deleted
    }

    /// Compares where partitions are with where they were; `None` is one without a record so far.
    /// While nothing is taken in, none is expected to advance.
    pub fn observe(
        &mut self,
        positions: impl IntoIterator<Item = (i32, Option<u64>)>,
        is_taking_in: bool,
        now: Instant,
    ) {
        for (partition, position) in positions {
            let Some(watched) = self.partitions.get_mut(&partition) else {
                continue;
            };
            let has_moved = position.is_some() && position != watched.position;
            if has_moved {
                watched.position = position;
                watched.obstacle = None;
                watched.confirmed = None;
            }
            let is_suspected = self.suspicious_until.is_some_and(|until| now < until);
            if has_moved || !is_taking_in || !(watched.has_records() || is_suspected) {
                watched.advanced = now;
            }
        }
    }

    /// Returns the partitions that are worth a look, with the offset to look at.
    pub fn to_probe(&mut self, now: Instant) -> Vec<(i32, u64)> {
        let mut to_probe = Vec::new();
        for (partition, watched) in &mut self.partitions {
            let is_stalled = now.saturating_duration_since(watched.advanced) >= STALLED_AFTER;
            let is_due = watched.probe_after.is_none_or(|after| now >= after);
            if let (true, true, Some(next)) = (is_stalled, is_due, watched.next()) {
                watched.probe_after = Some(now + PROBE_INTERVAL);
                to_probe.push((*partition, next));
            }
        }
        to_probe
    }

    /// Notes what a look at an offset found; returns whether fetching has to be started again: the
    /// record can be read, and yet it did not come.
    pub fn probed(&mut self, partition: i32, offset: u64, finding: &Finding, now: Instant) -> bool {
        let Some(watched) = self.partitions.get_mut(&partition) else {
            return false;
        };
        if watched.next() != Some(offset) {
            return false;
        }
        watched.obstacle = None;
        match finding {
            Finding::Empty if watched.held_back > 0 => {
                let records = watched.held_back;
                let reason = format!("a transaction is open and holds back {records} records");
                watched.obstacle = Some(reason);
            }
            Finding::Empty => watched.advanced = now,
            Finding::Readable(next) => {
                watched.confirmed = Some(*next);
                return true;
            }
            Finding::Unreadable(reason) => watched.obstacle = Some(reason.clone()),
        }
        false
    }

    /// Notes what librdkafka says of an error, in more words than the error itself has.
    pub fn reported(&mut self, error: String) {
        self.reported = Some(error);
    }

    /// Returns what librdkafka said of the latest error.
    pub fn latest_error(&self) -> Option<&str> {
        self.reported.as_deref()
    }

    /// Notes where a partition starts and ends.
    pub fn watermarks(&mut self, partition: i32, low: i64, high: i64) {
        if let Some(watched) = self.partitions.get_mut(&partition) {
            watched.low = u64::try_from(low).ok().or(watched.low);
            watched.end = u64::try_from(high).ok().or(watched.end);
        }
    }

    /// Notes an error about records: from now on gaps are not taken on trust for a while.
    pub fn suspect(&mut self, now: Instant) {
        self.suspicious_until = Some(now + SUSPICION);
    }

    /// Tells whether a gap may be a batch that could not be read, and has to be looked into.
    pub fn is_suspicious(&self, partition: i32, offset: u64, now: Instant) -> bool {
        let confirmed = self.partitions.get(&partition).and_then(|watched| watched.confirmed);
        self.suspicious_until.is_some_and(|until| now < until) && confirmed != Some(offset)
    }

    /// Notes that offsets were skipped: by a transaction, by compaction, or because they are gone.
    pub fn skipped(&mut self, partition: i32, from: u64, to: u64) {
        if let Some(watched) = self.partitions.get_mut(&partition) {
            watched.gap = Some((watched.gap.map_or(from, |(earlier, _)| earlier), to));
        }
    }

    /// Returns the offset that the first record of an assignment is expected at.
    pub fn start(&self, partition: i32) -> Option<u64> {
        self.partitions.get(&partition)?.position
    }

    /// Notes that Kafka says the topic does not exist.
    pub fn topic_is_missing(&mut self, now: Instant) {
        self.missing_since.get_or_insert(now);
    }

    /// Notes that it does exist.
    pub fn topic_was_found(&mut self) {
        (self.missing_since, self.asked) = (None, None);
    }

    /// Tells, every ten seconds, whether to ask if the topic is there again: a member that has no
    /// partition would never hear of it.
    pub fn has_to_look_for_topic(&mut self, now: Instant) -> bool {
        let is_due = self
            .asked
            .is_none_or(|asked| now.saturating_duration_since(asked) >= TOPIC_LOOK_INTERVAL);
        let has_to = self.missing_since.is_some() && is_due;
        if has_to {
            self.asked = Some(now);
        }
        has_to
    }

    /// Notes that a commit is on its way.
    pub fn commit_sent(&mut self, now: Instant) {
        self.uncommitted_since.get_or_insert(now);
    }

    /// Notes how a commit ended.
    pub fn commit_ended(&mut self, failure: Option<String>) {
        if failure.is_none() {
            self.uncommitted_since = None;
        }
        self.commit_error = failure;
    }

    /// Returns how many records are in Kafka and not done, going by up to where partitions are
    /// done; `None` before Kafka said where they end, and of nothing.
    pub fn lag(&self, done: impl Fn(i32) -> Option<u64>) -> Option<u64> {
        let mut lag = None;
        for (partition, watched) in &self.partitions {
            let next = done(*partition).or(watched.next())?;
            let missing = (watched.end? + watched.held_back).saturating_sub(next);
            lag = Some(lag.unwrap_or(0) + missing);
        }
        lag
    }

    /// Returns what keeps the member from its work, if that has lasted too long.
    pub fn impediment(&self, now: Instant) -> Option<String> {
        let age = |since: Option<Instant>| now.saturating_duration_since(since.unwrap_or(now));
        let because = |reason: &Option<String>| {
            reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"))
        };
        let unreachable = age(self.unreachable_since);
        if unreachable >= UNHEALTHY_AFTER {
            return Some(format!("no broker has been reachable for {} s", unreachable.as_secs()));
        }
        let missing = age(self.missing_since);
        if missing >= UNHEALTHY_AFTER {
            let (topic, missing_s) = (&self.topic, missing.as_secs());
            return Some(format!("the topic `{topic}` has not existed for {missing_s} s"));
        }
        let outside = age(self.outside_since);
        if outside >= OUTSIDE_GROUP_MAX {
            let (outside_s, reason) = (outside.as_secs(), because(&self.reported));
            return Some(format!("outside of the consumer group for {outside_s} s{reason}"));
        }
        let uncommitted = age(self.uncommitted_since);
        if uncommitted >= UNHEALTHY_AFTER {
            let reason = because(&self.commit_error);
            return Some(format!("no commit has worked for {} s{reason}", uncommitted.as_secs()));
        }
        self.stalled(now)
    }

    fn stalled(&self, now: Instant) -> Option<String> {
        let mut stalled = Vec::new();
        for (partition, watched) in &self.partitions {
            let stands = now.saturating_duration_since(watched.advanced);
            if stands >= UNHEALTHY_AFTER && watched.has_records() {
                let (offset, stands_s) = (watched.next().unwrap_or(0), stands.as_secs());
                let reason = watched.obstacle.as_deref().unwrap_or("no record comes");
                stalled.push(format!(
                    "partition {partition} of `{}` has stood at offset {offset} for {stands_s} s: \
                     {reason}",
                    self.topic
                ));
            }
        }
        (!stalled.is_empty()).then(|| stalled.join("; "))
    }
}

/// Keeps the time since when something holds.
fn since(held: &mut Option<Instant>, holds: bool, now: Instant) {
    if holds {
        held.get_or_insert(now);
    } else {
        *held = None;
    }
}

#[cfg(test)]
mod tests;

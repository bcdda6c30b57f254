//! Membership in the consumer group: what happens when partitions come and go.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use runtime::kafka::committer::Committer;
use runtime::kafka::member::{OffsetReset, assign_from, partitions_of, start_offsets, unassign};
use runtime::kafka::monitor::Monitor;
use tracing::{info, warn};

use super::membership::Membership;
use crate::engine::Engine;
use crate::error::ConsumerError;
use crate::pipeline::{Commit, Pipeline};
use crate::settings::ConsumerSettings;

/// What librdkafka calls back; always on the thread that polls, so the locks are never fought over.
pub(super) struct Group {
    topic: String,
    engine: Mutex<Engine>,
    monitor: Mutex<Monitor>,
    offset_reset: OffsetReset,
    drain_timeout: Duration,
    membership: Mutex<Membership>,
    reassigned: AtomicBool,
    committer: Committer,
}

impl Group {
    pub(super) fn new(topic: &str, engine: Engine, settings: &ConsumerSettings) -> Self {
        let session_timeout = Duration::from_millis(settings.group.session_timeout_ms.into());
        Self {
            topic: topic.to_owned(),
            engine: Mutex::new(engine),
            monitor: Mutex::new(Monitor::new(topic, Instant::now())),
            offset_reset: settings.group.offset_reset,
            drain_timeout: settings.drain_timeout,
            membership: Mutex::new(Membership::new(session_timeout, Instant::now())),
            reassigned: AtomicBool::new(false),
            committer: Committer::idle(),
        }
    }

    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    pub(super) fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what watches whether partitions advance.
    pub(super) fn monitor(&self) -> MutexGuard<'_, Monitor> {
        self.monitor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that the group is about to be heard.
    pub(super) fn polling(&self, now: Instant) {
        self.membership().polling(now);
    }

    /// Notes that the group took a commit that was sent at `sent`.
    pub(super) fn committed(&self, sent: Instant) {
        self.membership().confirmed(sent);
    }

    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whether partitions came since the last call.
    pub(super) fn take_reassigned(&self) -> bool {
        self.reassigned.swap(false, Ordering::Relaxed)
    }

    pub(super) fn committer(&self) -> &Committer {
        &self.committer
    }

    /// Returns how many records of our partitions are not durable; `None` before Kafka said where
    /// they end.
    pub(super) fn lag(&self, pipeline: &Pipeline) -> Option<u64> {
        self.monitor().lag(|partition| pipeline.durable(partition).map(|next| next.0))
    }

    /// Writes everything that partitions have gathered, forgets them, and returns their last
    /// commits: drain and fence (I1, I4).
    pub(super) fn drain(&self, partitions: &[i32], deadline: Instant) -> Drained {
        // A commit that fails after the drain would be forgotten with the partitions.
        self.committer.wait(deadline);
        let failure = self.committer.take_failure();
        let mut engine = self.engine();
        if let Some(error) = failure {
            warn!("commit failed, trying again: {error}");
            engine.pipeline.repeat_commits();
        }
        let commits = engine.drain(partitions, deadline);
        let is_settled = engine.pipeline.is_settled(partitions);
        let rows_left = engine.pipeline.rows_buffered();
        engine.pipeline.remove(partitions);
        Drained { commits, is_settled, rows_left }
    }

    /// Commits and waits for the end.
    pub(super) fn commit_and_wait(
        &self,
        commits: &[Commit],
        deadline: Instant,
    ) -> Result<(), ConsumerError> {
        let started = Instant::now();
        let not_committed =
            || ConsumerError::NotCommitted { waited_s: started.elapsed().as_secs() };
        if !self.committer.wait(deadline) {
            return Err(not_committed());
        }
        if commits.is_empty() {
            return Ok(());
        }
        self.committer.commit(commit_list(&self.topic, commits)?);
        if !self.committer.wait(deadline) {
            return Err(not_committed());
        }
        self.committer.take_failure().map_or(Ok(()), |error| Err(error.into()))
    }

    /// Lets partitions go: drain, fence, commit; or only fence, if they are lost.
    fn hand_over(&self, consumer: &BaseConsumer<Self>, partitions: &[i32]) {
        let started = Instant::now();
        if consumer.assignment_lost() || self.membership().is_doubtful(started) {
            // Somebody else may own them already: nothing may be committed (I4).
            warn!(?partitions, "partitions lost");
            self.engine().pipeline.remove(partitions);
            return;
        }
        let Drained { commits, is_settled, .. } =
            self.drain(partitions, started + self.drain_timeout);
        if !is_settled {
            warn!(
                ?partitions,
                "partitions handed over with writes under way, they will be repeated"
            );
        }
        if let Err(error) = self.commit_and_wait(&commits, started + 2 * self.drain_timeout) {
            warn!(?partitions, "last commit failed, records will be repeated: {error}");
            // The list may name partitions that stay.
            self.engine().pipeline.repeat_commits();
        }
        let took_ms = started.elapsed().as_millis();
        info!(?partitions, took_ms, "partitions handed over");
    }
}

/// What is left to do for partitions that were drained.
pub(super) struct Drained {
    pub(super) commits: Vec<Commit>,
    /// Whether everything that was taken in is durable.
    pub(super) is_settled: bool,
    /// Rows that are not, of all partitions.
    pub(super) rows_left: usize,
}

impl ClientContext for Group {
    /// Polling tells of the same error once more, in fewer words.
    fn error(&self, _: KafkaError, reason: &str) {
        self.monitor().reported(reason.to_owned());
    }

    fn stats(&self, statistics: Statistics) {
        let deleted = self.monitor().statistics(&statistics, Instant::now());
        for deleted in deleted {
            self.engine().deleted(deleted);
        }
    }
}

impl Group {
    fn assign(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions_of(list, &self.topic);
        let starts = start_offsets(consumer, &self.topic, &partitions, self.offset_reset);
        let now = Instant::now();
        let mut engine = self.engine();
        engine.pipeline.assign(partitions.iter().copied(), now);
        // That partitions come does not end a doubt about the membership: librdkafka may have heard
        // of them before the member stood still.
        self.monitor().assigned(&starts, now);
        let owned = engine.pipeline.partitions().len();
        drop(engine);
        self.reassigned.store(true, Ordering::Relaxed);
        info!(?partitions, owned, "partitions assigned");
        assign_from(consumer, &self.topic, &starts)
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let mut partitions = partitions_of(list, &self.topic);
        self.monitor().revoked(&partitions);
        // A process that leaves has let go of them before.
        let ours = self.engine().pipeline.partitions();
        partitions.retain(|partition| ours.contains(partition));
        if !partitions.is_empty() {
            self.hand_over(consumer, &partitions);
        }
        unassign(consumer, list)
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        kind: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let outcome = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        };
        if let Err(error) = outcome {
            warn!("rebalance failed, waiting for the next: {error}");
        }
    }
}

/// Makes the list that Kafka wants.
pub(super) fn commit_list(topic: &str, commits: &[Commit]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for Commit { partition, next } in commits {
        let next = i64::try_from(next.0).unwrap_or(i64::MAX);
        list.add_partition_offset(topic, *partition, Offset::Offset(next))?;
    }
    Ok(list)
}

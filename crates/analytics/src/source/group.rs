//! Membership in the consumer group: partitions are taken over from what is committed and stored,
//! and let go of without a word.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use domain::Alert;
use domain::partitioner::partition_of;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use runtime::kafka::committer::Committer;
use runtime::kafka::member::{assign_from, partitions_of, unassign};
use runtime::kafka::monitor::Monitor;
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::engine::{Engine, Resumed};
use crate::error::AnalyticsError;
use crate::settings::ServiceSettings;
use crate::statistics::Summary;
use crate::window::{Bookmark, Known};
use crate::writer::Sink;

/// Longest wait for one answer of the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before Kafka is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for a commit under way when partitions are let go of.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);

/// What librdkafka calls back; always on the thread that polls, so the locks are never fought over.
pub(super) struct Group {
    topic: String,
    partitions: u32,
    engine: Mutex<Engine>,
    sink: Arc<Sink>,
    runtime: Handle,
    monitor: Mutex<Monitor>,
    reassigned: AtomicBool,
    failure: Mutex<Option<AnalyticsError>>,
    committer: Committer,
}

impl Group {
    pub(super) fn new(
        settings: &ServiceSettings,
        engine: Engine,
        sink: Arc<Sink>,
        runtime: Handle,
    ) -> Self {
        Self {
            topic: settings.kafka.topic.clone(),
            partitions: settings.kafka.partitions,
            engine: Mutex::new(engine),
            sink,
            runtime,
            monitor: Mutex::new(Monitor::new(&settings.kafka.topic, Instant::now())),
            reassigned: AtomicBool::new(false),
            failure: Mutex::default(),
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

    /// Tells whether partitions came since the last call.
    pub(super) fn take_reassigned(&self) -> bool {
        self.reassigned.swap(false, Ordering::Relaxed)
    }

    /// Returns why a partition could not be taken over.
    pub(super) fn take_failure(&self) -> Option<AnalyticsError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn committer(&self) -> &Committer {
        &self.committer
    }

    /// Says how it goes, if it is time.
    pub(super) fn report(&self, engine: &mut Engine, now: Instant) {
        if !engine.statistics.is_due(now) {
            return;
        }
        let lag = self.monitor().lag(|partition| engine.expected(partition));
        let progress = Summary::of(engine.partitions(), lag);
        engine.statistics.report(now, &progress);
    }

    /// Reads what partitions go on from, and at which offsets; waits for the servers as long as it
    /// takes.
    fn take_over(
        &self,
        consumer: &BaseConsumer<Self>,
        numbers: &[i32],
    ) -> Result<Vec<(i32, Option<u64>)>, AnalyticsError> {
        let mut alerts: Option<Vec<Alert>> = None;
        let mut starts = Vec::with_capacity(numbers.len());
        for number in numbers {
            let resumed = self.resume(consumer, *number, &mut alerts)?;
            let Bookmark { offset, position, watermark_ms, .. } = resumed.bookmark;
            let sensors = resumed.known.len();
            info!(partition = number, offset, position, watermark_ms, sensors, "taken over");
            self.engine().assign(*number, resumed);
            starts.push((*number, Some(offset)));
        }
        Ok(starts)
    }

    fn resume(
        &self,
        consumer: &BaseConsumer<Self>,
        number: i32,
        alerts: &mut Option<Vec<Alert>>,
    ) -> Result<Resumed, AnalyticsError> {
        let bookmark = self.bookmark(consumer, number)?;
        let refused = |change| AnalyticsError::Timing { partition: number, change };
        bookmark.fits(&self.sink.timing).map_err(refused)?;
        let store = &self.sink.store;
        let known = self.runtime.block_on(store.read_states(number))?;
        let all = match alerts {
            Some(all) => all,
            None => alerts.insert(self.runtime.block_on(store.read_provisional())?),
        };
        let is_ours = |alert: &&Alert| {
            let by_key = partition_of(alert.site_id.as_bytes(), self.partitions);
            i64::from(by_key) == i64::from(number)
                || known.iter().any(|Known { site_id, .. }| *site_id == alert.site_id)
        };
        let provisional = all.iter().filter(is_ours).cloned().collect();
        Ok(Resumed { bookmark, known, provisional })
    }

    /// Asks Kafka until it answers.
    fn insist<T>(&self, ask: impl Fn() -> KafkaResult<T>) -> Result<T, AnalyticsError> {
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) => warn!("kafka does not say where to go on, asking again: {error}"),
            }
            if self.sink.is_stopping() {
                return Err(AnalyticsError::Stopped("kafka"));
            }
            thread::sleep(PAUSE);
        }
    }

    fn bookmark(
        &self,
        consumer: &BaseConsumer<Self>,
        number: i32,
    ) -> Result<Bookmark, AnalyticsError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, number);
        let committed =
            self.insist(|| consumer.committed_offsets(asked.clone(), REQUEST_TIMEOUT))?;
        let committed = committed.find_partition(&self.topic, number);
        let Some((offset, metadata)) = committed.and_then(|element| match element.offset() {
            Offset::Offset(offset) => {
                Some((u64::try_from(offset).ok()?, element.metadata().to_owned()))
            }
            _ => None,
        }) else {
            let ask = || consumer.fetch_watermarks(&self.topic, number, REQUEST_TIMEOUT);
            let (low, _) = self.insist(ask)?;
            return Ok(Bookmark::start(u64::try_from(low).unwrap_or(0)));
        };
        Ok(Bookmark::parse(offset, &metadata).unwrap_or_else(|error| {
            warn!(partition = number, offset, "{error}: windows begin at the offset");
            Bookmark::start(offset)
        }))
    }
}

impl ClientContext for Group {
    /// Polling tells of the same error once more, in fewer words. The end of a partition is none.
    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::PartitionEOF) {
            self.monitor().reported(reason.to_owned());
        }
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
        let numbers = partitions_of(list, &self.topic);
        let starts = match self.take_over(consumer, &numbers) {
            Ok(starts) => starts,
            Err(error) => {
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                // The process is about to end, but a rebalance without an answer would hold it up.
                return consumer.incremental_assign(list);
            }
        };
        self.monitor().assigned(&starts, Instant::now());
        self.reassigned.store(true, Ordering::Relaxed);
        let owned = self.engine().numbers().len();
        info!(partitions = ?numbers, owned, "partitions assigned");
        assign_from(consumer, &self.topic, &starts)
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let numbers = partitions_of(list, &self.topic);
        self.monitor().revoked(&numbers);
        // What is committed later would be read by nobody, and could be older.
        self.engine().remove(&numbers);
        if !self.committer.wait(Instant::now() + COMMIT_TIMEOUT) {
            warn!("a commit is still under way while partitions are let go of");
        }
        info!(partitions = ?numbers, "partitions let go of");
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

/// Makes the list that Kafka wants: offsets, and bookmarks as their metadata.
pub(super) fn commit_list(
    topic: &str,
    commits: &[(i32, Bookmark)],
) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (number, bookmark) in commits {
        let offset = Offset::Offset(i64::try_from(bookmark.offset).unwrap_or(i64::MAX));
        let mut element = list.add_partition(topic, *number);
        element.set_offset(offset)?;
        element.set_metadata(bookmark.metadata());
    }
    Ok(list)
}

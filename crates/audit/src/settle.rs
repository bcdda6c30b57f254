//! Waits until a consumer group has stored everything that was in its topic when it was asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use runtime::Shutdown;
use runtime::kafka::Complaint;
use tracing::{info, warn};

use crate::error::AuditError;
use crate::settings::AuditSettings;

/// Longest wait for one answer of the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two looks at the committed offsets.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The span of offsets that a partition held when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    partition: i32,
    low: i64,
    high: i64,
}

/// How much of a partition is not yet stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lag {
    partition: i32,
    records: i64,
}

/// What the wait is for, as far as it is known.
enum State {
    Unknown(String),
    Lagging(Vec<Lag>),
    Settled,
}

/// How long there may be no progress.
struct Patience {
    timeout: Duration,
    deadline: Instant,
    least_records: i64,
}

impl Patience {
    fn new(timeout: Duration, now: Instant) -> Self {
        Self { timeout, deadline: now + timeout, least_records: i64::MAX }
    }

    /// Tells whether nothing more was stored for too long.
    fn is_over(&mut self, state: &State, now: Instant) -> bool {
        if let State::Lagging(lags) = state {
            let records = lags.iter().map(|lag| lag.records).sum();
            if records < self.least_records {
                self.least_records = records;
                self.deadline = now + self.timeout;
            }
        }
        now >= self.deadline
    }
}

/// A topic, and the group that stores what is in it.
#[derive(Clone, Debug)]
pub(crate) struct Consumers {
    topic: String,
    group: String,
}

impl Consumers {
    /// Those of the readings.
    pub(crate) fn of_readings(settings: &AuditSettings) -> Self {
        Self { topic: settings.kafka.topic.clone(), group: settings.group_id.clone() }
    }

    /// Those of the events.
    pub(crate) fn of_events(settings: &AuditSettings) -> Self {
        let group = format!("{}-events", settings.group_id);
        Self { topic: settings.events_topic.clone(), group }
    }
}

/// Waits as long as there is progress, and no longer than the settings allow where there is none;
/// returns whether all was stored, and says what was not.
pub(crate) async fn settle(
    settings: &AuditSettings,
    consumers: &Consumers,
    shutdown: &Shutdown,
) -> Result<bool, AuditError> {
    let Consumers { topic, group } = consumers;
    let mut config = settings.kafka.client("sensorium-audit");
    // Named, but never joined: the group's own members are left in peace.
    config.set("group.id", group);
    let consumer: BaseConsumer = config.create().map_err(AuditError::KafkaClient)?;
    let consumer = Arc::new(consumer);
    let mut patience = Patience::new(settings.settle_timeout, Instant::now());
    let mut progress = Complaint::default();
    let mut extents: Option<Arc<Vec<Extent>>> = None;
    loop {
        let (asked, name, known) = (Arc::clone(&consumer), topic.clone(), extents.clone());
        let answer = tokio::task::spawn_blocking(move || look(&asked, &name, known)).await;
        let state = match answer {
            Ok(Ok((found, lags))) => {
                extents = Some(found);
                if lags.is_empty() { State::Settled } else { State::Lagging(lags) }
            }
            Ok(Err(error)) => State::Unknown(error.to_string()),
            Err(error) => State::Unknown(error.to_string()),
        };
        if let State::Settled = state {
            info!(topic, group, "the consumers have stored all that was in the topic");
            return Ok(true);
        }
        let timeout_s = settings.settle_timeout.as_secs();
        if patience.is_over(&state, Instant::now()) {
            let lagging = describe(&state);
            warn!(
                topic,
                group, timeout_s, lagging, "the consumers are not done, auditing all the same"
            );
            return Ok(false);
        }
        progress.raise(|| {
            let lagging = describe(&state);
            info!(topic, group, timeout_s, lagging, "waiting for the consumers to store the topic");
        });
        if shutdown.stopped_within(POLL_INTERVAL).await {
            return Err(AuditError::Stopped);
        }
    }
}

/// Compares the committed offsets with the extents, which are looked up the first time.
fn look(
    consumer: &BaseConsumer,
    topic: &str,
    known: Option<Arc<Vec<Extent>>>,
) -> Result<(Arc<Vec<Extent>>, Vec<Lag>), KafkaError> {
    let extents = match known {
        Some(extents) => extents,
        None => Arc::new(extents_of(consumer, topic)?),
    };
    let mut wanted = TopicPartitionList::new();
    for extent in extents.iter() {
        wanted.add_partition(topic, extent.partition);
    }
    let answer = consumer.committed_offsets(wanted, REQUEST_TIMEOUT)?;
    let mut committed = Vec::new();
    for element in answer.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            committed.push((element.partition(), offset));
        }
    }
    let lags = lags_of(&extents, &committed);
    Ok((extents, lags))
}

fn extents_of(consumer: &BaseConsumer, topic: &str) -> Result<Vec<Extent>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_TIMEOUT)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let unknown = RDKafkaErrorCode::UnknownTopicOrPartition;
    let found = found.ok_or(KafkaError::MetadataFetch(unknown))?;
    if let Some(error) = found.error() {
        return Err(KafkaError::MetadataFetch(error.into()));
    }
    let extent = |partition: i32| {
        let (low, high) = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT)?;
        Ok(Extent { partition, low, high })
    };
    found.partitions().iter().map(|partition| extent(partition.id())).collect()
}

/// Returns the partitions with records between the committed offset and the end; one without a
/// committed offset is read from its beginning.
fn lags_of(extents: &[Extent], committed: &[(i32, i64)]) -> Vec<Lag> {
    let lag = |extent: &Extent| {
        let own = committed.iter().find(|(partition, _)| *partition == extent.partition);
        let next = own.map_or(extent.low, |(_, offset)| extent.low.max(*offset));
        Lag { partition: extent.partition, records: extent.high - next }
    };
    extents.iter().map(lag).filter(|lag| lag.records > 0).collect()
}

fn describe(state: &State) -> String {
    match state {
        State::Settled => "nothing".into(),
        State::Unknown(error) => format!("unknown: {error}"),
        State::Lagging(lags) => {
            let lags =
                lags.iter().map(|lag| format!("partition {} by {}", lag.partition, lag.records));
            lags.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXTENTS: [Extent; 3] = [
        Extent { partition: 0, low: 0, high: 100 },
        Extent { partition: 1, low: 40, high: 100 },
        Extent { partition: 2, low: 7, high: 7 },
    ];

    #[test]
    fn the_wait_goes_on_while_there_is_progress() {
        let lagging = |records| State::Lagging(vec![Lag { partition: 0, records }]);
        let unknown = State::Unknown("no answer".into());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut patience = Patience::new(Duration::from_secs(10), start);
        assert!(!patience.is_over(&lagging(9), at(9)));
        assert!(!patience.is_over(&lagging(8), at(18)));
        assert!(!patience.is_over(&lagging(9), at(27)), "8 were left at 18 s");
        assert!(!patience.is_over(&unknown, at(27)));
        assert!(patience.is_over(&lagging(8), at(28)));
        let mut unheard = Patience::new(Duration::from_secs(10), start);
        assert!(unheard.is_over(&unknown, at(10)));
    }

    #[test]
    fn nothing_lags_once_the_end_is_committed() {
        assert_eq!(lags_of(&EXTENTS, &[(0, 100), (1, 105)]), []);
    }

    #[test]
    fn what_is_not_committed_lags_by_what_is_still_in_the_topic() {
        let lags = lags_of(&EXTENTS, &[(0, 99), (1, 3)]);
        assert_eq!(describe(&State::Lagging(lags)), "partition 0 by 1, partition 1 by 60");
        let never = lags_of(&EXTENTS, &[]);
        assert_eq!(describe(&State::Lagging(never)), "partition 0 by 100, partition 1 by 60");
    }
}

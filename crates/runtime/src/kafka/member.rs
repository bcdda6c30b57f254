//! What every member of a consumer group does the same way: its configuration, where partitions
//! start, records that do not follow each other, and the errors that it waits out.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Deserialize;
use tracing::{error, warn};

use super::monitor::Monitor;
use super::probe::is_about_records;
use super::{Complaint, KafkaSettings, REQUEST_TIMEOUT};
use crate::settings::{Reader, Setting};

/// Most compressed bytes of a partition in one answer of a broker.
///
/// An answer is unpacked as a whole, whatever room the queue has (librdkafka#2076): with the
/// default, 1 MiB, a backlog in twelve partitions took a consumer 337 MiB; with this 165 MiB, as
/// fast.
const FETCH_BYTES_MAX: u32 = 64 * 1024;
/// Longest time between two reports of librdkafka, which say where partitions end.
const STATISTICS_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// Longest wait for whether a topic exists: the member does nothing else meanwhile.
const TOPIC_LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// How often, and how long, Kafka is asked where partitions start before that is left to
/// librdkafka. The member does nothing else meanwhile.
const START_ATTEMPTS: usize = 3;
const START_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads how long a member may be silent.
pub fn read_session_timeout_ms(reader: &mut Reader) -> u32 {
    reader.number(
        Setting {
            name: "KAFKA_SESSION_TIMEOUT_MS",
            default: "10000",
            unit: "ms",
            meaning: "Silence after which the group gives a member's partitions away",
        },
        6_000..=1_800_000,
    )
}

/// A member that commits offsets itself.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Name of the client.
    pub client_id: &'a str,
    /// The group.
    pub group_id: &'a str,
    /// Silence after which the group gives its partitions away.
    pub session_timeout_ms: u32,
    /// Records fetched ahead, in memory.
    pub fetch_queue_kib: u32,
    /// Time between two progress lines, each of which needs a report of librdkafka.
    pub progress_interval: Duration,
}

impl Member<'_> {
    /// Returns the configuration of its client.
    pub fn config(&self, kafka: &KafkaSettings) -> ClientConfig {
        let statistics_interval = self.progress_interval.min(STATISTICS_INTERVAL_MAX);
        let mut config = kafka.client(self.client_id);
        config
            .set("group.id", self.group_id)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", self.session_timeout_ms.to_string())
            // A member hears of a rebalance with its next heartbeat: partitions rest until then.
            .set("heartbeat.interval.ms", (self.session_timeout_ms / 20).to_string())
            // I1: only the member itself knows what may be committed.
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("queued.max.messages.kbytes", self.fetch_queue_kib.to_string())
            .set("fetch.message.max.bytes", FETCH_BYTES_MAX.to_string())
            // The default waits a second before it fetches again after the queue was full.
            .set("fetch.queue.backoff.ms", "20")
            .set("check.crcs", "true")
            // Where the committed offset is gone. A group without one starts at `start_offsets`.
            .set("auto.offset.reset", "earliest")
            .set("statistics.interval.ms", statistics_interval.as_millis().to_string());
        config
    }
}

/// Returns the partitions of a topic in a list.
pub fn partitions_of(list: &TopicPartitionList, topic: &str) -> Vec<i32> {
    list.elements_for_topic(topic).iter().map(TopicPartitionListElem::partition).collect()
}

/// Where a group without a committed offset starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OffsetReset {
    /// At the first record that Kafka still has.
    Earliest,
    /// Behind the last one.
    Latest,
}

/// Returns where each of the partitions that are being assigned is read from; `None` where Kafka
/// does not say, which leaves it to librdkafka.
///
/// librdkafka's own `auto.offset.reset` knows no difference between a new group and a new partition
/// of a topic that grew: with `latest`, what came before the partition was noticed would be lost.
pub fn start_offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: &[i32],
    reset: OffsetReset,
) -> Vec<(i32, Option<u64>)> {
    let deadline = Instant::now() + START_TIMEOUT;
    let ask = || -> KafkaResult<Vec<(i32, Option<u64>)>> {
        let committed = committed(consumer, topic, partitions, deadline)?;
        let mut starts = Vec::with_capacity(partitions.len());
        let mut is_known_group = None;
        for (partition, offset) in committed {
            let start = if let Some(offset) = offset {
                offset
            } else {
                let (low, high) =
                    consumer.fetch_watermarks(topic, partition, request_timeout(deadline))?;
                let from_the_end = reset == OffsetReset::Latest && {
                    let is_known = match is_known_group {
                        Some(is_known) => is_known,
                        None => *is_known_group.insert(has_committed(consumer, topic, deadline)?),
                    };
                    !is_known
                };
                u64::try_from(if from_the_end { high } else { low }).unwrap_or(0)
            };
            starts.push((partition, Some(start)));
        }
        Ok(starts)
    };
    for _ in 0..START_ATTEMPTS {
        match ask() {
            Ok(starts) => return starts,
            Err(error) => warn!("kafka does not say where partitions start, asking again: {error}"),
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    partitions.iter().map(|partition| (*partition, None)).collect()
}

/// Returns the longest wait for an answer that may still come in time.
fn request_timeout(deadline: Instant) -> Duration {
    // Without any, a request would not even be sent.
    let left = deadline.saturating_duration_since(Instant::now());
    left.clamp(Duration::from_millis(100), REQUEST_TIMEOUT)
}

/// Returns what the group has committed for partitions.
fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: &[i32],
    deadline: Instant,
) -> KafkaResult<Vec<(i32, Option<u64>)>> {
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(asked, request_timeout(deadline))?;
    let mut offsets = Vec::with_capacity(partitions.len());
    for element in committed.elements_for_topic(topic) {
        element.error()?;
        let offset = element.offset().to_raw().and_then(|offset| u64::try_from(offset).ok());
        offsets.push((element.partition(), offset));
    }
    Ok(offsets)
}

/// Tells whether the group has ever committed anything for the topic.
fn has_committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    deadline: Instant,
) -> KafkaResult<bool> {
    let metadata = consumer.fetch_metadata(Some(topic), request_timeout(deadline))?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = found.map_or(&[][..], |found| found.partitions());
    let partitions: Vec<i32> = partitions.iter().map(MetadataPartition::id).collect();
    let committed = committed(consumer, topic, &partitions, deadline)?;
    Ok(committed.iter().any(|(_, offset)| offset.is_some()))
}

/// Assigns partitions on top of those there are, each from its offset.
pub fn assign_from<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    starts: &[(i32, Option<u64>)],
) -> KafkaResult<()> {
    let mut list = TopicPartitionList::new();
    for (partition, start) in starts {
        let start = start.and_then(|start| i64::try_from(start).ok());
        let start = start.map_or(Offset::Stored, Offset::Offset);
        list.add_partition_offset(topic, *partition, start)?;
    }
    consumer.incremental_assign(&list)
}

/// Takes partitions out of the assignment; outside of a group, all of them.
pub fn unassign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

/// Closes the client of a member, by which it leaves the group.
///
/// While brokers do not answer the client waits for them, a minute or for good. It is left to that
/// at the deadline: the group then notices after the session timeout that the member is gone.
pub fn close<C: ConsumerContext + 'static>(consumer: Arc<BaseConsumer<C>>, deadline: Instant) {
    let (sender, closed) = sync_channel(1);
    let close = move || {
        drop(consumer);
        // Nobody waits any more if it took too long.
        let _late = sender.send(());
    };
    // Where there is no thread for it, the client is closed here and now.
    let _thread = thread::Builder::new().name("close".into()).spawn(close);
    let left = deadline.saturating_duration_since(Instant::now());
    if let Err(RecvTimeoutError::Timeout) = closed.recv_timeout(left) {
        warn!("kafka did not confirm in time that this member leaves the group, leaving anyway");
    }
}

/// What a record at another offset than the expected one means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// It is the next one: the offsets between were never records, or are gone.
    Next,
    /// The partition was truncated, or is another one of the same name: it starts with this record.
    Restart,
    /// It is not the next one, and is fetched once more after those that are.
    NotNext,
}

/// Decides about a record that is not at the offset expected, and makes Kafka send what is.
///
/// After a batch with a wrong checksum librdkafka goes on at an arbitrary place: it may skip
/// batches, or ask for an offset that does not exist and then read the partition from its start.
pub fn judge_jump<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    monitor: &mut Monitor,
    topic: &str,
    (partition, expected, found): (i32, u64, u64),
    now: Instant,
) -> Jump {
    let is_ahead = found > expected;
    if is_ahead && !monitor.is_suspicious(partition, found, now) {
        monitor.skipped(partition, expected, found);
        return Jump::Next;
    }
    let watermarks = consumer.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
    if let Ok((low, high)) = watermarks {
        monitor.watermarks(partition, low, high);
    }
    match watermarks {
        Ok((low, _)) if is_ahead && u64::try_from(low).is_ok_and(|low| low >= found) => {
            monitor.skipped(partition, expected, found);
            return Jump::Next;
        }
        Ok((_, high)) if !is_ahead && u64::try_from(high).is_ok_and(|high| high < expected) => {
            return Jump::Restart;
        }
        Ok(_) => {}
        Err(error) => warn!(partition, expected, found, "offsets do not follow: {error}"),
    }
    refetch(consumer, topic, partition, expected);
    Jump::NotNext
}

/// Makes Kafka send a partition from an offset on.
pub fn refetch<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    offset: u64,
) {
    let position = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
    // Without a wait, since the answer would only come with the next poll.
    if let Err(error) = consumer.seek(topic, partition, position, Duration::ZERO) {
        warn!(partition, offset, "the partition cannot be fetched from there yet: {error}");
    }
}

/// Decides about an error of a poll: most tell of an outage that librdkafka waits out by itself.
pub fn outlive(
    error: KafkaError,
    monitor: &mut Monitor,
    complaint: &mut Complaint,
) -> Result<(), KafkaError> {
    if let KafkaError::MessageConsumptionFatal(code) = &error {
        error!("kafka client cannot go on: {code}");
        return Err(error);
    }
    if is_about_records(&error) {
        monitor.suspect(Instant::now());
    }
    if is_missing(error.rdkafka_error_code()) {
        monitor.topic_is_missing(Instant::now());
    }
    let (details, advice) = (monitor.latest_error(), advice(&error));
    complaint.raise(|| warn!(details, advice, "kafka reports an error, trying again: {error}"));
    Ok(())
}

fn is_missing(code: Option<RDKafkaErrorCode>) -> bool {
    matches!(code, Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic))
}

/// Asks whether a topic that was said to be missing is there again.
pub fn look_for_topic<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    monitor: &mut Monitor,
    topic: &str,
    now: Instant,
) {
    if !monitor.has_to_look_for_topic(now) {
        return;
    }
    let metadata = consumer.fetch_metadata(Some(topic), TOPIC_LOOK_TIMEOUT);
    if let Ok(metadata) = metadata
        && let [found] = metadata.topics()
        && found.error().is_none()
    {
        monitor.topic_was_found();
    }
}

/// Returns what to do about an error, where that is not in its name.
fn advice(error: &KafkaError) -> Option<&'static str> {
    let advice = match error.rdkafka_error_code()? {
        RDKafkaErrorCode::InconsistentGroupProtocol => {
            "another program with another assignment strategy is in the consumer group: give this \
             one a group of its own"
        }
        RDKafkaErrorCode::GroupAuthorizationFailed => "allow this user to read in the group",
        RDKafkaErrorCode::TopicAuthorizationFailed => "allow this user to read the topic",
        RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
            "the topic does not exist any more: create it again, reading goes on by itself"
        }
        RDKafkaErrorCode::NotImplemented | RDKafkaErrorCode::UnsupportedCompressionType => {
            "a batch has a codec or a format that this client does not know"
        }
        RDKafkaErrorCode::AllBrokersDown
        | RDKafkaErrorCode::BrokerTransportFailure
        | RDKafkaErrorCode::Resolve => "wait, or correct KAFKA_BOOTSTRAP_SERVERS",
        _ => return None,
    };
    Some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_in_the_group_are_named() {
        let of = |code| advice(&KafkaError::MessageConsumption(code));
        let strangers = of(RDKafkaErrorCode::InconsistentGroupProtocol).unwrap();
        assert!(strangers.contains("another program"), "{strangers}");
        assert_eq!(of(RDKafkaErrorCode::QueueFull), None);
    }
}

//! What every member of a consumer group does the same way: its configuration, the lag, and the
//! errors that it waits out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientConfig, TopicPartitionList};
use tracing::{error, warn};

use super::{Complaint, KafkaSettings};
use crate::settings::{Reader, Setting};

/// Most compressed bytes of a partition in one answer of a broker.
///
/// An answer is unpacked as a whole, whatever room the queue has (librdkafka#2076): with the
/// default, 1 MiB, a backlog in twelve partitions took a consumer 337 MiB; with this 165 MiB, as
/// fast.
const FETCH_BYTES_MAX: u32 = 64 * 1024;

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
    /// Time between two reports of librdkafka, which say where partitions end.
    pub statistics_interval: Duration,
}

impl Member<'_> {
    /// Returns the configuration of its client.
    pub fn config(&self, kafka: &KafkaSettings) -> ClientConfig {
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
            .set("statistics.interval.ms", self.statistics_interval.as_millis().to_string());
        config
    }
}

/// Returns the partitions of a topic in a list.
pub fn partitions_of(list: &TopicPartitionList, topic: &str) -> Vec<i32> {
    list.elements_for_topic(topic).iter().map(TopicPartitionListElem::partition).collect()
}

/// One past the last record of each partition, as librdkafka last heard.
#[derive(Debug, Default)]
pub struct HighWatermarks {
    ends: Mutex<BTreeMap<i32, u64>>,
}

impl HighWatermarks {
    /// Notes what librdkafka says of a topic.
    pub fn note(&self, statistics: &Statistics, topic: &str) {
        let Some(topic) = statistics.topics.get(topic) else {
            return;
        };
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, partition) in &topic.partitions {
            if let Ok(end) = u64::try_from(partition.hi_offset) {
                ends.insert(*number, end);
            }
        }
    }

    /// Returns how many records lie between the given offsets and the ends; `None` before Kafka
    /// said where they are, and of nothing.
    pub fn lag(&self, offsets: impl IntoIterator<Item = (i32, Option<u64>)>) -> Option<u64> {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let lags = offsets
            .into_iter()
            .map(|(number, offset)| Some(ends.get(&number)?.saturating_sub(offset?)));
        let lags: Option<Vec<u64>> = lags.collect();
        lags.filter(|lags| !lags.is_empty()).map(|lags| lags.iter().sum())
    }
}

/// Decides about an error of a poll: most are news about an outage that librdkafka waits out by
/// itself.
pub fn outlive(error: KafkaError, complaint: &mut Complaint) -> Result<(), KafkaError> {
    if let KafkaError::MessageConsumptionFatal(code) = &error {
        error!("kafka client cannot go on: {code}");
        return Err(error);
    }
    complaint.raise(|| warn!("kafka does not answer, trying again: {error}"));
    Ok(())
}

//! A topic from a test's own clients.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::BaseProducer;
use rdkafka::topic_partition_list::Offset;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Pause before a lookup is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Reads every record that is in the topic now; none if there is no such topic.
pub fn read(bootstrap_servers: &str, topic: &str) -> Result<Vec<OwnedMessage>> {
    let consumer = onlooker(bootstrap_servers)?;
    let mut ends = BTreeMap::new();
    let mut list = TopicPartitionList::new();
    for (partition, (low, high)) in extents(&consumer, topic)? {
        if low < high {
            ends.insert(partition, high);
            list.add_partition_offset(topic, partition, Offset::Offset(low))?;
        }
    }
    consumer.assign(&list)?;
    let mut messages = Vec::new();
    let deadline = Instant::now() + TIMEOUT;
    while !ends.is_empty() {
        ensure!(Instant::now() < deadline, "{topic} is not read to its end within {TIMEOUT:?}");
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        let (partition, next) = (message.partition(), message.offset() + 1);
        let Some(end) = ends.get(&partition) else { continue };
        let (end, wanted) = (*end, next <= *end);
        if next >= end {
            ends.remove(&partition);
        }
        if wanted {
            messages.push(message.detach());
        }
    }
    Ok(messages)
}

/// Counts the records that are in the topic now.
pub fn count(bootstrap_servers: &str, topic: &str) -> Result<u64> {
    let extents = extents(&onlooker(bootstrap_servers)?, topic)?;
    Ok(extents.values().map(|(low, high)| (high - low).cast_unsigned()).sum())
}

/// Makes a client that sends records as a stranger would.
pub fn producer(bootstrap_servers: &str) -> KafkaResult<BaseProducer> {
    ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create()
}

fn onlooker(bootstrap_servers: &str) -> KafkaResult<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", "looking-on")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .create()
}

/// Looks up where each partition begins and ends.
fn extents(consumer: &BaseConsumer, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let found = metadata.topics().iter().filter(|found| found.error().is_none());
    let mut extents = BTreeMap::new();
    for partition in found.flat_map(MetadataTopic::partitions) {
        extents.insert(partition.id(), watermarks(consumer, topic, partition.id())?);
    }
    Ok(extents)
}

/// Looks up where a partition begins and ends; the leader of a new one may have yet to learn of it.
fn watermarks(consumer: &BaseConsumer, topic: &str, partition: i32) -> KafkaResult<(i64, i64)> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match consumer.fetch_watermarks(topic, partition, left) {
            Err(KafkaError::MetadataFetch(code))
                if code == RDKafkaErrorCode::NotLeaderForPartition && !left.is_zero() =>
            {
                thread::sleep(RETRY_PAUSE);
            }
            settled => return settled,
        }
    }
}

/// Returns the text of a header; `None` if there is no such header.
pub fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == name)?;
    Some(String::from_utf8_lossy(header.value?).into_owned())
}

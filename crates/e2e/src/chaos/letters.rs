//! Reads the dead-letter topic from end to end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::dead_letter::{OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for the whole topic.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// Partition of the record that it stands for.
    pub(super) partition: i32,
    /// Its offset.
    pub(super) offset: i64,
    /// Name of the reason.
    pub(super) reason: String,
}

/// Reads all dead letters; none if there is no such topic.
pub(super) fn read(bootstrap_servers: &str, topic: &str) -> Result<Vec<Letter>> {
    let kafka: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", "chaos-letters")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .create()?;
    let metadata = kafka.fetch_metadata(Some(topic), PATIENCE)?;
    let topics = metadata.topics().iter().filter(|found| found.error().is_none());
    let mut ends = BTreeMap::new();
    let mut wanted = TopicPartitionList::new();
    for partition in topics.flat_map(rdkafka::metadata::MetadataTopic::partitions) {
        let (low, high) = kafka.fetch_watermarks(topic, partition.id(), PATIENCE)?;
        if low < high {
            ends.insert(partition.id(), high);
            wanted.add_partition_offset(topic, partition.id(), Offset::Offset(low))?;
        }
    }
    kafka.assign(&wanted)?;
    let deadline = Instant::now() + READ_TIMEOUT;
    let mut letters = Vec::new();
    while !ends.is_empty() {
        ensure!(Instant::now() < deadline, "topic {topic} is not read within {READ_TIMEOUT:?}");
        let Some(message) = kafka.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        letters.push(letter(&message)?);
        if ends.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            ends.remove(&message.partition());
        }
    }
    Ok(letters)
}

fn letter(message: &BorrowedMessage<'_>) -> Result<Letter> {
    let headers = message.headers().context("a dead letter has headers")?;
    let text = |name: &str| {
        let header = headers.iter().find(|header| header.key == name);
        let value = header.and_then(|header| header.value);
        let value = value.with_context(|| format!("a dead letter has the header {name}"))?;
        Ok::<_, anyhow::Error>(std::str::from_utf8(value)?.to_owned())
    };
    Ok(Letter {
        partition: text(PARTITION_HEADER)?.parse().context("a partition is a number")?,
        offset: text(OFFSET_HEADER)?.parse().context("an offset is a number")?,
        reason: text(REASON_HEADER)?,
    })
}

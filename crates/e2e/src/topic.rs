//! A look at a topic from a test's own client.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::ClientConfig;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::topic_partition_list::Offset;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads every record that is in the topic now, partition by partition.
pub fn read(bootstrap_servers: &str, topic: &str) -> Result<Vec<OwnedMessage>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("group.id", "looking-on")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let partitions = metadata.topics().first().context("the topic is known")?.partitions();
    ensure!(!partitions.is_empty(), "topic {topic} does not exist");
    let mut messages = Vec::new();
    for partition in partitions {
        let (start, end) = consumer.fetch_watermarks(topic, partition.id(), TIMEOUT)?;
        if start < end {
            read_partition(&consumer, topic, partition.id(), end, &mut messages)?;
        }
    }
    Ok(messages)
}

fn read_partition(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    end: i64,
    messages: &mut Vec<OwnedMessage>,
) -> Result<()> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Beginning)?;
    consumer.assign(&list)?;
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                messages.push(message.detach());
                if message.offset() + 1 >= end {
                    return Ok(());
                }
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(Err(error)) => return Err(error.into()),
        }
    }
    anyhow::bail!("partition {partition} of {topic} is not read to its end within {TIMEOUT:?}")
}

/// Returns the text of a header; `None` if there is no such header.
pub fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let header = headers.iter().find(|header| header.key == name)?;
    Some(String::from_utf8_lossy(header.value?).into_owned())
}

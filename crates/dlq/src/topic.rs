//! The dead-letter topic: what waits in it, its records in order, and how far it has been sent
//! back.
//!
//! The consumer group is only named, never joined: its offsets are read and written, and two
//! programs at once disturb each other in nothing but these.

use std::thread;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataPartition;
use rdkafka::topic_partition_list::Offset;
use rdkafka::{Message, TopicPartitionList};
use runtime::Shutdown;
use runtime::kafka::client;
use tracing::{debug, warn};

use crate::client::Voice;
use crate::error::DlqError;
use crate::record::Record;
use crate::settings::CommonSettings;

/// Longest wait for one answer of the brokers.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a record, and so how long it takes to notice a stop.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Pause before a request is repeated.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What a partition held when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) partition: i32,
    /// Offset of the oldest record.
    pub(crate) low: i64,
    /// Offset behind the newest record.
    pub(crate) high: i64,
    /// Where the group has come to, if it has ever been here.
    pub(crate) committed: Option<i64>,
}

impl Extent {
    /// Returns where what waits begins.
    pub(crate) fn waiting_from(&self) -> i64 {
        match self.committed {
            Some(committed) if !self.is_another_topics(committed) => committed.max(self.low),
            _ => self.low,
        }
    }

    /// An offset behind the end was committed for a topic of the same name that is gone.
    fn is_another_topics(&self, committed: i64) -> bool {
        committed > self.high
    }
}

/// The topic, as one consumer sees it.
pub(crate) struct DeadLetters {
    consumer: BaseConsumer<Voice>,
    topic: String,
    group_id: String,
    shutdown: Shutdown,
}

impl DeadLetters {
    /// Makes the client; it connects in the background.
    pub(crate) fn open(settings: &CommonSettings, shutdown: &Shutdown) -> Result<Self, DlqError> {
        let consumer = client(&settings.bootstrap_servers, "sensorium-dlq")
            .set("group.id", &settings.group_id)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // The end of a partition may be a gap that no record tells of.
            .set("enable.partition.eof", "true")
            // What retention removes while it is read is passed over, not a reason to stop.
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", "16384")
            .create_with_context(Voice::default())
            .map_err(DlqError::Client)?;
        let (topic, group_id) = (settings.topic.clone(), settings.group_id.clone());
        Ok(Self { consumer, topic, group_id, shutdown: shutdown.clone() })
    }

    /// Looks up what every partition holds, in the order of their numbers.
    pub(crate) fn extents(&self) -> Result<Vec<Extent>, DlqError> {
        let mut partitions = self.partitions()?;
        partitions.sort_unstable();
        partitions.into_iter().map(|partition| self.extent(partition)).collect()
    }

    /// Looks up what one partition holds.
    fn extent(&self, partition: i32) -> Result<Extent, DlqError> {
        let (low, high) = self.insist("say where a partition begins and ends", || {
            self.consumer.fetch_watermarks(&self.topic, partition, REQUEST_TIMEOUT)
        })?;
        let extent = Extent { partition, low, high, committed: self.committed(partition)? };
        match extent.committed {
            Some(committed) if extent.is_another_topics(committed) => warn!(
                partition,
                committed, high, "the committed offset is behind the end, starting over"
            ),
            Some(committed) if committed < low => warn!(
                partition,
                committed, low, "dead letters that waited are gone: the topic's retention is over"
            ),
            _ => {}
        }
        Ok(extent)
    }

    fn partitions(&self) -> Result<Vec<i32>, DlqError> {
        let no_topic = || DlqError::NoTopic { topic: self.topic.clone() };
        let metadata = self.insist("describe the topic", || {
            self.consumer.fetch_metadata(Some(&self.topic), REQUEST_TIMEOUT)
        })?;
        let found = metadata.topics().iter().find(|found| found.name() == self.topic);
        let found = found.ok_or_else(no_topic)?;
        match found.error().map(RDKafkaErrorCode::from) {
            None => Ok(found.partitions().iter().map(MetadataPartition::id).collect()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                Err(no_topic())
            }
            Some(code) => {
                let source = KafkaError::MetadataFetch(code);
                Err(DlqError::Refused { what: "describe the topic", source })
            }
        }
    }

    fn committed(&self, partition: i32) -> Result<Option<i64>, DlqError> {
        self.insist("say what is committed", || {
            let mut asked = TopicPartitionList::new();
            asked.add_partition(&self.topic, partition);
            let answer = self.consumer.committed_offsets(asked, REQUEST_TIMEOUT)?;
            let element = answer.find_partition(&self.topic, partition);
            Ok(element.and_then(|element| match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            }))
        })
    }

    /// Starts to read a partition from one offset to another, which is not read any more.
    pub(crate) fn records(
        &self,
        partition: i32,
        from: i64,
        to: i64,
    ) -> Result<Records<'_>, DlqError> {
        let refused = |source| DlqError::Refused { what: "read a partition", source };
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&self.topic, partition, Offset::Offset(from))
            .map_err(refused)?;
        // What is behind the end needs no fetching.
        if from < to {
            self.consumer.assign(&assignment).map_err(refused)?;
        }
        Ok(Records { letters: self, partition, next: from, end: to })
    }

    /// Commits an offset below which everything is settled, unless somebody else has come farther.
    pub(crate) fn commit(&self, extent: &Extent, offset: i64) -> Result<(), DlqError> {
        let partition = extent.partition;
        if let Some(committed) = self.committed(partition)?
            && committed >= offset
            && !extent.is_another_topics(committed)
        {
            debug!(partition, committed, offset, "another redrive has come farther");
            return Ok(());
        }
        self.insist("commit an offset", || {
            let mut offsets = TopicPartitionList::new();
            offsets.add_partition_offset(&self.topic, partition, Offset::Offset(offset))?;
            self.consumer.commit(&offsets, CommitMode::Sync)
        })
    }

    /// Asks until there is an answer, or until asked to stop: an outage is no reason to give up.
    fn insist<T>(
        &self,
        what: &'static str,
        ask: impl Fn() -> Result<T, KafkaError>,
    ) -> Result<T, DlqError> {
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(source) if means_members(&source) => {
                    return Err(DlqError::GroupInUse { group: self.group_id.clone(), source });
                }
                Err(source) if is_final(&source) => {
                    return Err(DlqError::Refused { what, source });
                }
                Err(error) => self.consumer.context().complain(&error),
            }
            if self.shutdown.is_stopping() {
                return Err(DlqError::Stopped);
            }
            thread::sleep(RETRY_PAUSE);
        }
    }
}

fn means_members(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress
        )
    )
}

/// Tells what will be the same however often it is asked.
fn is_final(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::Fatal
        )
    )
}

/// The records of one partition, up to an end that was set beforehand.
pub(crate) struct Records<'a> {
    letters: &'a DeadLetters,
    partition: i32,
    next: i64,
    end: i64,
}

impl Records<'_> {
    /// Waits for the next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, DlqError> {
        while self.next < self.end {
            if self.letters.shutdown.is_stopping() {
                return Err(DlqError::Stopped);
            }
            match self.letters.consumer.poll(POLL_TIMEOUT) {
                // Left over from the partition before, or from before a restart of the broker.
                Some(Ok(message)) if !self.is_due(message.partition(), message.offset()) => {}
                Some(Ok(message)) if message.offset() >= self.end => self.next = self.end,
                Some(Ok(message)) => {
                    self.next = message.offset() + 1;
                    return Ok(Some(Record::of(&message)));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) if partition == self.partition => {
                    self.next = self.end;
                }
                None | Some(Err(KafkaError::PartitionEOF(_))) => {}
                Some(Err(source)) if is_final(&source) => {
                    return Err(DlqError::Refused { what: "hand out dead letters", source });
                }
                Some(Err(error)) => self.letters.consumer.context().complain(&error),
            }
        }
        Ok(None)
    }

    fn is_due(&self, partition: i32, offset: i64) -> bool {
        partition == self.partition && offset >= self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_begins_where_the_group_has_come_to() {
        let extent = |committed| Extent { partition: 0, low: 10, high: 20, committed };
        assert_eq!(extent(None).waiting_from(), 10);
        assert_eq!(extent(Some(15)).waiting_from(), 15);
        assert_eq!(extent(Some(20)).waiting_from(), 20);
    }

    #[test]
    fn offsets_that_the_topic_does_not_have_do_not_hide_what_waits() {
        let extent = |committed| Extent { partition: 0, low: 10, high: 20, committed };
        assert_eq!(extent(Some(3)).waiting_from(), 10);
        assert_eq!(extent(Some(500)).waiting_from(), 10);
    }
}

//! Why a task cannot be done.

use std::io;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why a task cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    /// The Kafka client could not be made at all.
    #[error("the kafka client cannot be made")]
    Client(#[source] KafkaError),
    /// There is no topic of dead letters.
    #[error("there is no topic `{topic}`: check KAFKA_BOOTSTRAP_SERVERS and KAFKA_DLQ_TOPIC_NAME")]
    NoTopic {
        /// The topic.
        topic: String,
    },
    /// Kafka refuses something that no patience helps against.
    #[error("kafka refuses to {what}")]
    Refused {
        /// What was asked of it.
        what: &'static str,
        /// Why.
        source: KafkaError,
    },
    /// Somebody has joined the consumer group.
    #[error(
        "consumer group `{group}` has members, so its offsets are theirs: set KAFKA_DLQ_GROUP_ID \
         to a group of this program's own"
    )]
    GroupInUse {
        /// The group.
        group: String,
        /// Kafka's word for it.
        source: KafkaError,
    },
    /// There is no such dead letter.
    #[error(
        "topic `{topic}` has no dead letter at partition {partition}, offset {offset}: {found}"
    )]
    NoSuchLetter {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// What there is instead.
        found: String,
    },
    /// A record was not taken; it and everything behind it go on waiting.
    #[error(
        "kafka does not take dead letter {partition}/{offset} in topic `{topic}`: {code}; it and \
         those behind it go on waiting"
    )]
    Unsent {
        /// Partition of the dead letter.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// The topic that it was sent to.
        topic: String,
        /// Kafka's reason.
        code: RDKafkaErrorCode,
    },
    /// The process was asked to stop, and Kafka did not answer within the grace period.
    #[error("stopped with {count} records not acknowledged: the next redrive sends them again")]
    Unacknowledged {
        /// Records under way.
        count: usize,
    },
    /// The command that repairs cannot be run.
    #[error("`sh -c` cannot be run for DLQ_THROUGH")]
    Command(#[source] io::Error),
    /// The result could not be written to standard output.
    #[error("the result cannot be written to standard output")]
    Output(#[from] io::Error),
    /// The process was asked to stop.
    #[error("stopped before the end")]
    Stopped,
}

//! What can go wrong in the consumer, and what the failure of a dead letter means.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use runtime::cassandra::failure::Disposition;
use runtime::clock::ClockDifference;
use scylla::errors::ExecutionError;
use tokio::task::JoinError;

/// Why the consumer ends.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The Kafka client cannot be made, or cannot go on.
    #[error("the kafka client cannot be made or cannot go on")]
    Kafka(#[from] KafkaError),
    /// The operating system gives no thread.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// A thread ended without an outcome.
    #[error("the thread `{0}` panicked, which is a defect; nothing is lost, start again")]
    ThreadLost(&'static str),
    /// A write ended without an outcome.
    #[error("a write ended abnormally, which is a defect; nothing is lost, start again")]
    Task(#[source] JoinError),
    /// The tables are not those of `init.cql`.
    #[error(
        "keyspace `{keyspace}` does not fit: {problems}; \
         compare it with infra/cassandra/init.cql"
    )]
    Schema {
        /// The keyspace.
        keyspace: String,
        /// Everything that does not fit.
        problems: String,
    },
    /// This machine and Cassandra do not agree on the time of day.
    #[error(transparent)]
    Clock(#[from] ClockDifference),
    /// Kafka refuses a dead letter, and would refuse the next.
    #[error(
        "the dead letter for partition {partition} offset {offset} cannot be written to topic \
         `{topic}`; its offset is not committed, so nothing is lost: allow this user to write to \
         the topic and start again"
    )]
    DeadLetter {
        /// The dead-letter topic.
        topic: String,
        /// Partition of the record.
        partition: i32,
        /// Offset of the record.
        offset: u64,
        /// Kafka's reason.
        source: KafkaError,
    },
    /// Cassandra refuses a write that no repetition will make right.
    #[error("cassandra refuses to write to partition `{partition}`")]
    Refused {
        /// Site, and hour or day where the table has one.
        partition: String,
        /// Cassandra's reason.
        source: Box<ExecutionError>,
    },
    /// Cassandra takes no row at all, so that no record is to blame for its refusal.
    #[error(
        "cassandra refuses every write to {tables} of keyspace `{keyspace}`: the cause is a \
         setting of the tables or the server, not a record; nothing is lost, correct it and start \
         again"
    )]
    EveryRow {
        /// The keyspace.
        keyspace: String,
        /// The tables that were tried.
        tables: String,
        /// Cassandra's reason.
        source: Box<ExecutionError>,
    },
    /// Not everything was durable when the grace period ended.
    #[error(
        "{rows} rows were not durable after {waited_s} s; their offsets are not committed, \
         so another consumer will store them"
    )]
    NotDrained {
        /// Rows left in memory.
        rows: usize,
        /// The time waited.
        waited_s: u64,
    },
    /// Everything was durable, but Kafka did not confirm the last commit.
    #[error(
        "kafka did not confirm the last commit within {waited_s} s; nothing is lost, \
         but some records will be stored again"
    )]
    NotCommitted {
        /// The time waited.
        waited_s: u64,
    },
}

/// Decides what a failed dead letter means. None is a poison: there is no topic for those.
pub(crate) fn dead_letter_disposition(error: &KafkaError) -> Disposition {
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::Fatal,
        ) => Disposition::Fatal,
        _ => Disposition::Retry,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_waits_for_kafka_but_not_for_another_set_up() {
        let failed = |code| dead_letter_disposition(&KafkaError::MessageProduction(code));
        assert_eq!(failed(RDKafkaErrorCode::TopicAuthorizationFailed), Disposition::Fatal);
        for code in [
            RDKafkaErrorCode::QueueFull,
            RDKafkaErrorCode::MessageSizeTooLarge,
            RDKafkaErrorCode::UnknownPartition,
            RDKafkaErrorCode::BrokerTransportFailure,
            RDKafkaErrorCode::NotEnoughReplicas,
        ] {
            assert_eq!(failed(code), Disposition::Retry, "{code}");
        }
    }
}

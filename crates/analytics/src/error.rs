//! What can go wrong in the service.

use rdkafka::error::KafkaError;
use runtime::clock::ClockDifference;
use scylla::errors::ExecutionError;

use crate::window::TimingChange;

/// Why the service ends.
#[derive(Debug, thiserror::Error)]
pub enum AnalyticsError {
    /// The Kafka client cannot be made, or cannot go on.
    #[error("the kafka client cannot be made or cannot go on")]
    Kafka(#[from] KafkaError),
    /// The operating system gives no thread.
    #[error("a thread cannot be started")]
    Thread(#[source] std::io::Error),
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
    /// Cassandra refuses what no repetition will make right.
    #[error("cassandra refuses {what}; nothing is lost: correct it and start again")]
    Refused {
        /// What was asked of it.
        what: &'static str,
        /// Cassandra's reason.
        source: Box<ExecutionError>,
    },
    /// The settings do not fit the windows under way.
    #[error("partition {partition} cannot be taken over: {change}")]
    Timing {
        /// The partition.
        partition: i32,
        /// What differs.
        change: TimingChange,
    },
    /// A row is not what its table promises.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// What was read.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// Kafka refuses a record, and would refuse the next.
    #[error("topic `{topic}` takes no record; nothing is lost: correct it and start again")]
    Topic {
        /// The topic.
        topic: String,
        /// Kafka's reason.
        source: KafkaError,
    },
    /// A thread ended without a word.
    #[error("the thread `{0}` ended abnormally, which is a defect; nothing is lost, start again")]
    Ended(&'static str),
    /// The process was asked to stop while it waited for a server.
    #[error("stopped while waiting for {0}")]
    Stopped(&'static str),
    /// Not everything was written when the grace period ended.
    #[error(
        "not everything was written and committed within {waited_s} s; nothing is lost, \
         another process will read it again"
    )]
    NotWritten {
        /// The time waited.
        waited_s: u64,
    },
}

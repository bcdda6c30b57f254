//! What can go wrong in the consumer, and what each failure of a write means.

use rdkafka::error::KafkaError;
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

/// Why the consumer ends.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// The Kafka client cannot be made, or cannot go on.
    #[error("kafka: {0}")]
    Kafka(#[from] KafkaError),
    /// The operating system gives no thread.
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
    /// The tables are not those of `init.cql`.
    #[error(
        "statement `{statement}` does not fit the table: {reason}; \
         compare the keyspace with infra/cassandra/init.cql"
    )]
    Schema {
        /// The statement that was prepared.
        statement: String,
        /// What does not fit.
        reason: String,
    },
    /// Cassandra refuses a write that no repetition will make right.
    #[error("cassandra refuses to write to partition `{partition}`: {source}")]
    Refused {
        /// Site, and hour where the table has one.
        partition: String,
        /// Cassandra's reason.
        source: Box<ExecutionError>,
    },
    /// Not everything was durable when the grace period ended.
    #[error(
        "{rows} readings were not durable after {waited_s} s; their offsets are not committed, \
         so another consumer will store them"
    )]
    NotDrained {
        /// Readings left in memory.
        rows: usize,
        /// The time waited.
        waited_s: u64,
    },
    /// Everything was durable, but Kafka did not confirm the last commit.
    #[error(
        "kafka did not confirm the last commit within {waited_s} s; nothing is lost, \
         but some readings will be stored again"
    )]
    NotCommitted {
        /// The time waited.
        waited_s: u64,
    },
}

/// What to do about a failed write. Writes are idempotent (I3), so repeating one is always safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Try again, without end: an outage passes.
    Retry,
    /// Give up: the configuration or the schema is wrong.
    Fatal,
}

/// Decides what a failed write means; the one place where that is decided.
pub(crate) fn disposition(error: &ExecutionError) -> Disposition {
    match error {
        ExecutionError::BadQuery(_) => Disposition::Fatal,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => {
            db_disposition(error)
        }
        // Everything else is about connections and time, and the driver's enum is open.
        _ => Disposition::Retry,
    }
}

fn db_disposition(error: &DbError) -> Disposition {
    match error {
        DbError::SyntaxError
        | DbError::Invalid
        | DbError::AuthenticationError
        | DbError::Unauthorized
        | DbError::ConfigError => Disposition::Fatal,
        _ => Disposition::Retry,
    }
}

/// Tells whether preparing failed because keyspace or table is not there yet, or nobody answers.
pub(crate) fn is_worth_waiting(error: &PrepareError) -> bool {
    match error {
        PrepareError::AllAttemptsFailed {
            first_attempt: RequestAttemptError::DbError(error, message),
        } => match error {
            // Cassandra's words for a missing table and a missing keyspace.
            DbError::Invalid => {
                message.contains("does not exist") || message.contains("unconfigured table")
            }
            other => db_disposition(other) == Disposition::Retry,
        },
        _ => true,
    }
}

//! What ends a run before its time.

use std::io;
use std::path::PathBuf;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// Why a run cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// The report of a run cannot be stored.
    #[error(
        "report `{}` cannot be written, set PRODUCER_REPORT_DIR to a writable folder",
        path.display()
    )]
    Report {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The Kafka client cannot be made.
    #[error("the kafka client cannot be made")]
    Client(#[source] KafkaError),
    /// The Kafka client takes no more readings.
    #[error("reading {index} was refused for good by the kafka client")]
    Refused {
        /// Number of the reading.
        index: u64,
        /// Its reason.
        source: KafkaError,
    },
    /// The Kafka client takes no more events.
    #[error("an event was refused for good by the kafka client")]
    EventRefused(#[source] KafkaError),
    /// Kafka refuses so many readings that there is no point in going on.
    #[error("kafka refused {failed} readings for good, giving up; the latest reason: {reason}")]
    TooManyFailures {
        /// How many.
        failed: u64,
        /// Why the latest one was refused.
        reason: RDKafkaErrorCode,
    },
    /// A thread cannot be started.
    #[error("thread `{name}` cannot be started")]
    Thread {
        /// Name of the thread.
        name: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// A thread of the producer ended without a result, which is a bug.
    #[error("thread `{0}` ended unexpectedly")]
    ThreadLost(&'static str),
}

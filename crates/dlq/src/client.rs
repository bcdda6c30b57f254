//! What both Kafka clients have to say: details at debug level, trouble every few seconds.

use std::sync::{Mutex, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use runtime::kafka::Complaint;
use tracing::{debug, warn};

/// Passes a client's words on to the log.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    complaint: Mutex<Complaint>,
}

impl Voice {
    /// Says that Kafka is in trouble, unless that was said a moment ago.
    pub(crate) fn complain(&self, error: &KafkaError) {
        // A panic elsewhere does not make a complaint wrong.
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        complaint.raise(|| warn!("kafka does not answer, trying again: {error}"));
    }
}

impl ClientContext for Voice {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(?level, facility, "kafka client: {message}");
    }

    fn error(&self, error: KafkaError, _reason: &str) {
        // The end of a partition comes as an error, and is none.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::PartitionEOF) {
            self.complain(&error);
        }
    }
}

impl ConsumerContext for Voice {}

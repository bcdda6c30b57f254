//! Looks into partitions that do not advance, on a thread and with a client of its own: errors of
//! a member's poll do not say which partition they are about.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};

use super::monitor::Finding;

/// Longest wait for the next record of a partition, or for an error that says why it cannot be had.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// What was found at an offset of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// The partition.
    pub partition: i32,
    /// The offset that was looked at.
    pub offset: u64,
    /// What was found there.
    pub finding: Finding,
}

/// Looks into one partition after the other, one round at a time.
#[derive(Debug)]
pub struct Prober {
    config: ClientConfig,
    topic: String,
    round: Option<Receiver<Probed>>,
}

impl Prober {
    /// Takes the configuration of the member; the looks do not join its group.
    pub fn new(member: &ClientConfig, topic: &str) -> Self {
        let mut config = member.clone();
        config
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("statistics.interval.ms", "0");
        Self { config, topic: topic.to_owned(), round: None }
    }

    /// Tells whether a round is under way.
    pub fn is_busy(&self) -> bool {
        self.round.is_some()
    }

    /// Starts a round; none may be under way.
    pub fn start(&mut self, places: Vec<(i32, u64)>) -> io::Result<()> {
        debug_assert!(!self.is_busy(), "one round at a time");
        let (sender, round) = channel();
        let (config, topic) = (self.config.clone(), self.topic.clone());
        thread::Builder::new().name("probe".into()).spawn(move || {
            for (partition, offset) in places {
                let finding = look(&config, &topic, partition, offset)
                    .unwrap_or_else(|error| Finding::Unreadable(error.to_string()));
                // Nobody listens any more only if the process is ending.
                let _unheard = sender.send(Probed { partition, offset, finding });
            }
        })?;
        self.round = Some(round);
        Ok(())
    }

    /// Returns what a round under way has found since the last call; never blocks.
    pub fn found(&mut self) -> Vec<Probed> {
        let mut found = Vec::new();
        while let Some(round) = &self.round {
            match round.try_recv() {
                Ok(probed) => found.push(probed),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.round = None,
            }
        }
        found
    }
}

/// Says nothing: what goes wrong is what is looked for.
struct Quiet;

impl ClientContext for Quiet {
    fn error(&self, _: KafkaError, _: &str) {}

    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
}

impl ConsumerContext for Quiet {}

fn look(
    config: &ClientConfig,
    topic: &str,
    partition: i32,
    offset: u64,
) -> Result<Finding, KafkaError> {
    let consumer: BaseConsumer<Quiet> = config.create_with_context(Quiet)?;
    let mut list = TopicPartitionList::new();
    let start = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
    list.add_partition_offset(topic, partition, start)?;
    // Without a subscription nothing joins the group.
    consumer.assign(&list)?;
    let deadline = Instant::now() + PROBE_TIMEOUT;
    let mut unanswered = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let reason = match unanswered {
                Some(error) => format!("{error}"),
                None => format!("no record came within {} s", PROBE_TIMEOUT.as_secs()),
            };
            return Ok(Finding::Unreadable(reason));
        }
        match consumer.poll(left) {
            None => {}
            Some(Ok(record)) => {
                return Ok(Finding::Readable(u64::try_from(record.offset()).unwrap_or(0)));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(Finding::Empty),
            Some(Err(error)) if is_about_records(&error) => {
                return Ok(Finding::Unreadable(reason(&error)));
            }
            Some(Err(error)) => unanswered = Some(error),
        }
    }
}

/// Tells whether an error is about what was fetched: waiting will not mend it.
pub fn is_about_records(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BadMessage
                | RDKafkaErrorCode::BadCompression
                | RDKafkaErrorCode::NotImplemented
                | RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessage
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::UnsupportedCompressionType
        )
    )
}

/// Says what is wrong with records that cannot be read.
fn reason(error: &KafkaError) -> String {
    let code = error.rdkafka_error_code();
    let reason = match code {
        Some(RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage) => {
            "the batch is corrupt, its checksum is wrong"
        }
        Some(RDKafkaErrorCode::BadCompression) => "the batch is corrupt, it cannot be unpacked",
        Some(RDKafkaErrorCode::NotImplemented | RDKafkaErrorCode::UnsupportedCompressionType) => {
            "the batch has a codec or a format that this client does not know"
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize) => {
            "the batch is too large to be fetched"
        }
        _ => return error.to_string(),
    };
    reason.to_owned()
}

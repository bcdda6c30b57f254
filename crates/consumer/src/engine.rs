//! Joins the pipeline to the sink: hands writes to tasks and takes their ends back, all on the
//! Kafka thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use domain::dead_letter::ATTEMPTS_HEADER;
use rdkafka::message::{BorrowedMessage, Message};
use runtime::clock::TimeOfDay;
use runtime::kafka::monitor::Deleted;
use runtime::kafka::{self, Complaint, Header, TopicSpec};
use tokio::runtime::Handle;
use tokio::task::JoinError;
use tracing::{info, warn};

use crate::error::ConsumerError;
use crate::pipeline::ledger::RecordOffset;
use crate::pipeline::record::{DeadLetter, Record, Rejection, Stream};
use crate::pipeline::{Accepted, Commit, Ended, Limits, Pipeline, Write};
use crate::sink::{Done, Outcome, Sink};
use crate::statistics::Statistics;

/// Longest wait for one end of a write before time is looked at again.
const WAIT: Duration = Duration::from_millis(10);

/// The pipeline at work.
pub(crate) struct Engine {
    pub(crate) pipeline: Pipeline,
    pub(crate) statistics: Statistics,
    stream: Stream,
    sink: Arc<Sink>,
    runtime: Handle,
    done_sender: SyncSender<Result<Done, JoinError>>,
    done: Receiver<Result<Done, JoinError>>,
    fatal: Option<ConsumerError>,
    /// Since when dead letters wait of which none was written, and why the latest was not.
    undelivered_since: Option<Instant>,
    delivery_error: Option<String>,
    progressed: bool,
    cassandra_was_away: bool,
    rejections: Complaint,
    expirations: Complaint,
    failures: Complaint,
}

impl Engine {
    pub(crate) fn new(
        stream: Stream,
        limits: Limits,
        progress_interval: Duration,
        sink: Arc<Sink>,
        runtime: Handle,
    ) -> Self {
        let pipeline = Pipeline::new(limits, sink.time_to_live(stream), rand::random());
        // One place for each write under way: a task never waits to say that it is done.
        let (done_sender, done) = sync_channel(pipeline.in_flight_max());
        Self {
            pipeline,
            statistics: Statistics::new(stream, progress_interval, Instant::now()),
            stream,
            sink,
            runtime,
            done_sender,
            done,
            fatal: None,
            undelivered_since: None,
            delivery_error: None,
            progressed: false,
            cassandra_was_away: false,
            rejections: Complaint::default(),
            expirations: Complaint::default(),
            failures: Complaint::default(),
        }
    }

    /// Returns the time of day.
    pub(crate) fn time_of_day(&self) -> TimeOfDay {
        self.sink.time_of_day()
    }

    /// Takes in one record.
    pub(crate) fn accept(&mut self, message: &BorrowedMessage<'_>, now: Instant, time: TimeOfDay) {
        let Ok(offset) = u64::try_from(message.offset()) else {
            return;
        };
        let record = Record {
            stream: self.stream,
            partition: message.partition(),
            offset: RecordOffset(offset),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key(),
            value: message.payload(),
        };
        match self.pipeline.accept(&record, now, time) {
            Accepted::Row | Accepted::Ignored => {}
            Accepted::Expired { ts_ms, time_to_live } => {
                self.statistics.expired();
                self.expirations.raise(|| {
                    let (partition, time_to_live_s) = (record.partition, time_to_live.as_secs());
                    let age_s = (time.earliest_ms - ts_ms) / 1_000;
                    let total = self.statistics.expired_total();
                    warn!(
                        partition,
                        offset,
                        ts_ms,
                        age_s,
                        time_to_live_s,
                        total,
                        "record is older than the table keeps rows, it was not written; raise \
                         default_time_to_live of the table to keep such records"
                    );
                });
            }
            Accepted::Rejected(rejection) => {
                let Rejection { reason, detail } = &rejection;
                self.rejections.raise(|| {
                    let partition = record.partition;
                    warn!(partition, offset, %reason, detail, "record can never be stored");
                });
                let (headers, attempts_before) = headers(message);
                let mut letter = DeadLetter::new(&record, headers, attempts_before, rejection);
                if letter.bytes() > TopicSpec::DEAD_LETTER_BYTES_MAX as usize {
                    letter.cut();
                }
                self.pipeline.bury(letter);
            }
        }
    }

    /// Says and counts that records were deleted before they were read.
    pub(crate) fn deleted(&mut self, Deleted { partition, offset, records }: Deleted) {
        self.statistics.deleted(records);
        warn!(
            partition,
            offset,
            records,
            "records were deleted before they were read: their topic keeps less (retention.ms, \
             retention.bytes) than the consumer was behind"
        );
    }

    /// Returns the offset that a partition's next record is expected at.
    pub(crate) fn expected(&self, partition: i32) -> Option<u64> {
        self.pipeline.expected(partition).map(|next| next.0)
    }

    /// Returns the same for all partitions.
    pub(crate) fn positions(&self) -> Vec<(i32, Option<u64>)> {
        let mut positions = Vec::new();
        for partition in self.pipeline.partitions() {
            positions.push((partition, self.expected(partition)));
        }
        positions
    }

    /// Takes in ends of writes and starts what can be started.
    pub(crate) fn pump(&mut self, now: Instant) {
        while let Ok(done) = self.done.try_recv() {
            self.finish(done, now);
        }
        self.pipeline.set_time_to_live(self.sink.time_to_live(self.stream));
        self.pipeline.tick(now);
        self.dispatch(now);
        match self.pipeline.dead_letter_bytes() {
            0 => self.undelivered_since = None,
            _ => _ = self.undelivered_since.get_or_insert(now),
        }
        let away = self.pipeline.is_cassandra_away();
        if away != self.cassandra_was_away {
            self.cassandra_was_away = away;
            if away {
                warn!("cassandra is away, trying one write at a time");
            } else {
                info!("cassandra is back");
            }
        }
    }

    fn dispatch(&mut self, now: Instant) {
        while let Some((ticket, write)) = self.pipeline.next_write(now) {
            let write = self.runtime.spawn(Arc::clone(&self.sink).write(ticket, write));
            let done = self.done_sender.clone();
            self.runtime.spawn(async move {
                // The receiver is gone only when the process is ending.
                let _ending = done.send(write.await);
            });
        }
    }

    fn finish(&mut self, done: Result<Done, JoinError>, now: Instant) {
        let done = match done {
            Ok(done) => done,
            // Nobody would ever hear of this write again.
            Err(error) => {
                self.fatal = Some(ConsumerError::Task(error));
                return;
            }
        };
        self.statistics.ended(&done);
        let is_dead_letter = matches!(done.write, Write::DeadLetter(_));
        let ended = match done.outcome {
            Outcome::Durable => {
                self.progressed = true;
                if is_dead_letter {
                    (self.undelivered_since, self.delivery_error) = (None, None);
                }
                Ended::Durable
            }
            Outcome::Failed(error) if is_dead_letter => {
                self.failures.raise(|| warn!("dead letter not written, trying again: {error}"));
                self.delivery_error = Some(error);
                Ended::Failed
            }
            Outcome::Failed(error) => {
                self.failures.raise(|| warn!("write failed, trying again: {error}"));
                Ended::Failed
            }
            Outcome::Refused(detail) => Ended::Refused(detail),
            Outcome::Fatal(error) => {
                // The write stays open in the ledger, so its offsets are never committed (I1).
                self.fatal = Some(error);
                return;
            }
        };
        self.pipeline.finish(done.ticket, done.write, ended, now);
    }

    /// Returns what keeps dead letters from their topic, if that has lasted for `longest`.
    pub(crate) fn impediment(&self, now: Instant, longest: Duration) -> Option<String> {
        // The client holds on to what it cannot send, so that a failure may come late.
        let age = now.saturating_duration_since(self.undelivered_since?);
        let error = self.delivery_error.as_deref().unwrap_or("kafka acknowledges none");
        let says = || format!("no dead letter could be written for {} s: {error}", age.as_secs());
        (age >= longest).then(says)
    }

    /// Waits a moment for the end of a write.
    pub(crate) fn wait(&mut self) {
        if let Ok(done) = self.done.recv_timeout(WAIT) {
            self.finish(done, Instant::now());
        }
    }

    /// Tells whether a write became durable since the last call.
    pub(crate) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progressed)
    }

    /// Writes everything that partitions have gathered and returns their last commits; gives up at
    /// the deadline.
    pub(crate) fn drain(&mut self, partitions: &[i32], deadline: Instant) -> Vec<Commit> {
        let mut commits = Vec::new();
        loop {
            let now = Instant::now();
            self.pipeline.settle(partitions, now);
            self.pump(now);
            for commit in self.pipeline.take_commits() {
                // Only the newest offset of a partition is worth saying.
                commits.retain(|earlier: &Commit| earlier.partition != commit.partition);
                commits.push(commit);
            }
            let over = self.pipeline.is_settled(partitions) || now >= deadline;
            if over || self.fatal.is_some() {
                return commits;
            }
            self.wait();
        }
    }

    /// Returns the failure that makes going on pointless.
    pub(crate) fn take_fatal(&mut self) -> Option<ConsumerError> {
        self.fatal.take()
    }
}

/// Returns the record's headers, and how often it was a dead letter before.
fn headers(message: &BorrowedMessage<'_>) -> (Vec<Header>, u32) {
    let Some(headers) = kafka::headers(message) else {
        let (partition, offset) = (message.partition(), message.offset());
        warn!(partition, offset, "the name of a header is no text, left out all headers");
        return (Vec::new(), 0);
    };
    let attempts = headers.iter().rfind(|(name, _)| name == ATTEMPTS_HEADER);
    let text = attempts.and_then(|(_, value)| str::from_utf8(value.as_deref()?).ok());
    let attempts_before = text.and_then(|text| text.parse().ok()).unwrap_or(0);
    (headers, attempts_before)
}

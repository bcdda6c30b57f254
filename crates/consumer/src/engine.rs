//! Joins the pipeline to the sink: hands writes to tasks and takes their ends back, all on the
//! Kafka thread.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rdkafka::message::{BorrowedMessage, Message};
use runtime::kafka::Complaint;
use tokio::runtime::Handle;
use tracing::warn;

use crate::error::ConsumerError;
use crate::pipeline::ledger::RecordOffset;
use crate::pipeline::{Accepted, Commit, Limits, Pipeline};
use crate::sink::{Done, Sink};
use crate::statistics::Statistics;

/// Longest wait for one end of a write before time is looked at again.
const WAIT: Duration = Duration::from_millis(10);

/// The pipeline at work.
pub(crate) struct Engine {
    pub(crate) pipeline: Pipeline,
    pub(crate) statistics: Statistics,
    sink: Arc<Sink>,
    runtime: Handle,
    done_sender: SyncSender<Done>,
    done: Receiver<Done>,
    refused: Option<ConsumerError>,
    complaint: Complaint,
}

impl Engine {
    pub(crate) fn new(
        limits: Limits,
        progress_interval: Duration,
        sink: Arc<Sink>,
        runtime: Handle,
    ) -> Self {
        // One place for each write under way: a task never waits to say that it is done.
        let (done_sender, done) = sync_channel(limits.writes_in_flight_max);
        Self {
            pipeline: Pipeline::new(limits),
            statistics: Statistics::new(progress_interval, Instant::now()),
            sink,
            runtime,
            done_sender,
            done,
            refused: None,
            complaint: Complaint::default(),
        }
    }

    /// Takes in one record.
    pub(crate) fn accept(&mut self, message: &BorrowedMessage<'_>, now: Instant) {
        let (partition, offset) = (message.partition(), message.offset());
        let Ok(record_offset) = u64::try_from(offset) else {
            return;
        };
        let record = message.payload().unwrap_or_default();
        let accepted = self.pipeline.accept(partition, RecordOffset(record_offset), record, now);
        if let Accepted::Rejected(error) = accepted {
            self.statistics.rejected();
            let topic = message.topic();
            self.complaint.raise(|| {
                warn!(
                    topic,
                    partition, offset, "record breaks the data contract, skipped: {error}"
                );
            });
        }
    }

    /// Takes in ends of writes and starts what can be started.
    pub(crate) fn pump(&mut self, now: Instant) {
        while let Ok(done) = self.done.try_recv() {
            self.finish(done);
        }
        self.pipeline.tick(now);
        self.dispatch();
    }

    fn dispatch(&mut self) {
        while let Some((ticket, write)) = self.pipeline.next_write() {
            let sink = Arc::clone(&self.sink);
            let done = self.done_sender.clone();
            self.runtime.spawn(async move {
                // The receiver is gone only when the process is ending.
                let _ending = done.send(sink.write(ticket, write).await);
            });
        }
    }

    fn finish(&mut self, done: Done) {
        if done.refused.is_some() {
            // The write stays open in the ledger, so its offsets are never committed (I1).
            self.refused = done.refused;
            return;
        }
        self.statistics.wrote(&done);
        self.pipeline.finish(done.ticket, &done.write);
    }

    /// Waits a moment for the end of a write; returns whether one came.
    pub(crate) fn wait(&mut self) -> bool {
        match self.done.recv_timeout(WAIT) {
            Ok(done) => {
                self.finish(done);
                true
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
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
            if over || self.refused.is_some() {
                return commits;
            }
            self.wait();
        }
    }

    /// Returns the refusal that makes going on pointless.
    pub(crate) fn take_refused(&mut self) -> Option<ConsumerError> {
        self.refused.take()
    }
}

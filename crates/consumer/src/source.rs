//! Reads from Kafka on a thread of its own: polls, pauses under back-pressure, commits, and hands
//! partitions over.

mod group;
mod membership;

use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use runtime::Shutdown;
use runtime::health::Health;
use runtime::kafka::Complaint;
use runtime::kafka::member::{
    Jump, Member, close, judge_jump, look_for_topic, outlive, partitions_of, refetch,
};
use runtime::kafka::monitor::{self, Finding};
use runtime::kafka::probe::{Probed, Prober};
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::engine::Engine;
use crate::error::ConsumerError;
use crate::pipeline::Commit;
use crate::pipeline::record::Stream;
use crate::settings::ConsumerSettings;
use crate::sink::Sink;
use group::{Drained, Group, commit_list};

/// Longest wait for a record before time is looked at again.
const POLL_TIMEOUT: Duration = Duration::from_millis(5);
/// The same while nothing is under way, so that time has nothing to tell.
const IDLE_POLL_TIMEOUT: Duration = Duration::from_millis(50);
/// Longest part of a rebalance that is waited for before the last commit is tried again.
const REBALANCE_POLL: Duration = Duration::from_millis(100);
/// Most records taken in before ends of writes are looked at again.
const RECORDS_PER_TURN_MAX: usize = 256;
/// Back-pressure that lasts longer than this is an outage: partitions are paused, so that polling
/// can go on.
///
/// Until then fetched records simply wait, because a pause throws away what was fetched ahead.
const PAUSE_AFTER: Duration = Duration::from_secs(1);
/// Back-pressure without a single durable write for this long makes the process unhealthy.
const UNHEALTHY_AFTER: Duration = Duration::from_secs(10);
/// Time between two looks at whether partitions advance.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Consumes the topic of a stream until asked to stop, then drains, commits and leaves the group.
pub(crate) fn consume(
    settings: &ConsumerSettings,
    stream: Stream,
    sink: Arc<Sink>,
    runtime: Handle,
    shutdown: &Shutdown,
    health: &Health,
) -> Result<(), ConsumerError> {
    let engine = Engine::new(stream, settings.limits, settings.progress_interval, sink, runtime);
    let group = Group::new(&settings.kafka.topic, engine, settings);
    let config = client_config(settings);
    let prober = Prober::new(&config, &settings.kafka.topic);
    let consumer: BaseConsumer<Group> = config.create_with_context(group)?;
    let consumer = Arc::new(consumer);
    consumer.context().committer().start(Arc::clone(&consumer)).map_err(ConsumerError::Thread)?;
    consumer.subscribe(&[&settings.kafka.topic])?;
    info!(topic = settings.kafka.topic, group = settings.group.id, "subscribed");

    let mut source = Source {
        consumer,
        blocked_since: None,
        paused: false,
        last_progress: Instant::now(),
        prober,
        watched: Instant::now(),
        complaint: Complaint::default(),
        refusals: Complaint::default(),
    };
    let outcome = source.run(shutdown, health);
    let left = source.leave(settings.shutdown_grace);
    outcome.and(left)
}

fn client_config(settings: &ConsumerSettings) -> ClientConfig {
    let group = &settings.group;
    let member = Member {
        client_id: "sensorium-consumer",
        group_id: &group.id,
        session_timeout_ms: group.session_timeout_ms,
        fetch_queue_kib: group.fetch_queue_kib,
        progress_interval: settings.progress_interval,
    };
    member.config(&settings.kafka)
}

struct Source {
    consumer: Arc<BaseConsumer<Group>>,
    blocked_since: Option<Instant>,
    paused: bool,
    last_progress: Instant,
    prober: Prober,
    watched: Instant,
    complaint: Complaint,
    refusals: Complaint,
}

impl Source {
    fn run(&mut self, shutdown: &Shutdown, health: &Health) -> Result<(), ConsumerError> {
        while !shutdown.is_stopping() {
            let now = Instant::now();
            let has_room = self.turn(now)?;
            if has_room {
                self.unblock()?;
                self.take_in(now)?;
            } else {
                self.back_off(now)?;
            }
            if now.saturating_duration_since(self.watched) >= WATCH_INTERVAL {
                self.watched = now;
                health.heartbeat(self.watch(now)?, now);
            }
        }
        Ok(())
    }

    /// Looks whether partitions advance and into those that do not; returns what keeps the member
    /// from its work.
    fn watch(&mut self, now: Instant) -> Result<Option<String>, ConsumerError> {
        let context = self.consumer.context();
        let positions = context.engine().positions();
        let mut monitor = context.monitor();
        monitor.observe(positions, self.blocked_since.is_none(), now);
        look_for_topic(&self.consumer, &mut monitor, context.topic(), now);
        for Probed { partition, offset, finding } in self.prober.found() {
            if monitor.probed(partition, offset, &finding, now) {
                info!(partition, offset, "the next record can be read, fetching it again");
                refetch(&self.consumer, context.topic(), partition, offset);
            } else if let Finding::Unreadable(reason) = finding {
                warn!(partition, offset, reason, "the next record of the partition cannot be read");
            }
        }
        if !self.prober.is_busy() {
            let places = monitor.to_probe(now);
            if !places.is_empty() {
                self.prober.start(places).map_err(ConsumerError::Thread)?;
            }
        }
        let stalled = now.saturating_duration_since(self.last_progress);
        if self.blocked_since.is_some() && stalled >= UNHEALTHY_AFTER {
            return Ok(Some(format!("no write was durable for {} s", stalled.as_secs())));
        }
        let undelivered = context.engine().impediment(now, monitor::UNHEALTHY_AFTER);
        Ok(undelivered.or_else(|| monitor.impediment(now)))
    }

    /// Does everything but taking in; returns whether more may be taken in.
    fn turn(&mut self, now: Instant) -> Result<bool, ConsumerError> {
        let context = self.consumer.context();
        let mut engine = context.engine();
        engine.pump(now);
        if let Some(fatal) = engine.take_fatal() {
            return Err(fatal);
        }
        let Engine { pipeline, statistics, .. } = &mut *engine;
        statistics.report(now, pipeline, || context.lag(pipeline));
        let committer = context.committer();
        if committer.is_dead() {
            return Err(ConsumerError::ThreadLost("commit"));
        }
        if committer.is_idle() {
            if let Some(sent) = committer.take_success() {
                context.committed(sent);
                context.monitor().commit_ended(None);
            }
            if let Some(error) = committer.take_failure() {
                self.refusals.raise(|| warn!("commit failed, trying again: {error}"));
                context.monitor().commit_ended(Some(error.to_string()));
                statistics.commit_failed();
                pipeline.repeat_commits();
            }
            let commits = pipeline.take_commits();
            if !commits.is_empty() {
                committer.commit(commit_list(context.topic(), &commits)?);
                context.monitor().commit_sent(now);
            }
        }
        Ok(pipeline.has_room())
    }

    fn take_in(&mut self, now: Instant) -> Result<(), ConsumerError> {
        let is_idle = self.consumer.context().engine().pipeline.is_idle();
        let timeout = if is_idle { IDLE_POLL_TIMEOUT } else { POLL_TIMEOUT };
        self.consumer.context().polling(now);
        let Some(first) = self.consumer.poll(timeout) else {
            return Ok(());
        };
        // A batch is as old as its first record, not as the wait for it.
        let now = Instant::now();
        let time = self.consumer.context().engine().time_of_day();
        let more = iter::from_fn(|| self.consumer.poll(Duration::ZERO));
        for polled in iter::once(first).chain(more).take(RECORDS_PER_TURN_MAX) {
            match polled {
                // The lock must not be held while polling, which calls back into the group.
                Ok(message) => {
                    if self.is_next(&message, now) {
                        self.consumer.context().engine().accept(&message, now, time);
                    }
                }
                Err(error) => {
                    let mut monitor = self.consumer.context().monitor();
                    outlive(error, &mut monitor, &mut self.complaint)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Tells whether a record is the next one of its partition, and sees to it that the next one
    /// comes where it is not.
    fn is_next(&self, message: &BorrowedMessage<'_>, now: Instant) -> bool {
        let context = self.consumer.context();
        let (partition, found) = (message.partition(), message.offset());
        let Ok(found) = u64::try_from(found) else {
            return false;
        };
        let expected = context.engine().expected(partition);
        let expected = expected.or_else(|| context.monitor().start(partition));
        let Some(expected) = expected.filter(|expected| *expected != found) else {
            return true;
        };
        let mut monitor = context.monitor();
        let place = (partition, expected, found);
        match judge_jump(&self.consumer, &mut monitor, context.topic(), place, now) {
            Jump::Next => true,
            Jump::Restart => {
                warn!(partition, expected, found, "offsets went back: the partition was recreated");
                context.engine().pipeline.restart(partition);
                true
            }
            Jump::NotNext => false,
        }
    }

    /// Waits for room; when that takes long, pauses and polls, so that the group keeps its member.
    fn back_off(&mut self, now: Instant) -> Result<(), ConsumerError> {
        let blocked = now.saturating_duration_since(*self.blocked_since.get_or_insert(now));
        let mut engine = self.consumer.context().engine();
        engine.wait();
        if engine.take_progress() {
            self.last_progress = now;
        }
        drop(engine);
        if blocked < PAUSE_AFTER {
            return Ok(());
        }
        if self.consumer.context().take_reassigned() || !self.paused {
            self.consumer.pause(&self.consumer.assignment()?)?;
            if !self.paused {
                warn!("cassandra is slower than kafka, partitions paused");
            }
            self.paused = true;
        }
        self.consumer.context().polling(now);
        match self.consumer.poll(Duration::ZERO) {
            None => Ok(()),
            // A record that was on its way when the pause came is still ours.
            Some(Ok(message)) => {
                if self.is_next(&message, now) {
                    let mut engine = self.consumer.context().engine();
                    let time = engine.time_of_day();
                    engine.accept(&message, now, time);
                }
                Ok(())
            }
            Some(Err(error)) => {
                let mut monitor = self.consumer.context().monitor();
                Ok(outlive(error, &mut monitor, &mut self.complaint)?)
            }
        }
    }

    fn unblock(&mut self) -> Result<(), ConsumerError> {
        self.blocked_since = None;
        self.last_progress = Instant::now();
        if self.paused {
            self.consumer.resume(&self.consumer.assignment()?)?;
            self.paused = false;
            info!("partitions resumed");
        }
        Ok(())
    }

    /// I7: writes what was taken in, commits it and leaves the group; says so if the time did not
    /// suffice.
    fn leave(self, grace: Duration) -> Result<(), ConsumerError> {
        let started = Instant::now();
        let deadline = started + grace;
        // The last commit needs its share.
        let drain_by = started + grace.mul_f64(0.75);
        let context = Arc::clone(self.consumer.context());
        let partitions = context.engine().pipeline.partitions();
        let Drained { mut commits, rows_left, .. } = context.drain(&partitions, drain_by);
        let committed = loop {
            match context.commit_and_wait(&commits, deadline) {
                // Others leave as well: the next generation of the group takes it.
                Err(ConsumerError::Kafka(error))
                    if is_rebalance(&error) && Instant::now() < deadline =>
                {
                    // Polling is what brings it about. Records that come are nobody's any more.
                    let _record = self.consumer.poll(REBALANCE_POLL);
                    let assigned = partitions_of(&self.consumer.assignment()?, context.topic());
                    let came_anew = context.engine().pipeline.partitions();
                    retain_ours(&mut commits, &assigned, &came_anew);
                }
                outcome => break outcome,
            }
        };
        context.committer().end();
        committed?;
        close(self.consumer, deadline);
        if rows_left > 0 {
            let rows = rows_left;
            return Err(ConsumerError::NotDrained { rows, waited_s: started.elapsed().as_secs() });
        }
        context.engine().statistics.left(started.elapsed());
        Ok(())
    }
}

/// Keeps the commits that are still ours to make (I4): not those of partitions that were taken away
/// meanwhile, nor of those that have come back, since somebody else may have committed more.
fn retain_ours(commits: &mut Vec<Commit>, assigned: &[i32], came_anew: &[i32]) {
    commits.retain(|Commit { partition, .. }| {
        assigned.contains(partition) && !came_anew.contains(partition)
    });
}

/// Tells whether a commit was refused because the partitions are being shared out anew.
fn is_rebalance(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::IllegalGeneration | RDKafkaErrorCode::RebalanceInProgress)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ledger::NextOffset;

    /// I4: a partition that went and came back has been somebody else's in between.
    #[test]
    fn the_last_commit_leaves_out_what_was_away() {
        let mut commits =
            [0, 1, 2].map(|partition| Commit { partition, next: NextOffset(7) }).to_vec();
        retain_ours(&mut commits, &[0, 2], &[2]);
        let left: Vec<i32> = commits.iter().map(|commit| commit.partition).collect();
        assert_eq!(left, [0], "1 was taken away, 2 came back");
    }
}

//! Reads from Kafka on a thread of its own: polls, pauses under back-pressure, commits, and takes
//! partitions over.

mod group;

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use runtime::Shutdown;
use runtime::health::Health;
use runtime::kafka::Complaint;
use runtime::kafka::member::{Jump, Member, close, judge_jump, look_for_topic, outlive, refetch};
use runtime::kafka::monitor::Finding;
use runtime::kafka::probe::{Probed, Prober};
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::engine::Engine;
use crate::error::AnalyticsError;
use crate::settings::ServiceSettings;
use crate::writer::{Sink, Writer};
use group::{Group, commit_list};

/// Longest wait for a record before time is looked at again.
const POLL_TIMEOUT: Duration = Duration::from_millis(5);
/// Most records taken in before time is looked at again.
const RECORDS_PER_TURN_MAX: usize = 256;
/// Records fetched ahead, in memory.
const FETCH_QUEUE_KIB: u32 = 8 * 1024;
/// Back-pressure that lasts longer makes the process unhealthy.
const UNHEALTHY_AFTER: Duration = Duration::from_secs(10);
/// Time between two looks at whether partitions advance.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Works until asked to stop, then writes, commits and leaves the group.
pub(crate) fn serve(
    settings: &ServiceSettings,
    sink: Arc<Sink>,
    runtime: Handle,
    shutdown: &Shutdown,
    health: &Health,
) -> Result<(), AnalyticsError> {
    let writer =
        Writer::start(Arc::clone(&sink), runtime.clone()).map_err(AnalyticsError::Thread)?;
    let engine = Engine::new(settings, writer, sink.store.clock());
    let group = Group::new(settings, engine, sink, runtime);
    let config = client_config(settings);
    let prober = Prober::new(&config, &settings.kafka.topic);
    let consumer: BaseConsumer<Group> = config.create_with_context(group)?;
    let consumer = Arc::new(consumer);
    consumer.context().committer().start(Arc::clone(&consumer)).map_err(AnalyticsError::Thread)?;
    consumer.subscribe(&[&settings.kafka.topic])?;
    info!(topic = settings.kafka.topic, group = settings.group_id, "subscribed");

    let mut source = Source {
        consumer,
        blocked_since: None,
        prober,
        watched: Instant::now(),
        complaint: Complaint::default(),
        refusals: Complaint::default(),
    };
    let outcome = source.run(shutdown, health);
    let left = source.leave(settings.shutdown_grace);
    outcome.and(left)
}

fn client_config(settings: &ServiceSettings) -> ClientConfig {
    let member = Member {
        client_id: "sensorium-analytics",
        group_id: &settings.group_id,
        session_timeout_ms: settings.session_timeout_ms,
        fetch_queue_kib: FETCH_QUEUE_KIB,
        progress_interval: settings.progress_interval,
    };
    let mut config = member.config(&settings.kafka);
    config
        // Taking a partition over waits for Cassandra, however long it is away.
        .set("max.poll.interval.ms", "86400000")
        // A partition is silent only if everything in it has been read.
        .set("enable.partition.eof", "true");
    config
}

struct Source {
    consumer: Arc<BaseConsumer<Group>>,
    blocked_since: Option<Instant>,
    prober: Prober,
    watched: Instant,
    complaint: Complaint,
    refusals: Complaint,
}

impl Source {
    fn run(&mut self, shutdown: &Shutdown, health: &Health) -> Result<(), AnalyticsError> {
        while !shutdown.is_stopping() {
            let now = Instant::now();
            let has_room = self.turn(now)?;
            self.throttle(has_room, now)?;
            self.take_in(now, has_room)?;
            if now.saturating_duration_since(self.watched) >= WATCH_INTERVAL {
                self.watched = now;
                health.heartbeat(self.watch(now)?, now);
            }
        }
        Ok(())
    }

    /// Looks whether partitions advance and into those that do not; returns what keeps the member
    /// from its work.
    fn watch(&mut self, now: Instant) -> Result<Option<String>, AnalyticsError> {
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
                self.prober.start(places).map_err(AnalyticsError::Thread)?;
            }
        }
        let blocked = now.saturating_duration_since(self.blocked_since.unwrap_or(now));
        if blocked >= UNHEALTHY_AFTER {
            return Ok(Some(format!("nothing was written for {} s", blocked.as_secs())));
        }
        Ok(monitor.impediment(now))
    }

    /// Does everything but taking in; returns whether more may be taken in.
    fn turn(&mut self, now: Instant) -> Result<bool, AnalyticsError> {
        let context = self.consumer.context();
        if let Some(error) = context.take_failure() {
            return Err(error);
        }
        let mut engine = context.engine();
        engine.turn(now)?;
        context.report(&mut engine, now);
        let committer = context.committer();
        if committer.is_dead() {
            return Err(AnalyticsError::Ended("commit"));
        }
        if committer.is_idle() {
            if committer.take_success().is_some() {
                context.monitor().commit_ended(None);
            }
            if let Some(error) = committer.take_failure() {
                self.refusals.raise(|| warn!("commit failed, trying again: {error}"));
                context.monitor().commit_ended(Some(error.to_string()));
                engine.repeat_commits();
            }
            // I4: a member that was expelled is of an earlier generation, which Kafka refuses.
            let commits = engine.take_commits();
            if !commits.is_empty() {
                committer.commit(commit_list(context.topic(), &commits)?);
                context.monitor().commit_sent(now);
            }
        }
        Ok(engine.has_room())
    }

    /// Pauses where there is no room: polling goes on, so that the group keeps its member.
    fn throttle(&mut self, has_room: bool, now: Instant) -> Result<(), AnalyticsError> {
        let reassigned = self.consumer.context().take_reassigned();
        match (has_room, self.blocked_since) {
            (false, None) => {
                warn!("cassandra is slower than kafka, partitions paused");
                self.consumer.pause(&self.consumer.assignment()?)?;
                self.blocked_since = Some(now);
            }
            (false, Some(_)) if reassigned => {
                self.consumer.pause(&self.consumer.assignment()?)?;
            }
            (true, Some(_)) => {
                self.consumer.resume(&self.consumer.assignment()?)?;
                self.blocked_since = None;
                info!("partitions resumed");
            }
            (false, Some(_)) | (true, None) => {}
        }
        Ok(())
    }

    fn take_in(&mut self, now: Instant, has_room: bool) -> Result<(), AnalyticsError> {
        let mut timeout = POLL_TIMEOUT;
        let records_max = if has_room { RECORDS_PER_TURN_MAX } else { 1 };
        for _ in 0..records_max {
            // The lock must not be held here: polling calls back into the group.
            match self.consumer.poll(timeout) {
                None => break,
                Some(Ok(message)) => {
                    if self.is_next(&message, now) {
                        self.consumer.context().engine().accept(&message, now);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.consumer.context().engine().reached_end(partition);
                }
                Some(Err(error)) => {
                    let mut monitor = self.consumer.context().monitor();
                    outlive(error, &mut monitor, &mut self.complaint)?;
                    break;
                }
            }
            timeout = Duration::ZERO;
        }
        Ok(())
    }

    /// Tells whether a record is the next one of its partition, or the first one of a partition
    /// that was recreated, and sees to it that the next one comes where it is not.
    fn is_next(&self, message: &BorrowedMessage<'_>, now: Instant) -> bool {
        let context = self.consumer.context();
        let (partition, found) = (message.partition(), message.offset());
        let Ok(found) = u64::try_from(found) else {
            return false;
        };
        let expected = context.engine().expected(partition);
        let Some(expected) = expected.filter(|expected| *expected != found) else {
            return true;
        };
        let mut monitor = context.monitor();
        let place = (partition, expected, found);
        judge_jump(&self.consumer, &mut monitor, context.topic(), place, now) != Jump::NotNext
    }

    /// I7: writes what was taken in, commits it and leaves the group.
    fn leave(self, grace: Duration) -> Result<(), AnalyticsError> {
        let started = Instant::now();
        let deadline = started + grace;
        let context = Arc::clone(self.consumer.context());
        let drained = context.engine().drain(started + grace.mul_f64(0.75));
        let mut is_written = match drained {
            // Whoever waited for a server has given up.
            Err(AnalyticsError::Stopped(_)) => false,
            drained => drained?,
        };
        let commits = context.engine().take_commits();
        is_written &= context.committer().wait(deadline);
        if is_written && !commits.is_empty() {
            context.committer().commit(commit_list(context.topic(), &commits)?);
            is_written = context.committer().wait(deadline);
            if let Some(error) = context.committer().take_failure() {
                // All is written, and whoever comes next reads the open windows again anyway.
                info!("the last commit was refused, the one before holds: {error}");
            }
        }
        context.committer().end();
        close(self.consumer, deadline);
        if !is_written {
            return Err(AnalyticsError::NotWritten { waited_s: started.elapsed().as_secs() });
        }
        info!(took_ms = started.elapsed().as_millis(), "written, committed, left");
        Ok(())
    }
}

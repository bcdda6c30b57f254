//! One run from start to report: starts the threads, watches them, and settles what was sent.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use domain::partitioner::murmur2;
use domain::simulation::report::{DurationSummary, RunState};
use domain::simulation::{RunManifest, RunReport, Simulation};
use jiff::Timestamp;
use runtime::process::Context;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;
use tracing::{error, info};

use crate::connection::{Connection, spawn};
use crate::deliveries::{self, Deliveries};
use crate::error::ProducerError;
use crate::events::Herald;
use crate::observer::Observer;
use crate::pace::Clock;
use crate::progress::Progress;
use crate::proof::Target;
use crate::publish::{Assignment, Publisher};
use crate::report::{ReportFolder, Text, partition_shares};
use crate::settings::ProducerSettings;

/// Time from the decision on the start to the first reading: the first report is written meanwhile.
const LEAD_MS: u32 = 250;
/// Time between two looks at how the run is doing.
const BEAT: Duration = Duration::from_millis(50);
const NS_PER_MS: u32 = 1_000_000;
/// Name of the thread that sends.
const PACING: &str = "pacing";

/// A run under way.
#[derive(Debug)]
pub(crate) struct Run {
    settings: ProducerSettings,
    manifest: RunManifest,
    reports: ReportFolder,
    connection: Connection,
    progress: Arc<Progress>,
    pacing: oneshot::Receiver<Result<(), ProducerError>>,
    sites_by_partition: Vec<u64>,
}

/// How a run stands at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) scheduled: u64,
    pub(crate) acknowledged: u64,
    pub(crate) failed: u64,
    pub(crate) passed_over: u64,
    extras: u64,
    /// Readings that are to be sent later than they are due.
    pub(crate) held: u64,
}

impl Standing {
    /// Returns how many records are neither settled nor held back.
    pub(crate) fn in_flight(self) -> u64 {
        self.under_way().saturating_sub(self.held)
    }

    /// Returns how many records are not settled.
    fn under_way(self) -> u64 {
        let settled = self.acknowledged + self.failed + self.passed_over;
        self.scheduled.saturating_sub(settled) + self.extras
    }
}

impl Run {
    /// Decides on the start, stores the first report, and only then lets the first reading be sent;
    /// `None` if the very run is complete.
    pub(crate) fn start(
        settings: ProducerSettings,
        reports: ReportFolder,
        context: &Context,
    ) -> anyhow::Result<Option<Self>> {
        let (start_ms, clock) = settings.start_ms.map_or_else(start_in_a_moment, start_at);
        let manifest = manifest(&settings, start_ms);
        if reports.has_complete(&manifest, settings.shard, &settings.kafka.topic) {
            info!(
                run = manifest.run,
                "the run is complete, nothing is sent again; PRODUCER_RUN makes it another one"
            );
            return Ok(None);
        }
        let partitions = settings.kafka.partitions;
        let simulation = Arc::new(Simulation::new(manifest.clone()));
        let by_site = simulation.fleet().partitions(partitions);
        let mut sites_by_partition = vec![0; partitions as usize];
        for (site, partition) in (0..).zip(&by_site) {
            sites_by_partition[*partition as usize] += u64::from(settings.shard.has_site(site));
        }

        let deliveries = Deliveries::new(clock, Arc::clone(&simulation), partitions);
        let connection = Connection::open(&settings, deliveries)?;
        let own_sites: u64 = sites_by_partition.iter().sum();
        let share = own_sites as f64 / by_site.len() as f64;
        let target = Target { schedule: manifest.schedule.clone(), share };
        let progress = Arc::new(Progress::new(target, clock.now_ns()));
        let assignment = Arc::new(Assignment {
            topic: settings.kafka.topic.clone(),
            partitions: by_site,
            simulation,
            shard: settings.shard,
            clock,
            progress: Arc::clone(&progress),
        });
        let events_topic = settings.events_topic.clone();
        let herald = Herald::new(connection.client(), events_topic, Arc::clone(&assignment));
        let publisher = Publisher::new(connection.client(), assignment);
        let (sender, pacing) = oneshot::channel();
        let run =
            Self { settings, manifest, reports, connection, progress, pacing, sites_by_partition };
        run.reports.store(&run.report(RunState::Running))?;
        info!(run = run.manifest.run, start_ms, "run starts");
        let shutdown = context.shutdown.clone();
        let (catch_up, grace) = (run.settings.catch_up, run.settings.shutdown_grace);
        let (ending, events_shutdown) = (herald.ending(), shutdown.clone());
        let events = spawn("events", move || herald.announce_all(&events_shutdown))?;
        spawn(PACING, move || {
            let outcome = publisher.publish_all(catch_up, &shutdown, grace);
            ending.store(true, Ordering::SeqCst);
            let announced = events.join().unwrap_or(Err(ProducerError::ThreadLost("events")));
            // Nobody receives it if the process has given up on this thread.
            let _unheard = sender.send(outcome.and(announced));
        })?;
        context.health.well();
        Ok(Some(run))
    }

    /// Watches the run to its end, stores and prints its report.
    pub(crate) async fn finish(mut self, context: Context) -> anyhow::Result<ExitCode> {
        let outcome = self.watch(&context).await;
        let standing = self.standing();
        let all_sent = Some(standing.scheduled) == self.manifest.schedule.readings_max;
        let all_acknowledged = standing.acknowledged + standing.passed_over == standing.scheduled;
        let state =
            if all_sent && all_acknowledged { RunState::Complete } else { RunState::Stopped };
        let report = self.report(state);
        self.reports.store(&report)?;
        let text = Text {
            report: &report,
            catch_up: self.settings.catch_up,
            file: &self.reports.file(&report.id()),
        };
        // A closed pipe is no reason to fail: the file has it all.
        let _closed = std::io::stdout().write_all(text.to_string().as_bytes());
        if standing.under_way() == 0 {
            self.connection.close()?;
        }
        outcome?;
        if all_acknowledged {
            info!(acknowledged = standing.acknowledged, "kafka has every reading");
            return Ok(ExitCode::SUCCESS);
        }
        error!(
            unacknowledged = deliveries::count(&report.unacknowledged),
            failed = standing.failed,
            "kafka did not acknowledge every reading, the report lists those it did not"
        );
        Ok(ExitCode::FAILURE)
    }

    /// Waits until all is sent and settled; after a stop or failure, for the grace period at most.
    async fn watch(&mut self, context: &Context) -> Result<(), ProducerError> {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut observer = Observer::new(&self.settings, self.manifest.schedule.readings_max);
        let mut sent = None;
        let mut deadline = None;
        loop {
            tokio::select! {
                outcome = &mut self.pacing, if sent.is_none() => {
                    let outcome = outcome.unwrap_or(Err(ProducerError::ThreadLost(PACING)));
                    if outcome.is_err() {
                        deadline.get_or_insert(Instant::now() + self.settings.shutdown_grace);
                    }
                    sent = Some(outcome);
                }
                () = context.shutdown.stopped(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + self.settings.shutdown_grace);
                }
                _ = beat.tick() => observer.look(self, context),
            }
            let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let settled = || self.standing().under_way() == 0;
            if let Some(outcome) = sent.take_if(|_| over || settled()) {
                return outcome;
            }
        }
    }

    /// Returns how the run stands.
    pub(crate) fn standing(&self) -> Standing {
        let ledger = self.connection.deliveries().ledger();
        Standing {
            acknowledged: ledger.acknowledgements.acknowledged(),
            failed: ledger.acknowledgements.failed(),
            passed_over: ledger.acknowledgements.passed_over(),
            extras: self.connection.deliveries().extras_under_way(),
            held: self.progress.held(),
            // Read after the books are held still, so that it covers everything in them.
            scheduled: self.progress.scheduled(),
        }
    }

    /// Returns how far behind the schedule sending is.
    pub(crate) fn debt(&self) -> Duration {
        self.progress.debt()
    }

    /// Stores a report in place of the one before.
    pub(crate) fn store(&self, report: &RunReport) -> Result<(), ProducerError> {
        self.reports.store(report)
    }

    /// Describes the run as it stands: a snapshot, which knows nothing of what is sent later.
    fn report(&self, state: RunState) -> RunReport {
        self.report_with_interval(state).0
    }

    /// Ends an interval; returns the report, and the interval's lateness and latency.
    pub(crate) fn report_with_interval(
        &self,
        state: RunState,
    ) -> (RunReport, [DurationSummary; 3]) {
        let (lateness_now, lateness) = self.progress.end_interval();
        let elapsed_s = self.progress.elapsed().as_secs_f64();
        let event_span = self.connection.deliveries().events().span();
        let mut ledger = self.connection.deliveries().ledger();
        let latency_now = ledger.latency.end_interval();
        let response_now = ledger.response.end_interval();
        let scheduled = self.progress.scheduled();
        let (rate_proof, fates) = self.progress.proof();
        let aside = ledger.acknowledgements.passed_over() + self.progress.held();
        let sent = scheduled.saturating_sub(aside);
        let rate_achieved =
            if elapsed_s > 0.0 { sent.saturating_sub(1) as f64 / elapsed_s } else { 0.0 };
        let report = RunReport {
            manifest: self.manifest.clone(),
            shard: self.settings.shard,
            topic: self.settings.kafka.topic.clone(),
            state,
            written_ms: Timestamp::now().as_millisecond(),
            scheduled,
            sent,
            acknowledged: ledger.acknowledgements.acknowledged(),
            failed: ledger.acknowledgements.failed(),
            unacknowledged: ledger.acknowledgements.unacknowledged(scheduled),
            fates,
            events: self.progress.events(),
            event_span: Some(event_span),
            elapsed_s,
            rate_achieved,
            debt_s: self.progress.debt().as_secs_f64(),
            rate_proof,
            lateness,
            ack_latency: ledger.latency.total(),
            response: ledger.response.total(),
            partitions: partition_shares(&self.sites_by_partition, &ledger.by_partition),
        };
        (report, [lateness_now, latency_now, response_now])
    }
}

/// Chooses a whole millisecond a moment from now, as event time and on the pace's own clock.
fn start_in_a_moment() -> (i64, Clock) {
    let (wall, now) = (Timestamp::now(), Instant::now());
    let past_ms_ns = wall.subsec_nanosecond().cast_unsigned() % NS_PER_MS;
    let lead = Duration::from_nanos(u64::from(LEAD_MS * NS_PER_MS - past_ms_ns));
    let start_ms = wall.as_millisecond() + i64::from(LEAD_MS);
    (start_ms, Clock::new(now + lead, 0))
}

/// Sets the clock for a start that is given: readings wait for it, or are overdue.
fn start_at(start_ms: i64) -> (i64, Clock) {
    let (wall, now) = (Timestamp::now(), Instant::now());
    let ahead_ns = wall.as_nanosecond() - i128::from(start_ms) * i128::from(NS_PER_MS);
    let distance_ns = u64::try_from(ahead_ns.unsigned_abs()).unwrap_or(u64::MAX);
    let clock = if ahead_ns < 0 {
        Clock::new(now + Duration::from_nanos(distance_ns), 0)
    } else {
        Clock::new(now, distance_ns)
    };
    (start_ms, clock)
}

/// Returns the inputs of the run.
///
/// A run whose start is given has an id that follows from all of them: sent once more, by a process
/// that was restarted or on another day, its readings are the same rows. Any other run is named by
/// its start and four random digits: readable, in order, unique enough.
fn manifest(settings: &ProducerSettings, start_ms: i64) -> RunManifest {
    let mut manifest = settings.manifest(String::new(), start_ms);
    let suffix = match settings.start_ms {
        Some(_) => format!("{:08x}", murmur2(format!("{manifest:?}").as_bytes())),
        None => format!("{:04x}", rand::random::<u16>()),
    };
    let start = Timestamp::from_millisecond(start_ms).unwrap_or_default();
    let named = || format!("{}-{suffix}", start.strftime("%Y%m%dT%H%M%S"));
    manifest.run = settings.run.clone().unwrap_or_else(named);
    manifest
}

#[cfg(test)]
mod tests {
    use runtime::settings::Reader;

    use super::*;

    fn id(pairs: &[(&str, &str)]) -> String {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let settings = ProducerSettings::read(&mut Reader::new(pairs.collect()));
        manifest(&settings, settings.start_ms.unwrap_or(1_764_000_000_000)).run
    }

    #[test]
    fn a_history_has_the_id_of_its_inputs() {
        let start = ("PRODUCER_START", "2026-11-21T00:00:00Z");
        let history = id(&[start]);
        assert!(history.starts_with("20261121T000000-"), "{history}");
        assert_eq!(history, id(&[start]));
        for other in [("PRODUCER_SEED", "7"), ("IOT_NUM_SENSORS", "9"), ("PRODUCER_READINGS", "5")]
        {
            assert_ne!(history, id(&[start, other]), "{other:?}");
        }
        assert_eq!(id(&[start, ("PRODUCER_RUN", "mine")]), "mine");
        assert_eq!(id(&[]).len(), "20251124T160000-07b1".len());
    }
}

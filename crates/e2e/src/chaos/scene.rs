//! The scene of a case: a trial on the servers, its producer and its consumers, and what was
//! measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::simulation::Simulation;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use runtime::clock::now_ms;

use super::member::Member;
use super::outcome::Outcome;
use super::servers::Servers;
use crate::database::Database;
use crate::trial::{Counts, Trial};

/// Time between two looks at everything.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for anything that has to come by itself: servers share few cores with everybody.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// Longest wait of the audit for the consumers.
const SETTLE_TIMEOUT: Duration = Duration::from_mins(3);
/// Longest finite run.
const RUN_TIMEOUT: Duration = Duration::from_mins(10);
/// What is produced after the recovery, in seconds at the case's rate.
const AFTERMATH_S: u64 = 2;

/// Servers, programs and measurements of one case.
#[derive(Debug)]
pub struct Scene<'a> {
    servers: &'a Servers,
    trial: Trial,
    random: StdRng,
    rate: u64,
    producer: Option<Member>,
    consumers: Vec<Member>,
    started: u32,
    detour: Vec<(&'static str, String)>,
    for_consumers: Vec<(&'static str, String)>,
    rows_of_the_gone: u64,
    killed: bool,
    first_row: Option<Duration>,
    recovery: Option<Duration>,
    rows_per_s: f64,
    counts: Counts,
    notes: Vec<String>,
}

impl<'a> Scene<'a> {
    /// Makes topic, keyspace and group of its own; nothing runs yet.
    pub(super) fn new(servers: &'a Servers, seed: u64) -> Result<Self> {
        let replicas = u32::try_from(servers.nodes)?;
        let mut trial = Trial::with_replicas(&servers.stack, replicas)?;
        // A dead consumer's partitions come free soon.
        trial.set("KAFKA_SESSION_TIMEOUT_MS", 6_000);
        let rate = if servers.nodes == 1 { 10_000 } else { 2_000 };
        trial.set("PRODUCER_TARGET_RATE", rate);
        if servers.nodes > 1 {
            // Each partition hears from a sensor twice a second, which is how exactly a recovery
            // is measured.
            trial.set("IOT_NUM_SENSORS", 1_000);
        }
        Ok(Self {
            servers,
            trial,
            random: StdRng::seed_from_u64(seed),
            rate,
            producer: None,
            consumers: Vec::new(),
            started: 0,
            detour: Vec::new(),
            for_consumers: Vec::new(),
            rows_of_the_gone: 0,
            killed: false,
            first_row: None,
            recovery: None,
            rows_per_s: 0.0,
            counts: Counts::default(),
            notes: Vec::new(),
        })
    }

    /// Returns the servers.
    pub(super) fn servers(&self) -> &'a Servers {
        self.servers
    }

    /// Returns the trial.
    pub(super) fn trial(&self) -> &Trial {
        &self.trial
    }

    /// Returns the trial, for other settings than the scene knows of.
    pub(super) fn trial_mut(&mut self) -> &mut Trial {
        &mut self.trial
    }

    /// Changes a setting for the programs that start from now on.
    pub(super) fn set(&mut self, name: &'static str, value: u64) {
        self.trial.set(name, value);
        if name == "PRODUCER_TARGET_RATE" {
            self.rate = value;
        }
    }

    /// Changes where the programs look for their servers, and nobody else.
    pub(super) fn detour(&mut self, name: &'static str, address: std::net::SocketAddr) {
        self.detour.push((name, address.to_string()));
    }

    /// Changes the environment of the consumers that start from now on, and of nobody else.
    pub(super) fn set_for_consumers(&mut self, name: &'static str, value: String) {
        self.for_consumers.push((name, value));
    }

    /// Adds a figure to the report.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Draws a number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    /// Returns the running consumers.
    pub(super) fn consumers(&mut self) -> &mut Vec<Member> {
        &mut self.consumers
    }

    /// Returns the running producer.
    pub(super) fn producer(&mut self) -> Result<&mut Member> {
        self.producer.as_mut().context("a producer runs")
    }

    /// Starts a consumer.
    pub(super) fn start_consumer(&mut self) -> Result<()> {
        let settings = [self.detour.as_slice(), &self.for_consumers].concat();
        let consumer = self.start("consumer", &settings)?;
        self.consumers.push(consumer);
        Ok(())
    }

    /// Waits until the only consumer has ended by itself, with an error that begins in this way.
    pub(super) fn await_refusal(&mut self, reason: &str, timeout: Duration) -> Result<()> {
        let consumer = self.consumers.pop().context("a consumer runs")?;
        self.rows_of_the_gone += consumer.await_refusal(reason, timeout)?;
        Ok(())
    }

    /// Starts a producer, with a run of its own, and waits until that run has a report.
    pub(super) fn start_producer(&mut self) -> Result<()> {
        let settings = self.detour.clone();
        self.producer = Some(self.start("producer", &settings)?);
        let since = Instant::now();
        self.until("the run starts", PATIENCE, |scene| {
            Ok(scene.producer()?.said("run starts", since).next().is_some())
        })
    }

    fn start(&mut self, binary: &str, settings: &[(&str, String)]) -> Result<Member> {
        self.started += 1;
        let name = format!("{:02}-{binary}", self.started);
        Ok(Member::new(self.trial.start_with(binary, &name, settings)?))
    }

    /// Looks at everybody until a condition holds.
    pub(super) fn until(
        &mut self,
        what: &str,
        timeout: Duration,
        mut holds: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            for member in self.consumers.iter_mut().chain(&mut self.producer) {
                member.look()?;
            }
            if holds(self)? {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "waited {timeout:?} in vain until {what}");
            thread::park_timeout(LOOK);
        }
    }

    /// Lets things go on for a while.
    pub(super) fn pass(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        self.until("time has passed", time + PATIENCE, |_| Ok(Instant::now() >= end))
    }

    /// Lets things go on for a random while.
    pub(super) fn pass_up_to(&mut self, time: Duration) -> Result<()> {
        let time_ms = u64::try_from(time.as_millis())?;
        let random_ms = self.random.random_range(0..=time_ms);
        self.pass(Duration::from_millis(random_ms))
    }

    /// Returns the rows that all consumers together say they wrote.
    pub(super) fn rows(&self) -> u64 {
        self.rows_of_the_gone + self.consumers.iter().map(Member::rows).sum::<u64>()
    }

    /// Waits until so many more rows are written.
    pub(super) fn await_rows(&mut self, rows: u64) -> Result<()> {
        let goal = self.rows() + rows;
        self.until("rows flow", PATIENCE, |scene| Ok(scene.rows() >= goal))
    }

    /// Waits until as many rows are written as are produced in `seconds`.
    pub(super) fn flow(&mut self, seconds: u64) -> Result<()> {
        self.await_rows(self.rate * seconds)
    }

    /// Waits until rows flow as fast as they are produced, and are at most two seconds behind.
    pub(super) fn calm(&mut self) -> Result<()> {
        self.flow(2)?;
        let near = 2.0 * self.rate as f64;
        self.until("the consumers keep up", PATIENCE, |scene| {
            let lag = |consumer: &Member| consumer.last_now("lag");
            let lags: Option<Vec<f64>> = scene.consumers.iter().map(lag).collect();
            Ok(lags.is_some_and(|lags| lags.iter().sum::<f64>() < near))
        })
    }

    /// Waits until each consumer has at least one partition and all together have them all.
    pub(super) fn await_shared(&mut self) -> Result<()> {
        self.until("the partitions are shared", PATIENCE, |scene| {
            let owned: Vec<f64> = scene
                .consumers
                .iter()
                .map(|consumer| consumer.last("partitions").unwrap_or(0.0))
                .collect();
            let all = (owned.iter().sum::<f64>() - 12.0).abs() < 0.5;
            Ok(all && owned.iter().all(|partitions| *partitions > 0.0))
        })
    }

    /// Kills a consumer.
    pub(super) fn kill_consumer(&mut self, index: usize) -> Result<()> {
        self.killed = true;
        self.rows_of_the_gone += self.consumers.remove(index).kill()?;
        Ok(())
    }

    /// Stops a consumer in good order.
    pub(super) fn stop_consumer(&mut self, index: usize) -> Result<()> {
        self.rows_of_the_gone += self.consumers.remove(index).stop()?;
        Ok(())
    }

    /// Sees off a consumer that was asked to stop.
    pub(super) fn leave(&mut self, consumer: Member) -> Result<()> {
        self.rows_of_the_gone += consumer.stop()?;
        Ok(())
    }

    /// Kills the producer; its report stays as it was last written.
    pub(super) fn kill_producer(&mut self) -> Result<()> {
        self.producer.take().context("a producer runs")?.kill().map(|_| ())
    }

    /// Stops the producer in good order: Kafka has all that it sent.
    pub(super) fn stop_producer(&mut self) -> Result<()> {
        self.producer.take().context("a producer runs")?.stop().map(|_| ())
    }

    /// Measures how long it takes from now, when all is well again, until rows come and until they
    /// are up to date, and produces a little more.
    pub(super) fn recover(&mut self) -> Result<()> {
        self.recover_within(PATIENCE)
    }

    /// The same with a limit of its own.
    pub(super) fn recover_within(&mut self, timeout: Duration) -> Result<()> {
        let healed = Instant::now();
        let now_ms = now_ms();
        let simulation = Simulation::new(self.trial.report()?.manifest);
        let mut open = first_due_of_each_partition(&simulation, now_ms);
        let mut database: Option<Database> = None;
        let rows_before = self.rows();
        self.until("what is due now is stored", timeout, |scene| {
            // A server may be up and not answer yet.
            if database.is_none() {
                database = scene.trial.database().ok();
            }
            if let Some(found) = &database {
                while let Some(index) = open.last() {
                    match found.holds(&simulation, *index) {
                        Ok(true) => open.pop(),
                        Ok(false) => break,
                        Err(_) => {
                            database = None;
                            break;
                        }
                    };
                }
            }
            Ok(open.is_empty())
        })?;
        let recovery = healed.elapsed();
        self.recovery = Some(recovery);
        self.rows_per_s = (self.rows() - rows_before) as f64 / recovery.as_secs_f64();
        self.flow(AFTERMATH_S)?;
        let first = self.consumers.iter().filter_map(|member| member.first_rows_after(healed));
        self.first_row = first.min().map(|first| first - healed);
        Ok(())
    }

    /// Returns how long the first row took in the last recovery.
    pub(super) fn first_row(&self) -> Option<Duration> {
        self.first_row
    }

    /// Returns the rows written a second during the last recovery.
    pub(super) fn recovery_rows_per_s(&self) -> f64 {
        self.rows_per_s
    }

    /// Returns what the audit counted last.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Makes the next proof the one that counts.
    pub(super) fn forget_proof(&mut self) {
        self.counts = Counts::default();
    }

    /// Waits until the producer has come to the end of its run.
    pub(super) fn await_producer(&mut self) -> Result<()> {
        self.until("the run is complete", RUN_TIMEOUT, |scene| Ok(scene.producer()?.is_done()))?;
        self.producer = None;
        Ok(())
    }

    /// Audits what was produced so far, to the last row; the producer has been stopped.
    pub(super) fn prove(&mut self) -> Result<()> {
        self.prove_but_for(0)
    }

    /// The same where so many readings are known to be missing.
    pub(super) fn prove_but_for(&mut self, absent: u64) -> Result<()> {
        self.counts = self.audit()?;
        let Counts { missing, phantom, corrupt, settled, .. } = self.counts;
        ensure!(settled == Some(true), "the consumers did not store everything in time");
        ensure!(
            (missing, phantom, corrupt) == (absent, 0, 0),
            "the audit found missing {missing} phantom {phantom} corrupt {corrupt}, expected \
             missing {absent}"
        );
        Ok(())
    }

    /// Audits again if Cassandra did not answer it: that is no verdict.
    fn audit(&mut self) -> Result<Counts> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.trial.audit_counts(SETTLE_TIMEOUT) {
                Err(error) if Instant::now() < deadline => {
                    self.notes.push(format!("the audit came to no verdict: {error:#}"));
                }
                verdict => return verdict,
            }
        }
    }

    /// Ends what still runs, in good order, between two looks at the proof.
    pub(super) fn conclude(&mut self) -> Result<()> {
        if self.producer.is_some() {
            self.stop_producer()?;
        }
        self.until("everybody is well", PATIENCE, |_| Ok(true))?;
        self.prove()?;
        while !self.consumers.is_empty() {
            self.stop_consumer(0)?;
        }
        Ok(())
    }

    /// Counts what became of the readings of a case that broke off, as far as that can be known.
    pub(super) fn take_stock(&mut self) -> Result<()> {
        self.servers.restore()?;
        if let Some(producer) = self.producer.take() {
            producer.stop()?;
        }
        if self.consumers.iter_mut().all(|consumer| consumer.look().is_err()) {
            self.start_consumer()?;
        }
        self.counts = self.audit()?;
        self.consumers.iter_mut().for_each(Member::listen);
        Ok(())
    }

    pub(super) fn tell(&mut self, outcome: &mut Outcome) {
        outcome.counts = self.counts.clone();
        outcome.first_row = self.first_row;
        outcome.recovery = self.recovery;
        outcome.rows_written = self.rows();
        outcome.rows_lost_count = self.killed;
        outcome.notes = std::mem::take(&mut self.notes);
    }

    /// Leaves the logs of programs and servers behind; returns where.
    pub(super) fn keep_logs(mut self) -> PathBuf {
        self.trial.keep_folder();
        let folder = self.trial.folder().to_path_buf();
        // Better some logs than none.
        if let Ok(entries) = fs::read_dir(self.servers.stack.data_dir().join("logs")) {
            for entry in entries.flatten() {
                let _copied = fs::copy(entry.path(), folder.join(entry.file_name()));
            }
        }
        folder
    }
}

/// Returns, for each partition that gets any, the first reading due from now on; the last due comes
/// first.
fn first_due_of_each_partition(simulation: &Simulation, now_ms: i64) -> Vec<u64> {
    let schedule = &simulation.manifest().schedule;
    let elapsed_ms = u64::try_from(now_ms - schedule.start_ms).unwrap_or(0);
    let first = schedule.due_count(elapsed_ms * 1_000_000);
    let fleet = simulation.fleet();
    let partitions = fleet.partitions(12);
    let mut found = BTreeMap::new();
    for index in first..first + fleet.sensors() {
        let site = fleet.site_number_of(index % fleet.sensors());
        found.entry(partitions[site]).or_insert(index);
    }
    let mut indexes: Vec<u64> = found.into_values().collect();
    indexes.sort_unstable_by(|one, other| other.cmp(one));
    indexes
}

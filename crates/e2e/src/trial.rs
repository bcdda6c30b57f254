//! One test's pipeline: programs on a topic, keyspace, group and report folder that no other test
//! has.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domain::simulation::RunReport;
use localstack::Stack;
use rdkafka::message::OwnedMessage;
use serde::Deserialize;
use tempfile::TempDir;
use up::{Program, schema};

use crate::{Database, program, topic};

static TRIALS: AtomicU32 = AtomicU32::new(0);

/// What a program said that was run to its end.
#[derive(Debug)]
pub struct Verdict {
    /// Exit code.
    pub code: i32,
    /// Everything on standard output.
    pub output: String,
}

impl Verdict {
    /// Returns the last line.
    pub fn last_line(&self) -> &str {
        self.output.lines().last().unwrap_or_default()
    }
}

/// Numbers of readings, as the audit counts them; what is wrong in the other tables is added.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Counts {
    /// Acknowledged by Kafka.
    pub acknowledged: u64,
    /// Found, as computed.
    pub stored: u64,
    /// Acknowledged and not found, and rows that other tables lack.
    pub missing: u64,
    /// Found, but made by no run.
    pub phantom: u64,
    /// Found, but not as computed.
    pub corrupt: u64,
    /// Found and made after the report was written: by a producer that was killed.
    pub later: u64,
    /// Whether the consumers had stored everything in time.
    pub settled: Option<bool>,
    /// What is wrong in the tables beside `readings`.
    tables: Vec<TableCounts>,
}

/// Numbers of rows of one of these tables.
#[derive(Clone, Debug, Default, Deserialize)]
struct TableCounts {
    missing: u64,
    phantom: u64,
    corrupt: u64,
}

impl Counts {
    fn add_tables(&mut self) {
        for table in std::mem::take(&mut self.tables) {
            self.missing += table.missing;
            self.phantom += table.phantom;
            self.corrupt += table.corrupt;
        }
    }
}

/// A pipeline with names of its own on given servers.
#[derive(Debug)]
pub struct Trial {
    settings: BTreeMap<&'static str, String>,
    folder: TempDir,
}

impl Trial {
    /// Makes names that nobody else has, and the keyspace.
    pub fn new(stack: &Stack) -> Result<Self> {
        Self::with_replicas(stack, 1)
    }

    /// The same with so many copies of everything, in Kafka and in Cassandra.
    pub fn with_replicas(stack: &Stack, replicas: u32) -> Result<Self> {
        let mut trial = Self::without_schema(stack)?;
        trial.set("KAFKA_REPLICATION_FACTOR", replicas);
        schema::create(&stack.contact_points(), trial.keyspace(), replicas)?;
        Ok(trial)
    }

    /// The same, but nothing is asked of the servers: they may be down.
    pub fn without_schema(stack: &Stack) -> Result<Self> {
        let number = TRIALS.fetch_add(1, Ordering::Relaxed);
        let folder = TempDir::with_prefix("sensorium-trial-")?;
        let runs = folder.path().join("runs").display().to_string();
        let settings = BTreeMap::from([
            ("KAFKA_BOOTSTRAP_SERVERS", stack.bootstrap_servers()),
            ("KAFKA_TOPIC_NAME", format!("readings-{number}")),
            ("KAFKA_EVENTS_TOPIC_NAME", format!("events-{number}")),
            ("KAFKA_DLQ_TOPIC_NAME", format!("dlq-{number}")),
            ("KAFKA_CONSUMER_GROUP_ID", format!("group-{number}")),
            ("KAFKA_DLQ_GROUP_ID", format!("redrive-{number}")),
            ("KAFKA_AGGREGATES_TOPIC_NAME", format!("aggregates-{number}")),
            ("KAFKA_ALERTS_TOPIC_NAME", format!("alerts-{number}")),
            ("KAFKA_LATE_TOPIC_NAME", format!("late-{number}")),
            ("ANALYTICS_GROUP_ID", format!("analytics-{number}")),
            ("CASSANDRA_CONTACT_POINTS", stack.contact_points()),
            ("CASSANDRA_KEYSPACE", format!("trial_{number}")),
            ("PRODUCER_REPORT_DIR", runs.clone()),
            ("AUDIT_REPORT_DIR", runs),
            ("PRODUCER_PROGRESS_INTERVAL_SEC", "1".into()),
            ("PRODUCER_CATCH_UP", "unlimited".into()),
            ("CONSUMER_PROGRESS_INTERVAL_SEC", "1".into()),
            ("ANALYTICS_PROGRESS_INTERVAL_SEC", "1".into()),
        ]);
        Ok(Self { settings, folder })
    }

    /// Changes a setting for the programs that start from now on.
    pub fn set(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.settings.insert(name, value.to_string());
        self
    }

    /// Returns the value of a setting that every trial has, or that was set.
    pub fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    /// Returns the folder of logs and reports, which goes with the trial.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the folder behind.
    pub fn keep_folder(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Returns the topic.
    pub fn topic(&self) -> &str {
        &self.settings["KAFKA_TOPIC_NAME"]
    }

    /// Returns the topic of the events.
    pub fn events_topic(&self) -> &str {
        &self.settings["KAFKA_EVENTS_TOPIC_NAME"]
    }

    /// Returns the topic of the dead letters.
    pub fn dead_letter_topic(&self) -> &str {
        &self.settings["KAFKA_DLQ_TOPIC_NAME"]
    }

    /// Reads everything that is in a topic now.
    pub fn read_topic(&self, topic: &str) -> Result<Vec<OwnedMessage>> {
        topic::read(&self.settings["KAFKA_BOOTSTRAP_SERVERS"], topic)
    }

    /// Returns the keyspace.
    pub fn keyspace(&self) -> &str {
        &self.settings["CASSANDRA_KEYSPACE"]
    }

    /// Connects to the trial's keyspace.
    pub fn database(&self) -> Result<Database> {
        Database::connect(&self.settings["CASSANDRA_CONTACT_POINTS"], self.keyspace())
    }

    /// Starts a program; `name` tells its log from others.
    pub fn start(&self, binary: &str, name: &str) -> Result<Program> {
        self.start_with(binary, name, &[])
    }

    /// The same with settings that are this process's alone.
    pub fn start_with(
        &self,
        binary: &str,
        name: &str,
        settings: &[(&str, String)],
    ) -> Result<Program> {
        let mut command = Command::new(program(binary)?);
        command.envs(&self.settings).envs(settings.iter().map(|(name, value)| (name, value)));
        command.env("LOG_FORMAT", "json").stdout(Stdio::null());
        Program::spawn(name, command, &self.folder.path().join(format!("{name}.log")))
    }

    /// Starts one action of a program that has several.
    pub fn start_action(&self, binary: &str, arguments: &[&str], name: &str) -> Result<Program> {
        let mut command = Command::new(program(binary)?);
        command.args(arguments).envs(&self.settings);
        command.env("LOG_FORMAT", "json").stdout(Stdio::null());
        Program::spawn(name, command, &self.folder.path().join(format!("{name}.log")))
    }

    /// Runs a finite producer to its end.
    pub fn produce(&self, timeout: Duration) -> Result<RunReport> {
        let mut producer = self.start("producer", "producer")?;
        let status = producer.wait(timeout)?;
        ensure!(status.success(), "the producer ended: {status}{}", producer.last_lines());
        self.report()
    }

    /// Returns the newest run's report.
    pub fn report(&self) -> Result<RunReport> {
        let mut paths: Vec<_> = fs::read_dir(&self.settings["PRODUCER_REPORT_DIR"])?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        let path = paths.last().context("a producer leaves a report")?;
        let text = fs::read_to_string(path)?;
        serde_json::from_str(&text).with_context(|| format!("{} is a report", path.display()))
    }

    /// Stores the report of a run that no producer made.
    pub fn store_report(&self, report: &RunReport) -> Result<()> {
        let folder = Path::new(&self.settings["PRODUCER_REPORT_DIR"]);
        fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.json", report.manifest.run));
        fs::write(&path, serde_json::to_vec(report)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Runs a program to its end.
    pub fn run(&self, binary: &str, arguments: &[&str]) -> Result<Verdict> {
        let output = Command::new(program(binary)?)
            .args(arguments)
            .envs(&self.settings)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("{binary} starts"))?;
        Ok(Verdict {
            code: output.status.code().with_context(|| format!("{binary} ends by itself"))?,
            output: String::from_utf8(output.stdout)?,
        })
    }

    /// Runs the audit to its end and returns its verdict as data; its log is in the folder.
    pub fn audit_counts(&self, settle_timeout: Duration) -> Result<Counts> {
        let log =
            File::options().create(true).append(true).open(self.folder().join("audit.log"))?;
        let output = Command::new(program("audit")?)
            .envs(&self.settings)
            .env("AUDIT_FORMAT", "json")
            .env("AUDIT_SETTLE_TIMEOUT_SEC", settle_timeout.as_secs().to_string())
            .stderr(log)
            .output()
            .context("the audit starts")?;
        fs::write(self.folder().join("audit.json"), &output.stdout)?;
        let code = output.status.code().context("the audit ends by itself")?;
        ensure!(!output.stdout.is_empty(), "the audit ended with {code}, see audit.log");
        let counts: Result<Counts, _> = serde_json::from_slice(&output.stdout);
        let mut counts = counts.context("the audit says what it found")?;
        counts.add_tables();
        Ok(counts)
    }

    /// Runs the audit to its end.
    pub fn audit(&self) -> Result<Verdict> {
        self.run("audit", &[])
    }

    /// Runs the audit and insists on its verdict: everything acknowledged is stored, and nothing
    /// else.
    pub fn assert_proved(&self) -> Result<()> {
        let report = self.report()?;
        let verdict = self.audit()?;
        let (scheduled, acknowledged) = (report.scheduled, report.acknowledged);
        let expected = format!(
            "audit: scheduled {scheduled} acknowledged {acknowledged} stored {acknowledged} \
             missing 0 phantom 0 corrupt 0"
        );
        ensure!(
            verdict.code == 0 && verdict.last_line() == expected,
            "expected `{expected}`, the audit ended with {} and said:\n{}",
            verdict.code,
            verdict.output
        );
        Ok(())
    }
}

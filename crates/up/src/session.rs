//! One run of the pipeline from first server to last: starts everything, watches it, ends it in
//! good order.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use localstack::Stack;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::info;
use up::{Program, schema};

use crate::options::Options;
use crate::status::Status;

const KEYSPACE: &str = "iot";
/// Longest wait for a program that was asked to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one look at a program's log may take.
const LOOK: Duration = Duration::from_millis(50);
/// Exit code after a second signal.
const EXIT_FORCED: i32 = 130;

/// Runs the pipeline as the options say; the exit code is the audit's, where there is one.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The first signal asks, the second one ends the process: the servers' supervisors then end
        // the servers.
        flag::register_conditional_shutdown(signal, EXIT_FORCED, Arc::clone(&stopping))?;
        flag::register(signal, Arc::clone(&stopping))?;
    }
    let stack = start_servers(options)?;
    if stopping.load(Ordering::Relaxed) {
        return Ok(ExitCode::SUCCESS);
    }
    let replication_factor = u32::try_from(options.nodes)?;
    schema::create(&stack.contact_points(), KEYSPACE, replication_factor)?;
    let mut session = Session::start(options, &stack, started, stopping)?;
    let _environment = session.publish_environment(options)?;
    session.watch(options)
}

fn start_servers(options: &Options) -> Result<Stack> {
    info!("starting kafka and cassandra");
    let mut builder = Stack::builder().kafka_nodes(options.nodes).cassandra_nodes(options.nodes);
    if let Some(folder) = &options.data {
        builder = builder.data_dir(folder);
    }
    Ok(builder.start()?)
}

/// The programs at work.
struct Session {
    settings: Vec<(&'static str, String)>,
    producer: Program,
    consumers: Vec<Program>,
    analytics: Vec<Program>,
    status: Status,
    stopping: Arc<AtomicBool>,
}

impl Session {
    fn start(
        options: &Options,
        stack: &Stack,
        started: Instant,
        stopping: Arc<AtomicBool>,
    ) -> Result<Self> {
        let logs = stack.data_dir().join("logs");
        let runs = stack.data_dir().join("runs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let settings = settings(options, stack, &runs);
        let start = |program: &str, name: &str| {
            let log = logs.join(format!("{name}.log"));
            Program::start(name, &path_of(program)?, settings.clone(), &log)
        };
        let producer = start("producer", "producer")?;
        let several = |program: &str, count: u8| -> Result<Vec<Program>> {
            (1..=count).map(|number| start(program, &format!("{program}-{number}"))).collect()
        };
        let consumers = several("consumer", options.consumers)?;
        let analytics = several("analytics", options.analytics)?;
        let mut status = Status::new(started, consumers.len(), analytics.len());
        status.say(&format!(
            "kafka {}  cassandra {}  logs {}",
            stack.bootstrap_servers(),
            stack.contact_points(),
            logs.display()
        ));
        Ok(Self { settings, producer, consumers, analytics, status, stopping })
    }

    /// Writes where everything is, for the tools that come to look; the file goes when the guard
    /// does.
    fn publish_environment(&self, options: &Options) -> Result<Option<EnvironmentFile>> {
        let Some(path) = &options.environment_file else {
            return Ok(None);
        };
        let lines: String =
            self.settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let write = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, lines)
        };
        write().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Some(EnvironmentFile(path.clone())))
    }

    fn watch(&mut self, options: &Options) -> Result<ExitCode> {
        loop {
            if self.stopping.load(Ordering::Relaxed) {
                self.status.say("stopping");
                ended_well("producer", self.producer.stop(STOP_TIMEOUT)?)?;
                return self.stop_readers(ExitCode::SUCCESS);
            }
            self.look()?;
            self.status.show();
            if let Some(status) = self.producer.exited()? {
                self.look()?;
                if !status.success() {
                    bail!("the producer ended: {status}{}", self.producer.last_lines());
                }
                if !options.is_finite() {
                    bail!(
                        "the producer ended before it was asked to{}",
                        self.producer.last_lines()
                    );
                }
                let verdict = self.audit()?;
                return self.stop_readers(verdict);
            }
        }
    }

    /// Reads what the programs have to say.
    fn look(&mut self) -> Result<()> {
        while let Some(line) = self.producer.next_line(Duration::ZERO) {
            self.status.producer(&line);
        }
        for (number, consumer) in self.consumers.iter_mut().enumerate() {
            let mut timeout = LOOK;
            while let Some(line) = consumer.next_line(timeout) {
                self.status.consumer(number, &line);
                timeout = Duration::ZERO;
            }
        }
        for (number, analytics) in self.analytics.iter_mut().enumerate() {
            while let Some(line) = analytics.next_line(Duration::ZERO) {
                self.status.analytics(number, &line);
            }
        }
        for program in self.consumers.iter_mut().chain(&mut self.analytics) {
            if let Some(status) = program.exited()? {
                bail!("{} ended: {status}{}", program.name(), program.last_lines());
            }
        }
        Ok(())
    }

    fn audit(&mut self) -> Result<ExitCode> {
        self.status.say("the producer is done, auditing");
        let settings = self.settings.iter().map(|(name, value)| (*name, value.as_str()));
        // Its verdict is on standard output; its progress would only be between.
        let mut audit = Command::new(path_of("audit")?);
        let status = audit.envs(settings).env("LOG_LEVEL", "warn").status()?;
        let code = status.code().ok_or_else(|| anyhow!("the audit ended: {status}"))?;
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
    }

    fn stop_readers(&mut self, code: ExitCode) -> Result<ExitCode> {
        for program in self.consumers.iter().chain(&self.analytics) {
            program.signal(nix::sys::signal::Signal::SIGTERM)?;
        }
        for program in self.consumers.iter_mut().chain(&mut self.analytics) {
            let status = program.wait(STOP_TIMEOUT)?;
            ended_well(program.name(), status)?;
        }
        Ok(code)
    }
}

fn ended_well(name: &str, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("{name} was asked to end and did so badly: {status}");
    }
    Ok(())
}

/// What every program is told.
fn settings(options: &Options, stack: &Stack, runs: &Path) -> Vec<(&'static str, String)> {
    let mut settings = vec![
        ("KAFKA_BOOTSTRAP_SERVERS", stack.bootstrap_servers()),
        ("KAFKA_REPLICATION_FACTOR", options.nodes.to_string()),
        ("CASSANDRA_CONTACT_POINTS", stack.contact_points()),
        ("CASSANDRA_KEYSPACE", KEYSPACE.into()),
        ("IOT_NUM_SENSORS", options.sensors.to_string()),
        ("PRODUCER_TARGET_RATE", options.rate.clone()),
        ("PRODUCER_SEED", options.seed.to_string()),
        ("PRODUCER_REPORT_DIR", runs.display().to_string()),
        ("PRODUCER_PROGRESS_INTERVAL_SEC", "1".into()),
        ("CONSUMER_PROGRESS_INTERVAL_SEC", "1".into()),
        ("ANALYTICS_PROGRESS_INTERVAL_SEC", "1".into()),
        ("AUDIT_REPORT_DIR", runs.display().to_string()),
    ];
    let limits = [("PRODUCER_FOR_SEC", options.seconds), ("PRODUCER_READINGS", options.readings)];
    let limits = limits.into_iter().filter_map(|(name, limit)| Some((name, limit?.to_string())));
    settings.extend(limits);
    settings
}

/// The programs lie beside this one.
fn path_of(program: &str) -> Result<PathBuf> {
    let here = env::current_exe().context("this program does not know where it is")?;
    let path = here.with_file_name(program);
    if !path.is_file() {
        bail!("{} is missing: start with `cargo xtask up`, which builds it", path.display());
    }
    Ok(path)
}

/// The file of [`Session::publish_environment`]; removed when dropped.
struct EnvironmentFile(PathBuf);

impl Drop for EnvironmentFile {
    fn drop(&mut self) {
        // What is gone need not be removed.
        let _gone = fs::remove_file(&self.0);
    }
}

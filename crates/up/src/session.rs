//! One run of the pipeline from first server to last: starts everything, watches it, ends it in
//! good order.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{self, Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use localstack::registry::{self, Entry, Pipeline};
use localstack::{Stack, StackError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::text::printable;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::info;
use up::{Program, schema};

use crate::alerts::AlertWatch;
use crate::next;
use crate::options::Options;
use crate::settings::{Settings, Shape};
use crate::status::Status;

/// Longest wait for a program that was asked to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one look at a program's log may take.
const LOOK: Duration = Duration::from_millis(50);
/// Exit code after a second signal.
const EXIT_FORCED: i32 = 130;

/// Runs the pipeline as the settings say; the exit code is the audit's, where there is one.
pub(crate) fn run(options: &Options, settings: &Settings) -> Result<ExitCode> {
    let started = Instant::now();
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The first signal asks, the second one ends the process: the servers' supervisors then end
        // the servers.
        flag::register_conditional_shutdown(signal, EXIT_FORCED, Arc::clone(&stopping))?;
        flag::register(signal, Arc::clone(&stopping))?;
    }
    let Some(stack) = start_servers(options, settings, &stopping)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let environment = settings.environment(&stack)?;
    let mut session = Session::start(settings.shape, environment, &stack, started, stopping)?;
    if settings.shape.analytics > 0 {
        session.alerts = Some(AlertWatch::start(stack.contact_points(), settings.keyspace())?);
    }
    let _entry = session.register(options, &stack)?;
    session.tell_next(options, &stack)?;
    session.watch(settings.is_finite())
}

/// Starts the servers and creates the tables; `None` if it was asked to stop meanwhile.
fn start_servers(
    options: &Options,
    settings: &Settings,
    stopping: &Arc<AtomicBool>,
) -> Result<Option<Stack>> {
    info!("starting kafka and cassandra");
    let nodes = settings.shape.nodes;
    let mut builder = Stack::builder()
        .kafka_nodes(nodes)
        .cassandra_nodes(nodes)
        .interrupted_by(Arc::clone(stopping));
    if let Some(folder) = &options.data {
        builder = builder.data_dir(folder);
    }
    let is_stopping = || stopping.load(Ordering::Relaxed);
    let start = || {
        let stack = builder.start()?;
        let replication_factor = u32::try_from(nodes)?;
        schema::create(&stack.contact_points(), settings.keyspace(), replication_factor)?;
        Ok(stack)
    };
    let outcome: Result<Stack> = thread::scope(|scope| {
        let starting = scope.spawn(start);
        // To start them is to wait: who asks to stop meanwhile is answered from here.
        while !starting.is_finished() && !is_stopping() {
            thread::sleep(LOOK);
        }
        if is_stopping() {
            info!("stopping");
        }
        starting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    match outcome {
        Err(error) if matches!(error.downcast_ref(), Some(StackError::Interrupted)) => Ok(None),
        Ok(_) if is_stopping() => Ok(None),
        other => other.map(Some),
    }
}

/// The programs at work.
struct Session {
    environment: BTreeMap<String, String>,
    producer: Program,
    consumers: Vec<Program>,
    analytics: Vec<Program>,
    status: Status,
    /// `None` where there are no analytics.
    alerts: Option<AlertWatch>,
    stopping: Arc<AtomicBool>,
}

impl Session {
    fn start(
        shape: Shape,
        environment: BTreeMap<String, String>,
        stack: &Stack,
        started: Instant,
        stopping: Arc<AtomicBool>,
    ) -> Result<Self> {
        let logs = stack.data_dir().join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        let start = |program: &str, name: &str| {
            let log = logs.join(format!("{name}.log"));
            Program::start(name, &path_of(program)?, &environment, &log)
        };
        let producer = start("producer", "producer")?;
        let several = |program: &str, count: usize| -> Result<Vec<Program>> {
            (1..=count).map(|number| start(program, &format!("{program}-{number}"))).collect()
        };
        let consumers = several("consumer", shape.consumers)?;
        let analytics = several("analytics", shape.analytics)?;
        let mut status = Status::new(started, consumers.len(), analytics.len());
        status.say(&format!(
            "kafka {}  cassandra {}  logs {}",
            stack.bootstrap_servers(),
            stack.contact_points(),
            logs.display()
        ));
        let alerts = None;
        Ok(Self { environment, producer, consumers, analytics, status, alerts, stopping })
    }

    /// Says that this pipeline runs, for the tools that come to look, until the entry is dropped.
    fn register(&self, options: &Options, stack: &Stack) -> Result<Option<Entry>> {
        let Some(folder) = &options.registry else {
            return Ok(None);
        };
        let pipeline = Pipeline {
            pid: process::id(),
            data_dir: stack.data_dir().to_path_buf(),
            environment: self.environment.clone(),
        };
        let entry = pipeline.enter(folder);
        entry.map(Some).with_context(|| format!("cannot write in {}", folder.display()))
    }

    /// Says with which commands this pipeline is looked at.
    fn tell_next(&mut self, options: &Options, stack: &Stack) -> Result<()> {
        let line = match &options.registry {
            Some(folder) => {
                let running = registry::running(folder)
                    .with_context(|| format!("cannot read {}", folder.display()))?;
                next::found(stack.data_dir(), running.len() > 1)
            }
            None => next::told(&self.environment),
        };
        self.status.say(&printable(&line));
        Ok(())
    }

    fn watch(&mut self, is_finite: bool) -> Result<ExitCode> {
        loop {
            if self.stopping.load(Ordering::Relaxed) {
                self.status.say("stopping");
                ended_well("producer", self.producer.stop(STOP_TIMEOUT)?)?;
                return self.stop_readers(ExitCode::SUCCESS);
            }
            self.look()?;
            if let Some(alerts) = &self.alerts {
                self.status.alerts(alerts.newest());
            }
            self.status.show();
            if let Some(status) = self.producer.exited()? {
                self.look()?;
                if !status.success() {
                    bail!("the producer ended: {status}{}", self.producer.last_lines());
                }
                if !is_finite && !self.stopping.load(Ordering::Relaxed) {
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
        // Its verdict is on standard output; its progress would only be between. A group of its
        // own, so that Ctrl-C is for this process to pass on.
        let mut audit = Command::new(path_of("audit")?)
            .envs(&self.environment)
            .env("LOG_LEVEL", "warn")
            .process_group(0)
            .spawn()
            .context("cannot start the audit")?;
        let pid = Pid::from_raw(i32::try_from(audit.id()).context("process ids are small")?);
        let mut told = false;
        let status = loop {
            if let Some(status) = audit.try_wait()? {
                break status;
            }
            if self.stopping.load(Ordering::Relaxed) && !told {
                self.status.say("stopping");
                kill(pid, Signal::SIGTERM).context("cannot stop the audit")?;
                told = true;
            }
            thread::sleep(LOOK);
        };
        let code = status.code().ok_or_else(|| anyhow!("the audit ended: {status}"))?;
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
    }

    fn stop_readers(&mut self, code: ExitCode) -> Result<ExitCode> {
        for program in self.consumers.iter().chain(&self.analytics) {
            program.signal(Signal::SIGTERM)?;
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

/// The programs lie beside this one.
pub(crate) fn path_of(program: &str) -> Result<PathBuf> {
    let here = env::current_exe().context("this program does not know where it is")?;
    let path = here.with_file_name(program);
    if !path.is_file() {
        bail!("{} is missing: start with `cargo xtask up`, which builds it", path.display());
    }
    Ok(path)
}

//! What every case works with: programs, servers on demand, a folder, and the wish to stop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use domain::simulation::RunReport;
use tempfile::TempDir;
use up::Program;

use crate::names::Names;
use crate::process::{Usage, finish};
use crate::servers::Servers;
use crate::stop::Stop;

/// Readings that warm both servers up before the first turn.
const WARM_UP_READINGS: u64 = 500_000;
const WARM_UP_READINGS_QUICK: u64 = 100_000;
const WARM_UP_TIMEOUT: Duration = Duration::from_mins(3);
/// Longest wait for a program that was asked to end.
pub const END_TIMEOUT: Duration = Duration::from_secs(20);

/// A run of the benchmark.
pub struct Bench {
    /// Short turns, to see that everything works.
    pub quick: bool,
    /// How often each variant has its turn, if that was asked for.
    pub rounds: Option<usize>,
    /// The rate that the case `pipeline` found in this run, in readings a second.
    pub sustained_per_s: Option<f64>,
    /// Whether the run is to end.
    pub stop: Stop,
    programs: PathBuf,
    work: PathBuf,
    folder: TempDir,
    servers: Option<Servers>,
    names_made: u32,
}

impl Bench {
    /// Prepares a run: `programs` is the folder of the released programs, `work` a folder for what
    /// is worth keeping from one run to the next.
    pub fn new(quick: bool, stop: Stop, programs: PathBuf, work: PathBuf) -> Result<Self> {
        fs::create_dir_all(&work).with_context(|| format!("cannot create {}", work.display()))?;
        let folder = TempDir::with_prefix("sensorium-bench-")?;
        Ok(Self {
            quick,
            rounds: None,
            sustained_per_s: None,
            stop,
            programs,
            work,
            folder,
            servers: None,
            names_made: 0,
        })
    }

    /// Returns one of two numbers: that of a full run or that of a quick one.
    pub fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Returns the folder of this run, which goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder that stays.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Returns the path of a released program.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let path = self.programs.join(name);
        ensure!(path.is_file(), "{} is missing: `cargo xtask bench` builds it", path.display());
        Ok(path)
    }

    /// Returns the servers, started and warmed up on first use.
    pub fn servers(&mut self) -> Result<&Servers> {
        if self.servers.is_none() {
            println!("  starting kafka and cassandra");
            self.servers = Some(Servers::start()?);
            println!("  warming them up");
            self.warm_up().context("the warm-up failed")?;
        }
        self.started()
    }

    /// Returns the servers, which have been started.
    pub fn started(&self) -> Result<&Servers> {
        self.servers.as_ref().context("the case has started the servers")
    }

    /// Ends the servers, for a case that starts its own.
    pub fn end_servers(&mut self) {
        self.servers = None;
    }

    /// Makes names that no other turn has.
    pub fn names(&mut self) -> Result<Names> {
        self.servers()?;
        self.names_made += 1;
        let reports = self.folder().join("runs").display().to_string();
        Ok(self.started()?.names(self.names_made, &reports))
    }

    /// Starts a released program.
    pub fn start(&self, program: &str, names: &Names) -> Result<Program> {
        let command = Command::new(self.program(program)?);
        self.spawn(program, command, names)
    }

    /// Starts a command with the settings of a turn; what it prints is in [`Self::output`].
    pub fn spawn(&self, name: &str, mut command: Command, names: &Names) -> Result<Program> {
        command.envs(names.settings()).env("LOG_FORMAT", "json");
        self.spawn_plain(name, command)
    }

    /// The same without settings.
    pub fn spawn_plain(&self, name: &str, mut command: Command) -> Result<Program> {
        let path = self.output(name);
        let output =
            File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        command.stdout(Stdio::from(output));
        Program::spawn(name, command, &self.folder().join(format!("{name}.log")))
    }

    /// Returns the file with what the latest program of this name printed.
    pub fn output(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.out"))
    }

    /// Runs a finite producer to its end.
    pub fn produce(&self, names: &Names, timeout: Duration) -> Result<(RunReport, Usage)> {
        let mut producer = self.start("producer", names)?;
        let usage = finish(&mut producer, timeout, &self.stop, |_| {})?;
        Ok((run_report(names)?, usage))
    }

    /// Sends readings through everything once: cold Java is half as fast.
    fn warm_up(&mut self) -> Result<()> {
        let mut names = self.names()?;
        let readings = self.size(WARM_UP_READINGS, WARM_UP_READINGS_QUICK);
        names.set("PRODUCER_READINGS", readings);
        names.set("PRODUCER_TARGET_RATE", 100_000);
        names.set("PRODUCER_CATCH_UP", "unlimited");
        let servers = self.started()?;
        servers.create_keyspace(names.keyspace())?;
        let mut consumer = self.start("consumer", &names)?;
        self.produce(&names, WARM_UP_TIMEOUT)?;
        let all = readings as f64;
        consumer.wait_for("every reading", WARM_UP_TIMEOUT, |line| {
            self.stop.is_asked() || line.number("rows_total").is_some_and(|rows| rows >= all)
        })?;
        self.stop.check()?;
        consumer.stop(END_TIMEOUT)?;
        self.forget(&names)
    }

    /// Removes the topics and the keyspace of a turn.
    pub fn forget(&self, names: &Names) -> Result<()> {
        let servers = self.started()?;
        servers.drop_keyspace(names.keyspace())?;
        servers.delete_topics(&names.topics())
    }
}

/// Reads the only run report of a turn.
pub fn run_report(names: &Names) -> Result<RunReport> {
    let folder = Path::new(names.get("PRODUCER_REPORT_DIR"));
    let failed = || format!("no run report in {}", folder.display());
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(failed)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let path = paths.last().with_context(failed)?;
    serde_json::from_slice(&fs::read(path)?)
        .with_context(|| format!("{} is a run report", path.display()))
}

//! What a figure depends on beside the programs: the machine, the versions, and whether anybody
//! else was at work.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use localstack::{Server, tools};
use serde::{Deserialize, Serialize};

/// Above so many runnable processes a core, somebody else is at work.
const BUSY_LOAD_PER_CORE: f64 = 0.25;

/// The machine and everything installed on it that matters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that the scheduler offers.
    pub cores: usize,
    /// Name of the processor.
    pub cpu_model: String,
    /// Memory, in GiB.
    pub memory_gib: f64,
    /// Kernel.
    pub kernel: String,
    /// Compiler.
    pub rustc: String,
    /// Java runtime of the servers and the Java peers.
    pub java: String,
    /// Version of Kafka.
    pub kafka: String,
    /// Version of Cassandra.
    pub cassandra: String,
    /// The commit that was built, and whether the checkout had changes beside it.
    pub revision: String,
    /// Runnable processes over the last minute, before the run.
    pub load_average: f64,
}

impl Machine {
    /// Looks around; what cannot be found out is `unknown`. `checkout` is the folder of the
    /// sources.
    pub fn here(checkout: &Path) -> Self {
        let memory_kib = field("/proc/meminfo", "MemTotal").and_then(|text| {
            text.split_whitespace().next().and_then(|number| number.parse::<f64>().ok())
        });
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_model: field("/proc/cpuinfo", "model name").unwrap_or_else(unknown),
            memory_gib: (memory_kib.unwrap_or_default() / 1_048_576.0).round(),
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(unknown),
            rustc: output(checkout, "rustc", &["--version"]).unwrap_or_else(unknown),
            java: tools::java_version().unwrap_or_else(unknown),
            kafka: Server::Kafka.version().into(),
            cassandra: Server::Cassandra.version().into(),
            revision: revision(checkout),
            load_average: load_average(),
        }
    }

    /// Warns if others are at work: then nothing that is measured is worth much.
    pub fn warning(&self) -> Option<String> {
        let limit = BUSY_LOAD_PER_CORE * self.cores as f64;
        (self.load_average > limit).then(|| {
            format!(
                "the machine is not quiet: {:.2} processes ran on {} cores in the last minute, \
                 {limit:.2} would be fine",
                self.load_average, self.cores
            )
        })
    }
}

fn unknown() -> String {
    "unknown".into()
}

fn read(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// Returns the first `name: value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path)?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(found, _)| found.trim() == name)?;
    Some(value.trim().to_owned())
}

fn load_average() -> f64 {
    let text = read("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn output(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(folder).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn revision(checkout: &Path) -> String {
    let git = |arguments: &[&str]| {
        let safe = ["-c", "safe.directory=*"];
        output(checkout, "git", &[&safe, arguments].concat())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return unknown();
    };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + " with changes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_machine_is_called_busy() {
        let machine = Machine { cores: 2, load_average: 0.4, ..Machine::default() };
        assert_eq!(machine.warning(), None);
        let busy = Machine { load_average: 1.3, ..machine };
        assert!(busy.warning().unwrap().contains("1.30 processes"), "{:?}", busy.warning());
    }

    #[test]
    fn this_machine_has_a_name_and_cores() {
        let machine = Machine::here(Path::new(env!("CARGO_MANIFEST_DIR")));
        assert!(machine.cores > 0 && machine.memory_gib > 0.0, "{machine:?}");
        assert_ne!(machine.kernel, "unknown");
    }
}

//! A program of the pipeline as a child process: its log lines as data, its end under control.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use runtime::text::printable;
use serde_json::Value;

/// Time between two looks at a process that is about to end.
const EXIT_POLL: Duration = Duration::from_millis(20);
/// Lines kept to explain an unexpected end.
const LAST_LINES: usize = 10;

/// One line of a program's log.
#[derive(Clone, Debug)]
pub struct LogLine(Value);

impl LogLine {
    fn parse(line: &str) -> Self {
        // What is no JSON, such as a panic, is a message all the same.
        let value = serde_json::from_str(line).ok().filter(Value::is_object);
        let mut value =
            value.unwrap_or_else(|| serde_json::json!({ "level": "ERROR", "message": line }));
        // As it is in a log for people.
        if let Some(part) = value["span"]["name"].as_str() {
            let message = value["message"].as_str().unwrap_or_default();
            value["message"] = format!("{part}: {message}").into();
        }
        Self(value)
    }

    /// Returns the message, after the name of the part of the program that it is from, if it has
    /// one: `events: progress`.
    pub fn message(&self) -> &str {
        self.0["message"].as_str().unwrap_or_default()
    }

    /// Returns the level: INFO, WARN, ERROR ...
    pub fn level(&self) -> &str {
        self.0["level"].as_str().unwrap_or_default()
    }

    /// Returns a numeric field; also one that is a number in a text.
    pub fn number(&self, field: &str) -> Option<f64> {
        let value = &self.0[field];
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    }

    /// Returns the fields beside message, level and time, as `name=value`.
    pub fn fields(&self) -> String {
        let Some(object) = self.0.as_object() else {
            return String::new();
        };
        let fields = object.iter().filter(|(name, _)| {
            !["message", "level", "timestamp", "span", "spans"].contains(&name.as_str())
        });
        fields.map(|(name, value)| format!(" {name}={value}")).collect()
    }
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Program {
    name: String,
    log_path: PathBuf,
    child: Child,
    lines: Receiver<LogLine>,
    reader: Option<JoinHandle<()>>,
    last: VecDeque<LogLine>,
}

impl Program {
    /// Starts a program with JSON logs, which are also kept in `log_path`, in a process group of
    /// its own.
    ///
    /// Its standard output is this process's.
    pub fn start<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        name: &str,
        path: &Path,
        settings: impl IntoIterator<Item = (N, V)>,
        log_path: &Path,
    ) -> Result<Self> {
        let mut command = Command::new(path);
        command.envs(settings).env("LOG_FORMAT", "json");
        Self::spawn(name, command, log_path)
    }

    /// Starts a prepared command in the same way.
    pub fn spawn(name: &str, mut command: Command, log_path: &Path) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_path)
            .with_context(|| format!("cannot write the log {}", log_path.display()))?;
        command.stdin(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stderr = child.stderr.take().context("the child's standard error is piped")?;
        let (sender, lines) = channel();
        let reader = thread::spawn(move || read(stderr, log, &sender));
        Ok(Self {
            name: name.to_owned(),
            log_path: log_path.to_owned(),
            child,
            lines,
            reader: Some(reader),
            last: VecDeque::new(),
        })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path of the log.
    pub fn log_path(&self) -> &Path {
        &self.log_path
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the next log line; `None` when none came in time or the program has closed its log.
    pub fn next_line(&mut self, timeout: Duration) -> Option<LogLine> {
        let line = match self.lines.recv_timeout(timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => {
                // The end is near: waiting for it beats asking again at once.
                thread::park_timeout(timeout.min(EXIT_POLL));
                return None;
            }
        };
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        Some(line)
    }

    /// Waits for a log line; the error tells what came instead.
    pub fn wait_for(
        &mut self,
        what: &str,
        timeout: Duration,
        mut accept: impl FnMut(&LogLine) -> bool,
    ) -> Result<LogLine> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(line) = self.next_line(left.min(Duration::from_millis(100)))
                && accept(&line)
            {
                return Ok(line);
            }
            if let Some(status) = self.exited()? {
                bail!("{} ended ({status}) before {what}{}", self.name, self.last_lines());
            }
            if left.is_zero() {
                bail!("{}: no {what} within {timeout:?}{}", self.name, self.last_lines());
            }
        }
    }

    /// Returns how the program ended, if it has.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot look after {}", self.name))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).context("process ids are small")?;
        kill(Pid::from_raw(pid), signal)
            .with_context(|| format!("cannot send {signal} to {}", self.name))
    }

    /// Waits for the end.
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            // Reading on keeps the log from filling up.
            while self.next_line(Duration::ZERO).is_some() {}
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let (name, last) = (&self.name, self.last_lines());
                return Err(anyhow!("{name} did not end within {timeout:?}{last}"));
            }
            thread::park_timeout(EXIT_POLL);
        }
    }

    /// Asks for an orderly end (SIGTERM) and waits for it.
    pub fn stop(&mut self, timeout: Duration) -> Result<ExitStatus> {
        if self.exited()?.is_none() {
            self.signal(Signal::SIGTERM)?;
        }
        self.wait(timeout)
    }

    /// Kills the program (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("cannot kill {}", self.name))?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// Returns the last log lines and where the rest is, to be put behind an error message.
    pub fn last_lines(&self) -> String {
        let mut text = format!("; its log is {}", self.log_path.display());
        for line in &self.last {
            let line = format!("{} {}{}", line.level(), line.message(), line.fields());
            text += &format!("\n    {}", printable(&line));
        }
        text
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ended = reader.join();
        }
    }
}

fn read(stderr: ChildStderr, mut log: File, lines: &Sender<LogLine>) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        // A log that cannot be written is no reason to stop reading: the program would block.
        let _kept = writeln!(log, "{line}");
        let _heard = lines.send(LogLine::parse(&line));
    }
}

//! A producer or consumer under observation: all its log lines, with the moments when they came.

use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use up::{LogLine, Program};

/// Longest orderly end: the programs' own grace period and some more.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the last lines of a program that has ended may be under way.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A running program.
#[derive(Debug)]
pub(super) struct Member {
    program: Program,
    lines: Vec<(Instant, LogLine)>,
    born: Instant,
    paused: bool,
    done: bool,
}

impl Member {
    pub(super) fn new(program: Program) -> Self {
        Self { program, lines: Vec::new(), born: Instant::now(), paused: false, done: false }
    }

    /// Takes in what the program has said; an end that nobody asked for is an error.
    pub(super) fn look(&mut self) -> Result<()> {
        // Looked for first, so that its last words are read.
        let exited = self.program.exited()?;
        self.listen_for(if exited.is_some() { LAST_WORDS } else { Duration::ZERO });
        // Only a finite run has such an end.
        self.done |= exited.is_some_and(|status| status.success())
            && self.said("kafka has every reading", self.born).next().is_some();
        match exited {
            Some(status) if !self.done => {
                bail!("{} ended by itself: {status}{}", self.name(), self.program.last_lines())
            }
            _ => Ok(()),
        }
    }

    /// Tells whether a finite run has come to its end.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes in what the program has said.
    pub(super) fn listen(&mut self) {
        self.listen_for(Duration::ZERO);
    }

    fn listen_for(&mut self, patience: Duration) {
        while let Some(line) = self.program.next_line(patience) {
            self.lines.push((Instant::now(), line));
        }
    }

    /// Returns the name.
    pub(super) fn name(&self) -> &str {
        self.program.name()
    }

    /// Returns the lines with this message that came after `since`.
    pub(super) fn said<'a>(
        &'a self,
        message: &'a str,
        since: Instant,
    ) -> impl Iterator<Item = &'a (Instant, LogLine)> {
        let is_it = move |(at, line): &&(Instant, LogLine)| {
            *at >= since && line.message().starts_with(message)
        };
        self.lines.iter().filter(is_it)
    }

    /// Returns the last value of a number in the log.
    pub(super) fn last(&self, field: &str) -> Option<f64> {
        self.lines.iter().rev().find_map(|(_, line)| line.number(field))
    }

    /// Returns a number of the last progress line about readings, if it is there.
    pub(super) fn last_now(&self, field: &str) -> Option<f64> {
        let mut progress = self.lines.iter().rev().filter(|(_, line)| {
            line.message() == "progress" && line.number("rows_total").is_some()
        });
        progress.next()?.1.number(field)
    }

    /// Returns the rows written, as the program last said.
    pub(super) fn rows(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let rows = self.last("rows_total").unwrap_or(0.0) as u64;
        rows
    }

    /// Returns when the program first told of new rows after `since`.
    pub(super) fn first_rows_after(&self, since: Instant) -> Option<Instant> {
        let told = |(at, line): &(Instant, LogLine)| Some((*at, line.number("rows_total")?));
        let mut told = self.lines.iter().filter_map(told);
        let mut before = 0.0;
        told.find_map(|(at, rows)| {
            let is_new = at > since && rows > before;
            before = rows;
            is_new.then_some(at)
        })
    }

    /// Returns the most resident memory that it ever had, in KiB.
    pub(super) fn resident_peak_kib(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.program.pid());
        let text = std::fs::read_to_string(Path::new(&path)).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse().ok()).with_context(|| format!("{path} has VmHWM"))
    }

    /// Kills the program and returns the rows that it told of.
    pub(super) fn kill(mut self) -> Result<u64> {
        self.program.kill()?;
        self.listen_for(LAST_WORDS);
        Ok(self.rows())
    }

    /// Asks for an orderly end, insists on one, and returns the rows of all its life.
    pub(super) fn stop(mut self) -> Result<u64> {
        self.resume()?;
        if self.program.exited()?.is_none() {
            self.program.signal(Signal::SIGTERM)?;
        }
        let status = self.await_end(STOP_TIMEOUT)?;
        ensure!(status.success(), "{} ended: {status}{}", self.name(), self.program.last_lines());
        Ok(self.rows())
    }

    /// Waits until the program has ended by itself, with exit code 1 and an error that begins in
    /// this way, and returns the rows of all its life.
    pub(super) fn await_refusal(mut self, reason: &str, timeout: Duration) -> Result<u64> {
        let status = self.await_end(timeout)?;
        let reason = format!("failed: {reason}");
        let (name, last) = (self.name(), self.program.last_lines());
        ensure!(status.code() == Some(1), "{name} ended: {status}{last}");
        let is_said = self.said(&reason, self.born).next().is_some();
        ensure!(is_said, "{name} does not say `{reason}`{last}");
        Ok(self.rows())
    }

    /// Waits until the program has ended and all that it said has been taken in.
    fn await_end(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        let status = loop {
            self.listen();
            if let Some(status) = self.program.exited()? {
                break status;
            }
            let last = || self.program.last_lines();
            ensure!(Instant::now() < deadline, "{} does not end{}", self.name(), last());
        };
        self.listen_for(LAST_WORDS);
        Ok(status)
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        self.program.signal(signal)
    }

    /// Freezes the program.
    pub(super) fn pause(&mut self) -> Result<()> {
        self.paused = true;
        self.program.signal(Signal::SIGSTOP)
    }

    /// Thaws the program.
    pub(super) fn resume(&mut self) -> Result<()> {
        if std::mem::take(&mut self.paused) {
            self.program.signal(Signal::SIGCONT)?;
        }
        Ok(())
    }
}

//! Commands and conditions that are waited for, but never for ever, and not once Ctrl-C was
//! pressed.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::command;

const EXIT_POLL: Duration = Duration::from_millis(20);
const CONDITION_POLL: Duration = Duration::from_secs(1);

/// Says whether someone asked this program to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes SIGINT and SIGTERM from now on: they no longer end this program by themselves.
    pub(crate) fn watch() -> io::Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))?;
        }
        Ok(interrupt)
    }

    /// Fails once someone asked.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Runs a command for at most `limit` and returns what it printed, on both of its streams.
    pub(crate) fn run(&self, command: &mut Command, limit: Duration) -> Result<String> {
        let (status, text) = self.run_to_end(command, limit)?;
        if !status.success() {
            bail!("{} failed: {status}\n{}", command::line(command), text.trim_end());
        }
        Ok(text)
    }

    fn run_to_end(&self, command: &mut Command, limit: Duration) -> Result<(ExitStatus, String)> {
        // A process group of its own: Ctrl-C reaches only us, and all of it can be ended at once.
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", command::line(command)))?;
        let stdout = reader(child.stdout.take());
        let stderr = reader(child.stderr.take());
        let status = self.wait(&mut child, limit).inspect_err(|_| end(&mut child));
        let text = [stdout, stderr].map(|reader| reader.join().unwrap_or_default()).concat();
        let status = status.map_err(|why| {
            anyhow!("{} was ended: {why}\n{}", command::line(command), text.trim_end())
        })?;
        Ok((status, text))
    }

    fn wait(&self, child: &mut Child, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            self.check()?;
            if Instant::now() > deadline {
                bail!("it took more than {} s", limit.as_secs());
            }
            thread::sleep(EXIT_POLL);
        }
    }

    /// Waits at most `limit` until `probe` says yes; its last "not yet" is the reason if it never
    /// does.
    pub(crate) fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut() -> Result<Probe>,
    ) -> Result<()> {
        let deadline = Instant::now() + limit;
        loop {
            let why = match probe() {
                Ok(Probe::Yes) => return Ok(()),
                Ok(Probe::NotYet(why)) => why,
                Err(error) => format!("{error:#}"),
            };
            self.check()?;
            if Instant::now() > deadline {
                bail!("waited {} s until {what}: {why}", limit.as_secs());
            }
            thread::sleep(CONDITION_POLL);
        }
    }
}

/// What a look at a condition shows.
#[derive(Debug)]
pub(crate) enum Probe {
    /// It holds.
    Yes,
    /// It does not hold yet, for this reason.
    NotYet(String),
}

fn reader(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error is what there is to show.
            stream.read_to_end(&mut bytes).ok();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn end(child: &mut Child) {
    let group = Pid::from_raw(child.id().cast_signed());
    if killpg(group, Signal::SIGKILL).is_err() {
        child.kill().ok();
    }
    child.wait().ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn returns_what_a_command_prints_on_both_streams() {
        let text =
            Interrupt::default().run(&mut shell("echo a; echo b >&2"), Duration::from_secs(30));
        assert_eq!(text.unwrap(), "a\nb\n");
    }

    #[test]
    fn a_failed_command_is_named_with_its_output() {
        let outcome =
            Interrupt::default().run(&mut shell("echo why; exit 3"), Duration::from_secs(30));
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains("exit 3") && error.contains("why"), "{error}");
    }

    #[test]
    fn a_command_that_takes_too_long_is_ended_with_its_children() {
        let begin = Instant::now();
        let outcome =
            Interrupt::default().run(&mut shell("sleep 60 & wait"), Duration::from_millis(50));
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains("it took more than"), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn an_interrupt_ends_a_command() {
        let interrupt = Interrupt::default();
        interrupt.0.store(true, Ordering::Relaxed);
        let outcome = interrupt.run(&mut shell("sleep 60"), Duration::from_secs(30));
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains("interrupted"), "{error}");
    }

    #[test]
    fn a_condition_that_never_holds_says_what_was_seen_last() {
        let outcome = Interrupt::default()
            .wait_until("it rains", Duration::ZERO, || Ok(Probe::NotYet("sun".to_owned())));
        let error = format!("{:#}", outcome.unwrap_err());
        assert_eq!(error, "waited 0 s until it rains: sun");
    }
}

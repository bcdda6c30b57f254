//! What a process costs, seen from outside: CPU time and peak memory, of children and servers
//! alike.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, SysconfVar, sysconf};
use up::{LogLine, Program};

use crate::stop::Stop;

/// Time between two looks at a child.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for the last lines of a child that has ended; they end with its output.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Longest wait for a child that was asked to end.
const END_TIMEOUT: Duration = Duration::from_secs(20);

/// CPU time and peak memory of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// User and system time of all threads since the start, in seconds; the kernel counts in
    /// hundredths.
    pub cpu_s: f64,
    /// Most memory that was ever resident, in MiB.
    pub rss_peak_mib: f64,
}

/// Returns what a process has used since its start; also one that has ended and was not waited for,
/// whose memory is gone.
pub fn usage(pid: u32) -> Result<Usage> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let cpu_s = cpu_s(&stat).with_context(|| format!("{path} is not as Linux writes it"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    Ok(Usage { cpu_s, rss_peak_mib: rss_peak_mib(&status).unwrap_or_default() })
}

/// The name may hold anything, but ends with the last bracket; user and system time are the 14th
/// and 15th field.
fn cpu_s(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??;
    Some((user + system) / per_second as f64)
}

fn rss_peak_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1_024.0)
}

/// Waits for a child's own end, and returns what it used in its life; its log lines go to `hear`.
pub fn finish(
    program: &mut Program,
    timeout: Duration,
    stop: &Stop,
    mut hear: impl FnMut(&LogLine),
) -> Result<Usage> {
    let deadline = Instant::now() + timeout;
    let mut peak_mib = 0.0_f64;
    loop {
        let ended = has_ended(program.pid())?;
        let Usage { cpu_s, rss_peak_mib } = usage(program.pid())?;
        peak_mib = peak_mib.max(rss_peak_mib);
        while let Some(line) = program.next_line(Duration::ZERO) {
            hear(&line);
        }
        if ended {
            // What it said last may still be on its way here.
            while let Some(line) = program.next_line(LAST_WORDS) {
                hear(&line);
            }
            let status = program.wait(END_TIMEOUT)?;
            let (name, lines) = (program.name(), program.last_lines());
            ensure!(status.success(), "{name} ended: {status}{lines}");
            return Ok(Usage { cpu_s, rss_peak_mib: peak_mib });
        }
        stop.check()?;
        if Instant::now() > deadline {
            bail!("{} did not end within {timeout:?}{}", program.name(), program.last_lines());
        }
        if let Some(line) = program.next_line(LOOK) {
            hear(&line);
        }
    }
}

/// Tells whether a child has ended, and leaves it to be waited for: until then its CPU time can be
/// read.
fn has_ended(pid: u32) -> Result<bool> {
    let id = Id::Pid(Pid::from_raw(i32::try_from(pid).context("process ids are small")?));
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    Ok(waitid(id, flags)? != WaitStatus::StillAlive)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn fields_are_counted_from_the_last_bracket() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 0 0 0";
        let per_second = sysconf(SysconfVar::CLK_TCK).unwrap().unwrap() as f64;
        assert!((cpu_s(stat).unwrap() - 300.0 / per_second).abs() < 1e-9);
        assert_eq!(cpu_s("7 (a"), None);
        let status = "Name: x\nVmHWM:\t   20480 kB\nVmRSS: 1 kB\n";
        assert_eq!(rss_peak_mib(status), Some(20.0));
    }

    #[test]
    fn a_child_that_burns_is_seen_to_burn() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done >&2"]);
        let mut program = Program::spawn("burner", command, &folder.path().join("log")).unwrap();
        let mut lines = 0;
        let stop = Stop::never();
        let usage = finish(&mut program, Duration::from_mins(1), &stop, |_| lines += 1).unwrap();
        assert!(usage.cpu_s > 0.02 && usage.rss_peak_mib > 0.1, "{usage:?}");
        assert_eq!(lines, 1);
    }

    #[test]
    fn a_child_that_fails_or_lingers_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let run = |script: &str, timeout| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let mut program = Program::spawn("child", command, &folder.path().join("log")).unwrap();
            finish(&mut program, timeout, &Stop::never(), |_| {}).unwrap_err().to_string()
        };
        assert!(run("exit 3", Duration::from_mins(1)).contains("child ended"));
        assert!(run("exec sleep 60", Duration::from_millis(100)).contains("did not end"));
    }
}

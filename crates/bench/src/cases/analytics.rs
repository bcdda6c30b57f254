//! The analytics on a topic that is already full, and how soon they are up to date after a restart.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use up::Program;

use crate::bench::{Bench, END_TIMEOUT};
use crate::case::{Case, Variant};
use crate::names::Names;
use crate::process::usage;
use crate::report::Sample;

/// The default rate: what is measured are windows of so many readings as they usually have.
const RATE: u64 = 3_500;
const READINGS: u64 = 1_500_000;
const READINGS_QUICK: u64 = 300_000;
/// Event time that a run which is to be interrupted has behind it: all windows that a restart reads
/// again have been filled.
const PAST_S: u64 = 150;
/// Longest wait for anything.
const TIMEOUT: Duration = Duration::from_mins(2);
/// Readings on their way where a process is up to date, in seconds of the rate.
const UP_TO_DATE_LAG_S: f64 = 0.5;

/// A backlog and two sorts of restart.
#[derive(Default)]
pub(super) struct Analytics {
    full: Option<(Names, u64)>,
}

impl Case for Analytics {
    fn name(&self) -> &'static str {
        "analytics"
    }

    fn about(&self) -> &'static str {
        "windows and detectors over a backlog of 5 000 sensors; restarts at 3 500 readings/s"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 100 } else { 150 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 2 }
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        let readings = bench.size(READINGS, READINGS_QUICK);
        let mut names = bench.names()?;
        set_past(&mut names, readings / RATE)?;
        names.set("PRODUCER_READINGS", readings);
        println!("  filling a topic with {readings} readings");
        bench.produce(&names, TIMEOUT)?;
        self.full = Some((names, readings));
        Ok(vec![
            Variant::ours(
                "backlog",
                "one process, from the first progress line to the last but one",
            ),
            Variant::ours("restart", "stopped in good order and started again"),
            Variant::ours("kill", "killed and started again: the group waits for the dead one"),
        ])
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        match variant.name {
            "backlog" => self.backlog(bench),
            how => restart(bench, how == "kill"),
        }
    }
}

impl Analytics {
    fn backlog(&self, bench: &mut Bench) -> Result<Sample> {
        let (full, readings) = self.full.as_ref().context("the case was prepared")?;
        let own = bench.names()?;
        let names = full.with_sink_of(&own);
        bench.started()?.create_keyspace(names.keyspace())?;
        let mut service = Service::start(bench, &names)?;
        let mut lines: Vec<(Instant, f64)> = Vec::new();
        service.until(bench, "the backlog is taken in", |line| {
            lines.push((Instant::now(), line.taken));
            line.taken >= *readings as f64
        })?;
        let sample = service.costs(*readings as f64 / 1e6)?;
        service.end()?;
        bench.forget(&own)?;
        // The last line says that all is done, not when.
        let lines: Vec<_> = lines.iter().filter(|(_, taken)| *taken > 0.0).collect();
        let (Some(first), Some(last)) = (lines.first(), lines.iter().rev().nth(1)) else {
            bail!("the backlog is too short to be measured");
        };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        ensure!(seconds > 0.5, "the backlog is too short to be measured");
        let mut sample = sample;
        sample.insert("readings_per_s".into(), (last.1 - first.1) / seconds);
        Ok(sample)
    }
}

/// Interrupts the service under load, and waits until it is up to date again.
fn restart(bench: &mut Bench, is_killed: bool) -> Result<Sample> {
    let mut names = bench.names()?;
    set_past(&mut names, PAST_S)?;
    let bench = &*bench;
    bench.started()?.create_keyspace(names.keyspace())?;
    let mut producer = bench.start("producer", &names)?;
    let mut service = Service::start(bench, &names)?;
    let is_up_to_date = |line: &Line| {
        line.taken > 0.0 && line.lag.is_some_and(|lag| lag <= UP_TO_DATE_LAG_S * RATE as f64)
    };
    let past = (PAST_S * RATE) as f64;
    service
        .until(bench, "the past is taken in", |line| line.taken >= past && is_up_to_date(line))?;
    if is_killed {
        service.program.kill()?;
    } else {
        service.end()?;
    }
    let start = Instant::now();
    let mut service = Service::start(bench, &names)?;
    service.until(bench, "all is up to date again", is_up_to_date)?;
    let caught_up_s = start.elapsed().as_secs_f64();
    let rss_peak_mib = usage(service.program.pid())?.rss_peak_mib;
    service.end()?;
    producer.stop(END_TIMEOUT)?;
    bench.forget(&names)?;
    Ok(Sample::from([
        ("caught_up_s".into(), caught_up_s),
        ("replayed".into(), service.replayed),
        ("rss_peak_mib".into(), rss_peak_mib),
    ]))
}

/// Lets a run begin so long ago, and send what is overdue at once.
fn set_past(names: &mut Names, seconds: u64) -> Result<()> {
    let start = Timestamp::now().as_second() - i64::try_from(seconds)?;
    names
        .set("PRODUCER_TARGET_RATE", RATE)
        .set("PRODUCER_START", Timestamp::from_second(start)?)
        .set("PRODUCER_CATCH_UP", "unlimited");
    Ok(())
}

/// What a progress line says.
struct Line {
    taken: f64,
    lag: Option<f64>,
}

/// A process of the analytics.
struct Service {
    program: Program,
    replayed: f64,
}

impl Service {
    fn start(bench: &Bench, names: &Names) -> Result<Self> {
        Ok(Self { program: bench.start("analytics", names)?, replayed: 0.0 })
    }

    /// Reads its progress lines until one of them says what is waited for.
    fn until(
        &mut self,
        bench: &Bench,
        what: &str,
        mut is_said: impl FnMut(&Line) -> bool,
    ) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            bench.stop.check()?;
            if let Some(line) = self.program.next_line(Duration::from_millis(20))
                && line.message() == "progress"
            {
                self.replayed = line.number("replayed_total").unwrap_or(self.replayed);
                let taken = line.number("taken_total").unwrap_or_default();
                if is_said(&Line { taken, lag: line.number("lag") }) {
                    return Ok(());
                }
            }
            if let Some(status) = self.program.exited()? {
                bail!("the analytics ended: {status}{}", self.program.last_lines());
            }
            ensure!(
                Instant::now() < deadline,
                "waited {TIMEOUT:?} in vain until {what}{}",
                self.program.last_lines()
            );
        }
    }

    fn costs(&self, millions: f64) -> Result<Sample> {
        let usage = usage(self.program.pid())?;
        Ok(Sample::from([
            ("cpu_s_per_million".into(), usage.cpu_s / millions),
            ("rss_peak_mib".into(), usage.rss_peak_mib),
        ]))
    }

    fn end(&mut self) -> Result<()> {
        let status = self.program.stop(END_TIMEOUT)?;
        ensure!(status.success(), "the analytics ended: {status}{}", self.program.last_lines());
        Ok(())
    }
}

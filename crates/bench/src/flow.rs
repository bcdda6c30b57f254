//! The whole pipeline under a constant load for a while: does its lag stay flat, and what does it
//! cost?

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use up::Program;

use crate::bench::{Bench, END_TIMEOUT, run_report};
use crate::drain::add_servers;
use crate::names::Names;
use crate::process::{Usage, usage};
use crate::report::Sample;
use crate::statistics::slope;

/// Least and longest time until everybody has found their pace; what happens before is not looked
/// at.
const SETTLE_MIN: Duration = Duration::from_secs(5);
const SETTLE_MAX: Duration = Duration::from_secs(15);
/// They have when no more readings are on their way than this, in seconds of the rate.
const SETTLED_LAG_S: f64 = 1.0;
/// A lag that grows by more than this share of the rate is not flat: in an hour it would be more
/// than a minute's worth.
const SLOPE_OF_RATE_MAX: f64 = 0.02;
/// Most readings that may be on their way at the end, in seconds of the rate.
const LAG_MAX_S: f64 = 2.0;
/// Most that the producer may be behind its schedule, in seconds.
const DEBT_MAX_S: f64 = 0.5;
/// Longest wait for a producer that has sent everything.
const PRODUCER_END_TIMEOUT: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(20);

/// What a load of some seconds came to.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Readings a second that were asked for.
    pub rate: f64,
    /// By how much the lag grew, in readings a second.
    pub lag_slope_per_s: f64,
    /// Readings that were on their way at the end.
    pub lag_end: f64,
    /// How far the producer was behind its schedule at the end, in seconds.
    pub debt_s: f64,
    /// What it cost, over the time that was looked at.
    pub sample: Sample,
}

impl Flow {
    /// Tells whether this could have gone on.
    pub fn is_flat(&self) -> bool {
        self.lag_slope_per_s <= SLOPE_OF_RATE_MAX * self.rate
            && self.lag_end <= LAG_MAX_S * self.rate
            && self.debt_s <= DEBT_MAX_S
    }

    /// Says how it went, for people.
    pub fn describe(&self) -> String {
        let Self { rate, lag_slope_per_s, lag_end, debt_s, .. } = self;
        format!(
            "{rate:.0}/s: {}, lag {lag_end:.0} at the end, growing by {lag_slope_per_s:.0}/s, \
             debt {debt_s:.2} s",
            if self.is_flat() { "flat" } else { "not flat" }
        )
    }
}

/// A pipeline at work.
pub struct Pipeline<'a> {
    bench: &'a Bench,
    /// Its names.
    pub names: Names,
    rate: f64,
    producer: Program,
    consumer: Program,
    lags: Vec<(f64, f64)>,
    debt_s: f64,
    started: Instant,
}

impl<'a> Pipeline<'a> {
    /// Starts one consumer and one producer.
    pub fn start(bench: &'a mut Bench, rate: u64) -> Result<Self> {
        let mut names = bench.names()?;
        let bench = &*bench;
        names.set("PRODUCER_TARGET_RATE", rate);
        bench.started()?.create_keyspace(names.keyspace())?;
        let consumer = bench.start("consumer", &names)?;
        let producer = bench.start("producer", &names)?;
        let (rate, lags) = (rate as f64, Vec::new());
        let started = Instant::now();
        Ok(Self { bench, names, rate, producer, consumer, lags, debt_s: 0.0, started })
    }

    /// Returns the run that it belongs to.
    pub fn bench(&self) -> &'a Bench {
        self.bench
    }

    /// Waits until everybody has found their pace, or will not find it.
    pub fn settle(&mut self) -> Result<()> {
        while self.started.elapsed() < SETTLE_MIN
            || (self.started.elapsed() < SETTLE_MAX && !self.is_settled())
        {
            self.look(LOOK)?;
        }
        self.lags.clear();
        Ok(())
    }

    fn is_settled(&self) -> bool {
        let lag = self.lags.last().map_or(f64::INFINITY, |(_, lag)| *lag);
        lag <= SETTLED_LAG_S * self.rate && self.debt_s <= DEBT_MAX_S
    }

    /// Reads what the programs say, for at most so long.
    pub fn look(&mut self, timeout: Duration) -> Result<()> {
        self.bench.stop.check()?;
        if let Some(line) = self.consumer.next_line(timeout)
            && let Some(lag) = line.number("lag")
            && line.message() == "progress"
        {
            self.lags.push((self.started.elapsed().as_secs_f64(), lag));
        }
        while let Some(line) = self.producer.next_line(Duration::ZERO) {
            self.debt_s = line.number("debt_s").unwrap_or(self.debt_s);
        }
        if let Some(status) = self.consumer.exited()? {
            bail!("the consumer ended: {status}{}", self.consumer.last_lines());
        }
        Ok(())
    }

    /// Watches for so long, then ends everything and removes it.
    pub fn measure(mut self, seconds: u64) -> Result<Flow> {
        let before = self.costs()?;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) {
            self.look(LOOK)?;
            if let Some(status) = self.producer.exited()? {
                bail!("the producer ended early: {status}{}", self.producer.last_lines());
            }
        }
        let after = self.costs()?;
        let millions = self.rate * start.elapsed().as_secs_f64() / 1e6;
        let cpu_of = |from: &Usage, to: &Usage| (to.cpu_s - from.cpu_s) / millions;
        let mut sample = Sample::from([
            ("consumer_cpu_s_per_million".into(), cpu_of(&before.consumer, &after.consumer)),
            ("producer_cpu_s_per_million".into(), cpu_of(&before.producer, &after.producer)),
            ("consumer_rss_peak_mib".into(), after.consumer.rss_peak_mib),
            ("producer_rss_peak_mib".into(), after.producer.rss_peak_mib),
        ]);
        add_servers(&mut sample, &before.servers, &after.servers, millions);
        let flow = Flow {
            rate: self.rate,
            lag_slope_per_s: slope(&self.lags).unwrap_or(f64::INFINITY),
            lag_end: self.lags.last().map_or(f64::INFINITY, |(_, lag)| *lag),
            debt_s: self.debt_s,
            sample,
        };
        self.end()?;
        Ok(flow)
    }

    fn end(mut self) -> Result<()> {
        // Where the pipeline is overrun the rest is of no interest.
        let wait = Instant::now() + PRODUCER_END_TIMEOUT;
        self.producer.signal(nix::sys::signal::Signal::SIGTERM)?;
        while self.producer.exited()?.is_none() {
            if Instant::now() > wait {
                bail!("the producer does not end{}", self.producer.last_lines());
            }
            self.look(LOOK)?;
        }
        self.consumer.stop(END_TIMEOUT)?;
        self.bench.forget(&self.names)
    }

    fn costs(&self) -> Result<FlowCosts> {
        Ok(FlowCosts {
            producer: usage(self.producer.pid())?,
            consumer: usage(self.consumer.pid())?,
            servers: self.bench.started()?.usage()?,
        })
    }

    /// Returns the manifest of the run, once its producer has stored it.
    pub fn manifest(&self) -> Result<domain::simulation::RunManifest> {
        Ok(run_report(&self.names)?.manifest)
    }
}

struct FlowCosts {
    producer: Usage,
    consumer: Usage,
    servers: crate::servers::ServerUsage,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_means_that_it_could_go_on() {
        let flat = Flow {
            rate: 50_000.0,
            lag_slope_per_s: 300.0,
            lag_end: 9_000.0,
            debt_s: 0.0,
            sample: Sample::new(),
        };
        assert!(flat.is_flat(), "{}", flat.describe());
        let growing = Flow { lag_slope_per_s: 1_500.0, ..flat.clone() };
        let behind = Flow { lag_end: 150_000.0, ..flat.clone() };
        let late = Flow { debt_s: 1.0, ..flat.clone() };
        let silent = Flow { lag_end: f64::INFINITY, ..flat };
        for flow in [growing, behind, late, silent] {
            assert!(!flow.is_flat(), "{}", flow.describe());
        }
    }
}

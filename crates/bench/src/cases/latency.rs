//! How long after its due time a reading can be read, by looking for many of them.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use domain::simulation::Simulation;
use futures::future::try_join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::database::{Look, ReadingKey};
use crate::flow;
use crate::report::Sample;
use crate::statistics::percentile;
use crate::stop::Stop;

/// Readings that are watched in a second. More of them would be a load of their own: each is looked
/// for every few milliseconds until it is there.
const WATCHED_PER_S: u32 = 25;
/// Time between two looks for one reading: how exactly a latency is known.
const LOOK: Duration = Duration::from_millis(5);
/// A reading that cannot be read after so long is an error, not a latency.
const READABLE_TIMEOUT: Duration = Duration::from_secs(20);
/// What half of the maximum is, where the maximum was not searched in the same run.
const HALF_DEFAULT: u64 = 30_000;
const SEED: u64 = 1;

/// The default rate, and half of what the pipeline can do.
#[derive(Default)]
pub(super) struct Latency {
    half: u64,
}

impl Case for Latency {
    fn name(&self) -> &'static str {
        "latency"
    }

    fn about(&self) -> &'static str {
        "from a reading's due time until it can be read from Cassandra, at random readings"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 36 } else { 200 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 2 }
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        bench.servers()?;
        let sustained = bench.sustained_per_s.unwrap_or(2.0 * HALF_DEFAULT as f64);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e6")]
        let half = (sustained / 2.0).round() as u64;
        self.half = half;
        Ok(vec![
            Variant::ours("3500", "3 500 readings/s, the default"),
            Variant::ours("half", "half of the highest rate that the case `pipeline` found"),
        ])
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        let rate = if variant.name == "3500" { 3_500 } else { self.half };
        let seconds = bench.size(40, 8);
        let stop = bench.stop.clone();
        let mut pipeline = flow::Pipeline::start(bench, rate)?;
        pipeline.settle()?;
        let manifest = pipeline.manifest()?;
        let servers = pipeline.bench().started()?;
        let keyspace = pipeline.names.keyspace().to_owned();
        let latencies = thread::scope(|scope| {
            let watching = scope.spawn(|| {
                servers.runtime().block_on(async {
                    let look = servers.database().look(&keyspace).await?;
                    Watch { look, simulation: Simulation::new(manifest), stop }.all(seconds).await
                })
            });
            while !watching.is_finished() {
                pipeline.look(LOOK)?;
            }
            watching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        let flow = pipeline.measure(2)?;
        let mut sample = Sample::from([
            ("target_rate".into(), rate as f64),
            ("watched".into(), latencies.len() as f64),
            ("lag_end".into(), flow.lag_end),
        ]);
        let percentiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)];
        for (name, share) in percentiles {
            let value = percentile(&latencies, share).context("readings were watched")?;
            sample.insert(format!("due_to_readable_{name}_ms"), value);
        }
        Ok(sample)
    }
}

/// Looks for readings of a run.
struct Watch<'a> {
    look: Look<'a>,
    simulation: Simulation,
    stop: Stop,
}

impl Watch<'_> {
    /// Returns how long after their due times readings could be read, in milliseconds. When to
    /// begin with each is decided beforehand, so that a slow one delays no other.
    async fn all(&self, seconds: u64) -> Result<Vec<f64>> {
        let mut random = StdRng::seed_from_u64(SEED);
        let slot = Duration::from_secs(1) / WATCHED_PER_S;
        let slots = u32::try_from(seconds)? * WATCHED_PER_S;
        let begins = (0..slots).map(|number| slot * number + slot.mul_f64(random.random()));
        try_join_all(begins.map(|begin| self.one(begin))).await
    }

    /// Watches the next reading that is due in so long.
    async fn one(&self, begin: Duration) -> Result<f64> {
        tokio::time::sleep(begin).await;
        let schedule = &self.simulation.manifest().schedule;
        let index = schedule.due_count(self.elapsed_ns());
        let due_ns = schedule.due_ns(index);
        let key = ReadingKey::of(&self.simulation, index);
        loop {
            tokio::time::sleep(LOOK).await;
            self.stop.check()?;
            let found = self.look.finds(&key).await?;
            let age_ns = self.elapsed_ns().saturating_sub(due_ns);
            if found {
                return Ok(age_ns as f64 / 1e6);
            }
            let timeout_ns = READABLE_TIMEOUT.as_nanos();
            ensure!(
                u128::from(age_ns) < timeout_ns,
                "reading {index} is not readable after {READABLE_TIMEOUT:?}"
            );
        }
    }

    /// Time since the start of the run, by the clock that event times are in.
    fn elapsed_ns(&self) -> u64 {
        let start_ms = self.simulation.manifest().schedule.start_ms;
        let start = Duration::from_millis(u64::try_from(start_ms).unwrap_or_default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(now.saturating_sub(start).as_nanos()).unwrap_or(u64::MAX)
    }
}

//! The consumer beside its peers, each draining a topic that is already full.

use std::process::Command;

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::drain::{Preload, drain};
use crate::peers::{java, python};
use crate::report::Sample;

/// The consumer and the peers that are about as fast.
const READINGS: u64 = 1_000_000;
const READINGS_QUICK: u64 = 200_000;
/// Enough for several seconds of the slow ones.
const READINGS_GROUPED: u64 = 200_000;
const READINGS_NAIVE: u64 = 10_000;
/// Drains at most before the first turn.
const WARM_UPS_MAX: u64 = 12;
/// Two drains in a row that are less faster than the fastest before them show that Cassandra is
/// warm.
const FASTER: f64 = 1.05;

/// The consumer, the limit of Cassandra, the limit of Kafka, and what people write first.
#[derive(Default)]
pub(super) struct Consumer {
    full: Option<Preload>,
    grouped: Option<Preload>,
    naive: Option<Preload>,
}

impl Case for Consumer {
    fn name(&self) -> &'static str {
        "consumer"
    }

    fn about(&self) -> &'static str {
        "drains a preloaded topic into Cassandra: rows/s and cost, from the first row to the last"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 60 } else { 340 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 4 }
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        let python = python::environment(bench);
        let full = Preload::new(bench, bench.size(READINGS, READINGS_QUICK))?;
        warm_up(bench, &full)?;
        self.full = Some(full);
        if python.is_ok() {
            self.grouped = Some(Preload::new(bench, bench.size(READINGS_GROUPED, 100_000))?);
            self.naive = Some(Preload::new(bench, READINGS_NAIVE)?);
        }
        Ok(vec![
            Variant::ours("consumer", "the released consumer, at its defaults"),
            Variant::control(
                "driver",
                "the limit of Cassandra: the Rust driver alone writes the same rows, ready in \
                 memory, in the same batches (200 rows of one partition, 16 under way)",
            ),
            Variant::control(
                "python-grouped",
                "a careful Python consumer: unlogged batches by site (200 000 readings)",
            )
            .unless(&python),
            Variant::control(
                "python-naive",
                "the usual Python consumer: one execute for each message (10 000 readings)",
            )
            .unless(&python),
            Variant::control(
                "kafka-perf-test",
                "the limit of Kafka: kafka-consumer-perf-test reads and writes nothing",
            ),
        ])
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        let preload = match variant.name {
            "python-grouped" => &self.grouped,
            "python-naive" => &self.naive,
            _ => &self.full,
        };
        let preload = preload.as_ref().context("the case was prepared")?;
        match variant.name {
            "consumer" => ours(bench, preload),
            "driver" => drain(bench, preload, |bench, names| {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("driver").arg(preload.report_path()?);
                command.args([names.get("CASSANDRA_CONTACT_POINTS"), names.keyspace()]);
                Ok(vec![bench.spawn("driver", command, names)?])
            }),
            "kafka-perf-test" => java::consumer_perf(bench, preload),
            script => drain(bench, preload, |bench, names| {
                Ok(vec![bench.spawn(script, python::command(bench, script)?, names)?])
            }),
        }
    }
}

/// Drains until that is no faster any more, so that the first turn finds Cassandra as warm as all
/// others do: what its compiler has not seen yet costs several times as much.
fn warm_up(bench: &mut Bench, preload: &Preload) -> Result<()> {
    let (mut fastest, mut no_faster) = (0.0, 0);
    for _ in 0..bench.size(WARM_UPS_MAX, 0) {
        let sample = ours(bench, preload)?;
        let rows_per_s = *sample.get("rows_per_s").context("a drain has a rate")?;
        println!("  warming up: {rows_per_s:.0} rows/s");
        if rows_per_s > fastest * FASTER {
            (fastest, no_faster) = (rows_per_s, 0);
            continue;
        }
        no_faster += 1;
        if no_faster == 2 {
            break;
        }
    }
    Ok(())
}

fn ours(bench: &mut Bench, preload: &Preload) -> Result<Sample> {
    drain(bench, preload, |bench, names| Ok(vec![bench.start("consumer", names)?]))
}

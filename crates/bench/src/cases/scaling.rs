//! One, two and three consumers on the same cores.

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::drain::{Preload, drain};
use crate::report::Sample;

const READINGS: u64 = 1_000_000;
const READINGS_QUICK: u64 = 200_000;

/// Several consumers of one group.
#[derive(Default)]
pub(super) struct Scaling {
    preload: Option<Preload>,
}

impl Case for Scaling {
    fn name(&self) -> &'static str {
        "scaling"
    }

    fn about(&self) -> &'static str {
        "1, 2 and 3 consumers drain the same topic together, on the same cores as Cassandra"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 35 } else { 110 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 2 }
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        self.preload = Some(Preload::new(bench, bench.size(READINGS, READINGS_QUICK))?);
        Ok(vec![
            Variant::ours("1-consumer", "alone"),
            Variant::ours("2-consumers", "CPU time of both, memory of the larger one"),
            Variant::ours("3-consumers", "CPU time of all, memory of the largest one"),
        ])
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        let preload = self.preload.as_ref().context("the case was prepared")?;
        let count = match variant.name {
            "1-consumer" => 1,
            "2-consumers" => 2,
            _ => 3,
        };
        drain(bench, preload, |bench, names| {
            (0..count).map(|_| bench.start("consumer", names)).collect()
        })
    }
}

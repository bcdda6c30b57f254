//! What a million sensors cost in memory.

use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::report::Sample;

const TIMEOUT: Duration = Duration::from_mins(2);

/// The producer with few sensors and with many.
pub(super) struct Memory;

impl Case for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn about(&self) -> &'static str {
        "memory of the producer at 50 000/s with a small and with a large fleet"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 12 } else { 50 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 2 }
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        bench.servers()?;
        Ok(vec![
            Variant::ours("5000-sensors", "200 sites"),
            Variant::ours("1000000-sensors", "40 000 sites"),
        ])
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        let sensors = if variant.name == "5000-sensors" { 5_000 } else { 1_000_000 };
        let mut names = bench.names()?;
        names.set("PRODUCER_TARGET_RATE", 50_000).set("PRODUCER_FOR_SEC", bench.size(10, 4));
        names.set("IOT_NUM_SENSORS", sensors);
        let (report, usage) = bench.produce(&names, TIMEOUT)?;
        bench.forget(&names)?;
        Ok(Sample::from([
            ("rss_peak_mib".into(), usage.rss_peak_mib),
            ("cpu_s_per_million".into(), usage.cpu_s / (report.acknowledged as f64 / 1e6)),
        ]))
    }
}

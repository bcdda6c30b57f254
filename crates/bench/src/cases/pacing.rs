//! How exactly the producer keeps a rate, and how evenly.

use std::time::Duration;

use anyhow::Result;

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::report::Sample;

const TIMEOUT: Duration = Duration::from_mins(3);

/// A low rate and a high one.
pub(super) struct Pacing;

impl Case for Pacing {
    fn name(&self) -> &'static str {
        "pacing"
    }

    fn about(&self) -> &'static str {
        "the producer keeps a rate for a minute: its error, its bursts, its lateness"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 22 } else { 125 }
    }

    fn rounds(&self, _: bool) -> usize {
        1
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        bench.servers()?;
        Ok(vec![
            Variant::ours("3500", "3 500 readings/s, the default"),
            Variant::ours("100000", "100 000 readings/s"),
        ])
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        let rate: f64 = variant.name.parse()?;
        let mut names = bench.names()?;
        names.set("PRODUCER_TARGET_RATE", variant.name);
        names.set("PRODUCER_FOR_SEC", bench.size(60, 10));
        let (report, usage) = bench.produce(&names, TIMEOUT)?;
        bench.forget(&names)?;
        let error = (report.rate_achieved / rate - 1.0).abs();
        Ok(Sample::from([
            ("rate_error_percent".into(), error * 100.0),
            ("burst_of_due".into(), report.rate_proof.per_100_ms.most_of_due),
            ("schedule_lag_p50_ms".into(), report.lateness.p50_ms),
            ("schedule_lag_p99_ms".into(), report.lateness.p99_ms),
            ("schedule_lag_max_ms".into(), report.lateness.max_ms),
            ("ack_p99_ms".into(), report.ack_latency.p99_ms),
            ("cpu_percent_of_core".into(), usage.cpu_s / report.elapsed_s * 100.0),
        ]))
    }
}

//! How fast one core computes readings.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result};
use domain::SensorKind;
use domain::simulation::{
    AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, Simulation, TransportSpec,
};

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::process::usage;
use crate::report::Sample;

const READINGS: u64 = 5_000_000;
const READINGS_QUICK: u64 = 1_000_000;
/// Between two looks at the wish to stop.
const CHUNK: u64 = 100_000;

/// Values alone, and with their JSON.
pub(super) struct Generation;

/// The default fleet on a day of the past: always the same readings.
pub(super) fn manifest() -> RunManifest {
    const MONDAY_MS: i64 = 1_764_547_200_000;
    RunManifest {
        run: "20251201T000000-0000".into(),
        seed: 42,
        fleet: FleetSpec { sensors: 5_000, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(
            MONDAY_MS,
            Rate::per_second_milli(3_500_000).expect("the rate is above 0"),
        ),
        anomalies: AnomalySpec { probability_ppm: 50_000 },
        transport: TransportSpec::default(),
    }
}

impl Case for Generation {
    fn name(&self) -> &'static str {
        "generation"
    }

    fn about(&self) -> &'static str {
        "one core computes the readings of the default fleet, in the order of a run"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 2 } else { 14 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 5 }
    }

    fn prepare(&mut self, _: &mut Bench) -> Result<Vec<Variant>> {
        Ok(vec![
            Variant::ours("values", "values and status"),
            Variant::ours("json", "values, status and JSON"),
        ])
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        let simulation = Simulation::new(manifest());
        let readings = bench.size(READINGS, READINGS_QUICK);
        let with_json = variant.name == "json";
        let before = usage(std::process::id())?;
        let start = Instant::now();
        let mut record = Vec::with_capacity(512);
        for chunk in 0..readings / CHUNK {
            bench.stop.check()?;
            for index in chunk * CHUNK..(chunk + 1) * CHUNK {
                let reading = black_box(simulation.reading(black_box(index)));
                if with_json {
                    record.clear();
                    simulation.encode(&reading, &mut record);
                    black_box(&record);
                }
            }
        }
        let wall_s = start.elapsed().as_secs_f64();
        let after = usage(std::process::id()).context("this process can look at itself")?;
        let cpu_s = after.cpu_s - before.cpu_s;
        Ok(Sample::from([
            ("readings_per_s".into(), readings as f64 / wall_s),
            ("cpu_s_per_million".into(), cpu_s / (readings as f64 / 1e6)),
        ]))
    }
}

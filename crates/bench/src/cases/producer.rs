//! The producer at full speed beside others that send the same readings.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use domain::simulation::Simulation;

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::peers::{c, java};
use crate::report::Sample;

/// Readings of a turn. Three times as many make it no steadier: what finds a difference between two
/// builds is the number of turns.
const READINGS: u64 = 1_000_000;
/// Readings in the files of the peers, which send them again and again.
const READY_READINGS: u64 = 200_000;
const TIMEOUT: Duration = Duration::from_mins(2);

/// The producer, Kafka's own tool, and C on the same library.
#[derive(Default)]
pub(super) struct Producer {
    c_program: Option<PathBuf>,
}

impl Producer {
    fn ours(bench: &mut Bench) -> Result<Sample> {
        let mut names = bench.names()?;
        // More than can be sent, without pause: the schedule is never waited for.
        names.set("PRODUCER_TARGET_RATE", 10_000_000).set("PRODUCER_CATCH_UP", "unlimited");
        names.set("PRODUCER_READINGS", READINGS);
        let before = bench.started()?.usage()?;
        let (report, usage) = bench.produce(&names, TIMEOUT)?;
        let after = bench.started()?.usage()?;
        bench.forget(&names)?;
        // From the first due time to the report that everything is acknowledged.
        let wall_s = (report.written_ms - report.manifest.schedule.start_ms) as f64 / 1e3;
        let millions = report.acknowledged as f64 / 1e6;
        Ok(Sample::from([
            ("readings_per_s".into(), report.acknowledged as f64 / wall_s),
            ("cpu_s_per_million".into(), usage.cpu_s / millions),
            ("rss_peak_mib".into(), usage.rss_peak_mib),
            ("kafka_cpu_s_per_million".into(), (after.kafka.cpu_s - before.kafka.cpu_s) / millions),
        ]))
    }

    fn peer(&self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        let names = bench.names()?;
        bench.started()?.create_topic(names.topic())?;
        let before = bench.started()?.usage()?;
        let mut sample = if variant.name == "kafka-perf-test" {
            java::producer_perf(bench, &names, &bench.folder().join("values"), READINGS)
        } else {
            let program = self.c_program.as_ref().context("the program is compiled")?;
            c::produce(bench, program, &names, &bench.folder().join("keyed"), READINGS)
        }?;
        let after = bench.started()?.usage()?;
        let kafka_s = after.kafka.cpu_s - before.kafka.cpu_s;
        sample.insert("kafka_cpu_s_per_million".into(), kafka_s / (READINGS as f64 / 1e6));
        bench.forget(&names)?;
        Ok(sample)
    }
}

impl Case for Producer {
    fn name(&self) -> &'static str {
        "producer"
    }

    fn about(&self) -> &'static str {
        "sends readings as fast as it can: idempotent, acks=all, lz4, 5 ms of linger, 12 partitions"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 30 } else { 260 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 20 }
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        bench.servers()?;
        let simulation = Simulation::new(super::generation::manifest());
        let (values, keyed) = (bench.folder().join("values"), bench.folder().join("keyed"));
        c::write_readings(&simulation, READY_READINGS, false, &values)?;
        c::write_readings(&simulation, READY_READINGS, true, &keyed)?;
        let c_program = c::build(bench);
        let variants = vec![
            Variant::ours("producer", "the released producer, which computes what it sends"),
            Variant::control(
                "kafka-perf-test",
                "kafka-producer-perf-test with ready readings; without keys and headers, which it \
                 does not have",
            ),
            Variant::control(
                "librdkafka-c",
                "a small C program on the same library with ready readings, keys and headers",
            )
            .unless(&c_program),
        ];
        self.c_program = c_program.ok();
        // Kafka has yet to learn what full speed is: its first turns cost three times as much.
        for _ in 0..bench.size(12, 0) {
            Self::ours(bench)?;
        }
        Ok(variants)
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        match variant.name {
            "producer" => Self::ours(bench),
            _ => self.peer(bench, variant),
        }
    }
}

//! Kafka's own performance tools, from the jars of the server.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use localstack::tools::kafka_tool;

use crate::bench::Bench;
use crate::drain::Preload;
use crate::names::Names;
use crate::process::finish;
use crate::report::Sample;

const TIMEOUT: Duration = Duration::from_mins(3);

/// Sends readings from a file of one a line with kafka-producer-perf-test; it has no keys and no
/// headers.
pub fn producer_perf(
    bench: &Bench,
    names: &Names,
    payloads: &Path,
    readings: u64,
) -> Result<Sample> {
    let mut command = kafka_tool("org.apache.kafka.tools.ProducerPerformance")?;
    command.args(["--topic", names.topic(), "--throughput", "-1"]);
    command.args(["--bootstrap-server", names.get("KAFKA_BOOTSTRAP_SERVERS")]);
    command.args(["--num-records", &readings.to_string()]).arg("--payload-file").arg(payloads);
    command.arg("--command-property");
    command.args(["acks=all", "enable.idempotence=true", "compression.type=lz4", "linger.ms=5"]);
    let mut tool = bench.spawn("kafka-producer-perf-test", command, names)?;
    let usage = finish(&mut tool, TIMEOUT, &bench.stop, |_| {})?;
    let printed = fs::read_to_string(bench.output("kafka-producer-perf-test"))?;
    let readings_per_s = producer_rate(&printed)
        .with_context(|| format!("kafka-producer-perf-test printed no rate: {printed}"))?;
    Ok(Sample::from([
        ("readings_per_s".into(), readings_per_s),
        ("cpu_s_per_million".into(), usage.cpu_s / (readings as f64 / 1e6)),
        ("rss_peak_mib".into(), usage.rss_peak_mib),
    ]))
}

/// The last line: `1000000 records sent, 412345.6 records/sec (80.12 MB/sec), ...`.
fn producer_rate(printed: &str) -> Option<f64> {
    let line = printed.lines().rfind(|line| line.contains("records sent"))?;
    let (_, rest) = line.split_once("records sent, ")?;
    rest.split_once(" records/sec")?.0.trim().parse().ok()
}

/// Reads a preloaded topic with kafka-consumer-perf-test.
pub fn consumer_perf(bench: &mut Bench, preload: &Preload) -> Result<Sample> {
    let own = bench.names()?;
    let names = &preload.names;
    let mut command = kafka_tool("org.apache.kafka.tools.ConsumerPerformance")?;
    command.args(["--topic", names.topic(), "--hide-header"]);
    command.args(["--bootstrap-server", names.get("KAFKA_BOOTSTRAP_SERVERS")]);
    command.args(["--num-records", &preload.readings.to_string()]);
    command.args(["--group", own.get("KAFKA_CONSUMER_GROUP_ID")]);
    let before = bench.started()?.usage()?;
    let mut tool = bench.spawn("kafka-consumer-perf-test", command, names)?;
    let usage = finish(&mut tool, TIMEOUT, &bench.stop, |_| {})?;
    let after = bench.started()?.usage()?;
    let printed = fs::read_to_string(bench.output("kafka-consumer-perf-test"))?;
    let rows_per_s = consumer_rate(&printed)
        .with_context(|| format!("kafka-consumer-perf-test printed no rate: {printed}"))?;
    let millions = preload.readings as f64 / 1e6;
    let kafka_s = after.kafka.cpu_s - before.kafka.cpu_s;
    Ok(Sample::from([
        ("rows_per_s".into(), rows_per_s),
        ("cpu_s_per_million".into(), usage.cpu_s / millions),
        ("rss_peak_mib".into(), usage.rss_peak_mib),
        ("kafka_cpu_s_per_million".into(), kafka_s / millions),
    ]))
}

/// Ten columns, the last of which is the records a second, without the time to join the group.
fn consumer_rate(printed: &str) -> Option<f64> {
    let columns = |line: &str| line.split(", ").count() == 10;
    let line = printed.lines().rfind(|line| columns(line))?;
    line.rsplit(", ").next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_found_in_what_the_tools_print() {
        let produced = "123 records sent, 24.6 records/sec (0.00 MB/sec), 1.0 ms avg latency\n\
                        1000000 records sent, 412345.6 records/sec (80.12 MB/sec), 99 ms avg\n";
        assert_eq!(producer_rate(produced), Some(412_345.6));
        assert_eq!(producer_rate("usage: ..."), None);
        let consumed = "2026-11-21 12:00:00:123, 2026-11-21 12:00:03:456, 190.7, 57.2, 1000000, \
                        300030.0, 3012, 321, 594.1, 3115264.8\n";
        assert_eq!(consumer_rate(consumed), Some(3_115_264.8));
        assert_eq!(consumer_rate(""), None);
    }
}

//! The command line of `cargo xtask up`.

use std::path::PathBuf;

use clap::Parser;

/// Run the whole pipeline on this machine, without Docker.
///
/// Real Kafka and Cassandra servers on free loopback ports, the schema, the topic, the producer,
/// the consumers and the analytics. A finite run ends with the audit and takes its exit code; an
/// endless one ends with Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "up", bin_name = "cargo xtask up")]
pub(crate) struct Options {
    /// Readings per second of the whole fleet
    #[arg(long, default_value = "3500")]
    pub(crate) rate: String,
    /// Sensors in the fleet
    #[arg(long, default_value = "5000")]
    pub(crate) sensors: u64,
    /// Consumers that share the partitions
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=12))]
    pub(crate) consumers: u8,
    /// Processes that compute windows and alerts; 0 for none
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=12))]
    pub(crate) analytics: u8,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS", conflicts_with = "readings")]
    pub(crate) seconds: Option<u64>,
    /// End after so many readings
    #[arg(long)]
    pub(crate) readings: Option<u64>,
    /// Seed of all randomness: the same seed gives the same readings
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Brokers, and nodes of Cassandra: one of each, or three
    #[arg(long, default_value_t = 1, value_parser = nodes)]
    pub(crate) nodes: usize,
    /// Keep all data in this folder; the next `up` on it goes on from there
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Where to say which addresses the servers have, as `NAME=VALUE` lines
    #[arg(long, hide = true)]
    pub(crate) environment_file: Option<PathBuf>,
}

impl Options {
    /// Tells whether the run ends by itself.
    pub(crate) fn is_finite(&self) -> bool {
        self.seconds.is_some() || self.readings.is_some()
    }
}

fn nodes(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("1 or 3".into()),
    }
}

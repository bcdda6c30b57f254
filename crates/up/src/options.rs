//! The command line of `cargo xtask up`.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};

use crate::settings::Catalogue;

/// Run the whole pipeline on this machine, without Docker.
///
/// Real Kafka and Cassandra servers on free loopback ports, the schema, the topic, the producer,
/// the consumers and the analytics. A finite run ends with the audit and takes its exit code; an
/// endless one ends with Ctrl-C.
///
/// Every setting of the producer, the consumer and the analytics can be given as well, as a flag or
/// in the environment; a flag wins. All are checked before anything starts.
#[derive(Debug, Parser)]
#[command(name = "up", bin_name = "cargo xtask up")]
pub(crate) struct Options {
    /// Readings per second of the whole fleet (`PRODUCER_TARGET_RATE`)
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) rate: Option<String>,
    /// Sensors in the fleet (`IOT_NUM_SENSORS`)
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) sensors: Option<String>,
    /// Consumers that share the partitions, 1 to 12
    #[arg(long, allow_hyphen_values = true, default_value = "1")]
    pub(crate) consumers: String,
    /// Processes that compute windows and alerts, 0 to 12
    #[arg(long, allow_hyphen_values = true, default_value = "1")]
    pub(crate) analytics: String,
    /// End after so many seconds (`PRODUCER_FOR_SEC`)
    #[arg(long = "for", value_name = "SECONDS", allow_hyphen_values = true)]
    pub(crate) seconds: Option<String>,
    /// End after so many readings (`PRODUCER_READINGS`)
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) readings: Option<String>,
    /// Seed of all randomness: the same seed gives the same readings (`PRODUCER_SEED`)
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) seed: Option<String>,
    /// Brokers, and nodes of Cassandra: one of each, or three
    #[arg(long, allow_hyphen_values = true, default_value = "1")]
    pub(crate) nodes: String,
    /// Keep all data in this folder; the next `up` on it goes on from there
    #[arg(long, value_name = "FOLDER", allow_hyphen_values = true)]
    pub(crate) data: Option<PathBuf>,
    /// Folder in which to say that this pipeline runs, and with which settings
    #[arg(long, hide = true)]
    pub(crate) registry: Option<PathBuf>,
}

/// Returns the command line with a flag for each setting of the programs beside its own options.
pub(crate) fn command(catalogue: &Catalogue) -> Command {
    const HEADING: &str = "Settings of the programs (docs/configuration.md explains them)";
    let own = Options::command();
    let taken: Vec<String> =
        own.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_owned).collect();
    let flags = catalogue.flags().filter(|(flag, _)| !taken.contains(flag));
    let flags = flags.map(|(flag, names)| {
        Arg::new(flag)
            .long(flag)
            .value_name("VALUE")
            .allow_hyphen_values(true)
            .help(names.join(", "))
            .help_heading(HEADING)
            .hide_short_help(true)
    });
    own.args(flags.collect::<Vec<_>>())
}

impl Options {
    /// Takes its own options from a command line.
    pub(crate) fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Self::from_arg_matches(matches)
    }

    /// Returns the options that are short for a setting of a program: the flag, the setting, the
    /// value.
    pub(crate) fn short_for(&self) -> [(&'static str, &'static str, Option<&String>); 5] {
        [
            ("rate", "PRODUCER_TARGET_RATE", self.rate.as_ref()),
            ("sensors", "IOT_NUM_SENSORS", self.sensors.as_ref()),
            ("for", "PRODUCER_FOR_SEC", self.seconds.as_ref()),
            ("readings", "PRODUCER_READINGS", self.readings.as_ref()),
            ("seed", "PRODUCER_SEED", self.seed.as_ref()),
        ]
    }
}

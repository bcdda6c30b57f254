//! The command line: a flag for each setting, over the environment; the help text is the
//! documentation.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, Command};

use super::{Described, Reader, reference};

/// The subcommand that the reference page is made with.
const SETTINGS: &str = "settings";

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run with these values, by environment name.
    Run(BTreeMap<String, String>),
    /// Ask a running process whether it is healthy.
    Healthcheck(BTreeMap<String, String>),
    /// Print this, the help or the reference of the settings, and end well.
    Print(String),
    /// Print this and end with the usage exit code.
    Misuse(String),
}

/// Merges environment and arguments for a process whose settings `read` reads.
pub fn invocation<S>(
    name: &'static str,
    about: &'static str,
    read: impl Fn(&mut Reader) -> S,
    environment: BTreeMap<String, String>,
    arguments: impl IntoIterator<Item = OsString>,
) -> Invocation {
    let mut reader = Reader::default();
    read(&mut reader);
    let described = reader.described();

    let matches = match command(name, about, described).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Invocation::Misuse(error.to_string()),
        Err(error) => return Invocation::Print(error.to_string()),
    };
    let mut values = environment;
    for Described { setting, .. } in described {
        if let Some(value) = matches.get_one::<String>(setting.name) {
            values.insert(setting.name.to_owned(), value.clone());
        }
    }
    match matches.subcommand_name() {
        Some(SETTINGS) => Invocation::Print(reference::table(described)),
        Some(_) => Invocation::Healthcheck(values),
        None => Invocation::Run(values),
    }
}

fn command(name: &'static str, about: &'static str, described: &[Described]) -> Command {
    let flags = described.iter().map(|Described { setting, allowed }| {
        let unit = match setting.unit {
            "" => String::new(),
            unit => format!(" [{unit}]"),
        };
        let default = match setting.default {
            "" => "not set",
            value => value,
        };
        let (name, meaning) = (setting.name, setting.meaning);
        let help = format!("{meaning}{unit}\n{name}, default {default}, allowed {allowed}");
        Arg::new(setting.name)
            .long(setting.flag())
            .value_name("VALUE")
            .help(help)
            .allow_hyphen_values(true)
    });
    Command::new(name)
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help("Every flag can be given as the environment variable named under it.")
        .args(flags)
        .subcommand(
            Command::new("healthcheck")
                .about("Ask the running process, at HEALTH_ADDRESS, whether it is healthy"),
        )
        .subcommand(
            Command::new(SETTINGS)
                .about("Print the reference of the settings, as a Markdown table")
                .hide(true),
        )
}

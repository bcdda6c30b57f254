//! The command line: a flag for each setting, over the environment; the help text is the
//! documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use clap::{Arg, Command};

use super::{Described, Reader, names, reference};

/// The subcommand that the reference page is made with.
const SETTINGS: &str = "settings";
/// The subcommand that starts nothing.
const CHECK: &str = "check";

/// What the command line shows of a program, or of one of its actions.
#[derive(Debug)]
pub struct Face {
    /// The word that calls it.
    pub name: &'static str,
    /// What it does, one line.
    pub about: &'static str,
    /// Its settings.
    pub settings: Vec<Described>,
    /// What it does on request. A program without settings of its own does nothing else, so that
    /// one has to be named.
    pub actions: Vec<Self>,
}

impl Face {
    /// Describes what reads its settings with `read`.
    pub fn new<S>(
        name: &'static str,
        about: &'static str,
        read: impl FnOnce(&mut Reader) -> S,
    ) -> Self {
        let mut reader = Reader::default();
        read(&mut reader);
        Self { name, about, settings: reader.described().to_vec(), actions: Vec::new() }
    }

    /// Returns every setting, its own and those of its actions, each once.
    fn all_settings(&self) -> Vec<Described> {
        let mut all = self.settings.clone();
        for described in self.actions.iter().flat_map(|action| &action.settings) {
            if all.iter().all(|known| known.setting.name != described.setting.name) {
                all.push(described.clone());
            }
        }
        all
    }

    /// Returns what is to be said about values that look like its settings but are none.
    pub fn unknown_names(&self, values: &BTreeMap<String, String>) -> Vec<String> {
        let settings = self.all_settings();
        let known: BTreeSet<&str> =
            settings.iter().map(|described| described.setting.name).collect();
        names::unknown_names(self.name, &known, values.keys())
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// Run with these values, by environment name.
    Run {
        /// Which of its actions, from 0; `None` is what it does unasked.
        action: Option<usize>,
        /// The values.
        values: BTreeMap<String, String>,
    },
    /// Say which settings there are and which of these values are refused.
    Check(BTreeMap<String, String>),
    /// Ask a running process whether it is healthy.
    Healthcheck(BTreeMap<String, String>),
    /// Print this, the help or the reference of the settings, and end well.
    Print(String),
    /// Print this and end with the usage exit code.
    Misuse(String),
}

/// Merges environment and arguments for a program.
pub fn invocation(
    program: &Face,
    environment: BTreeMap<String, String>,
    arguments: impl IntoIterator<Item = OsString>,
) -> Invocation {
    let matches = match command(program).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if error.use_stderr() => return Invocation::Misuse(error.to_string()),
        Err(error) => return Invocation::Print(error.to_string()),
    };
    let chosen = matches.subcommand();
    if let Some((SETTINGS, _)) = chosen {
        return Invocation::Print(reference::table(&program.all_settings()));
    }
    let action = chosen.and_then(|(name, given)| {
        let place = program.actions.iter().position(|action| action.name == name)?;
        Some((place, &program.actions[place], given))
    });
    let (face, given) = action.map_or((program, &matches), |(_, face, given)| (face, given));
    let mut values = environment;
    for Described { setting, .. } in &face.settings {
        if let Some(value) = given.get_one::<String>(setting.name) {
            values.insert(setting.name.to_owned(), value.clone());
        }
    }
    match (chosen, action) {
        (Some((CHECK, _)), None) => Invocation::Check(values),
        (Some(_), None) => Invocation::Healthcheck(values),
        _ => Invocation::Run { action: action.map(|(place, ..)| place), values },
    }
}

fn command(program: &Face) -> Command {
    let command = face_command(program).version(env!("CARGO_PKG_VERSION")).subcommand(
        Command::new(SETTINGS)
            .about("Print the reference of the settings, as a Markdown table")
            .hide(true),
    );
    let command = command.subcommands(program.actions.iter().map(face_command));
    if !program.settings.is_empty() {
        return command
            .disable_help_subcommand(true)
            .subcommand(
                Command::new("healthcheck")
                    .about("Ask the running process, at HEALTH_ADDRESS, whether it is healthy"),
            )
            .subcommand(
                Command::new(CHECK)
                    .about("Check the settings in the environment, list all with their flags")
                    .hide(true),
            );
    }
    command
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .after_help("`--help` after an action lists its settings.")
}

fn face_command(face: &Face) -> Command {
    Command::new(face.name)
        .about(face.about)
        .after_help("Every flag can be given as the environment variable named under it.")
        .args(face.settings.iter().map(flag))
}

fn flag(Described { setting, allowed, is_switch }: &Described) -> Arg {
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
    let flag = Arg::new(name)
        .long(setting.flag())
        .visible_aliases(setting.other_flags())
        .value_name("VALUE")
        .help(help);
    if *is_switch {
        flag.num_args(0..=1).default_missing_value("true")
    } else {
        flag.allow_hyphen_values(true)
    }
}

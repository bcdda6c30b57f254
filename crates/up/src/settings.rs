//! What the programs are told: flags over the environment over what `up` knows itself, checked by
//! the programs before anything starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use clap::ArgMatches;
use localstack::{Stack, data_dir_problem};
use runtime::process::{EXIT_USAGE, environment};
use runtime::settings::{alias_hint, setting_of};

use crate::options::Options;
use crate::session::path_of;

/// The programs whose settings are also flags of `up`.
const WITH_FLAGS: [&str; 3] = ["producer", "consumer", "analytics"];
/// Runs at the end of a finite run; some of its flags mean other things than the producer's.
const AUDIT: &str = "audit";

const KEYSPACE: &str = "CASSANDRA_KEYSPACE";
const REPORT_DIR: &str = "PRODUCER_REPORT_DIR";
const REPLICATION_FACTOR: &str = "KAFKA_REPLICATION_FACTOR";

/// Settings that only somebody who starts a single program can choose, and why.
const REFUSED: [(&str, &str); 4] = [
    ("KAFKA_BOOTSTRAP_SERVERS", "nothing: `up` starts a Kafka of its own"),
    ("CASSANDRA_CONTACT_POINTS", "nothing: `up` starts a Cassandra of its own"),
    ("HEALTH_ADDRESS", "nothing: several programs cannot listen on one address"),
    ("PRODUCER_PRINT", "nothing: it needs no servers, `target/release/producer` does it alone"),
];

/// The settings of all programs, as the programs list them.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    names: BTreeSet<String>,
    /// What each flag stands for: several programs may have a flag of the same name.
    flags: BTreeMap<String, Vec<String>>,
}

impl Catalogue {
    /// Asks the programs.
    pub(crate) fn ask() -> Result<Self> {
        let mut catalogue = Self::default();
        for program in WITH_FLAGS.into_iter().chain([AUDIT]) {
            let output = check(program, &BTreeMap::new())?;
            for line in String::from_utf8_lossy(&output.stdout).lines() {
                let (name, flag) = line
                    .split_once(" --")
                    .with_context(|| format!("{program} lists its settings as `{line}`"))?;
                catalogue.names.insert(name.to_owned());
                let names = catalogue.flags.entry(flag.to_owned()).or_default();
                if program != AUDIT && !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        catalogue.flags.retain(|_, names| !names.is_empty());
        Ok(catalogue)
    }

    /// Returns every flag with the settings that it stands for.
    pub(crate) fn flags(&self) -> impl Iterator<Item = (&String, &Vec<String>)> {
        self.flags.iter()
    }
}

/// A value, and what the user gave it by: a flag, or the variable's own name.
#[derive(Clone, Debug)]
struct Given {
    value: String,
    by: String,
}

/// Numbers of `up` itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Consumers that share the partitions.
    pub(crate) consumers: usize,
    /// Processes that compute windows and alerts.
    pub(crate) analytics: usize,
    /// Brokers, and nodes of Cassandra.
    pub(crate) nodes: usize,
}

/// What was given, and what was wrong with it.
#[derive(Debug)]
pub(crate) struct Settings {
    /// How many of what to start.
    pub(crate) shape: Shape,
    given: BTreeMap<String, Given>,
    problems: Vec<String>,
}

impl Settings {
    /// Gathers all settings and has the programs check them.
    pub(crate) fn gather(
        options: &Options,
        matches: &ArgMatches,
        catalogue: &Catalogue,
    ) -> Result<Self> {
        let mut problems = Vec::new();
        let shape = Shape {
            consumers: number(&mut problems, "--consumers", &options.consumers, 1..=12),
            analytics: number(&mut problems, "--analytics", &options.analytics, 0..=12),
            nodes: number(&mut problems, "--nodes", &options.nodes, 1..=3),
        };
        if shape.nodes == 2 {
            problems.push("--nodes=`2`: allowed is 1 or 3".into());
        }
        if let Some(folder) = &options.data
            && let Some(problem) = data_dir_problem(folder)
        {
            problems.push(format!("--data=`{}`: {problem}", folder.display()));
        }
        let mut settings = Self { shape, given: BTreeMap::new(), problems };
        settings.take_environment(catalogue);
        settings.take_flags(options, matches, catalogue);
        settings.refuse();
        settings.have_checked()?;
        Ok(settings)
    }

    fn take_environment(&mut self, catalogue: &Catalogue) {
        for (by, value) in environment() {
            let name = setting_of(&by);
            // An empty variable counts as not set, as it does for the programs, and a setting's own
            // name wins over others.
            let is_given = !value.trim().is_empty();
            if is_given
                && catalogue.names.contains(name)
                && (by == name || !self.given.contains_key(name))
            {
                self.given.insert(name.to_owned(), Given { value, by });
            }
        }
    }

    fn take_flags(&mut self, options: &Options, matches: &ArgMatches, catalogue: &Catalogue) {
        for (flag, name, value) in options.short_for() {
            if let Some(value) = value {
                self.take_flag(flag, name, value);
            }
        }
        let short = options.short_for().map(|(flag, ..)| flag);
        for (flag, names) in catalogue.flags().filter(|(flag, _)| !short.contains(&flag.as_str())) {
            // Options of `up` itself of that name have another type, or are no setting.
            if let Ok(Some(value)) = matches.try_get_one::<String>(flag) {
                for name in names {
                    self.take_flag(flag, name, value);
                }
            }
        }
    }

    fn take_flag(&mut self, flag: &str, name: &str, value: &str) {
        let by = format!("--{flag}");
        if let Some(other) = self.given.get(name)
            && other.by.starts_with("--")
        {
            let problem = format!("{by}=`{value}`: allowed is one of {} and {by}", other.by);
            self.problems.push(problem);
        }
        self.given.insert(name.to_owned(), Given { value: value.to_owned(), by });
    }

    /// Refuses what no program would, but a pipeline has to.
    fn refuse(&mut self) {
        for (name, allowed) in REFUSED {
            self.refuse_unless(name, allowed, |_| false);
        }
        let allowed = "false: it needs no servers, `target/release/producer` does it alone";
        self.refuse_unless("PRODUCER_DESCRIBE", allowed, |value| value == "false");
        let allowed = "json: `up` reads the logs, and shows them as text";
        self.refuse_unless("LOG_FORMAT", allowed, |value| value == "json");
        let nodes = self.shape.nodes;
        let allowed = format!("1 to {nodes}, as many as there are brokers (--nodes)");
        let fits = |value: &str| value.parse::<usize>().is_ok_and(|count| count <= nodes);
        self.refuse_unless(REPLICATION_FACTOR, &allowed, fits);
    }

    fn refuse_unless(&mut self, name: &str, allowed: &str, accepts: impl Fn(&str) -> bool) {
        if let Some(Given { value, by }) = self.given.get_mut(name)
            && !accepts(value.trim())
        {
            self.problems.push(format!("{by}=`{value}`: allowed is {allowed}"));
            // One reason is enough: for the programs it is not set.
            value.clear();
        }
    }

    /// Has each program say what it will refuse, in the names that the user gave.
    fn have_checked(&mut self) -> Result<()> {
        let values = self.values();
        for program in WITH_FLAGS.into_iter().chain([AUDIT]) {
            let output = check(program, &values)?;
            let text = String::from_utf8_lossy(&output.stderr);
            for problem in text.lines().filter_map(|line| line.strip_prefix("  ")) {
                let problem = match problem.split_once('=') {
                    Some((name, rest)) if self.given.contains_key(name) => {
                        format!("{}={rest}", self.given[name].by)
                    }
                    _ => problem.to_owned(),
                };
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
        }
        Ok(())
    }

    fn values(&self) -> BTreeMap<String, String> {
        self.given.iter().map(|(name, given)| (name.clone(), given.value.clone())).collect()
    }

    /// Returns everything that is wrong, one a line; nothing if all is well.
    pub(crate) fn problems(&self) -> Option<String> {
        let lines = self.problems.iter().map(|problem| format!("  {problem}\n"));
        (!self.problems.is_empty())
            .then(|| format!("up: bad settings:\n{}", lines.collect::<String>()))
    }

    /// Returns what is to be said about the names that were used, one line each.
    pub(crate) fn hints(&self) -> impl Iterator<Item = String> {
        let by_other_name = |(name, given): (&String, &Given)| {
            (setting_of(&given.by) != given.by).then(|| alias_hint(&given.by, name))
        };
        self.given.iter().filter_map(by_other_name)
    }

    fn get(&self, name: &str) -> Option<&str> {
        let value = self.given.get(name)?.value.trim();
        (!value.is_empty()).then_some(value)
    }

    /// Tells whether the run ends by itself.
    pub(crate) fn is_finite(&self) -> bool {
        self.get("PRODUCER_FOR_SEC").is_some() || self.get("PRODUCER_READINGS").is_some()
    }

    /// Returns the keyspace of all tables.
    pub(crate) fn keyspace(&self) -> &str {
        self.get(KEYSPACE).unwrap_or("iot")
    }

    /// Returns what every program is told, by environment name.
    pub(crate) fn environment(&self, stack: &Stack) -> Result<BTreeMap<String, String>> {
        let reports = match self.get(REPORT_DIR) {
            Some(folder) => std::path::absolute(folder)
                .with_context(|| format!("cannot find {REPORT_DIR}={folder}"))?,
            None => stack.data_dir().join("runs"),
        };
        let reports = text(&reports)?;
        let mut environment = BTreeMap::from(
            [
                (REPLICATION_FACTOR, self.shape.nodes.to_string()),
                (KEYSPACE, self.keyspace().to_owned()),
                ("PRODUCER_PROGRESS_INTERVAL_SEC", "1".into()),
                ("CONSUMER_PROGRESS_INTERVAL_SEC", "1".into()),
                ("ANALYTICS_PROGRESS_INTERVAL_SEC", "1".into()),
                ("AUDIT_REPORT_DIR", reports.clone()),
                // The session keeps what each program says.
                ("LOG_DIR", "none".into()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        environment.extend(self.values());
        environment.insert(REPORT_DIR.into(), reports);
        environment.insert("KAFKA_BOOTSTRAP_SERVERS".into(), stack.bootstrap_servers());
        environment.insert("CASSANDRA_CONTACT_POINTS".into(), stack.contact_points());
        Ok(environment)
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// Reads a number of `up` itself; a refused one counts as the least.
fn number<T>(problems: &mut Vec<String>, flag: &str, text: &str, range: RangeInclusive<T>) -> T
where
    T: FromStr + PartialOrd + Display + Copy,
{
    match text.parse() {
        Ok(number) if range.contains(&number) => number,
        _ => {
            let (least, most) = (range.start(), range.end());
            problems.push(format!("{flag}=`{text}`: allowed is {least} to {most}"));
            *least
        }
    }
}

/// Has a program list its settings and check these values over the environment; starts nothing.
fn check(program: &str, values: &BTreeMap<String, String>) -> Result<Output> {
    let path = path_of(program)?;
    let output = Command::new(&path)
        .arg("check")
        .envs(values)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", path.display()))?;
    if ![Some(0), Some(i32::from(EXIT_USAGE))].contains(&output.status.code()) {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{} check` ended with {}: {said}", path.display(), output.status);
    }
    Ok(output)
}

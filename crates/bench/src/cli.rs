//! The command line: runs cases, shows reports, compares them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use crate::bench::Bench;
use crate::case::{self, Case};
use crate::machine::Machine;
use crate::peers::driver;
use crate::report::{self, Report};
use crate::stop::Stop;
use crate::{cases, compare, page, show};

/// Measures the released programs beside their peers on real servers, on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Args)]
struct RunOptions {
    /// Only these cases
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// Short turns, to see that everything works; the figures are worth nothing
    #[arg(long)]
    quick: bool,
    /// Let everybody have so many turns, instead of as many as the case thinks right
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=50))]
    rounds: Option<u8>,
    /// Name the cases and end
    #[arg(long)]
    list: bool,
    /// Keep the report in this file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Measure the programs in this folder, of another build
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Measure, show the report and keep it
    Run(RunOptions),
    /// Show a report; the newest by default
    Show {
        /// The report
        report: Option<PathBuf>,
        /// Print docs/benchmarks.md, made from it
        #[arg(long)]
        page: bool,
    },
    /// Compare two reports; the two newest by default. Ends with 1 if the second is worse
    Compare {
        /// The report to start from
        base: Option<PathBuf>,
        /// The report to hold against it
        other: Option<PathBuf>,
        /// Only what differs
        #[arg(long)]
        changes: bool,
    },
    /// Write the readings of a run with the plain driver
    #[command(hide = true)]
    Driver {
        /// The report of the run
        report: PathBuf,
        /// Where Cassandra is
        contact_points: String,
        /// The keyspace to write to
        keyspace: String,
    },
}

/// Does what the command line asks for: 0 when all is well, 1 when something failed or is worse.
pub fn main() -> ExitCode {
    match perform(Options::parse().action) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether all is well.
fn perform(action: Action) -> Result<bool> {
    match action {
        Action::Run(options) if options.list => {
            for case in cases::all() {
                println!("{:<12} {:>4} s  {}", case.name(), case.expected_s(false), case.about());
            }
            Ok(true)
        }
        Action::Run(options) => run(options),
        Action::Show { report, page: as_page } => {
            let report = Report::load(&given_or_newest(report, 1)?)?;
            print!("{}", if as_page { page::render(&report) } else { show::report(&report) });
            Ok(true)
        }
        Action::Compare { base, other, changes } => {
            let (base, other) = (given_or_newest(base, 2)?, given_or_newest(other, 1)?);
            compare_reports(&base, &other, changes)
        }
        Action::Driver { report, contact_points, keyspace } => {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(driver::run(&report, &contact_points, &keyspace))?;
            Ok(true)
        }
    }
}

fn run(options: RunOptions) -> Result<bool> {
    let RunOptions { cases: names, quick, rounds, report: path, programs, list: _ } = options;
    let mut chosen = choose(&names)?;
    let here = folder_of_programs()?;
    let work = work_folder(&here);
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let machine = Machine::here(&checkout);
    let started = Timestamp::now();
    let path = path.unwrap_or_else(|| {
        let name = started.strftime("report-%Y%m%dT%H%M%S.json").to_string();
        work.join(name)
    });
    let expected_s: u32 = chosen.iter().map(|case| case.expected_s(quick)).sum();
    // Starting the servers and warming them up.
    println!("{} cases, about {} minutes", chosen.len(), (expected_s + 40).div_ceil(60));
    if let Some(warning) = machine.warning() {
        println!("warning: {warning}");
    }
    let started_text = started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut report = Report::new(started_text, quick, machine);
    let clock = Instant::now();
    let stop = Stop::on_signals()?;
    let mut bench = Bench::new(quick, stop, programs.unwrap_or(here), work)?;
    bench.rounds = rounds.map(usize::from);
    for case in &mut chosen {
        let outcome = case::play(case.as_mut(), &mut bench)?;
        report.cases.push(outcome);
        report.wall_s = clock.elapsed().as_secs_f64();
        // After each case: a run that is interrupted keeps what it has.
        report.store(&path)?;
    }
    println!("\n{}", show::report(&report));
    println!("the report is {}", path.display());
    Ok(!report.cases.iter().any(case::has_failed))
}

fn choose(names: &[String]) -> Result<Vec<Box<dyn Case>>> {
    let all = cases::all();
    for name in names {
        if !all.iter().any(|case| case.name() == name) {
            bail!("there is no case `{name}`: --list shows all");
        }
    }
    let all = all.into_iter();
    Ok(all
        .filter(|case| names.is_empty() || names.iter().any(|name| name == case.name()))
        .collect())
}

fn compare_reports(base: &Path, other: &Path, changes_only: bool) -> Result<bool> {
    let changes = compare::compare(&Report::load(base)?, &Report::load(other)?);
    if changes.is_empty() {
        bail!("the reports {} and {} have nothing in common", base.display(), other.display());
    }
    println!("{} -> {}", base.display(), other.display());
    for change in &changes {
        if !changes_only || change.is_significant() {
            println!("{change}");
        }
    }
    let worse = changes.iter().filter(|change| change.is_worse()).count();
    let better = changes.iter().filter(|change| change.is_significant()).count() - worse;
    println!("{} measurements: {better} better, {worse} worse", changes.len());
    Ok(worse == 0)
}

/// Returns the report that was named, or the newest, or the one before it.
fn given_or_newest(given: Option<PathBuf>, place: usize) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path);
    }
    let folder = work_folder(&folder_of_programs()?);
    let reports = report::list(&folder)?;
    let position = reports.len().checked_sub(place);
    let path = position.and_then(|position| reports.get(position));
    let few = || format!("{} has {} reports: run the benchmark", folder.display(), reports.len());
    path.cloned().with_context(few)
}

fn folder_of_programs() -> Result<PathBuf> {
    let here = std::env::current_exe().context("this program does not know where it is")?;
    let folder = here.parent().context("a program is in a folder")?;
    Ok(fs::canonicalize(folder)?)
}

/// Beside the folder of the programs: `target/bench`.
fn work_folder(programs: &Path) -> PathBuf {
    programs.with_file_name("bench")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn cases_are_chosen_by_name() {
        assert_eq!(choose(&[]).unwrap().len(), cases::all().len());
        let chosen = choose(&["consumer".into()]).unwrap();
        assert!(chosen.len() == 1 && chosen[0].name() == "consumer");
        assert!(choose(&["consumers".into()]).is_err());
    }
}

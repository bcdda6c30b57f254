//! Plays the fault matrix on real servers and prints what came of it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a terminal")]

use std::io::{self, Read, Write};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use e2e::chaos::{self, Case, Outcome, Servers};

/// Does harm to the pipeline under load, case by case, and proves that no acknowledged reading is
/// lost, altered or made up.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask chaos", bin_name = "cargo xtask chaos")]
struct Options {
    /// Only this case; may be given several times, and `heavy` means all heavy ones
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Only the cases for so many nodes of each server
    #[arg(long, default_value = "all")]
    nodes: Nodes,
    /// What random moments are drawn from; a case has the same ones with the same seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// List the cases and end
    #[arg(long)]
    list: bool,
    /// Undo what a case did to a record: from standard input to standard output
    #[arg(long, hide = true)]
    repair: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Nodes {
    #[value(name = "1")]
    One,
    #[value(name = "3")]
    Three,
    All,
}

impl Nodes {
    fn counts(self) -> &'static [usize] {
        match self {
            Self::One => &[1],
            Self::Three => &[3],
            Self::All => &[1, 3],
        }
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    if options.repair {
        return repair();
    }
    let cases = choose(&options.only)?;
    if options.list {
        for case in &cases {
            println!("{:<22} {:<7} {}", case.name, format!("{:?}", case.nodes), case.about);
        }
        return Ok(true);
    }
    println!("seed {}", options.seed);
    let mut outcomes = Vec::new();
    for &nodes in options.nodes.counts() {
        let cases: Vec<&Case> = cases.iter().filter(|case| case.nodes.contains(&nodes)).collect();
        outcomes.extend(play(&cases, nodes, options.seed)?);
    }
    println!("\n{}", chaos::table(&outcomes));
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    println!("seed {}, {} cases, {failed} failed", options.seed, outcomes.len());
    Ok(failed == 0 && !outcomes.is_empty())
}

/// Plays cases on servers that they share; they get new ones after a failure.
fn play(cases: &[&Case], nodes: usize, seed: u64) -> Result<Vec<Outcome>> {
    let mut servers: Option<Servers> = None;
    let mut outcomes = Vec::new();
    for case in cases {
        println!("{} on {nodes}: {}", case.name, case.about);
        let used = match servers.take() {
            Some(servers) => servers,
            None => Servers::start(nodes)?,
        };
        let outcome = chaos::play(case, &used, seed);
        println!("{}", outcome.report());
        if outcome.passed() {
            servers = Some(used);
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Returns whether there was anything to repair.
fn repair() -> Result<bool> {
    let mut record = Vec::new();
    io::stdin().read_to_end(&mut record)?;
    let Some(repaired) = chaos::repair(&record) else { return Ok(false) };
    io::stdout().write_all(&repaired)?;
    Ok(true)
}

fn choose(only: &[String]) -> Result<Vec<Case>> {
    let all = chaos::all();
    for name in only {
        if name != "heavy" && !all.iter().any(|case| case.name == name) {
            bail!("there is no case `{name}`: --list shows all");
        }
    }
    let wanted = |case: &Case| match only {
        [] => !case.heavy,
        _ => only.iter().any(|name| name == case.name || (name == "heavy" && case.heavy)),
    };
    Ok(all.into_iter().filter(wanted).collect())
}

//! The command line: each task is one variant, and its help text is the documentation.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::running::Misuse;
use crate::{Workspace, ci, compose, cqlsh, docs, local, mutants, tidy};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the whole pipeline on this machine, without Docker; `up --help` says how
    #[command(disable_help_flag = true)]
    Up {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Prove that what the running pipeline acknowledged is stored (`audit --help` lists its
    /// options)
    #[command(disable_help_flag = true)]
    Audit {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Compute windows and alerts beside the running pipeline, or score the detectors
    /// (`analytics --help` says how)
    #[command(disable_help_flag = true)]
    Analytics {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// List the running pipeline's dead letters, show them, send them back (`dlq --help` says how)
    #[command(disable_help_flag = true)]
    Dlq {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Look at the simulated fleet without any server: `fleet --help` says how
    #[command(disable_help_flag = true)]
    Fleet {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Show what the analytics found, the fleet's open alerts or one site's last hour (`report
    /// --help`)
    #[command(disable_help_flag = true)]
    Report {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Open cqlsh on the running pipeline's Cassandra; all arguments go to cqlsh
    #[command(disable_help_flag = true)]
    Cqlsh {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run every test, real servers included; needs no Docker
    Test {
        /// Only tests whose name contains one of these, as `cargo test -- FILTER` takes them
        filters: Vec<String>,
    },
    /// Play the fault matrix on real servers; `chaos --help` lists its options
    #[command(disable_help_flag = true)]
    Chaos {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Measure the released programs beside their peers: `run` (or nothing), `show`, `compare`;
    /// `bench run --help` lists the options
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Put deliberate bugs into a copy of the sources, one at a time, and expect the tests to find
    /// each
    Mutants {
        /// Only these
        #[arg(long)]
        only: Vec<String>,
        /// Only name them
        #[arg(long)]
        list: bool,
    },
    /// Check the style rules that no other tool knows
    Tidy,
    /// Write docs/configuration.md from the settings of the programs
    Docs {
        /// Write nothing; fail if the page is stale
        #[arg(long)]
        check: bool,
    },
    /// Bring docker-compose.yaml up in a project of its own, try all it promises, take it down
    ComposeTest,
    /// Run every check there is, in the order of their cost
    Ci {
        /// Skip what needs Docker
        #[arg(long)]
        no_docker: bool,
    },
}

/// Bad usage (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

/// Runs the task that the command line names: 0 when it is done, 1 when it failed, 64 when it did
/// not say which of several pipelines it is for.
pub fn main() -> ExitCode {
    match perform(Cli::parse().task, &Workspace::here()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<Misuse>() { ExitCode::from(EXIT_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn perform(task: Task, workspace: &Workspace) -> Result<()> {
    match task {
        Task::Up { arguments } => local::up(workspace, &arguments),
        Task::Audit { arguments } => local::program(workspace, "audit", &arguments),
        Task::Analytics { arguments } => local::program(workspace, "analytics", &arguments),
        Task::Dlq { arguments } => local::program(workspace, "dlq", &arguments),
        Task::Fleet { arguments } => local::program(workspace, "fleet", &arguments),
        Task::Report { arguments } => local::program(workspace, "report", &arguments),
        Task::Cqlsh { arguments } => cqlsh::open(workspace, &arguments),
        Task::Test { filters } => local::test(workspace, &filters),
        Task::Chaos { arguments } => local::chaos(workspace, &arguments),
        Task::Bench { arguments } => local::bench(workspace, &arguments),
        Task::Mutants { list: true, .. } => mutants::list(workspace),
        Task::Mutants { only, list: false } => mutants::run(workspace, &only),
        Task::Tidy => tidy::run(workspace),
        Task::Docs { check: true } => docs::build(workspace).and_then(|()| docs::check(workspace)),
        Task::Docs { check: false } => docs::build(workspace).and_then(|()| docs::write(workspace)),
        Task::ComposeTest => compose::test(workspace),
        Task::Ci { no_docker } => ci::run(workspace, no_docker),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_after_a_passed_through_task_are_not_ours() {
        let cli = Cli::parse_from(["xtask", "up", "--rate", "5", "--help"]);
        let Task::Up { arguments } = cli.task else { panic!("{cli:?}") };
        assert_eq!(arguments, ["--rate", "5", "--help"]);
    }
}

//! The pipeline on this machine: builds the programs, then hands over to them.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use localstack::Server;
use localstack::tools::{self, Tool};

use crate::running::{self, Need};
use crate::{Workspace, command};

/// The programs of the pipeline, in the order of the reference page.
pub(crate) const PROGRAMS: [&str; 7] =
    ["producer", "consumer", "analytics", "audit", "dlq", "fleet", "report"];

/// Starts servers, producer and consumers; returns only if that failed.
pub(crate) fn up(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    build_all(workspace)?;
    // Paths among the arguments are relative to where the caller stands.
    let mut up = Command::new(workspace.program("up"));
    up.arg("--registry").arg(workspace.registry());
    Err(command::become_program(up.args(arguments)))
}

/// Runs one of the programs on a running pipeline; returns only if that failed.
pub(crate) fn program(workspace: &Workspace, name: &str, arguments: &[OsString]) -> Result<()> {
    let (data, arguments) = running::split_data(arguments)?;
    // Before the build: who has to choose need not wait.
    let environment = running::environment(workspace, data.as_deref(), needs(name, &arguments))?;
    workspace.build_release(&[name])?;
    let mut program = Command::new(workspace.program(name));
    program.args(arguments).envs(environment);
    Err(command::become_program(&mut program))
}

/// Tells what a program called in this way needs of a running pipeline.
fn needs(name: &str, arguments: &[OsString]) -> Need {
    const ONLY_SAY: [&str; 4] = ["--help", "-h", "--version", "-V"];
    let only_says = arguments.iter().any(|word| ONLY_SAY.iter().any(|flag| word == flag));
    let simulates = name == "fleet" || arguments.first().is_some_and(|word| word == "score");
    if only_says || simulates { Need::Nothing } else { Need::Servers }
}

/// Plays the fault matrix; returns only if that failed.
pub(crate) fn chaos(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    build_all(workspace)?;
    let mut chaos = Command::new(workspace.program("chaos"));
    Err(command::become_program(chaos.args(arguments)))
}

/// Runs the benchmark, or looks at its reports; returns only if that failed.
pub(crate) fn bench(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let action = arguments.first().and_then(|word| word.to_str()).unwrap_or_default();
    let mut bench = Command::new(workspace.program("bench"));
    if ["show", "compare", "help", "--help", "-h"].contains(&action) {
        workspace.build_release(&["bench"])?;
        return Err(command::become_program(bench.args(arguments)));
    }
    build_all(workspace)?;
    bench.arg("run").args(arguments.iter().skip(usize::from(action == "run")));
    Err(command::become_program(&mut bench))
}

/// Runs all tests, or those whose name contains one of the filters.
pub(crate) fn test(workspace: &Workspace, filters: &[String]) -> Result<()> {
    build_all(workspace)?;
    let mut test = workspace.cargo(&["test", "--workspace", "--"]);
    command::run(test.args(filters))
}

/// Builds all programs, once all tools for that are there.
fn build_all(workspace: &Workspace) -> Result<()> {
    let mut tools = tools::required(&[Server::Kafka, Server::Cassandra]);
    tools.push(Tool::CCompiler);
    tools::check(&tools)?;
    workspace.build_release(&[])
}

//! The pipeline on this machine: builds the programs, then hands over to them.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::process::Command;

use anyhow::{Context, Result};
use localstack::Server;
use localstack::tools::{self, Tool};
use serde_json::Value;

use crate::{Workspace, command};

/// The programs of the pipeline, in the order of the reference page.
pub(crate) const PROGRAMS: [&str; 7] =
    ["producer", "consumer", "analytics", "audit", "dlq", "fleet", "report"];

/// Starts servers, producer and consumers; returns only if that failed.
pub(crate) fn up(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    build_all(workspace)?;
    let environment = workspace.local_environment();
    if let Some(folder) = environment.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    // Paths among the arguments are relative to where the caller stands.
    let mut up = Command::new(workspace.program("up"));
    up.arg("--environment-file").arg(environment);
    Err(command::become_program(up.args(arguments)))
}

/// Runs one of the programs on the running pipeline; returns only if that failed.
pub(crate) fn program(workspace: &Workspace, name: &str, arguments: &[OsString]) -> Result<()> {
    workspace.build_release(&[name])?;
    let mut program = Command::new(workspace.program(name));
    program.args(arguments).envs(environment(workspace)?);
    Err(command::become_program(&mut program))
}

/// Plays the fault matrix; returns only if that failed.
pub(crate) fn chaos(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    build_all(workspace)?;
    workspace.build_release(&["e2e"])?;
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
    workspace.build_release(&["bench"])?;
    bench.arg("run").args(arguments.iter().skip(usize::from(action == "run")));
    for path in micro_benchmarks(workspace)? {
        bench.arg("--micro").arg(path);
    }
    Err(command::become_program(&mut bench))
}

/// Builds the micro-benchmarks; returns where they are.
fn micro_benchmarks(workspace: &Workspace) -> Result<Vec<String>> {
    let mut cargo = workspace.cargo(&["bench", "--no-run", "--message-format", "json"]);
    // What explains a failure goes to the terminal, not into the messages.
    cargo
        .args(["--quiet", "--benches", "--package", "domain", "--package", "consumer"])
        .args(["--package", "analytics"]);
    let messages = command::output(&mut cargo)?;
    let paths = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let is_bench = message["target"]["kind"][0] == "bench";
        is_bench.then(|| message["executable"].as_str().map(str::to_owned))?
    });
    Ok(paths.collect())
}

/// Runs all tests, or those whose name contains one of the filters.
pub(crate) fn test(workspace: &Workspace, filters: &[String]) -> Result<()> {
    build_all(workspace)?;
    workspace.build_release(&["bench"])?;
    let mut test = workspace.cargo(&["test", "--workspace", "--"]);
    command::run(test.args(filters))
}

/// Reads where the running `up` has its servers; what the caller's environment sets is left out.
pub(crate) fn environment(workspace: &Workspace) -> Result<BTreeMap<String, String>> {
    let path = workspace.local_environment();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let unset = pairs.filter(|(name, _)| env::var_os(name).is_none());
    Ok(unset.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Builds the programs of the pipeline and what starts it, once all tools for that are there.
fn build_all(workspace: &Workspace) -> Result<()> {
    let mut tools = tools::required(&[Server::Kafka, Server::Cassandra]);
    tools.push(Tool::CCompiler);
    tools::check(&tools)?;
    let mut packages = PROGRAMS.to_vec();
    packages.push("up");
    workspace.build_release(&packages)
}

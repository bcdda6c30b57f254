//! Every check there is, in the order of their cost, each with its duration.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};

use crate::{Workspace, command, compose, deny, docs, local, tidy};

type Check = fn(&Workspace) -> Result<()>;

/// A check: its name, whether it needs Docker, and how to make it.
struct Step {
    name: &'static str,
    needs_docker: bool,
    check: Check,
}

const fn step(name: &'static str, check: Check) -> Step {
    Step { name, needs_docker: false, check }
}

const fn docker_step(name: &'static str, check: Check) -> Step {
    Step { name, needs_docker: true, check }
}

const STEPS: [Step; 9] = [
    step("fmt", fmt_check),
    step("tidy", tidy::run),
    step("clippy", clippy),
    step("doc", doc),
    step("deny", deny::run),
    step("test", |workspace| local::test(workspace, &[])),
    step("docs", docs::check),
    docker_step("compose-config", compose::config),
    docker_step("compose-test", compose::test),
];

/// How a step ended.
enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Skipped,
    NotReached,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed(duration) => write!(f, "passed   {:8.1} s", duration.as_secs_f64()),
            Self::Failed(duration) => write!(f, "FAILED   {:8.1} s", duration.as_secs_f64()),
            Self::Skipped => write!(f, "SKIPPED"),
            Self::NotReached => write!(f, "not run"),
        }
    }
}

/// Makes all checks up to the first that fails.
pub(crate) fn run(workspace: &Workspace, no_docker: bool) -> Result<()> {
    if !no_docker {
        compose::check_docker(workspace).map_err(|error| {
            error.context("without it, `cargo xtask ci --no-docker` makes all other checks")
        })?;
    }
    let mut failure: Option<Error> = None;
    let mut outcomes = Vec::new();
    for Step { name, needs_docker, check } in STEPS {
        let outcome = if failure.is_some() {
            Outcome::NotReached
        } else if needs_docker && no_docker {
            println!("=== {name}: SKIPPED (--no-docker)");
            Outcome::Skipped
        } else {
            println!("=== {name}");
            let begin = Instant::now();
            match check(workspace) {
                Ok(()) => Outcome::Passed(begin.elapsed()),
                Err(error) => {
                    failure = Some(error.context(format!("{name} failed")));
                    Outcome::Failed(begin.elapsed())
                }
            }
        };
        if let Outcome::Passed(_) | Outcome::Failed(_) = outcome {
            println!("=== {name}: {outcome}");
        }
        outcomes.push((name, outcome));
    }
    println!("\n=== result");
    for (name, outcome) in outcomes {
        println!("{name:15} {outcome}");
    }
    failure.map_or(Ok(()), Err)
}

fn fmt_check(workspace: &Workspace) -> Result<()> {
    command::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let mut clippy = workspace.cargo(&["clippy", "--workspace", "--all-targets", "--all-features"]);
    command::run(clippy.args(["--", "-D", "warnings"]))
}

fn doc(workspace: &Workspace) -> Result<()> {
    let mut doc = workspace.cargo(&["doc", "--workspace", "--no-deps", "--all-features"]);
    command::run(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

//! docker-compose.yaml, tried: from empty volumes, in a project of its own that is taken down
//! whatever happens.

mod project;
mod queries;
#[cfg(test)]
mod tests;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use self::project::Project;
use crate::bounded::{Interrupt, Probe};
use crate::{Workspace, command};

const CONSUMERS: usize = 3;
/// What each of the consumers gets of the twelve partitions.
const PARTITIONS_EACH: &str = "4";
const GROUP: &str = "sensorium-consumer";

const CALL: Duration = Duration::from_mins(1);
const START: Duration = Duration::from_mins(5);
/// The first minute of an hour is a row 65 s after the hour began.
const FLOW: Duration = Duration::from_mins(2);
const REBALANCE: Duration = Duration::from_mins(2);
/// A stopped program ends within ten seconds.
const GRACE_S: &str = "10";

/// Fails unless there is a Docker engine, and compose to use it with.
pub(crate) fn check_docker(workspace: &Workspace) -> Result<()> {
    if !command::succeeds(workspace.command("docker").args(["compose", "version"])) {
        bail!("`docker compose version` fails: install Docker with its compose plugin");
    }
    if !command::succeeds(workspace.command("docker").arg("info")) {
        bail!("`docker info` fails: start the Docker engine, or get the right to use it");
    }
    Ok(())
}

/// Fails if compose does not accept the file.
pub(crate) fn config(workspace: &Workspace) -> Result<()> {
    command::run(workspace.command("docker").args(["compose", "config", "--quiet"]))
}

/// Tries all that the file promises, then takes everything down and looks for leftovers.
pub(crate) fn test(workspace: &Workspace) -> Result<()> {
    check_docker(workspace)?;
    let interrupt = Interrupt::watch().context("cannot take signals")?;
    let project = Project::new(workspace, interrupt)?;
    println!("compose project {}", project.name());
    let tried = try_all(workspace, &project);
    if let Err(error) = &tried {
        println!("--- failed: {error:#}\n--- the last lines of every service");
        project.print_logs();
    }
    // The first failure is the one to know about; taking down may well fail after it.
    let down = project.down();
    tried.and(down)
}

fn try_all(workspace: &Workspace, project: &Project) -> Result<()> {
    phase("images are there", || project.create())?;
    phase("all services are healthy, from empty volumes", || project.up(&[], START))?;
    phase("rows arrive", || rows_arrive(project))?;
    phase("three consumers are healthy", || {
        project.up(&["--scale", &format!("consumer={CONSUMERS}")], START)
    })?;
    phase("each of three consumers owns four partitions", || partitions_are_shared(project))?;
    phase("rows keep coming", || rows_arrive(project))?;
    phase("the queries of the README return rows", || readme_queries(workspace, project))?;
    phase("the audit finds nothing wrong", || audit(project))?;
    phase("producer, consumers and analytics end well", || programs_stop(project))?;
    phase("all services are healthy, on existing data", || project.up(&[], START))?;
    phase("rows arrive again", || rows_arrive(project))
}

fn phase(promise: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
    let begin = Instant::now();
    check().with_context(|| promise.to_owned())?;
    println!("{promise}: {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Waits until the newest event time that is stored is later than the one stored now, if any.
fn rows_arrive(project: &Project) -> Result<()> {
    let before = newest_ms(project)?;
    project.interrupt().wait_until("the newest stored reading is a later one", FLOW, || {
        let now = newest_ms(project)?;
        let is_later = now > before;
        Ok(if is_later { Probe::Yes } else { Probe::NotYet(format!("{before:?}, then {now:?}")) })
    })
}

fn newest_ms(project: &Project) -> Result<Option<i64>> {
    let table = project.cql("SELECT toUnixTimestamp(max(ts)) AS newest_ms FROM iot.latest")?;
    Ok(table.lines().find_map(|line| line.trim().parse().ok()))
}

fn partitions_are_shared(project: &Project) -> Result<()> {
    let expected = vec![PARTITIONS_EACH; CONSUMERS];
    project.interrupt().wait_until("the partitions are shared evenly", REBALANCE, || {
        let table = members(project)?;
        let owned = queries::column(&table, "#PARTITIONS");
        Ok(if owned == expected { Probe::Yes } else { Probe::NotYet(format!("{owned:?}")) })
    })
}

fn members(project: &Project) -> Result<String> {
    let tool = "/opt/kafka/bin/kafka-consumer-groups.sh";
    // The tool is to be a small JVM beside the broker's own.
    let small = ["exec", "-T", "-e", "KAFKA_HEAP_OPTS=-Xmx64m", "kafka", tool];
    let what = ["--bootstrap-server", "kafka:9092", "--describe", "--group", GROUP, "--members"];
    project.compose(&[&small[..], &what[..]].concat(), CALL)
}

fn readme_queries(workspace: &Workspace, project: &Project) -> Result<()> {
    let readme =
        fs::read_to_string(workspace.path("README.md")).context("cannot read README.md")?;
    let statements = queries::statements(&readme);
    ensure!(!statements.is_empty(), "README.md has no statement in a ```sql block");
    for statement in &statements {
        project.interrupt().wait_until(&format!("a row comes of\n{statement}\n"), FLOW, || {
            let answer = project.cql(statement)?;
            let has_rows = queries::row_count(&answer).is_some_and(|rows| rows > 0);
            Ok(if has_rows { Probe::Yes } else { Probe::NotYet(answer) })
        })?;
    }
    println!("{} queries", statements.len());
    Ok(())
}

fn audit(project: &Project) -> Result<()> {
    let answer = project.compose(&["run", "--rm", "audit"], START)?;
    let verdict = answer.lines().rev().find(|line| line.starts_with("audit: "));
    println!("{}", verdict.context("the audit printed no line that begins with `audit: `")?);
    Ok(())
}

/// Sends SIGTERM; a program that needs more than the grace period, or fails on the way, has another
/// exit code.
fn programs_stop(project: &Project) -> Result<()> {
    const PROGRAMS: [&str; 3] = ["producer", "consumer", "analytics"];
    project.compose(&[&["stop", "-t", GRACE_S], &PROGRAMS[..]].concat(), CALL)?;
    let codes = project.exit_codes(&PROGRAMS)?;
    let expected = 2 + CONSUMERS;
    ensure!(codes.len() == expected, "{} containers ended, not {expected}", codes.len());
    ensure!(codes.iter().all(|code| code == "0"), "exit codes {codes:?}, 0 expected of each");
    Ok(())
}

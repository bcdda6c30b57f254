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
/// Cassandra reads its commit log again.
const RESTART: Duration = Duration::from_mins(2);
/// The servers may take their grace period.
const STOP: Duration = Duration::from_mins(2);
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
    for (server, user) in [("kafka", "appuser"), ("cassandra", "cassandra")] {
        phase(&format!("{server} is killed and comes back, rows keep coming"), || {
            server_is_killed(project, server, user)
        })?;
    }
    phase("the audit finds nothing wrong after the kills", || audit(project))?;
    phase("nothing is written outside the volumes, no memory ran out", || leftovers(project))?;
    phase("producer, consumers and analytics end well", || programs_stop(project))?;
    phase("all services stop and start", || {
        servers_stop(project)?;
        project.compose(&["start"], START)?;
        rows_arrive(project)
    })?;
    phase("all services come back on the volumes of containers that are gone", || {
        project.compose(&["down"], STOP)?;
        project.up(&[], START)?;
        rows_arrive(project)
    })?;
    phase("the audit finds nothing wrong in the end", || audit(project))
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

/// Kills a server under load; nobody but the restart policy brings it back.
fn server_is_killed(project: &Project, server: &str, user: &str) -> Result<()> {
    const STATE: &str = "{{.RestartCount}} {{.State.Health.Status}}";
    let state = || -> Result<(u32, String)> {
        let answers = project.inspect(&[server], STATE)?;
        let answer = answers.first().with_context(|| format!("{server} has no container"))?;
        let (restarts, health) =
            answer.split_once(' ').context("docker inspect says too little")?;
        Ok((restarts.parse()?, health.to_owned()))
    };
    let (before, _) = state()?;
    project.kill_inside(server, user);
    project.interrupt().wait_until(&format!("{server} is back and healthy"), RESTART, || {
        let (restarts, health) = state()?;
        let is_back = restarts > before && health == "healthy";
        Ok(if is_back {
            Probe::Yes
        } else {
            Probe::NotYet(format!("{before} restarts before, now {restarts} and {health}"))
        })
    })?;
    rows_arrive(project)
}

/// Fails if a container has a volume that the file does not name or log files of its own, or ran
/// out of memory.
fn leftovers(project: &Project) -> Result<()> {
    let volumes = "{{range .Mounts}}{{if eq .Type \"volume\"}}{{.Name}} {{end}}{{end}}";
    let ours = format!("{}_", project.name());
    for name in project.inspect(&[], volumes)?.iter().flat_map(|line| line.split_whitespace()) {
        ensure!(name.starts_with(&ours), "a container has the anonymous volume {name}");
    }
    for (server, folder) in [("kafka", "/opt/kafka/logs"), ("cassandra", "/var/log/cassandra")] {
        let find = ["exec", "-T", server, "find", folder, "-type", "f", "-size", "+0"];
        let files = project.compose(&find, CALL)?;
        ensure!(files.trim().is_empty(), "{server} writes log files of its own: {files}");
    }
    let killed = project.inspect(&[], "{{.Name}} {{.State.OOMKilled}}")?;
    ensure!(killed.iter().all(|line| line.ends_with("false")), "out of memory: {killed:?}");
    Ok(())
}

/// Stops all that runs; a server that SIGTERM does not reach, or that does not heed it, has another
/// exit code than that of a JVM which is asked to end.
fn servers_stop(project: &Project) -> Result<()> {
    const SERVERS: [&str; 3] = ["kafka", "cassandra", "kafka-ui"];
    project.compose(&["stop"], STOP)?;
    let codes = project.inspect(&SERVERS, "{{.Config.Image}} {{.State.ExitCode}}")?;
    ensure!(codes.len() == SERVERS.len(), "{codes:?} is not one container of each of {SERVERS:?}");
    ensure!(codes.iter().all(|code| code.ends_with(" 143")), "exit codes {codes:?}, 143 expected");
    Ok(())
}

/// Sends SIGTERM; a program that needs more than the grace period, or fails on the way, has another
/// exit code.
fn programs_stop(project: &Project) -> Result<()> {
    const PROGRAMS: [&str; 3] = ["producer", "consumer", "analytics"];
    project.compose(&[&["stop", "-t", GRACE_S], &PROGRAMS[..]].concat(), CALL)?;
    let codes = project.inspect(&PROGRAMS, "{{.State.ExitCode}}")?;
    let expected = 2 + CONSUMERS;
    ensure!(codes.len() == expected, "{} containers ended, not {expected}", codes.len());
    ensure!(codes.iter().all(|code| code == "0"), "exit codes {codes:?}, 0 expected of each");
    Ok(())
}

//! One compose project: its own name, ports and volumes, and nothing left of it in the end.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{self, Command};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::Workspace;
use crate::bounded::Interrupt;

/// A build compiles all dependencies if nothing is cached.
const IMAGES: Duration = Duration::from_mins(40);
const DOWN: Duration = Duration::from_mins(3);
const CALL: Duration = Duration::from_mins(1);
const PORTS: [&str; 3] = ["KAFKA_HOST_PORT", "CASSANDRA_HOST_PORT", "KAFKA_UI_HOST_PORT"];

#[derive(Debug)]
pub(super) struct Project<'a> {
    workspace: &'a Workspace,
    interrupt: Interrupt,
    name: String,
    ports: BTreeMap<&'static str, String>,
}

impl<'a> Project<'a> {
    pub(super) fn new(workspace: &'a Workspace, interrupt: Interrupt) -> Result<Self> {
        let name = format!("sensorium-test-{}", process::id());
        Ok(Self { workspace, interrupt, name, ports: free_ports().context("no free port")? })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut docker = self.workspace.command("docker");
        docker.args(["compose", "--project-name", &self.name]).args(arguments);
        docker.env("COMPOSE_PROJECT_NAME", &self.name).envs(&self.ports);
        docker
    }

    /// Runs one compose command and returns what it printed.
    pub(super) fn compose(&self, arguments: &[&str], limit: Duration) -> Result<String> {
        self.interrupt.run(&mut self.command(arguments), limit)
    }

    /// Pulls and builds all images and creates the containers, so that a start measures only
    /// itself.
    pub(super) fn create(&self) -> Result<()> {
        self.compose(&["create", "--build", "--quiet-pull"], IMAGES).map(drop)
    }

    /// Starts what does not run and waits until all of it is healthy.
    pub(super) fn up(&self, more: &[&str], limit: Duration) -> Result<()> {
        self.compose(&[&["up", "--detach", "--wait"], more].concat(), limit).map(drop)
    }

    /// Runs one statement with the container's own cqlsh.
    pub(super) fn cql(&self, statement: &str) -> Result<String> {
        self.compose(&["exec", "-T", "cassandra", "cqlsh", "-e", statement], CALL)
    }

    /// Returns what `docker inspect` says, in this format, of all containers of these services, or
    /// of every service if none is named; ended ones included.
    pub(super) fn inspect(&self, services: &[&str], format: &str) -> Result<Vec<String>> {
        let ids = self.compose(&[&["ps", "--all", "--quiet"], services].concat(), CALL)?;
        let mut inspect = self.workspace.command("docker");
        inspect.args(["inspect", "--format", format]).args(ids.split_whitespace());
        let answers = self.interrupt.run(&mut inspect, CALL)?;
        Ok(answers.lines().map(|line| line.trim().to_owned()).collect())
    }

    /// Ends what runs as `user` in a service's container with SIGKILL, and so the container.
    ///
    /// It is done inside: a `docker kill` would suspend the restart policy.
    pub(super) fn kill_inside(&self, service: &str, user: &str) {
        let everything = ["sh", "-c", "kill -9 -1"];
        let command = [&["exec", "-T", "--user", user, service], &everything[..]].concat();
        // The shell may end with its container, so its exit code says nothing.
        self.compose(&command, CALL).ok();
    }

    /// Prints the last lines of every service; also after an interrupt.
    pub(super) fn print_logs(&self) {
        let mut logs = self.command(&["logs", "--no-color", "--tail", "50"]);
        match Interrupt::default().run(&mut logs, CALL) {
            Ok(text) => println!("{text}"),
            Err(error) => println!("no logs: {error:#}"),
        }
    }

    /// Takes everything down, also after an interrupt, and fails if anything is left.
    pub(super) fn down(&self) -> Result<()> {
        let interrupt = Interrupt::default();
        let all = ["--profile", "*", "down", "--volumes", "--remove-orphans", "--rmi", "local"];
        interrupt.run(&mut self.command(&all), DOWN).context("the project cannot be taken down")?;
        self.remove_images(&interrupt).context("the project's images cannot be removed")?;
        let label = format!("label=com.docker.compose.project={}", self.name);
        for list in [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]] {
            let mut docker = self.workspace.command("docker");
            docker.args(list).args(["--quiet", "--filter", &label]);
            let left = interrupt.run(&mut docker, CALL)?;
            if !left.trim().is_empty() {
                bail!("`docker compose down` left, see `docker {}`: {left}", list.join(" "));
            }
        }
        println!("nothing is left of project {}", self.name);
        Ok(())
    }

    /// Removes the names of images that the classic builder built: it gives them no label by which
    /// `down` would find them. Their layers stay, for the next build.
    fn remove_images(&self, interrupt: &Interrupt) -> Result<()> {
        let pattern = format!("reference={}-*", self.name);
        let mut list = self.workspace.command("docker");
        list.args(["image", "ls", "--filter", &pattern, "--format", "{{.Repository}}:{{.Tag}}"]);
        let names = interrupt.run(&mut list, CALL)?;
        if names.trim().is_empty() {
            return Ok(());
        }
        let mut remove = self.workspace.command("docker");
        remove.args(["image", "rm", "--no-prune"]).args(names.split_whitespace());
        interrupt.run(&mut remove, CALL).map(drop)
    }
}

/// Picks ports of loopback that nobody has now; all are held until the last is picked.
fn free_ports() -> std::io::Result<BTreeMap<&'static str, String>> {
    let mut held = Vec::new();
    let mut ports = BTreeMap::new();
    for name in PORTS {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        ports.insert(name, listener.local_addr()?.port().to_string());
        held.push(listener);
    }
    Ok(ports)
}

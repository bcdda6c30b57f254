//! Which crates may depend on which: `domain` stays pure, and no program depends on another.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Violation;
use crate::{Workspace, command};

const PURE: &str = "domain";
const IMPURE: [&str; 3] = ["rdkafka", "scylla", "tokio"];
const PROGRAMS: [&str; 8] =
    ["analytics", "audit", "consumer", "dlq", "fleet", "producer", "report", "up"];

/// Returns what cargo says about the crates and all they depend on.
pub(super) fn metadata(workspace: &Workspace) -> Result<Value> {
    let version = command::output(workspace.command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc names no host")?;
    // For this host only: otherwise cargo would fetch crates that nothing here compiles.
    let mut cargo = workspace.cargo(&["metadata", "--format-version=1", "--filter-platform", host]);
    let text = command::output(&mut cargo)?;
    serde_json::from_str(&text).context("cargo metadata printed no JSON")
}

pub(super) fn check(metadata: &Value) -> Result<Vec<Violation>> {
    let graph = Graph::read(metadata).context("cargo metadata lacks what it should have")?;
    let mut violations = Vec::new();
    let mut forbid = |from: &str, all: &[&str], dev: bool| {
        let reached = graph.reach(from, dev);
        for to in all.iter().filter(|to| reached.contains(**to)) {
            let manifest = format!("crates/{from}/Cargo.toml");
            violations.push(Violation::new(&manifest, 1, format!("{from} depends on {to}")));
        }
    };
    forbid(PURE, &IMPURE, false);
    for program in PROGRAMS {
        let others: Vec<&str> = PROGRAMS.into_iter().filter(|other| *other != program).collect();
        forbid(program, &others, true);
    }
    Ok(violations)
}

/// The crates by id, with what each depends on: the id, and whether only its tests do.
struct Graph<'a> {
    names: BTreeMap<&'a str, &'a str>,
    members: BTreeMap<&'a str, &'a str>,
    arrows: BTreeMap<&'a str, Vec<(&'a str, bool)>>,
}

impl<'a> Graph<'a> {
    fn read(metadata: &'a Value) -> Option<Self> {
        let mut names = BTreeMap::new();
        for package in metadata["packages"].as_array()? {
            names.insert(package["id"].as_str()?, package["name"].as_str()?);
        }
        let mut members = BTreeMap::new();
        for id in metadata["workspace_members"].as_array()? {
            let id = id.as_str()?;
            members.insert(*names.get(id)?, id);
        }
        let nodes = metadata["resolve"]["nodes"].as_array()?;
        let arrows = nodes.iter().map(arrows_from).collect::<Option<_>>()?;
        Some(Self { names, members, arrows })
    }

    /// Returns the names of all that a member depends on; with `dev`, also what only its own tests
    /// need.
    fn reach(&self, member: &str, dev: bool) -> BTreeSet<&'a str> {
        let Some(&start) = self.members.get(member) else {
            return BTreeSet::new();
        };
        let mut reached = BTreeSet::from([start]);
        let mut open = vec![start];
        while let Some(id) = open.pop() {
            for &(to, only_tests) in self.arrows.get(id).into_iter().flatten() {
                if (!only_tests || (dev && id == start)) && reached.insert(to) {
                    open.push(to);
                }
            }
        }
        reached.iter().filter_map(|id| self.names.get(id).copied()).collect()
    }
}

fn arrows_from(node: &Value) -> Option<(&str, Vec<(&str, bool)>)> {
    let arrows = node["deps"].as_array()?.iter().map(|dependency| {
        let kinds = dependency["dep_kinds"].as_array()?;
        let only_tests = kinds.iter().all(|kind| kind["kind"] == "dev");
        Some((dependency["pkg"].as_str()?, only_tests))
    });
    Some((node["id"].as_str()?, arrows.collect::<Option<_>>()?))
}

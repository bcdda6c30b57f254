//! Shows that the tests have teeth: puts one deliberate bug at a time into a copy of the sources
//! and expects the tests to find it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::bounded::Interrupt;
use crate::{Workspace, command};

/// Longest build, and longest run of a harness that is to find a bug: one that hangs has found it.
const BUILD_LIMIT: Duration = Duration::from_mins(30);
const RUN_LIMIT: Duration = Duration::from_mins(6);

const CATALOGUE: &str = "crates/xtask/mutants.toml";

/// A deliberate bug: one replacement in one file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutant {
    name: String,
    /// What is wrong with it, in a sentence.
    what: String,
    file: String,
    find: String,
    replace: String,
    /// Tests of the file's crate that have to fail, as `cargo test` filters them ...
    test: Option<String>,
    /// ... or the case of the fault matrix that has to fail.
    chaos: Option<String>,
}

/// What is to find a mutant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Harness {
    Test { package: String, filter: String },
    Chaos(String),
}

impl fmt::Display for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test { package, filter } => write!(f, "tests `{filter}` of {package}"),
            Self::Chaos(case) => write!(f, "chaos `{case}`"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    mutant: Vec<Mutant>,
}

impl Mutant {
    fn harness(&self) -> Result<Harness> {
        match (&self.test, &self.chaos) {
            (Some(filter), None) => {
                let package = self.file.split('/').nth(1).unwrap_or_default().to_owned();
                Ok(Harness::Test { package, filter: filter.clone() })
            }
            (None, Some(case)) => Ok(Harness::Chaos(case.clone())),
            _ => bail!("mutant {} needs either `test` or `chaos`", self.name),
        }
    }

    /// Returns the file with the bug in it.
    fn apply(&self, text: &str) -> Result<String> {
        let places = text.matches(&self.find).count();
        let (name, file) = (&self.name, &self.file);
        ensure!(
            places == 1,
            "mutant {name}: its text occurs {places} times in {file}, not once: bring {CATALOGUE} \
             up to date"
        );
        Ok(text.replacen(&self.find, &self.replace, 1))
    }
}

/// Reads the catalogue; every mutant has to apply to the sources as they are.
fn read(workspace: &Workspace) -> Result<Vec<Mutant>> {
    let text = fs::read_to_string(workspace.path(CATALOGUE))
        .with_context(|| format!("cannot read {CATALOGUE}"))?;
    let Catalogue { mutant: mutants } =
        toml::from_str(&text).with_context(|| format!("{CATALOGUE} is no catalogue"))?;
    for mutant in &mutants {
        mutant.harness()?;
        let file = workspace.path(&mutant.file);
        let text = fs::read_to_string(&file)
            .with_context(|| format!("mutant {}: cannot read {}", mutant.name, mutant.file))?;
        mutant.apply(&text)?;
    }
    Ok(mutants)
}

/// Lists the mutants, one a line.
pub(crate) fn list(workspace: &Workspace) -> Result<()> {
    for mutant in read(workspace)? {
        println!("{:34} {} ({})", mutant.name, mutant.what, mutant.harness()?);
    }
    Ok(())
}

/// Tries all mutants, or those named; fails unless each is found.
pub(crate) fn run(workspace: &Workspace, only: &[String]) -> Result<()> {
    let mut mutants = read(workspace)?;
    if let Some(name) = only.iter().find(|name| mutants.iter().all(|mutant| mutant.name != **name))
    {
        bail!("there is no mutant `{name}`; `cargo xtask mutants --list` names them");
    }
    mutants.retain(|mutant| only.is_empty() || only.contains(&mutant.name));
    let interrupt = Interrupt::watch()?;
    let copy = Copy::make(workspace)?;

    let mut healthy = BTreeSet::new();
    let mut survivors = Vec::new();
    for mutant in &mutants {
        let harness = mutant.harness()?;
        if let Harness::Chaos(_) = harness
            && healthy.is_empty()
        {
            workspace.build_release(&["producer", "audit", "chaos"])?;
        }
        // A harness that fails anyway finds nothing.
        if !healthy.contains(&harness) {
            copy.build(&interrupt, &harness)?;
            copy.run(workspace, &interrupt, &harness)
                .with_context(|| format!("without any mutant, {harness} fail"))?;
            healthy.insert(harness.clone());
        }
        let begin = Instant::now();
        let found = copy.with(mutant, || {
            copy.build(&interrupt, &harness)
                .with_context(|| format!("mutant {} does not compile", mutant.name))?;
            let found = copy.run(workspace, &interrupt, &harness).err();
            interrupt.check()?;
            Ok(found)
        })?;
        let verdict = if found.is_some() { "caught" } else { "SURVIVED" };
        let seconds = begin.elapsed().as_secs_f64();
        println!("{verdict:8} {:40} {seconds:6.1} s  {} ({harness})", mutant.name, mutant.what);
        match found {
            Some(error) => println!("         {}", finding(&format!("{error:#}"))),
            None => survivors.push(mutant.name.as_str()),
        }
    }
    println!("mutants: {} of {} caught", mutants.len() - survivors.len(), mutants.len());
    ensure!(survivors.is_empty(), "nothing found {}", survivors.join(", "));
    Ok(())
}

/// Picks out of a harness's output what it found: its first failure.
fn finding(output: &str) -> &str {
    let mut lines = output.lines();
    while let Some(line) = lines.next() {
        if line.contains("failure: ") {
            return line.trim();
        }
        if line.contains("panicked at") {
            return lines.next().unwrap_or(line).trim();
        }
    }
    output.lines().next().unwrap_or_default()
}

/// The sources once more, with a build folder of their own.
struct Copy {
    tree: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn make(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.target().join("mutants");
        let copy = Self { tree: folder.join("tree"), target: folder.join("target") };
        for file in workspace.files()? {
            let text =
                fs::read(workspace.path(&file)).with_context(|| format!("cannot read {file}"))?;
            write_changed(&copy.tree.join(file), &text)?;
        }
        Ok(copy)
    }

    /// Does something while the mutant is in the copy.
    fn with<T>(&self, mutant: &Mutant, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let path = self.tree.join(&mutant.file);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        write_changed(&path, mutant.apply(&text)?.as_bytes())?;
        let outcome = act();
        write_changed(&path, text.as_bytes())?;
        outcome
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments).current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.target);
        cargo
    }

    fn test(&self, package: &str, how: &str) -> Command {
        self.cargo(&["test", "--package", package, "--all-features", "--lib", how])
    }

    fn build(&self, interrupt: &Interrupt, harness: &Harness) -> Result<()> {
        let mut build = match harness {
            Harness::Test { package, .. } => self.test(package, "--no-run"),
            Harness::Chaos(_) => self.cargo(&["build", "--package", "consumer"]),
        };
        interrupt.run(&mut build, BUILD_LIMIT).map(drop)
    }

    /// Succeeds if the harness finds nothing wrong.
    fn run(&self, workspace: &Workspace, interrupt: &Interrupt, harness: &Harness) -> Result<()> {
        let mut command = match harness {
            Harness::Test { package, filter } => self.test(package, filter),
            Harness::Chaos(case) => {
                let mut chaos = workspace.command(workspace.program("chaos"));
                chaos.args(["--nodes", "1", "--only", case]);
                chaos.env("SENSORIUM_CONSUMER", self.target.join("debug/consumer"));
                chaos
            }
        };
        let output = interrupt.run(&mut command, RUN_LIMIT)?;
        // A filter that matches nothing would pass whatever is wrong.
        let ran = !matches!(harness, Harness::Test { .. }) || !output.contains(" 0 passed");
        ensure!(ran, "{} ran no test", command::line(&command));
        Ok(())
    }
}

/// Writes a file unless it holds just that, so that nothing is built anew in vain.
fn write_changed(path: &Path, text: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_what_was_found() {
        let panic = "running 1 test\nthread 'a' panicked at b.rs:1:2:\nI1 is broken\nnote: c";
        assert_eq!(finding(panic), "I1 is broken");
        assert_eq!(finding("FAILED a\n    failure: 3 missing\n"), "failure: 3 missing");
        assert_eq!(finding("it took more than 360 s"), "it took more than 360 s");
    }

    #[test]
    fn every_mutant_fits_the_sources_and_changes_them() {
        let mutants = read(&Workspace::here()).unwrap();
        assert!(mutants.len() >= 10, "{} mutants", mutants.len());
        for mutant in mutants {
            assert_ne!(mutant.find, mutant.replace, "{}", mutant.name);
        }
    }
}

//! The style rules that no other tool knows, all of them strict; each rule family is one module.

mod arrows;
mod invariants;
mod rust;
mod syntax;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::Workspace;

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    path: String,
    line: usize,
    message: String,
}

impl Violation {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// A text file of the checkout.
#[derive(Debug)]
struct Source {
    path: String,
    text: String,
    /// All of the file is test code.
    is_test: bool,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        Self { path, text, is_test }
    }

    fn is(&self, extension: &str) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
    }

    fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Returns the crate that the file belongs to, if any.
    fn package(&self) -> Option<&str> {
        let (package, _) = self.path.strip_prefix("crates/")?.split_once('/')?;
        Some(package)
    }

    /// Yields the lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Prints all violations; fails if there are any.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let violations = check(workspace)?;
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => Ok(()),
        1 => bail!("1 violation of the style rules"),
        many => bail!("{many} violations of the style rules"),
    }
}

/// Returns all violations, by path and line.
pub fn check(workspace: &Workspace) -> Result<Vec<Violation>> {
    let mut sources = Vec::new();
    for path in workspace.files()? {
        let bytes =
            fs::read(workspace.path(&path)).with_context(|| format!("cannot read {path}"))?;
        // What is not text, such as an image, follows no rule for text.
        if let Ok(text) = String::from_utf8(bytes) {
            sources.push(Source::new(path, text));
        }
    }
    let only_tests: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        source.is_test |= only_tests.contains(&source.path);
    }
    let mut violations: Vec<Violation> = sources.iter().flat_map(text::check).collect();
    let rust = sources.iter().filter(|source| source.is("rs"));
    violations.extend(rust.clone().flat_map(rust::check));
    violations.extend(rust.flat_map(syntax::check));
    violations.extend(invariants::check(&sources));
    violations.extend(arrows::check(&arrows::metadata(workspace)?)?);
    violations.sort();
    Ok(violations)
}

/// Returns the paths of the modules that a file declares for tests only.
fn test_modules(source: &Source) -> impl Iterator<Item = String> {
    let folder = match source.path.rsplit_once('/') {
        Some((folder, "lib.rs" | "main.rs")) => folder,
        _ => source.path.trim_end_matches(".rs"),
    };
    let lines = source.text.lines().map(str::trim);
    let pairs = lines.clone().zip(lines.skip(1));
    pairs.filter_map(move |(attribute, declaration)| {
        let (_, name) = declaration.strip_suffix(';')?.rsplit_once("mod ")?;
        (attribute == "#[cfg(test)]").then(|| format!("{folder}/{name}.rs"))
    })
}

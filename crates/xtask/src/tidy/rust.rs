//! Rules for the lines of Rust files: names, first line, width, forbidden attributes and the
//! environment.

use super::{Source, Violation};

const COLUMNS_MAX: usize = 100;
/// The crates that may read the environment; the others are given what they need.
const ENVIRONMENT_READERS: [&str; 4] = ["runtime", "localstack", "xtask", "e2e"];
const FORBIDDEN_NAMES: [&str; 2] = ["mod.rs", "utils.rs"];
// Written in two halves, so that this file follows its own rules.
const FORBIDDEN: [(&str, &str); 3] = [
    (concat!("#[", "ignore"), "a test runs, or it is deleted"),
    (concat!("dbg", "!("), "debugging is over"),
    (concat!("todo", "!("), "nothing is left undone"),
];
const ENVIRONMENT: [&str; 2] = [concat!("env::", "var"), concat!("env::", "{var")];

pub(super) fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut report =
        |line, message: String| violations.push(Violation::new(&source.path, line, message));
    let name = source.file_name();
    if FORBIDDEN_NAMES.contains(&name) {
        report(1, format!("no file is called `{name}`"));
    }
    if !source.text.starts_with("//! ") {
        report(1, "the file does not open with `//! ` and what it owns".to_owned());
    }
    // A test is told through it which seed to replay.
    let reads_environment = source.is_test
        || source.package().is_none_or(|package| ENVIRONMENT_READERS.contains(&package));
    for (number, line) in source.lines() {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            report(number, format!("{columns} columns, {COLUMNS_MAX} at most"));
        }
        for (text, why) in FORBIDDEN.into_iter().filter(|(text, _)| line.contains(text)) {
            report(number, format!("`{text}`: {why}"));
        }
        if !reads_environment && ENVIRONMENT.iter().any(|text| line.contains(text)) {
            report(number, "only `runtime` reads the environment".to_owned());
        }
    }
    violations
}

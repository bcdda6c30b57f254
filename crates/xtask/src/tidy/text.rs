//! Rules for every text file: clean line ends, no unfinished work, no path of one machine; one
//! title a page.

use super::{Source, Violation};

// Written in two halves, so that this file follows its own rules.
const MARKERS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
const MACHINE_PATHS: [&str; 3] =
    [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")];

/// Files that other hands write.
const FOREIGN: [&str; 2] = ["LICENSE", "Cargo.lock"];

pub(super) fn check(source: &Source) -> Vec<Violation> {
    if FOREIGN.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut violations = Vec::new();
    let mut report =
        |line, message: String| violations.push(Violation::new(&source.path, line, message));
    for (number, line) in source.lines() {
        if line.ends_with(char::is_whitespace) {
            report(number, "trailing whitespace".to_owned());
        }
        for marker in MARKERS.into_iter().filter(|marker| has_word(line, marker)) {
            report(number, format!("`{marker}`: do it, or open an issue"));
        }
        for path in MACHINE_PATHS.into_iter().filter(|path| line.contains(path)) {
            report(number, format!("`{path}` is the path of one machine"));
        }
    }
    let last_line = source.text.lines().count().max(1);
    if !source.text.is_empty() && !source.text.ends_with('\n') {
        report(last_line, "the file does not end with a newline".to_owned());
    }
    if source.text.ends_with("\n\n") {
        report(last_line, "the file ends with an empty line".to_owned());
    }
    if source.is("md") {
        let titles = titles(&source.text);
        if titles != 1 {
            report(1, format!("a page has exactly one `# ` title, this one has {titles}"));
        }
    }
    violations
}

/// Finds a word that is not a part of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}

/// Counts the first-level titles of a page, outside code blocks.
fn titles(page: &str) -> usize {
    let mut in_code = false;
    let mut titles = 0;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code && line.starts_with("# ") {
            titles += 1;
        }
    }
    titles
}

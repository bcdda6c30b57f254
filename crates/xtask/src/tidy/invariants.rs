//! The invariants, cited by id: each id in code stands in the table of the architecture, and the
//! other way round.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, Violation};

const TABLE: &str = "docs/architecture.md";

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let mut cited: BTreeMap<&str, (&Source, usize)> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is("rs")) {
        for (number, line) in source.lines() {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            for id in words(comment).filter(|word| is_id(word)) {
                cited.entry(id).or_insert((source, number));
            }
        }
    }
    let table = sources.iter().find(|source| source.path == TABLE);
    let known: BTreeMap<&str, usize> =
        table.into_iter().flat_map(Source::lines).filter_map(row).collect();

    let ids: BTreeSet<&str> = cited.keys().chain(known.keys()).copied().collect();
    let violations = ids.into_iter().filter_map(|id| match (cited.get(id), known.get(id)) {
        (Some((source, line)), None) => {
            let message = format!("{id} is not in the table of invariants in {TABLE}");
            Some(Violation::new(&source.path, *line, message))
        }
        (None, Some(line)) => {
            Some(Violation::new(TABLE, *line, format!("no code cites {id} in a comment")))
        }
        (Some(_), Some(_)) | (None, None) => None,
    });
    violations.collect()
}

/// Reads the id out of a row of the table, `| I1 | ... |`.
fn row((number, line): (usize, &str)) -> Option<(&str, usize)> {
    let id = line.strip_prefix('|')?.split('|').next()?.trim();
    is_id(id).then_some((id, number))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn is_id(word: &str) -> bool {
    word.strip_prefix('I').is_some_and(|digits| {
        (1..=2).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

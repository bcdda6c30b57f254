//! Counts the rows of runs that have no report, and tells them apart as long as that is of use: a
//! report may have come since.

use std::collections::{BTreeMap, BTreeSet};

/// Unknown runs that are told apart; those of more have no report in any case.
pub(crate) const UNKNOWN_RUNS_MAX: usize = 1_000;

/// How many rows each unknown run has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Strangers {
    runs: BTreeMap<String, u64>,
    nameless: u64,
}

impl Strangers {
    /// Counts a row; returns how many rows of its run there are so far, `None` where runs are not
    /// told apart any more.
    pub(crate) fn add(&mut self, run: &str) -> Option<u64> {
        if let Some(rows) = self.runs.get_mut(run) {
            *rows += 1;
            return Some(*rows);
        }
        if self.runs.len() < UNKNOWN_RUNS_MAX {
            self.runs.insert(run.to_owned(), 1);
            return Some(1);
        }
        self.nameless += 1;
        None
    }

    /// Returns the number of rows of runs without a report, and of `newcomers`, whose report has
    /// come since.
    pub(crate) fn count(&self, newcomers: &BTreeSet<String>) -> (u64, u64) {
        let (mut strangers, mut later) = (self.nameless, 0);
        for (run, rows) in &self.runs {
            *(if newcomers.contains(run) { &mut later } else { &mut strangers }) += rows;
        }
        (strangers, later)
    }
}

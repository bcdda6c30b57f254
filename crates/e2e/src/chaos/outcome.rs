//! What came of a case, as a line and as a table.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Error;

use crate::trial::Counts;

/// What came of one case.
#[derive(Debug)]
pub struct Outcome {
    /// The case.
    pub case: &'static str,
    /// Nodes of each kind.
    pub nodes: usize,
    /// What the random moments were drawn from.
    pub seed: u64,
    /// What the audit counted.
    pub counts: Counts,
    /// Records that the watcher of I1 looked up.
    pub watched: u64,
    /// Committed records that were neither row nor dead letter.
    pub violations: u64,
    /// From the heal to the first progress line with new rows: up to a second too long.
    pub first_row: Option<Duration>,
    /// From the heal until what was due then is stored on every partition.
    pub recovery: Option<Duration>,
    /// Rows written, as the consumers said themselves.
    pub rows_written: u64,
    /// A consumer was killed, so its last rows are not among `rows_written`.
    pub rows_lost_count: bool,
    /// Figures of this case alone.
    pub notes: Vec<String>,
    /// What was not as it should be; none if the case passed.
    pub failures: Vec<String>,
    /// Where the logs of a failed case are.
    pub logs: Option<PathBuf>,
    /// How long it took.
    pub duration: Duration,
}

impl Outcome {
    pub(super) fn new(case: &'static str, nodes: usize, seed: u64) -> Self {
        Self {
            case,
            nodes,
            seed,
            counts: Counts::default(),
            watched: 0,
            violations: 0,
            first_row: None,
            recovery: None,
            rows_written: 0,
            rows_lost_count: false,
            notes: Vec::new(),
            failures: Vec::new(),
            logs: None,
            duration: Duration::ZERO,
        }
    }

    pub(super) fn fail(&mut self, error: &Error) {
        self.failures.push(format!("{error:#}"));
    }

    /// Tells whether everything was as it should be.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Rows written for each row that is stored.
    fn duplicate_factor(&self) -> String {
        let stored = self.counts.stored + self.counts.later;
        if stored == 0 {
            return "-".into();
        }
        let bound = if self.rows_lost_count { ">=" } else { "" };
        format!("{bound}{:.3}", self.rows_written as f64 / stored as f64)
    }

    fn cells(&self) -> [String; 12] {
        let seconds = |duration: Option<Duration>| {
            duration.map_or("-".into(), |duration| format!("{:.1}", duration.as_secs_f64()))
        };
        [
            self.case.into(),
            self.nodes.to_string(),
            self.counts.acknowledged.to_string(),
            self.counts.missing.to_string(),
            self.counts.phantom.to_string(),
            self.counts.corrupt.to_string(),
            self.violations.to_string(),
            seconds(self.first_row),
            seconds(self.recovery),
            self.duplicate_factor(),
            seconds(Some(self.duration)),
            if self.passed() { "passed" } else { "FAILED" }.into(),
        ]
    }

    /// Says how it went, and how to look closer if it went wrong.
    pub fn report(&self) -> String {
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        let mut text = format!(
            "{verdict} {} on {} in {:.1} s, {} records below committed offsets looked up",
            self.case,
            self.nodes,
            self.duration.as_secs_f64(),
            self.watched
        );
        for note in &self.notes {
            text += &format!("\n    {note}");
        }
        for failure in &self.failures {
            text += &format!("\n    failure: {failure}");
        }
        if let Some(logs) = &self.logs {
            text += &format!("\n    logs: {}", logs.display());
        }
        if !self.passed() {
            let Self { case, nodes, seed, .. } = self;
            text += &format!(
                "\n    again: cargo xtask chaos --only {case} --nodes {nodes} --seed {seed}"
            );
        }
        text
    }
}

/// Lays out all outcomes as a table.
pub fn table(outcomes: &[Outcome]) -> String {
    const HEAD: [&str; 12] = [
        "case",
        "nodes",
        "readings",
        "missing",
        "phantom",
        "corrupt",
        "I1",
        "first row s",
        "recovery s",
        "duplicates",
        "duration s",
        "verdict",
    ];
    let mut rows = vec![HEAD.map(str::to_owned)];
    rows.extend(outcomes.iter().map(Outcome::cells));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 12]| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ") + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_failure_says_how_to_play_it_again() {
        let mut outcome = Outcome::new("consumer-kill", 3, 7);
        assert!(outcome.passed());
        outcome.fail(&anyhow!("inner").context("outer"));
        let report = outcome.report();
        assert!(report.contains("outer: inner"), "{report}");
        assert!(report.contains("--only consumer-kill --nodes 3 --seed 7"), "{report}");
    }

    #[test]
    fn a_table_has_a_line_for_each_outcome() {
        let mut outcome = Outcome::new("consumer-kill", 1, 7);
        outcome.counts.stored = 200;
        outcome.rows_written = 250;
        outcome.rows_lost_count = true;
        let table = table(&[outcome]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].len(), lines[1].len(), "{table}");
        assert!(lines[1].contains(">=1.250"), "{table}");
    }
}

//! What was found in one of the tables beside `readings`, and how it is told.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::io::{self, Write};

use runtime::text::printable;
use serde::Serialize;

use crate::compare::Mismatch;
use crate::strangers::Strangers;
use crate::summary::EXAMPLES_MAX;

/// Numbers of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct TableCounts {
    /// Read.
    pub(crate) rows: u64,
    /// As computed.
    pub(crate) stored: u64,
    /// Required and not there.
    pub(crate) missing: u64,
    /// There, but made by no run.
    pub(crate) phantom: u64,
    /// There, but not as computed, or older than it must be.
    pub(crate) corrupt: u64,
    /// Those of somebody else: made by no run that is audited.
    pub(crate) foreign: u64,
    /// Missing or too old, but the consumers were not done.
    pub(crate) behind: u64,
    /// Of runs whose report has come since.
    pub(crate) later: u64,
    /// Of runs that were not asked for.
    pub(crate) ignored: u64,
}

impl Display for TableCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, missing, phantom, corrupt, foreign, behind, .. } = self;
        write!(f, "stored {stored} missing {missing} phantom {phantom} corrupt {corrupt}")?;
        if *foreign > 0 {
            write!(f, " foreign {foreign}")?;
        }
        if *behind > 0 {
            write!(f, ", behind {behind} (the consumers were not done, not required)")?;
        }
        Ok(())
    }
}

/// The key of a row, as far as its table has these columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Key {
    pub(crate) site_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sensor_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<i64>,
}

impl Key {
    /// Makes the key of a row that is a site's.
    pub(crate) fn site(site_id: &str) -> Self {
        Self { site_id: site_id.to_owned(), ..Self::default() }
    }

    /// Makes the key of a row that is a sensor's.
    pub(crate) fn sensor(site_id: &str, sensor_id: &str) -> Self {
        Self { sensor_id: Some(sensor_id.to_owned()), ..Self::site(site_id) }
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "site {}", printable(&self.site_id))?;
        if let Some(sensor_id) = &self.sensor_id {
            write!(f, " sensor {}", printable(sensor_id))?;
        }
        if let Some(run) = &self.run {
            write!(f, " run {}", printable(run))?;
        }
        if let Some(seq) = self.seq {
            write!(f, " seq {seq}")?;
        }
        Ok(())
    }
}

/// One row that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RowExample {
    #[serde(flatten)]
    pub(crate) key: Key,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Display for RowExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, expected, found } = self;
        write!(f, "{key}: expected {expected}, found {}", printable(found))
    }
}

/// The first few faults of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct RowExamples {
    pub(crate) missing: Vec<RowExample>,
    pub(crate) phantom: Vec<RowExample>,
    pub(crate) corrupt: Vec<RowExample>,
}

/// What a row turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// It is as computed.
    Right,
    /// No run made it.
    Phantom(Mismatch),
    /// It has the key of a row that is computed, but other cells.
    Corrupt(Mismatch),
    /// It is right, but older than it must be.
    Old(Mismatch),
    /// It is right but old, and the consumers were not done.
    Behind,
    /// It is of a run that is not audited.
    OfRun(String),
    /// It is of no sensor or site of an audited run.
    Unknown,
    /// It is right, but none of the audited runs caused it.
    Foreign,
}

/// What was found in one table.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    table: &'static str,
    is_there: bool,
    others_ignored: bool,
    strict: bool,
    /// Rows that are missing or too old.
    lags: u64,
    counts: TableCounts,
    examples: RowExamples,
    strangers: Strangers,
    /// Rows of sensors and sites that no audited run has.
    unknown: u64,
    /// The first few rows of others, each with its run.
    of_others: Vec<(Option<String>, RowExample)>,
}

impl Outcome {
    /// Starts with nothing found.
    pub(crate) fn new(table: &'static str, others_ignored: bool, strict: bool) -> Self {
        Self { table, is_there: true, others_ignored, strict, ..Self::default() }
    }

    /// Says that there is no such table.
    pub(crate) fn absent(table: &'static str) -> Self {
        Self { table, ..Self::default() }
    }

    /// Tells whether a consumer that goes on may make up for what is wrong.
    pub(crate) fn is_behind(&self) -> bool {
        self.lags > 0
    }

    /// Records what a row turned out to be.
    pub(crate) fn add(&mut self, key: impl FnOnce() -> Key, finding: Finding) {
        self.counts.rows += 1;
        match finding {
            Finding::Right => self.counts.stored += 1,
            Finding::Behind => self.counts.behind += 1,
            Finding::Foreign if self.others_ignored => self.counts.ignored += 1,
            Finding::Foreign => self.counts.foreign += 1,
            Finding::Phantom(mismatch) => {
                self.counts.phantom += 1;
                push(&mut self.examples.phantom, key, mismatch);
            }
            Finding::Corrupt(mismatch) => self.add_corrupt(key, mismatch),
            Finding::Old(mismatch) => {
                self.lags += 1;
                self.add_corrupt(key, mismatch);
            }
            Finding::OfRun(_) | Finding::Unknown if self.others_ignored => {
                self.counts.ignored += 1;
            }
            Finding::OfRun(run) => {
                if self.strangers.add(&run).is_some_and(|rows| rows <= EXAMPLES_MAX as u64) {
                    let mismatch = Mismatch::new("a run that has a report", format!("run {run}"));
                    self.of_others.push((Some(run), example(key(), mismatch)));
                }
            }
            Finding::Unknown => {
                self.unknown += 1;
                if self.unknown <= EXAMPLES_MAX as u64 {
                    let found = "none of them";
                    let mismatch = Mismatch::new("a sensor or site of a run with a report", found);
                    self.of_others.push((None, example(key(), mismatch)));
                }
            }
        }
    }

    fn add_corrupt(&mut self, key: impl FnOnce() -> Key, mismatch: Mismatch) {
        self.counts.corrupt += 1;
        push(&mut self.examples.corrupt, key, mismatch);
    }

    /// Records that a row is not there, which should say what is `expected`.
    pub(crate) fn add_missing(&mut self, key: impl FnOnce() -> Key, expected: String) {
        self.lags += 1;
        self.counts.missing += 1;
        push(&mut self.examples.missing, key, Mismatch::new(expected, "no row"));
    }

    /// Records that a row is not there, and need not be: the consumers were not done.
    pub(crate) fn add_behind(&mut self) {
        self.counts.behind += 1;
    }

    /// Draws the balance; `newcomers` are the runs that have a report by now.
    pub(crate) fn close(mut self, newcomers: &BTreeSet<String>) -> TableSummary {
        let (strangers, later) = self.strangers.count(newcomers);
        self.counts.later = later;
        let others = strangers + self.unknown;
        if self.strict {
            self.counts.phantom += others;
            for (run, example) in self.of_others {
                let is_known = run.is_some_and(|run| newcomers.contains(&run));
                if !is_known && self.examples.phantom.len() < EXAMPLES_MAX {
                    self.examples.phantom.push(example);
                }
            }
        } else {
            self.counts.foreign += others;
        }
        TableSummary {
            table: self.table,
            is_there: self.is_there,
            counts: self.counts,
            examples: self.examples,
        }
    }
}

fn example(key: Key, Mismatch { expected, found }: Mismatch) -> RowExample {
    RowExample { key, expected, found }
}

fn push(examples: &mut Vec<RowExample>, key: impl FnOnce() -> Key, mismatch: Mismatch) {
    if examples.len() < EXAMPLES_MAX {
        examples.push(example(key(), mismatch));
    }
}

/// The verdict on one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TableSummary {
    pub(crate) table: &'static str,
    /// Whether the keyspace has it; it is not checked otherwise.
    pub(crate) is_there: bool,
    #[serde(flatten)]
    pub(crate) counts: TableCounts,
    pub(crate) examples: RowExamples,
}

impl TableSummary {
    /// Tells whether nothing is missing, phantom or corrupt.
    pub(crate) fn is_clean(&self) -> bool {
        let TableCounts { missing, phantom, corrupt, .. } = self.counts;
        missing == 0 && phantom == 0 && corrupt == 0
    }

    /// Prints what is wrong, and the counts on one line.
    pub(crate) fn write_text(&self, output: &mut impl Write) -> io::Result<()> {
        let Self { table, is_there, counts, examples } = self;
        if !is_there {
            return writeln!(output, "{table}: not checked, there is no such table");
        }
        for (name, count, examples) in [
            ("missing", counts.missing, &examples.missing),
            ("phantom", counts.phantom, &examples.phantom),
            ("corrupt", counts.corrupt, &examples.corrupt),
        ] {
            for example in examples {
                writeln!(output, "{table} {name}: {example}")?;
            }
            let more = count.saturating_sub(examples.len() as u64);
            if more > 0 && !examples.is_empty() {
                writeln!(output, "{table} {name}: and {more} more")?;
            }
        }
        if counts.rows == 0 && counts.missing > 0 {
            writeln!(
                output,
                "{table} is empty: drop it if your own consumer does not fill it, what is not \
                 there is not checked"
            )?;
        }
        writeln!(output, "{table}: {counts}")
    }
}

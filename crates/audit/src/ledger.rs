//! Keeps count of what was found of each run, and draws the balance.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use domain::simulation::RunReport;

use crate::bitmap::Bitmap;
use crate::compare::{Expectation, Mismatch, Row, Tally, Verdict, acknowledged_spans};
use crate::summary::{Counts, EXAMPLES_MAX, Example, Examples, RunSummary, Summary};

/// Unknown runs that are told apart; those of more have no report in any case.
const UNKNOWN_RUNS_MAX: usize = 1_000;

/// What was found so far.
#[derive(Debug)]
pub(crate) struct Ledger {
    runs: Vec<RunLedger>,
    /// Where the parts of each run are.
    positions: HashMap<String, Vec<usize>>,
    others_ignored: bool,
    strict: bool,
    rows: u64,
    ignored: u64,
    unknown_runs: BTreeMap<String, u64>,
    nameless: u64,
    examples: Examples,
}

#[derive(Debug)]
struct RunLedger {
    expectation: Expectation,
    // Readings with a row under their key, right or corrupt.
    seen: Bitmap,
    counts: Counts,
}

impl Ledger {
    /// Starts with nothing found. Rows of runs without a report are foreign, phantoms if `strict`,
    /// unless they are to be ignored.
    pub(crate) fn new(reports: Vec<RunReport>, others_ignored: bool, strict: bool) -> Self {
        let mut positions: HashMap<String, Vec<usize>> = HashMap::new();
        for (position, report) in reports.iter().enumerate() {
            positions.entry(report.manifest.run.clone()).or_default().push(position);
        }
        Self {
            positions,
            runs: reports.into_iter().map(RunLedger::new).collect(),
            others_ignored,
            strict,
            rows: 0,
            ignored: 0,
            unknown_runs: BTreeMap::new(),
            nameless: 0,
            examples: Examples::default(),
        }
    }

    /// Returns each report with what was computed from its inputs.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (&RunReport, &Tally)> {
        self.runs.iter().map(|run| (run.expectation.report(), run.expectation.tally()))
    }

    /// Returns how many rows were recorded.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns site and hour (epoch milliseconds) of every partition that the runs have written to.
    pub(crate) fn partitions(&self) -> BTreeSet<(&str, i64)> {
        self.runs.iter().flat_map(|run| run.expectation.partitions()).collect()
    }

    /// Records a row that was read at `now_ms`.
    pub(crate) fn record(&mut self, row: &Row<'_>, now_ms: i64) {
        self.rows += 1;
        match self.positions.get(row.run) {
            Some(parts) => {
                let has = |part: &usize| self.runs[*part].expectation.has_sensor(row.sensor_id);
                // A sensor of no part is told by the first.
                let part = parts[1..].iter().copied().find(has).unwrap_or(parts[0]);
                self.runs[part].record(row, now_ms, &mut self.examples);
            }
            None if self.others_ignored => self.ignored += 1,
            None => self.record_unknown_run(row),
        }
    }

    fn record_unknown_run(&mut self, row: &Row<'_>) {
        if let Some(rows) = self.unknown_runs.get_mut(row.run) {
            *rows += 1;
        } else if self.unknown_runs.len() < UNKNOWN_RUNS_MAX {
            self.unknown_runs.insert(row.run.to_owned(), 1);
        } else {
            self.nameless += 1;
            return;
        }
        // A run may yet turn out to be known, so each keeps examples until the end.
        let of_this_run = self.unknown_runs[row.run];
        if of_this_run <= EXAMPLES_MAX as u64 {
            let mismatch = Mismatch {
                expected: "a run that has a report".into(),
                found: "a run that has none".into(),
            };
            self.examples.unknown_run.push(Example::of_row(row, mismatch));
        }
    }

    /// Draws the balance of a scan. Readings from before `required_from_ms` may have expired;
    /// `newcomers` are the runs that have a report by now.
    pub(crate) fn close(
        self,
        required_from_ms: i64,
        newcomers: &BTreeSet<String>,
        settled: Option<bool>,
        elapsed: Duration,
    ) -> Summary {
        let mut examples = self.examples;
        let mut totals = Counts::default();
        let mut runs = Vec::new();
        for run in self.runs {
            let run = run.close(required_from_ms, &mut examples);
            totals.add(&run.counts);
            runs.push(run);
        }
        let mut strangers = self.nameless;
        for (run, rows) in &self.unknown_runs {
            if newcomers.contains(run) {
                totals.later += rows;
            } else {
                strangers += rows;
            }
        }
        *(if self.strict { &mut totals.phantom } else { &mut totals.foreign }) += strangers;
        examples.adopt_unknown_runs(newcomers, self.strict);
        Summary {
            totals,
            rows: self.rows,
            ignored: self.ignored,
            settled,
            elapsed_s: elapsed.as_secs_f64(),
            runs,
            examples,
        }
    }
}

impl RunLedger {
    fn new(report: RunReport) -> Self {
        Self {
            expectation: Expectation::new(report),
            seen: Bitmap::default(),
            counts: Counts::default(),
        }
    }

    fn record(&mut self, row: &Row<'_>, now_ms: i64, examples: &mut Examples) {
        match self.expectation.classify(row, now_ms) {
            Verdict::Right(index) => self.counts.stored += u64::from(self.seen.insert(index)),
            Verdict::Later => self.counts.later += 1,
            Verdict::Phantom(mismatch) => {
                self.counts.phantom += 1;
                examples.add_phantom(row, mismatch);
            }
            Verdict::Corrupt(index, mismatch) => {
                if index < self.expectation.report().scheduled {
                    self.seen.insert(index);
                }
                self.counts.corrupt += 1;
                examples.add_corrupt(row, mismatch);
            }
        }
    }

    fn close(self, required_from_ms: i64, examples: &mut Examples) -> RunSummary {
        let report = self.expectation.report();
        let schedule = &report.manifest.schedule;
        // A clock that is behind may have put a reading into an hour that is not required.
        let required_from_ms = required_from_ms + report.manifest.transport.skew_max_ms();
        let required_from = first_number(report.scheduled, |index| {
            schedule.event_time_ms(index) >= required_from_ms
        });
        let mut counts = self.counts;
        let Tally { scheduled, acknowledged, fates } = *self.expectation.tally();
        counts.scheduled = scheduled;
        counts.acknowledged = acknowledged;
        counts.fates = fates;
        for span in acknowledged_spans(report) {
            let required = required_from.clamp(span.start, span.end);
            counts.expired += self.expectation.count_absent(&self.seen, span.start..required);
            let missing = self.expectation.count_absent(&self.seen, required..span.end);
            counts.missing += missing;
            if missing > 0 && examples.missing.len() < EXAMPLES_MAX {
                let absent = self.expectation.absent(&self.seen, required..span.end);
                let wanted = EXAMPLES_MAX - examples.missing.len();
                let simulation = self.expectation.simulation();
                let new = absent.take(wanted).map(|index| Example::missing(simulation, index));
                examples.missing.extend(new);
            }
        }
        RunSummary { run: report.id(), state: report.state, counts }
    }
}

/// Returns the first number below `end` from which on `holds` is true; `end` if it never is.
fn first_number(end: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut from, mut to) = (0, end);
    while from < to {
        let middle = from + (to - from) / 2;
        if holds(middle) {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}

#[cfg(test)]
mod tests;

//! Keeps count of what was found of each run, and draws the balance.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::simulation::RunReport;

use crate::bitmap::Bitmap;
use crate::compare::{Expectation, Mismatch, Row, Tally, Verdict, acknowledged_spans};
use crate::newest::Newest;
use crate::strangers::Strangers;
use crate::summary::{Counts, EXAMPLES_MAX, Example, Examples, RunSummary, Summary};
use crate::tables::TableSummary;

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
    strangers: Strangers,
    examples: Examples,
}

/// What was found of one run, or of a part of it that has a report of its own.
#[derive(Debug)]
pub(crate) struct RunLedger {
    expectation: Expectation,
    // Readings with a row under their key, right or corrupt.
    seen: Bitmap,
    newest: Newest,
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
            strangers: Strangers::default(),
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
        let of_this_run = self.strangers.add(row.run);
        // A run may yet turn out to be known, so each keeps examples until the end.
        if of_this_run.is_some_and(|rows| rows <= EXAMPLES_MAX as u64) {
            let mismatch = Mismatch::new("a run that has a report", "a run that has none");
            self.examples.unknown_run.push(Example::of_row(row, mismatch));
        }
    }

    /// Returns all runs.
    pub(crate) fn runs(&self) -> &[RunLedger] {
        &self.runs
    }

    /// Returns where the parts of a run are among them; `None` if the run is not audited.
    pub(crate) fn parts(&self, run: &str) -> Option<&[usize]> {
        self.positions.get(run).map(Vec::as_slice)
    }

    /// Tells whether rows of runs that are not audited are left alone.
    pub(crate) fn ignores_others(&self) -> bool {
        self.others_ignored
    }

    /// Tells whether rows of runs without a report are phantoms.
    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }

    /// Draws the balance of a scan. Readings from before `required_from_ms` may have expired;
    /// `newcomers` are the runs that have a report by now.
    pub(crate) fn close(
        self,
        required_from_ms: i64,
        newcomers: &BTreeSet<String>,
        settled: Option<bool>,
        tables: Vec<TableSummary>,
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
        let (strangers, later) = self.strangers.count(newcomers);
        totals.later += later;
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
            tables,
        }
    }
}

impl RunLedger {
    fn new(report: RunReport) -> Self {
        Self {
            expectation: Expectation::new(report),
            seen: Bitmap::default(),
            newest: Newest::default(),
            counts: Counts::default(),
        }
    }

    /// Returns what the run must have stored.
    pub(crate) fn expectation(&self) -> &Expectation {
        &self.expectation
    }

    /// Returns the newest readings that are stored.
    pub(crate) fn newest(&self) -> &Newest {
        &self.newest
    }

    fn see(&mut self, index: u64, ts_ms: i64) -> bool {
        let report = self.expectation.report();
        if report.is_acknowledged(index) {
            self.newest.note(self.expectation.simulation(), index, ts_ms);
        }
        index < report.scheduled && self.seen.insert(index)
    }

    fn record(&mut self, row: &Row<'_>, now_ms: i64, examples: &mut Examples) {
        match self.expectation.classify(row, now_ms) {
            Verdict::Right(index) => self.counts.stored += u64::from(self.see(index, row.ts_ms)),
            Verdict::Later => self.counts.later += 1,
            Verdict::Phantom(mismatch) => {
                self.counts.phantom += 1;
                examples.add_phantom(row, mismatch);
            }
            Verdict::Corrupt(index, mismatch) => {
                self.see(index, row.ts_ms);
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

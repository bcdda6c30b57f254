//! The verdict: counts, examples, and how both are printed.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::io::{self, Write};

use domain::simulation::report::RunState;
use domain::simulation::{FateCounts, Simulation};
use runtime::text::printable;
use serde::Serialize;

use crate::compare::{Mismatch, Row};
use crate::settings::OutputFormat;
use crate::tables::TableSummary;

/// Examples of each kind of fault.
pub(crate) const EXAMPLES_MAX: usize = 10;

/// Numbers of readings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Handed to the Kafka client.
    pub(crate) scheduled: u64,
    /// Acknowledged by Kafka.
    pub(crate) acknowledged: u64,
    /// Scheduled and found, as computed.
    pub(crate) stored: u64,
    /// Acknowledged, not found, and young enough to be required.
    pub(crate) missing: u64,
    /// Found, but made by no run.
    pub(crate) phantom: u64,
    /// Found, but not as computed.
    pub(crate) corrupt: u64,
    /// Found, but made by a run that has no report: readings of somebody else.
    pub(crate) foreign: u64,
    /// Acknowledged, not found, but past the table's time to live or about to be.
    pub(crate) expired: u64,
    /// Found and made after the report was written.
    pub(crate) later: u64,
    /// What became of the scheduled ones on their way, as computed.
    pub(crate) fates: FateCounts,
}

impl Counts {
    /// Adds those of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.scheduled += other.scheduled;
        self.acknowledged += other.acknowledged;
        self.stored += other.stored;
        self.missing += other.missing;
        self.phantom += other.phantom;
        self.corrupt += other.corrupt;
        self.foreign += other.foreign;
        self.expired += other.expired;
        self.later += other.later;
        self.fates.merge(&other.fates);
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "scheduled {} acknowledged {} stored {} missing {} phantom {} corrupt {}",
            self.scheduled,
            self.acknowledged,
            self.stored,
            self.missing,
            self.phantom,
            self.corrupt
        )?;
        match self.foreign {
            0 => Ok(()),
            foreign => write!(f, " foreign {foreign}"),
        }
    }
}

/// One reading that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Example {
    pub(crate) sensor_id: String,
    pub(crate) seq: i64,
    pub(crate) run: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Example {
    /// Tells what is wrong with a row.
    pub(crate) fn of_row(row: &Row<'_>, mismatch: Mismatch) -> Self {
        Self {
            sensor_id: row.sensor_id.to_owned(),
            seq: row.seq,
            run: row.run.to_owned(),
            expected: mismatch.expected,
            found: mismatch.found,
        }
    }

    /// Tells which row is not there.
    pub(crate) fn missing(simulation: &Simulation, index: u64) -> Self {
        let reading = simulation.reading(index);
        let kind = simulation.fleet().kind_of(reading.sensor);
        let value = reading.measurement.value.to_f64();
        Self {
            sensor_id: simulation.fleet().sensor_id(reading.sensor),
            seq: reading.seq.cast_signed(),
            run: simulation.manifest().run.clone(),
            expected: format!("{value} {} at ts {}", kind.unit(), reading.ts_ms),
            found: "no row".into(),
        }
    }
}

impl Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sensor_id, seq, run, expected, found } = self;
        let [sensor_id, run, found] = [sensor_id, run, found].map(|text| printable(text));
        write!(f, "sensor {sensor_id} seq {seq} run {run}: expected {expected}, found {found}")
    }
}

/// The first few faults of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Examples {
    pub(crate) missing: Vec<Example>,
    pub(crate) phantom: Vec<Example>,
    pub(crate) corrupt: Vec<Example>,
    pub(crate) foreign: Vec<Example>,
    /// Rows of runs without a report, unless the report has come since.
    #[serde(skip)]
    pub(crate) unknown_run: Vec<Example>,
}

impl Examples {
    /// Adds a row that no run made.
    pub(crate) fn add_phantom(&mut self, row: &Row<'_>, mismatch: Mismatch) {
        if self.phantom.len() < EXAMPLES_MAX {
            self.phantom.push(Example::of_row(row, mismatch));
        }
    }

    /// Adds a row with a wrong cell.
    pub(crate) fn add_corrupt(&mut self, row: &Row<'_>, mismatch: Mismatch) {
        if self.corrupt.len() < EXAMPLES_MAX {
            self.corrupt.push(Example::of_row(row, mismatch));
        }
    }

    /// Counts the rows of unknown runs as foreign, or as phantoms if `strict`, except those of
    /// `newcomers`.
    pub(crate) fn adopt_unknown_runs(&mut self, newcomers: &BTreeSet<String>, strict: bool) {
        let strangers = self.unknown_run.drain(..);
        let adopted = if strict { &mut self.phantom } else { &mut self.foreign };
        adopted.extend(strangers.filter(|example| !newcomers.contains(&example.run)));
        adopted.truncate(EXAMPLES_MAX);
    }
}

/// What was found of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RunSummary {
    pub(crate) run: String,
    pub(crate) state: RunState,
    #[serde(flatten)]
    pub(crate) counts: Counts,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    pub(crate) totals: Counts,
    /// Rows of `readings` read.
    pub(crate) rows: u64,
    /// Of these, rows of runs that were not asked for.
    pub(crate) ignored: u64,
    /// Whether the consumers had stored everything in time; `None` if nobody waited for them.
    pub(crate) settled: Option<bool>,
    /// Duration of the audit, in seconds.
    pub(crate) elapsed_s: f64,
    pub(crate) runs: Vec<RunSummary>,
    pub(crate) examples: Examples,
    /// What was found in the tables beside `readings`.
    pub(crate) tables: Vec<TableSummary>,
}

impl Summary {
    /// Tells whether nothing is missing, phantom or corrupt, as far as there was anything to find.
    pub(crate) fn is_clean(&self) -> bool {
        let Counts { missing, phantom, corrupt, .. } = self.totals;
        let are_clean = self.tables.iter().all(TableSummary::is_clean);
        missing == 0 && phantom == 0 && corrupt == 0 && are_clean && !self.is_void()
    }

    /// Tells whether no acknowledged reading had to be there: the audit has proved nothing.
    fn is_void(&self) -> bool {
        let Counts { acknowledged, expired, .. } = self.totals;
        acknowledged > 0 && expired == acknowledged
    }

    /// Prints the verdict; its last line is the one to rely on.
    pub(crate) fn write(&self, format: OutputFormat, output: &mut impl Write) -> io::Result<()> {
        match format {
            OutputFormat::Text => self.write_text(output)?,
            OutputFormat::Json => {
                serde_json::to_writer(&mut *output, self)?;
                writeln!(output)?;
            }
        }
        output.flush()
    }

    fn write_text(&self, output: &mut impl Write) -> io::Result<()> {
        if self.runs.len() > 1 {
            for RunSummary { run, state, counts } in &self.runs {
                let state = match state {
                    RunState::Running => "running",
                    RunState::Complete => "complete",
                    RunState::Stopped => "stopped",
                };
                writeln!(output, "run {run} ({state}): {counts}{}", asides(counts))?;
            }
        }
        let examples = &self.examples;
        for (name, count, examples) in [
            ("missing", self.totals.missing, &examples.missing),
            ("phantom", self.totals.phantom, &examples.phantom),
            ("corrupt", self.totals.corrupt, &examples.corrupt),
            ("foreign", self.totals.foreign, &examples.foreign),
        ] {
            for example in examples {
                writeln!(output, "{name}: {example}")?;
            }
            let more = count.saturating_sub(examples.len() as u64);
            if more > 0 && !examples.is_empty() {
                writeln!(output, "{name}: and {more} more")?;
            }
        }
        let (rows, elapsed_s) = (self.rows, self.elapsed_s);
        writeln!(output, "read {rows} rows in {elapsed_s:.1} s{}", asides(&self.totals))?;
        let fates = &self.totals.fates;
        if *fates != FateCounts::default() {
            let FateCounts { missing, forwarded, late, out_of_order, duplicate } = fates;
            writeln!(
                output,
                "on the way, as intended: never sent {missing}, forwarded {forwarded}, \
                 late {late}, out of order {out_of_order}, duplicate {duplicate}"
            )?;
        }
        for table in &self.tables {
            table.write_text(output)?;
        }
        if self.ignored > 0 {
            writeln!(output, "left alone {} rows of other runs", self.ignored)?;
        }
        if self.settled == Some(false) {
            writeln!(output, "the consumers were not done: what is missing may yet be stored")?;
        }
        if self.is_void() {
            let why = "every acknowledged reading is past the time to live of its row";
            writeln!(output, "nothing is proved: {why}")?;
        }
        writeln!(output, "audit: {}", self.totals)
    }
}

/// The counts that are seldom of interest.
fn asides(counts: &Counts) -> String {
    let aside = |name, count, why| match count {
        0 => String::new(),
        _ => format!(", {name} {count} ({why}, not required)"),
    };
    let expired = aside("expired", counts.expired, "past the time to live");
    expired + &aside("later", counts.later, "made since the report")
}

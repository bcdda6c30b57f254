//! Sensors as data files and label windows in the layout of the Numenta Anomaly Benchmark, so that
//! its scorer can read them (numenta/NAB: `nab/corpus.py`, `nab/labeler.py`, `nab/sweeper.py`).
//!
//! The scorer enters and leaves a window at rows with exactly the times of its two ends, and
//! divides by its number of rows less one. So each window here begins and ends at a row, has two
//! rows at least, and shares none with another: those that would are one.

use std::io::Write;

use domain::simulation::Anomaly;
use jiff::Timestamp;

use super::draft::DraftFolder;
use super::run::Run;
use crate::error::FleetError;

/// Picks sensors while they go by, those with anomalies first.
#[derive(Debug)]
pub(crate) struct Choice {
    with: Vec<u64>,
    without: Vec<u64>,
    count: u64,
}

impl Choice {
    pub(crate) fn new(count: u64) -> Self {
        Self { with: Vec::new(), without: Vec::new(), count }
    }

    pub(crate) fn offer(&mut self, sensor: u64, has_anomalies: bool) {
        let list = if has_anomalies { &mut self.with } else { &mut self.without };
        if (list.len() as u64) < self.count {
            list.push(sensor);
        }
    }

    pub(crate) fn chosen(self) -> Vec<u64> {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        let mut chosen: Vec<u64> = self.with.into_iter().chain(self.without).take(count).collect();
        chosen.sort_unstable();
        chosen
    }
}

/// Writes data files and their labels; returns how many data files.
pub(crate) fn export(
    run: &Run,
    sensors: &[u64],
    folder: &DraftFolder,
    go_on: impl Fn() -> Result<(), FleetError>,
) -> Result<usize, FleetError> {
    if sensors.is_empty() {
        return Ok(0);
    }
    let mut labels = folder.file("labels/combined_windows.json")?;
    let mut separator = "{";
    for &sensor in sensors {
        go_on()?;
        let name = format!("{}.csv", run.sensor_id(sensor));
        write_data(run, sensor, folder, &name)?;
        let windows = windows(run, sensor)
            .map(|(first, last)| {
                let time = |seq| time(run.clean(sensor, seq).ts_ms);
                format!("\n        [\"{}\", \"{}\"]", time(first), time(last))
            })
            .collect::<Vec<_>>()
            .join(",");
        // Ids hold nothing that JSON would escape.
        let entry = format!("{separator}\n    \"{name}\": [{windows}\n    ]");
        labels.write(entry.as_bytes())?;
        separator = ",";
    }
    labels.write(b"\n}\n")?;
    labels.finish()?;
    Ok(sensors.len())
}

fn write_data(run: &Run, sensor: u64, folder: &DraftFolder, name: &str) -> Result<(), FleetError> {
    let mut data = folder.file(&format!("data/{name}"))?;
    data.write(b"timestamp,value\n")?;
    let mut line = Vec::new();
    for reading in run.seqs(sensor).filter_map(|seq| run.sent(sensor, seq)) {
        line.clear();
        write!(line, "{},", time(reading.ts_ms))?;
        reading.measurement.value.write(&mut line);
        line.push(b'\n');
        data.write(&line)?;
    }
    data.finish()
}

/// Returns the windows of a sensor: their first and last readings, both sent.
fn windows(run: &Run, sensor: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut open = None;
    let ends = run.anomalies(sensor).filter_map(move |anomaly| window(run, &anomaly));
    // One more turn, to give out the last.
    ends.map(Some).chain([None]).filter_map(move |next: Option<(u64, u64)>| match (open, next) {
        (Some((first, last)), Some((from, to))) if from <= last => {
            open = Some((first, last.max(to)));
            None
        }
        (complete, next) => {
            open = next;
            complete
        }
    })
}

/// The rows of an anomaly, or those around it where none of its readings was sent.
fn window(run: &Run, anomaly: &Anomaly) -> Option<(u64, u64)> {
    let (sensor, seqs) = (anomaly.sensor, run.seqs(anomaly.sensor));
    let is_sent = |seq: &u64| run.sent(sensor, *seq).is_some();
    let before = |seq: u64| (seqs.start..seq).rev().find(is_sent);
    let after = |seq: u64| (seq + 1..seqs.end).find(is_sent);
    let mut covered = anomaly.first_seq..=anomaly.last_seq;
    let (first, last) = if let Some(first) = covered.clone().find(is_sent) {
        (first, covered.rfind(is_sent)?)
    } else {
        let (before, after) = (before(anomaly.first_seq), after(anomaly.last_seq));
        (before.or(after)?, after.or(before)?)
    };
    if first < last {
        return Some((first, last));
    }
    after(last).map(|after| (first, after)).or_else(|| before(first).map(|before| (before, last)))
}

/// `2026-11-21 08:19:47.000000`, UTC.
fn time(ts_ms: i64) -> String {
    // Event times outside jiff's range, the years -9999 to 9999, do not occur.
    let time = Timestamp::from_millisecond(ts_ms).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S.%6f").to_string()
}

//! The report of a run: a JSON file that is always whole, and a compact text for people.

use std::fmt::{self, Display, Write};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use domain::simulation::RunReport;
use domain::simulation::report::{DurationSummary, PartitionShare, RunState};
use jiff::Timestamp;

use crate::error::ProducerError;

/// The folder of all run reports.
#[derive(Debug)]
pub(crate) struct ReportFolder {
    path: PathBuf,
}

impl ReportFolder {
    /// Makes the folder if it is missing, and makes sure that files can be written there.
    pub(crate) fn open(path: &Path) -> Result<Self, ProducerError> {
        let probe = path.join(format!(".probe-{:08x}", rand::random::<u32>()));
        let usable = fs::create_dir_all(path)
            .and_then(|()| File::create(&probe))
            .and_then(|_file| fs::remove_file(&probe));
        usable.map_err(|source| ProducerError::Report { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned() })
    }

    /// Returns the file of a run.
    pub(crate) fn file(&self, run: &str) -> PathBuf {
        self.path.join(format!("{run}.json"))
    }

    /// Stores a report in place of the run's previous one; a reader sees either, never a part.
    pub(crate) fn store(&self, report: &RunReport) -> Result<(), ProducerError> {
        let file = self.file(&report.manifest.run);
        let draft = self.path.join(format!(".{}.json", report.manifest.run));
        write_synced(&draft, report)
            .and_then(|()| fs::rename(&draft, &file))
            .map_err(|source| ProducerError::Report { path: file, source })
    }
}

fn write_synced(path: &Path, report: &RunReport) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(report)?;
    text.push(b'\n');
    let mut file = File::create(path)?;
    file.write_all(&text)?;
    file.sync_data()
}

/// Computes every partition's part in a run.
pub(crate) fn partition_shares(sites: &[u64], acknowledged: &[u64]) -> Vec<PartitionShare> {
    let total: u64 = acknowledged.iter().sum();
    let mean = total as f64 / acknowledged.len() as f64;
    let shares = (0..).zip(sites.iter().zip(acknowledged));
    shares
        .map(|(partition, (sites, acknowledged))| PartitionShare {
            partition,
            sites: *sites,
            acknowledged: *acknowledged,
            share_of_mean: if total == 0 { 0.0 } else { *acknowledged as f64 / mean },
        })
        .collect()
}

/// A report as people read it.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    /// The report.
    pub(crate) report: &'a RunReport,
    /// Where it is stored.
    pub(crate) file: &'a Path,
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let manifest = &report.manifest;
        let state = match report.state {
            RunState::Running => "running",
            RunState::Complete => "complete",
            RunState::Stopped => "stopped",
        };
        writeln!(f, "run           {} ({state})", manifest.run)?;
        writeln!(f, "seed          {}", manifest.seed)?;
        let kinds: Vec<&str> = manifest.fleet.kinds.iter().map(|k| k.name()).collect();
        let sensors = manifest.fleet.sensors;
        writeln!(f, "fleet         {sensors} sensors: {}", kinds.join(", "))?;
        let schedule = &manifest.schedule;
        let length = match schedule.readings_max {
            Some(readings) => format!("{readings} readings"),
            None => "endless".into(),
        };
        let start = Timestamp::from_millisecond(schedule.start_ms).map_err(|_| fmt::Error)?;
        let rate = schedule.rate.per_second();
        writeln!(f, "schedule      {rate:.3} readings/s from {start:.3}, {length}")?;
        writeln!(f, "topic         {}", report.topic)?;
        writeln!(f, "sent          {}", report.scheduled)?;
        writeln!(f, "acknowledged  {}", report.acknowledged)?;
        writeln!(f, "failed        {}", report.failed)?;
        let (achieved, elapsed) = (report.rate_achieved, report.elapsed_s);
        writeln!(f, "achieved      {achieved:.3} readings/s over {elapsed:.3} s")?;
        writeln!(f, "lateness      {}", percentiles(&report.lateness))?;
        writeln!(f, "ack latency   {}", percentiles(&report.ack_latency))?;
        writeln!(f, "partition  sites  acknowledged  share of mean")?;
        for share in &report.partitions {
            writeln!(
                f,
                "{:>9}  {:>5}  {:>12}  {:>13.2}",
                share.partition, share.sites, share.acknowledged, share.share_of_mean
            )?;
        }
        writeln!(f, "report        {}", self.file.display())
    }
}

fn percentiles(summary: &DurationSummary) -> String {
    let mut text = String::new();
    for (name, ms) in [
        ("p50", summary.p50_ms),
        ("p99", summary.p99_ms),
        ("p99.9", summary.p999_ms),
        ("max", summary.max_ms),
    ] {
        let separator = if text.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _never = write!(text, "{separator}{name} {ms:.1} ms");
    }
    text
}

#[cfg(test)]
mod tests {
    use domain::SensorKind;
    use domain::simulation::{FleetSpec, Rate, RunManifest, Schedule};

    use super::*;

    fn report(state: RunState) -> RunReport {
        RunReport {
            manifest: RunManifest {
                run: "20261121T013321-9f3a".into(),
                seed: 42,
                fleet: FleetSpec { sensors: 50, kinds: SensorKind::ALL.to_vec() },
                schedule: Schedule {
                    start_ms: 1_764_000_000_000,
                    rate: Rate::per_second_milli(3_500_000).unwrap(),
                    readings_max: Some(100),
                },
            },
            topic: "sensor-readings".into(),
            state,
            written_ms: 0,
            scheduled: 100,
            acknowledged: 100,
            failed: 0,
            unacknowledged: Vec::new(),
            elapsed_s: 1.0,
            rate_achieved: 99.0,
            lateness: DurationSummary::default(),
            ack_latency: DurationSummary::default(),
            partitions: Vec::new(),
        }
    }

    #[test]
    fn a_report_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/runs");
        let reports = ReportFolder::open(&path).unwrap();
        for state in [RunState::Running, RunState::Complete] {
            let stored = report(state);
            reports.store(&stored).unwrap();
            let text = fs::read(path.join("20261121T013321-9f3a.json")).unwrap();
            assert_eq!(serde_json::from_slice::<RunReport>(&text).unwrap(), stored);
        }
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing else stays");
    }

    #[test]
    fn a_folder_that_cannot_be_one_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = ReportFolder::open(file.path()).unwrap_err().to_string();
        assert!(error.contains("PRODUCER_REPORT_DIR"), "{error}");
        assert!(error.contains(&file.path().display().to_string()), "{error}");
    }

    #[test]
    fn shares_are_relative_to_the_mean() {
        let shares = partition_shares(&[2, 1, 1, 0], &[30, 10, 0, 0]);
        assert_eq!(shares[1].sites, 1);
        let of_mean: Vec<f64> = shares.iter().map(|share| share.share_of_mean).collect();
        assert_eq!(of_mean, [3.0, 1.0, 0.0, 0.0]);
        let nothing_yet = partition_shares(&[1], &[0]);
        assert!(nothing_yet[0].share_of_mean.abs() < f64::EPSILON);
    }

    #[test]
    fn people_read_the_essentials() {
        let report = report(RunState::Complete);
        let file = Path::new("runs/x.json");
        let text = Text { report: &report, file }.to_string();
        for part in [
            "20261121T013321-9f3a (complete)",
            "3500.000 readings/s from 2025-11-24T16:00:00.000Z, 100 readings",
            "acknowledged  100",
            "runs/x.json",
        ] {
            assert!(text.contains(part), "`{part}` is missing in:\n{text}");
        }
    }
}

//! The report of a run: a JSON file that is always whole, and a compact text for people.

use std::fmt::{self, Display};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use domain::simulation::report::{
    DurationSummary, PartitionShare, RateProof, RunState, Shard, Stalls, WindowProof,
};
use domain::simulation::{FateCounts, FleetSpec, Load, RunManifest, RunReport, Schedule};
use jiff::Timestamp;

use crate::error::ProducerError;
use crate::pace::CatchUp;

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

    /// Returns the file of a run, or of a producer's part in it.
    pub(crate) fn file(&self, id: &str) -> PathBuf {
        self.path.join(format!("{id}.json"))
    }

    /// Tells whether a part of a run of just these inputs was sent to a topic to its end.
    pub(crate) fn has_complete(&self, manifest: &RunManifest, shard: Shard, topic: &str) -> bool {
        // What cannot be read is no proof that it was.
        let text = fs::read(self.file(&shard.id(&manifest.run))).unwrap_or_default();
        serde_json::from_slice::<RunReport>(&text).is_ok_and(|found| {
            found.state == RunState::Complete && found.manifest == *manifest && found.topic == topic
        })
    }

    /// Stores a report in place of the run's previous one; a reader sees either, never a part.
    pub(crate) fn store(&self, report: &RunReport) -> Result<(), ProducerError> {
        let file = self.file(&report.id());
        let draft = self.path.join(format!(".{}.json", report.id()));
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
    /// How overdue readings were sent.
    pub(crate) catch_up: CatchUp,
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
        writeln!(f, "run           {} ({state})", report.id())?;
        writeln!(f, "seed          {}", manifest.seed)?;
        writeln!(f, "fleet         {}", fleet(&manifest.fleet))?;
        writeln!(f, "schedule      {}", Timetable(&manifest.schedule))?;
        writeln!(f, "topic         {}", report.topic)?;
        writeln!(f, "due           {}", report.scheduled)?;
        writeln!(f, "sent          {}", report.sent)?;
        writeln!(f, "acknowledged  {}", report.acknowledged)?;
        writeln!(f, "failed        {}", report.failed)?;
        writeln!(f, "events        {}", report.events)?;
        if !manifest.transport.is_perfect() {
            writeln!(f, "on the way    {}", fates(&report.fates))?;
        }
        self.write_pace(f)?;
        self.write_latencies(f)?;
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

impl Text<'_> {
    fn write_pace(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let (achieved, elapsed) = (report.rate_achieved, report.elapsed_s);
        writeln!(f, "achieved      {achieved:.3} readings/s over {elapsed:.3} s")?;
        let (debt, catch_up) = (report.debt_s, self.catch_up);
        writeln!(f, "debt          {debt:.3} s behind the schedule, catching up {catch_up}")?;
        let RateProof { per_100_ms, per_second, stalls } = &report.rate_proof;
        for (name, windows) in [("second", per_second), ("100 ms", per_100_ms)] {
            let WindowProof { windows, most_of_due, least_of_due, dispersion } = windows;
            writeln!(
                f,
                "per {name}    {:.1} to {:.1} % of what was due, dispersion {dispersion:.3}, \
                 {windows} windows",
                100.0 * least_of_due,
                100.0 * most_of_due,
            )?;
        }
        let Stalls { count, longest_ms, total_ms } = stalls;
        writeln!(f, "stalls        {count}, longest {longest_ms:.1} ms, total {total_ms:.1} ms")
    }

    fn write_latencies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        writeln!(f, "latency in ms        p50       p99     p99.9       max")?;
        for (name, summary) in [
            ("schedule lag", &report.lateness),
            ("service time", &report.ack_latency),
            ("response time", &report.response),
        ] {
            let DurationSummary { p50_ms, p99_ms, p999_ms, max_ms } = summary;
            writeln!(f, "{name:<14}{p50_ms:>10.1}{p99_ms:>10.1}{p999_ms:>10.1}{max_ms:>10.1}")?;
        }
        Ok(())
    }
}

/// Describes a fleet.
pub(crate) fn fleet(spec: &FleetSpec) -> String {
    let kinds: Vec<&str> = spec.kinds.iter().map(|kind| kind.name()).collect();
    format!("{} sensors: {}", spec.sensors, kinds.join(", "))
}

/// Describes what became of readings on their way.
fn fates(fates: &FateCounts) -> String {
    let FateCounts { missing, forwarded, late, out_of_order, duplicate } = fates;
    format!(
        "missing {missing}, forwarded {forwarded}, late {late}, out of order {out_of_order}, \
         duplicate {duplicate}"
    )
}

/// A schedule in words.
pub(crate) struct Timetable<'a>(pub(crate) &'a Schedule);

impl Display for Timetable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Schedule { start_ms, load, together, readings_max } = self.0;
        let start = Timestamp::from_millisecond(*start_ms).map_err(|_| fmt::Error)?;
        write!(f, "{:.3} readings/s", load.per_second())?;
        if let Load::Profile(profile) = load {
            let (pieces, seconds) = (profile.pieces().len(), profile.duration_ns() / 1_000_000_000);
            write!(f, " on average over a profile of {pieces} pieces and {seconds} s")?;
        }
        if together.get() > 1 {
            write!(f, ", {together} at once")?;
        }
        write!(f, " from {start:.3}, ")?;
        match readings_max {
            Some(readings) => write!(f, "{readings} readings"),
            None => f.write_str("endless"),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::SensorKind;
    use domain::simulation::{AnomalySpec, Rate, RunManifest, TransportSpec};

    use super::*;

    fn report(state: RunState) -> RunReport {
        let rate = Rate::per_second_milli(3_500_000).unwrap();
        let manifest = RunManifest {
            run: "20261121T013321-9f3a".into(),
            seed: 42,
            fleet: FleetSpec { sensors: 50, kinds: SensorKind::ALL.to_vec() },
            schedule: Schedule {
                readings_max: Some(100),
                ..Schedule::constant(1_764_000_000_000, rate)
            },
            anomalies: AnomalySpec::default(),
            transport: TransportSpec::default(),
        };
        RunReport { state, ..RunReport::complete(manifest, "sensor-readings", 100) }
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
        let text = Text { report: &report, catch_up: CatchUp::Unlimited, file }.to_string();
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

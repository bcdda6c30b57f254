//! The report of a run of the benchmark: every sample, with the machine and the versions it was
//! taken on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::statistics::Summary;

/// Raised when an old report cannot be read any more.
const FORMAT: u32 = 1;

/// Everything that a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    format: u32,
    /// When the run started, UTC, to the second.
    pub started: String,
    /// How long the run took, in seconds.
    pub wall_s: f64,
    /// A short run: good to see that everything works, too short for figures.
    pub quick: bool,
    /// Where.
    pub machine: Machine,
    /// What was measured, in the order of the run.
    pub cases: Vec<CaseReport>,
}

/// One case: what runs side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// The name on the command line.
    pub name: String,
    /// What is measured, in a sentence.
    pub about: String,
    /// What runs, in the order in which they took turns.
    pub variants: Vec<VariantReport>,
    /// What happened that the figures do not tell.
    pub notes: Vec<String>,
    /// How long the case took, in seconds.
    pub wall_s: f64,
}

/// One of the things that run side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantReport {
    /// The name, unique in its case.
    pub name: String,
    /// What it is, in a sentence.
    pub about: String,
    /// It is not of this build: what differs between two reports of it is the machine.
    pub is_control: bool,
    /// One of each round.
    pub samples: Vec<Sample>,
    /// Why it has no samples, or fewer than the others.
    pub skipped: Option<String>,
}

/// What one turn measured, by name; the unit ends the name.
pub type Sample = BTreeMap<String, f64>;

impl Report {
    /// Starts a report.
    pub fn new(started: String, quick: bool, machine: Machine) -> Self {
        Self { format: FORMAT, started, wall_s: 0.0, quick, machine, cases: Vec::new() }
    }

    /// Returns a case.
    pub fn case(&self, name: &str) -> Option<&CaseReport> {
        self.cases.iter().find(|case| case.name == name)
    }

    /// Returns all samples of one measurement, which may be none.
    pub fn samples(&self, case: &str, variant: &str, metric: &str) -> Vec<f64> {
        let variant = self.case(case).and_then(|case| case.variant(variant));
        variant.map(|variant| variant.values(metric)).unwrap_or_default()
    }

    /// Returns the summary of one measurement.
    pub fn summary(&self, case: &str, variant: &str, metric: &str) -> Option<Summary> {
        Summary::of(&self.samples(case, variant, metric))
    }

    /// Writes the report, whole or not at all.
    pub fn store(&self, path: &Path) -> Result<()> {
        let failed = || format!("cannot write {}", path.display());
        let partial = path.with_extension("partial");
        fs::write(&partial, serde_json::to_vec_pretty(self)?).with_context(failed)?;
        fs::rename(&partial, path).with_context(failed)
    }

    /// Reads a report.
    pub fn load(path: &Path) -> Result<Self> {
        let text =
            fs::read(path).with_context(|| format!("cannot read the report {}", path.display()))?;
        let report: Self = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no report", path.display()))?;
        if report.format != FORMAT {
            let (path, format) = (path.display(), report.format);
            bail!("{path} has format {format}, and this program reads {FORMAT}");
        }
        Ok(report)
    }
}

impl CaseReport {
    /// Returns a variant.
    pub fn variant(&self, name: &str) -> Option<&VariantReport> {
        self.variants.iter().find(|variant| variant.name == name)
    }
}

impl VariantReport {
    /// Returns the samples of one measurement.
    pub fn values(&self, metric: &str) -> Vec<f64> {
        self.samples.iter().filter_map(|sample| sample.get(metric).copied()).collect()
    }

    /// Returns what was measured, in alphabetical order.
    pub fn metrics(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.samples.iter().flat_map(|sample| sample.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// Lists the reports in a folder, the newest last.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        if name.starts_with("report-") && is_json {
            paths.push(path);
        }
    }
    // Their names begin with their times.
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report of one case with two variants; each number is a sample of `rows_per_s`.
    pub(crate) fn report(ours: &[f64], peer: &[f64]) -> Report {
        let variant = |name: &str, is_control, samples: &[f64]| VariantReport {
            name: name.into(),
            about: format!("the {name}"),
            is_control,
            samples: samples
                .iter()
                .map(|value| Sample::from([("rows_per_s".to_owned(), *value)]))
                .collect(),
            skipped: None,
        };
        let mut report = Report::new("2026-11-21T12:00:00Z".into(), false, Machine::default());
        report.cases.push(CaseReport {
            name: "consumer".into(),
            about: "drains a topic".into(),
            variants: vec![variant("consumer", false, ours), variant("driver", true, peer)],
            notes: vec!["nothing special".into()],
            wall_s: 60.0,
        });
        report
    }

    #[test]
    fn a_report_survives_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report-1.json");
        let before = report(&[1.0, 2.5], &[3.0]);
        before.store(&path).unwrap();
        assert_eq!(Report::load(&path).unwrap(), before);
        fs::write(folder.path().join("other.json"), "{}").unwrap();
        assert_eq!(list(folder.path()).unwrap(), [path]);
    }

    #[test]
    fn a_report_of_another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report-1.json");
        let mut other = report(&[1.0], &[1.0]);
        other.format = FORMAT + 1;
        other.store(&path).unwrap();
        let error = Report::load(&path).unwrap_err().to_string();
        assert!(error.contains("has format"), "{error}");
        assert!(Report::load(&folder.path().join("none.json")).is_err());
    }

    #[test]
    fn a_measurement_is_found_by_its_names() {
        let report = report(&[1.0, 2.0], &[3.0]);
        assert_eq!(report.samples("consumer", "consumer", "rows_per_s"), [1.0, 2.0]);
        assert!(report.samples("consumer", "consumer", "wall_s").is_empty());
        assert!(report.summary("consumer", "nobody", "rows_per_s").is_none());
    }
}

//! Reads the producers' run reports and refuses those that nothing can be computed from.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use domain::simulation::RunReport;
use domain::simulation::report::Shard;

use crate::error::AuditError;

/// What the producers declared.
#[derive(Debug)]
pub(crate) struct Reports {
    /// The runs to audit, at least one, each id once.
    pub(crate) runs: Vec<RunReport>,
}

impl Reports {
    /// Reads all reports in a folder, or that of one run.
    pub(crate) fn read(dir: &Path, only: Option<&str>) -> Result<Self, AuditError> {
        let mut paths = paths(dir)?;
        if let Some(run) = only {
            paths.retain(|path| RunReport::run_of(&id_of(path)) == run);
            if paths.is_empty() {
                let known: Vec<String> = run_ids(dir)?.into_iter().collect();
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                let (run, dir) = (run.to_owned(), dir.to_owned());
                return Err(AuditError::NoSuchRun { run, dir, known });
            }
        }
        if paths.is_empty() {
            return Err(AuditError::NoReports { dir: dir.to_owned() });
        }
        let runs = paths.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
        Ok(Self { runs })
    }
}

/// Returns the ids of all runs that have a report.
pub(crate) fn run_ids(dir: &Path) -> Result<BTreeSet<String>, AuditError> {
    let run_of = |path: &PathBuf| RunReport::run_of(&id_of(path)).to_owned();
    Ok(paths(dir)?.iter().map(run_of).collect())
}

/// A report's file carries its id, which also keeps ids unique.
fn id_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn paths(dir: &Path) -> Result<Vec<PathBuf>, AuditError> {
    let unreadable = |source| AuditError::Unreadable { path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        // A hidden file is a report that a producer is just about to put in place.
        let is_hidden = id_of(&path).starts_with('.');
        if !is_hidden && path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<RunReport, AuditError> {
    let text = fs::read(path)
        .map_err(|source| AuditError::Unreadable { path: path.to_owned(), source })?;
    let not_a_report = |why| AuditError::NotAReport { path: path.to_owned(), why };
    let report = serde_json::from_slice(&text).map_err(|error| not_a_report(error.to_string()))?;
    check(&report, &id_of(path)).map_err(not_a_report)?;
    Ok(report)
}

/// Refuses what the simulation cannot compute with.
fn check(report: &RunReport, id: &str) -> Result<(), String> {
    let manifest = &report.manifest;
    if report.id() != id {
        return Err(format!("it is of run `{}`, which its file name does not say", report.id()));
    }
    let Shard { number, of } = report.shard;
    if number >= of {
        return Err(format!("it is of part {number} of {of}, and there is no such part"));
    }
    if manifest.fleet.sensors == 0 || manifest.fleet.kinds.is_empty() {
        return Err("its fleet has no sensors".into());
    }
    let rate = manifest.schedule.load.per_second();
    if !rate.is_finite() || rate <= 0.0 {
        return Err(format!("its rate is {rate} readings a second"));
    }
    let mut end = 0;
    for gap in &report.unacknowledged {
        if gap.from < end || gap.to <= gap.from || gap.to > report.scheduled {
            return Err(format!(
                "its unacknowledged readings {}..{} are out of order",
                gap.from, gap.to
            ));
        }
        end = gap.to;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::simulation::report::IndexRange;
    use domain::simulation::{Load, Rate};

    use super::*;
    use crate::compare::testing::report;

    fn write(dir: &Path, name: &str, report: &RunReport) {
        fs::write(dir.join(name), serde_json::to_vec(report).unwrap()).unwrap();
    }

    #[test]
    fn every_report_is_read_and_other_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "b.json", &report("b", 10));
        write(dir.path(), "a.json", &report("a", 10));
        fs::write(dir.path().join("c.json.tmp"), "half a rep").unwrap();
        fs::write(dir.path().join(".b.json"), "half a rep").unwrap();
        let ids = |only| {
            let reports = Reports::read(dir.path(), only).unwrap();
            reports.runs.into_iter().map(|report| report.manifest.run).collect::<Vec<_>>()
        };
        assert_eq!(ids(None), ["a", "b"]);
        assert_eq!(ids(Some("b")), ["b"]);
        let missing = Reports::read(dir.path(), Some("c")).unwrap_err().to_string();
        assert!(missing.contains("`c`") && missing.contains("a, b"), "{missing}");
    }

    #[test]
    fn a_folder_without_reports_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for dir in [dir.path(), &dir.path().join("none")] {
            let error = Reports::read(dir, None).unwrap_err().to_string();
            assert!(error.contains(&*dir.to_string_lossy()), "{error}");
            assert!(error.contains("AUDIT_REPORT_DIR"), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_report_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.json"), "{\"manifest\": ").unwrap();
        let error = Reports::read(dir.path(), None).unwrap_err().to_string();
        assert!(error.contains("a.json is not a run report"), "{error}");
    }

    #[test]
    fn a_report_that_cannot_be_computed_with_is_refused() {
        assert_eq!(check(&report("a", 10), "a"), Ok(()));
        let gaps = |gaps: &[(u64, u64)]| {
            gaps.iter().map(|&(from, to)| IndexRange { from, to }).collect::<Vec<_>>()
        };
        let no_rate: Rate = serde_json::from_str(r#"{"readings":5,"per_ns":0}"#).unwrap();
        let alterations: [&dyn Fn(&mut RunReport); 7] = [
            &|report| report.manifest.run = "b".into(),
            &|report| report.manifest.fleet.sensors = 0,
            &|report| report.manifest.fleet.kinds.clear(),
            &|report| report.manifest.schedule.load = Load::Constant(no_rate),
            &|report| report.shard = Shard { number: 0, of: 0 },
            &|report| report.unacknowledged = gaps(&[(3, 5), (4, 6)]),
            &|report| report.unacknowledged = gaps(&[(9, 11)]),
        ];
        for (number, alter) in alterations.iter().enumerate() {
            let mut report = report("a", 10);
            alter(&mut report);
            assert!(check(&report, "a").is_err(), "alteration {number} passes");
        }
    }
}

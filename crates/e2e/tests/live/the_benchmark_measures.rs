//! A short run of the benchmark ends with a report of what it measured, and a report does not
//! differ from itself.

use std::path::Path;
use std::process::{Command, Output};

use e2e::{program, turn};
use serde_json::Value;
use tempfile::TempDir;

/// Everything temporary of the benchmark lies in the folder.
fn bench(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("bench").unwrap());
    command.env("TMPDIR", folder).args(arguments).output().unwrap()
}

#[test]
fn a_short_run_reports_time_and_memory_of_each_variant() {
    let _turn = turn();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("report.json");
    let report = path.to_str().unwrap();
    let ran = bench(folder.path(), &["run", "--quick", "--report", report, "memory"]);
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{printed}\n{complaint}");
    let left: Vec<_> =
        folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, std::slice::from_ref(&path), "the run leaves nothing but its report");

    let stored: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let variants = stored["cases"][0]["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 2, "{stored:#}");
    for variant in variants {
        let sample = &variant["samples"][0];
        // A process with less of either was not measured.
        assert!(sample["rss_peak_mib"].as_f64().unwrap() > 5.0, "{stored:#}");
        assert!(sample["cpu_s_per_million"].as_f64().unwrap() > 0.1, "{stored:#}");
    }
    let compared = bench(folder.path(), &["compare", report, report]);
    let printed = String::from_utf8_lossy(&compared.stdout).into_owned();
    assert!(compared.status.success() && printed.contains("0 better, 0 worse"), "{printed}");
}

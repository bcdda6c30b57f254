//! The program as its user meets it, as far as that needs no server.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output};

fn audit(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_audit"))
        .args(arguments)
        .env_clear()
        .env("AUDIT_REPORT_DIR", dir)
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn all_bad_settings_are_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--format", "xml", "--settle", "perhaps", "--settle-timeout-sec", "0"];
    let output = audit(dir.path(), &flags);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(64), "{errors}");
    for expected in [
        "AUDIT_FORMAT=`xml`: allowed is text or json",
        "AUDIT_SETTLE=`perhaps`: allowed is true or false",
        "AUDIT_SETTLE_TIMEOUT_SEC=`0`: allowed is 1 to 86400",
    ] {
        assert!(errors.contains(expected), "{expected} is not in: {errors}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn without_a_report_there_is_no_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let output = audit(dir.path(), &[]);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains(&*dir.path().to_string_lossy()), "{errors}");
    assert!(errors.contains("AUDIT_REPORT_DIR"), "{errors}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_broken_report_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("20261121T013321-9f3a.json"), "{").unwrap();
    let output = audit(dir.path(), &[]);
    let errors = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("20261121T013321-9f3a.json is not a run report"), "{errors}");
}

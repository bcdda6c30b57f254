//! The binary from outside: what it prints and how it exits, without a broker.

use std::process::{Command, Output};

fn producer(environment: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_producer"))
        .env_clear()
        .envs(environment.iter().copied())
        .args(arguments)
        .output()
        .expect("the binary was built")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_bad_setting_is_named_with_what_is_allowed() {
    let output = producer(
        &[
            ("PRODUCER_TARGET_RATE", "abc"),
            ("IOT_NUM_SENSORS", "0"),
            ("KAFKA_NUM_PARTITIONS", "-1"),
        ],
        &[],
    );
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for line in [
        "PRODUCER_TARGET_RATE=`abc`: allowed is 0.001 to 10000000",
        "IOT_NUM_SENSORS=`0`: allowed is 1 to 10000000",
        "KAFKA_NUM_PARTITIONS=`-1`: allowed is 1 to 10000",
    ] {
        assert!(said.contains(line), "`{line}` is missing in:\n{said}");
    }
    assert!(output.stdout.is_empty());
}

#[test]
fn rate_and_interval_exclude_each_other_as_flags_too() {
    let output = producer(&[("IOT_DATA_INTERVAL_SEC", "1")], &["--target-rate", "100"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    for name in ["PRODUCER_TARGET_RATE=`100`", "IOT_DATA_INTERVAL_SEC=`1`"] {
        assert!(said.contains(name), "`{name}` is missing in:\n{said}");
    }
}

#[test]
fn help_names_every_setting_with_its_default() {
    let output = producer(&[], &["--help"]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    for part in [
        "--target-rate",
        "PRODUCER_TARGET_RATE, default 3500",
        "IOT_NUM_SENSORS, default 5000",
        "IOT_DATA_INTERVAL_SEC, default not set",
        "PRODUCER_REPORT_DIR, default runs",
        "KAFKA_BOOTSTRAP_SERVERS",
    ] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
}

#[test]
fn a_report_folder_that_cannot_be_written_is_named_before_anything_is_sent() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let output = producer(&[("PRODUCER_REPORT_DIR", path)], &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("PRODUCER_REPORT_DIR") && said.contains(path), "{said}");
}

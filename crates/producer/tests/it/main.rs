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

/// Returns the printed readings of a run with a given start.
fn printed(arguments: &[&str]) -> Vec<String> {
    let run = [("PRODUCER_RUN", "preview"), ("PRODUCER_START", "2026-11-21T00:00:00Z")];
    let output = producer(&run, arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn readings_are_printed_as_they_would_be_sent() {
    let lines = printed(&["--print", "10"]);
    assert_eq!(lines.len(), 10);
    for line in &lines {
        let reading = domain::Reading::decode(line.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((&*reading.run, reading.seq), ("preview", 0));
    }
    assert_eq!(printed(&["--print", "10"]), lines, "the same seed prints the same");
    assert_ne!(printed(&["--print", "10", "--seed", "7"]), lines);
    assert_eq!(printed(&["--print", "10", "--readings", "3"]), lines[..3]);
}

#[test]
fn parts_print_what_the_whole_prints() {
    let whole = printed(&["--print", "1000", "--num-sensors", "500"]);
    let mut parts: Vec<String> = (0..4)
        .flat_map(|part| {
            let shard = format!("{part}/4");
            printed(&["--print", "250", "--num-sensors", "500", "--shard", &shard])
        })
        .collect();
    assert_eq!(parts.len(), 1_000);
    let mut expected = whole;
    parts.sort();
    expected.sort();
    assert_eq!(parts, expected);
}

#[test]
fn a_run_is_described_without_kafka() {
    let output = producer(
        &[("PRODUCER_START", "2026-11-21T00:00:00Z")],
        &["--describe", "--profile", "sine:50:3600", "--late-probability", "0.01"],
    );
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for part in [
        "5000 sensors: temperature, humidity, pressure, motion, light",
        "sites         200, 200 here",
        "1750.000 to 5250.000 readings/s",
        "from 2026-11-21T00:00:00.000Z, endless",
        "late 1 % (up to 30 s)",
        "12, with",
    ] {
        assert!(said.contains(part), "`{part}` is missing in:\n{said}");
    }
}

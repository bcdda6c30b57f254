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

#[test]
fn names_of_other_pipelines_are_taken_and_mistyped_ones_told() {
    let names = [
        ("IOT_NUM_DEVICES", "50"),
        ("IOT_DEVICE_TYPES", "light,motion"),
        ("KAFKA_PARTITIONS", "6"),
        ("IOT_NUM_SENSOR", "7"),
        ("PRODUCER_SPEED", "7"),
        ("KAFKA_HOME", "/opt/kafka"),
    ];
    let output = producer(&names, &["--interval", "5", "--describe"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let fleet = text(&output.stdout);
    assert!(fleet.contains("50 sensors") && fleet.contains("light"), "{fleet}");
    for (line, level) in [
        ("IOT_NUM_DEVICES is taken for IOT_NUM_SENSORS", "INFO"),
        ("IOT_DEVICE_TYPES is taken for IOT_SENSOR_KINDS", "INFO"),
        ("KAFKA_PARTITIONS is taken for KAFKA_NUM_PARTITIONS", "INFO"),
        ("IOT_NUM_SENSOR is no setting: the nearest is IOT_NUM_SENSORS", "WARN"),
        ("PRODUCER_SPEED is no setting: the nearest is PRODUCER_SEED", "WARN"),
    ] {
        let found: Vec<&str> = said.lines().filter(|said| said.contains(line)).collect();
        assert_eq!(found.len(), 1, "{line}:\n{said}");
        assert!(found[0].contains(level), "{found:?}");
    }
    assert!(!said.contains("KAFKA_HOME"), "{said}");
    assert!(
        said.contains("IOT_NUM_SENSORS=50") && said.contains("IOT_DATA_INTERVAL_SEC=5"),
        "{said}"
    );
}

#[test]
fn a_settings_own_name_wins_over_another_and_a_bad_value_is_told_as_given() {
    let both = [("IOT_NUM_DEVICES", "50"), ("IOT_NUM_SENSORS", "75")];
    let output = producer(&both, &["--describe"]);
    let said = text(&output.stderr);
    assert!(text(&output.stdout).contains("75 sensors"), "{said}");
    assert!(said.contains("IOT_NUM_DEVICES is ignored: IOT_NUM_SENSORS is given"), "{said}");
    let output = producer(&both[..1], &["--num-sensors", "100", "--describe"]);
    assert!(text(&output.stdout).contains("100 sensors"));
    let output = producer(&[("IOT_NUM_DEVICES", "many")], &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("  IOT_NUM_DEVICES=`many`: allowed is 1 to"), "{said}");
}

#[test]
fn production_logs_json_to_a_file_a_day_and_keeps_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    for day in 1..=9 {
        let old = folder.path().join(format!("sensorium-producer.2026-01-0{day}.log"));
        std::fs::write(old, "{}\n").unwrap();
    }
    std::fs::write(folder.path().join("producer-notes.log"), "mine").unwrap();
    let path = folder.path().to_str().unwrap();
    let environment = [("ENVIRONMENT", "production"), ("LOG_DIR", path), ("LOG_DAYS_MAX", "3")];
    let output = producer(&environment, &["--describe"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let files = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names.len(), 4, "three days and what is not ours: {names:?}");
    assert_eq!(names[0], "producer-notes.log");
    let log = std::fs::read_to_string(folder.path().join(&names[3])).unwrap();
    let lines = |text: &str| -> Vec<serde_json::Value> {
        let mut lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            assert!(line["timestamp"].take().is_string(), "{line}");
        }
        lines
    };
    assert_eq!(lines(&log), lines(&said), "the file has what standard error has");
    assert_eq!(lines(&log)[0]["message"], "starting");

    // A folder that is not there yet is made without a word that is no JSON.
    let new = folder.path().join("new");
    let environment = [("ENVIRONMENT", "production"), ("LOG_DIR", new.to_str().unwrap())];
    let output = producer(&environment, &["--describe"]);
    assert_eq!(lines(&text(&output.stderr))[0]["message"], "starting");
    assert_eq!(std::fs::read_dir(&new).unwrap().count(), 1);
}

#[test]
fn a_log_folder_that_cannot_be_written_is_a_bad_setting() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let output = producer(&[("LOG_DIR", path)], &["--describe"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains(&format!("LOG_DIR=`{path}`: allowed is a folder")), "{said}");
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

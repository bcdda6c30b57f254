//! `cargo xtask up` takes the settings of all its programs from flags and environment, keeps its
//! data wherever it is told to, and can be found there.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{program, turn};
use localstack::registry;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use up::Program;

/// A name of everything that some format between here and the servers' files gives a meaning to.
const FOLDER: &str = "ünï 😀, a=b:c #!%20\\\"'${x}+*?&;~ ";

fn up(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("up").unwrap());
    command.arg("--data").arg(folder).args(arguments);
    command
}

#[test]
fn settings_are_honoured_and_the_data_are_where_they_were_asked_for() {
    let _turn = turn();
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join(FOLDER);
    let mut command = up(&folder, &["--readings", "500", "--num-partitions", "3"]);
    command.args(["--anomaly-probability", "0.5", "--topic-name", "given-by-flag"]);
    let output = command
        .env("IOT_NUM_SENSORS", "50")
        .env("IOT_DATA_INTERVAL_SEC", "0.5")
        .env("PRODUCER_SEED", "7")
        .env("KAFKA_TOPIC_NAME", "given-by-environment")
        .env("CASSANDRA_KEYSPACE", "elsewhere")
        .output()
        .unwrap();
    let (text, log) = (String::from_utf8_lossy(&output.stdout), &output.stderr);
    let log = String::from_utf8_lossy(log);
    let expected = "audit: scheduled 500 acknowledged 500 stored 500 missing 0 phantom 0 corrupt 0";
    assert_eq!(text.lines().last(), Some(expected), "{text}\n{log}");
    assert!(output.status.success(), "{log}");
    assert!(!log.contains('\x1b'), "colours in a pipe: {log:?}");

    let kafka = folder.join("kafka-1/data");
    let partitions = fs::read_dir(kafka).unwrap().map(|entry| entry.unwrap().file_name());
    let partitions = partitions.filter_map(|name| name.into_string().ok());
    let partitions = partitions.filter(|name| name.starts_with("given-by-flag-")).count();
    assert_eq!(partitions, 3, "the topic's partitions are in the folder");
    assert!(folder.join("cassandra-1/data/elsewhere").is_dir(), "so is the keyspace");
    let runs: Vec<_> = fs::read_dir(folder.join("runs")).unwrap().map(Result::unwrap).collect();
    assert_eq!(runs.len(), 1);
    let report = fs::read_to_string(runs[0].path()).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    for (pointer, expected) in [("/seed", 7), ("/fleet/sensors", 50)] {
        let manifest = report.get("manifest").unwrap_or(&report);
        assert_eq!(manifest.pointer(pointer), Some(&expected.into()), "{pointer} in {report}");
    }
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1, "nothing lies beside it");
}

#[test]
fn a_folder_has_one_pipeline_which_can_be_found() {
    let _turn = turn();
    let parent = TempDir::new().unwrap();
    let registry = parent.path().join("registry");
    let folder = parent.path().join("data");
    let mut command = up(&folder, &["--analytics", "0", "--topic-name", "mine"]);
    command.arg("--registry").arg(&registry);
    let mut first = Program::spawn("up", command, &parent.path().join("up.log")).unwrap();
    let timeout = Duration::from_mins(1);
    first.wait_for("rows", timeout, |line| line.message().contains("rows are being")).unwrap();

    let begin = Instant::now();
    let second = up(&folder, &["--rate", "5"]).arg("--registry").arg(&registry).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains(&format!("in use by process {}", first.pid())), "{said}");
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());

    let [running] = &registry::running(&registry).unwrap()[..] else { panic!("one runs") };
    assert_eq!((running.pid, &running.data_dir), (first.pid(), &folder.canonicalize().unwrap()));
    assert_eq!(running.environment["KAFKA_TOPIC_NAME"], "mine");
    first.signal(Signal::SIGTERM).unwrap();
    assert!(first.wait(Duration::from_mins(1)).unwrap().success(), "{}", first.last_lines());
    assert_eq!(registry::running(&registry).unwrap(), []);
}

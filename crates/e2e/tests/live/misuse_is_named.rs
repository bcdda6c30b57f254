//! Wrong input ends a program at once, and the message says what to do.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Trial, program, shared_stack, turn};
use tempfile::TempDir;

/// Runs a program with settings and returns its exit code and what it said.
fn run(binary: &str, settings: &[(&str, &str)]) -> (Option<i32>, String) {
    let output =
        Command::new(program(binary).unwrap()).envs(settings.iter().copied()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn bad_settings_are_named_all_at_once() {
    let bad =
        [("PRODUCER_TARGET_RATE", "abc"), ("IOT_NUM_SENSORS", "0"), ("KAFKA_NUM_PARTITIONS", "-1")];
    let (code, text) = run("producer", &bad);
    assert_eq!(code, Some(64), "{text}");
    for (name, value) in bad {
        assert!(text.contains(&format!("{name}=`{value}`: allowed is ")), "{text}");
    }
    let (code, text) = run("consumer", &[("CASSANDRA_CONSISTENCY", "MOST"), ("LOG_LEVEL", "?=")]);
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("CASSANDRA_CONSISTENCY=`MOST`") && text.contains("LOG_LEVEL"), "{text}");
}

/// Runs `up`, which must refuse at once: nothing is started, and nothing left.
fn refused_by_up(settings: &[(&str, &str)], arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let begin = Instant::now();
    let mut up = Command::new(program("up").unwrap());
    up.env("TMPDIR", folder.path()).envs(settings.iter().copied()).args(arguments);
    let output = up.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(64), "{arguments:?}: {text}");
    assert!(!text.contains("starting kafka"), "{arguments:?}: {text}");
    assert!(begin.elapsed() < Duration::from_secs(10), "{arguments:?}: {:?}", begin.elapsed());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?}");
    text
}

#[test]
fn up_names_every_bad_setting_as_it_was_given_before_anything_starts() {
    let settings = [
        ("IOT_ANOMALY_PROBABILITY", "2"),
        ("ANALYTICS_WINDOW_SEC", "7"),
        ("CONSUMER_BATCH_ROWS_MAX", "0"),
        ("AUDIT_FORMAT", "xml"),
        ("CASSANDRA_KEYSPACE", "a-b"),
        ("KAFKA_NUM_PARTITIONS", "-1"),
        ("KAFKA_BOOTSTRAP_SERVERS", "elsewhere:9092"),
        ("HEALTH_ADDRESS", "127.0.0.1:8080"),
    ];
    let flags = [
        ("--rate", "1e3"),
        ("--sensors", "0"),
        ("--for", "0"),
        ("--consumers", "13"),
        ("--nodes", "2"),
        ("--data", "~/x"),
        ("--topic-name", "a b"),
        ("--late-probability", "x"),
        ("--replication-factor", "4"),
    ];
    let arguments: Vec<&str> = flags.iter().flat_map(|(flag, value)| [*flag, *value]).collect();
    let text = refused_by_up(&settings, &arguments);
    for (name, value) in settings.into_iter().chain(flags) {
        let line = format!("  {name}=`{value}`: ");
        assert_eq!(
            text.lines().filter(|said| said.starts_with(&line)).count(),
            1,
            "{line}\n{text}"
        );
    }
    assert!(!text.contains("IOT_NUM_SENSORS"), "{text}");
}

#[test]
fn up_refuses_what_contradicts_itself_or_does_not_exist() {
    let text = refused_by_up(&[("IOT_NUM_DEVICES", "0"), ("KAFKA_PARTITIONS", "many")], &[]);
    assert!(text.contains("  IOT_NUM_DEVICES=`0`: allowed is 1 to"), "{text}");
    assert!(text.contains("  KAFKA_PARTITIONS=`many`: allowed is 1 to"), "{text}");
    let interval = [("IOT_DATA_INTERVAL_SEC", "5")];
    let text = refused_by_up(&interval, &["--rate", "100"]);
    assert!(text.contains("--rate=`100`") && text.contains("IOT_DATA_INTERVAL_SEC=`5`"), "{text}");
    for (arguments, said) in [
        (&["--rate", "0"][..], "--rate=`0`: allowed is 0.001 to"),
        (&["--readings", "-1"], "--readings=`-1`"),
        (&["--seed", "x"], "--seed=`x`"),
        (&["--num-sensors", "0"], "--num-sensors=`0`"),
        (
            &["--rate", "5", "--target-rate", "6"],
            "--target-rate=`6`: allowed is one of --rate and --target-rate",
        ),
        (&["--num-devices", "0"], "--num-devices=`0`: allowed is 1 to"),
        (&["--interval", "0"], "--interval=`0`: allowed is 0.001 to"),
        (&["--no-such-setting", "6"], "--no-such-setting"),
        (&["--data", "/proc/x"], "--data=`/proc/x`"),
        (&["--data", "/etc/passwd"], "is not a folder"),
    ] {
        let text = refused_by_up(&[], arguments);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[test]
fn a_topic_with_another_number_of_partitions_is_refused() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("KAFKA_NUM_PARTITIONS", 6).set("PRODUCER_READINGS", 1);
    trial.produce(Duration::from_secs(30)).unwrap();

    trial.set("KAFKA_NUM_PARTITIONS", 12);
    let mut producer = trial.start("producer", "producer-2").unwrap();
    let complaint = producer
        .wait_for("an error", Duration::from_secs(30), |line| line.level() == "ERROR")
        .unwrap();
    let text = complaint.message();
    assert!(text.contains("has 6 partitions, KAFKA_NUM_PARTITIONS asks for 12"), "{text}");
    assert_eq!(producer.wait(Duration::from_secs(10)).unwrap().code(), Some(1));
}

#[test]
fn tables_that_do_not_fit_are_refused_before_the_first_record() {
    let _turn = turn();
    let trial = Trial::new(shared_stack().unwrap()).unwrap();
    let database = trial.database().unwrap();
    database.execute("ALTER TABLE readings DROP status").unwrap();
    database.execute("ALTER TABLE events DROP detail").unwrap();
    database.execute("ALTER TABLE sensors WITH default_time_to_live = 60").unwrap();
    database.execute("DROP TABLE latest").unwrap();
    let key = "(site_id text, sensor_id text, ts timestamp, value double, unit text, status text, \
        run text, seq int, PRIMARY KEY (sensor_id))";
    database.execute(&format!("CREATE TABLE latest {key}")).unwrap();
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let complaint = consumer
        .wait_for("an error", Duration::from_secs(30), |line| line.level() == "ERROR")
        .unwrap();
    let text = complaint.message();
    for problem in [
        "readings.status is missing",
        "events.detail is missing",
        "sensors has default_time_to_live = 60, 0 is needed",
        "latest.seq is int, not bigint",
        "the partition_key columns of latest are (sensor_id), not (site_id)",
        "compare it with infra/cassandra/init.cql",
    ] {
        assert!(text.contains(problem), "`{problem}` is not in: {text}");
    }
    assert_eq!(consumer.wait(Duration::from_secs(10)).unwrap().code(), Some(1));
}

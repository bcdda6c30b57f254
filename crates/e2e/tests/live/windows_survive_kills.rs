//! Windows and alerts are those of an undisturbed computation, whatever happens to the processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use e2e::{Database, Trial, shared_stack, topic, turn};
use rdkafka::message::Message;
use serde_json::Value;
use up::{LogLine, Program, schema};

const READINGS: u64 = 300_000;
const WAIT: Duration = Duration::from_mins(2);

/// A keyspace with a group of its own.
struct Side<'a> {
    trial: &'a Trial,
    settings: [(&'static str, String); 5],
    database: Database,
}

impl<'a> Side<'a> {
    fn new(trial: &'a Trial, name: &str) -> Self {
        let keyspace = format!("{}_{name}", trial.keyspace());
        let contact_points = trial.setting("CASSANDRA_CONTACT_POINTS");
        schema::create(contact_points, &keyspace, 1).unwrap();
        let topic = |base: &str| format!("{}-{name}", trial.setting(base));
        Self {
            trial,
            settings: [
                ("CASSANDRA_KEYSPACE", keyspace.clone()),
                ("ANALYTICS_GROUP_ID", topic("ANALYTICS_GROUP_ID")),
                ("KAFKA_AGGREGATES_TOPIC_NAME", topic("KAFKA_AGGREGATES_TOPIC_NAME")),
                ("KAFKA_ALERTS_TOPIC_NAME", topic("KAFKA_ALERTS_TOPIC_NAME")),
                ("KAFKA_LATE_TOPIC_NAME", topic("KAFKA_LATE_TOPIC_NAME")),
            ],
            database: Database::connect(contact_points, &keyspace).unwrap(),
        }
    }

    fn setting(&self, name: &str) -> &str {
        self.settings.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    fn start(&self, name: &str) -> Program {
        self.trial.start_with("analytics", name, &self.settings).unwrap()
    }

    /// Waits until these processes have taken in the whole topic, and all windows are written.
    fn await_all(&self, programs: &mut [Program], records: u64) -> u64 {
        let deadline = Instant::now() + WAIT;
        let mut newest = vec![BTreeMap::<&str, u64>::new(); programs.len()];
        loop {
            for (program, newest) in programs.iter_mut().zip(&mut newest) {
                let Some(line) = program.next_line(Duration::from_millis(50)) else { continue };
                if line.message() == "progress" {
                    for name in ["taken_total", "windowed_total", "late_total"] {
                        newest.insert(name, whole(line.number(name).unwrap()));
                    }
                }
            }
            let sum = |name: &str| -> u64 { newest.iter().filter_map(|n| n.get(name)).sum() };
            if sum("taken_total") == records
                && self.readings_in("aggregates_1h") == sum("windowed_total")
            {
                assert_eq!(self.readings_in("aggregates_1m"), sum("windowed_total"));
                return sum("late_total");
            }
            assert!(
                Instant::now() < deadline,
                "of {records} records, {newest:?} were taken in; {} are in minutes, {} in hours{}",
                self.readings_in("aggregates_1m"),
                self.readings_in("aggregates_1h"),
                programs[0].last_lines(),
            );
        }
    }

    /// Counts the readings in the windows of sensors.
    fn readings_in(&self, table: &str) -> u64 {
        let rows = self.database.texts(&format!("SELECT JSON sensor_id, count FROM {table}"));
        let rows = rows.unwrap();
        let rows = rows.iter().map(|row| serde_json::from_str::<Value>(row).unwrap());
        let sensors = rows.filter(|row| row["sensor_id"] != "");
        sensors.map(|row| row["count"].as_u64().unwrap()).sum()
    }

    /// Returns all rows of all tables, write timestamps included.
    fn tables(&self) -> [BTreeSet<String>; 4] {
        let aggregates = |bucket| {
            format!(
                "site_id, {bucket}, kind, sensor_id, window_start, count, min, max, mean, stddev, \
                 first, first_ts, last, last_ts, not_ok, not_ok_share, active_s, transitions, \
                 revision, WRITETIME(count)"
            )
        };
        [
            ("aggregates_1m", aggregates("hour")),
            ("aggregates_1h", aggregates("day")),
            (
                "alerts",
                "site_id, started_at, alert_id, sensor_id, kind, rule, severity, state, \
                 opened_at, cleared_at, value, threshold, provisional, WRITETIME(state)"
                    .into(),
            ),
            (
                "detectors",
                "kafka_partition, site_id, kind, sensor_id, window_start, state, WRITETIME(state)"
                    .into(),
            ),
        ]
        .map(|(table, columns)| {
            let query = format!("SELECT JSON {columns} FROM {table}");
            self.database.texts(&query).unwrap().into_iter().collect()
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole(number: f64) -> u64 {
    number as u64
}

/// A day of a small fleet would take too long: a quarter of an hour passes in fifteen seconds.
fn produce(trial: &mut Trial) {
    let start = jiff::Timestamp::now().as_second() - 3 * 60 * 60;
    let start = jiff::Timestamp::from_second(start).unwrap();
    trial
        .set("IOT_NUM_SENSORS", 500)
        .set("IOT_ANOMALY_PROBABILITY", 1)
        .set("PRODUCER_TARGET_RATE", 400)
        .set("PRODUCER_READINGS", READINGS)
        .set("PRODUCER_START", start)
        .set("PRODUCER_CATCH_UP", "bounded:50")
        .set("IOT_LATE_PROBABILITY", "0.02")
        .set("IOT_OUT_OF_ORDER_PROBABILITY", "0.05")
        .set("IOT_DUPLICATE_PROBABILITY", "0.02")
        .set("KAFKA_SESSION_TIMEOUT_MS", 6_000)
        .set("ANALYTICS_OUT_OF_ORDER_SEC", 1)
        .set("ANALYTICS_ALLOWED_LATENESS_SEC", 10)
        .set("ANALYTICS_ROLLUP_SEC", 300)
        .set("ANALYTICS_IDLE_TIMEOUT_SEC", 2)
        .set("ANALYTICS_FLUSH_INTERVAL_MS", 50);
}

#[test]
fn kills_and_rebalances_leave_no_trace() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    produce(&mut trial);
    let disturbed = Side::new(&trial, "disturbed");
    let mut producer = trial.start("producer", "producer").unwrap();
    let has_work = |line: &LogLine| {
        line.message() == "progress" && line.number("readings_per_s").is_some_and(|n| n > 0.0)
    };

    // One, then three, of which two are killed, then two.
    let mut first = disturbed.start("first");
    first.wait_for("work of the first", WAIT, has_work).unwrap();
    let mut second = disturbed.start("second");
    let mut third = disturbed.start("third");
    second.wait_for("work of the second", WAIT, has_work).unwrap();
    first.kill().unwrap();
    third.wait_for("work of the third", WAIT, has_work).unwrap();
    let is_taken_over = |line: &LogLine| line.message() == "partitions assigned";
    third.wait_for("partitions of the first", WAIT, is_taken_over).unwrap();
    third.kill().unwrap();
    let fourth = disturbed.start("fourth");
    assert!(producer.wait(WAIT).unwrap().success(), "{}", producer.last_lines());

    let records = trial.read_topic(trial.topic()).unwrap().len() as u64;
    let mut survivors = [second, fourth];
    let late = disturbed.await_all(&mut survivors, records);
    assert!(late > 100, "only {late} readings were late");
    for program in &mut survivors {
        let status = program.stop(Duration::from_secs(10)).unwrap();
        assert!(status.success(), "{status}{}", program.last_lines());
    }

    let undisturbed = Side::new(&trial, "undisturbed");
    let mut only = [undisturbed.start("undisturbed")];
    undisturbed.await_all(&mut only, records);
    assert!(only[0].stop(Duration::from_secs(10)).unwrap().success());
    let names = ["aggregates_1m", "aggregates_1h", "alerts", "detectors"];
    let both = disturbed.tables().into_iter().zip(undisturbed.tables());
    for (name, (disturbed, undisturbed)) in names.into_iter().zip(both) {
        println!("{name}: {} rows", undisturbed.len());
        assert!(!undisturbed.is_empty(), "{name} is empty");
        let differences: Vec<_> = disturbed.symmetric_difference(&undisturbed).take(6).collect();
        assert!(differences.is_empty(), "{name}: {differences:#?}");
    }

    // Nothing was said twice, and no late reading is missing.
    let alerts = trial.read_topic(disturbed.setting("KAFKA_ALERTS_TOPIC_NAME")).unwrap();
    let mut said = BTreeSet::new();
    for alert in &alerts {
        let alert: Value = serde_json::from_slice(alert.payload().unwrap()).unwrap();
        let what = (alert["alert_id"].to_string(), alert["state"].to_string());
        assert!(said.insert(what), "{alert} was said twice");
    }
    let published = trial.read_topic(disturbed.setting("KAFKA_LATE_TOPIC_NAME")).unwrap();
    let origins: BTreeSet<_> = published
        .iter()
        .map(|late| {
            assert_eq!(topic::header(late, "late-reason").as_deref(), Some("late"));
            (topic::header(late, "late-partition"), topic::header(late, "late-offset"))
        })
        .collect();
    assert_eq!(origins.len() as u64, late);
}

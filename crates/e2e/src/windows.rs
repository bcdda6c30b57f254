//! The windows and alerts of one topic as two groups of analytics processes computed them, one of
//! them disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::message::Message;
use serde_json::Value;
use up::{LogLine, Program, schema};

use crate::{Database, Trial, topic};

/// The tables that are compared, each with its columns.
const TABLES: [(&str, &str); 4] = [
    ("aggregates_1m", AGGREGATES_1M),
    ("aggregates_1h", AGGREGATES_1H),
    (
        "alerts",
        "site_id, started_at, alert_id, sensor_id, kind, rule, severity, state, opened_at, \
         cleared_at, value, threshold, provisional, WRITETIME(state)",
    ),
    (
        "detectors",
        "kafka_partition, site_id, kind, sensor_id, window_start, state, WRITETIME(state)",
    ),
];
const AGGREGATES_1M: &str = "site_id, hour, kind, sensor_id, window_start, count, min, max, mean, \
    stddev, first, first_ts, last, last_ts, not_ok, not_ok_share, active_s, transitions, revision, \
    WRITETIME(count)";
const AGGREGATES_1H: &str = "site_id, day, kind, sensor_id, window_start, count, min, max, mean, \
    stddev, first, first_ts, last, last_ts, not_ok, not_ok_share, active_s, transitions, revision, \
    WRITETIME(count)";

/// Prepares a trial for a run of so many readings, with everything that windows have to bear with:
/// late, duplicate and out-of-order readings, and faulty sensors. `catch_up` says how much faster
/// than event time it passes.
pub fn prepare(trial: &mut Trial, readings: u64, catch_up: &str) -> Result<()> {
    let start = jiff::Timestamp::now().as_second() - 3 * 60 * 60;
    trial
        .set("IOT_NUM_SENSORS", 500)
        .set("IOT_ANOMALY_PROBABILITY", 1)
        .set("PRODUCER_TARGET_RATE", 400)
        .set("PRODUCER_READINGS", readings)
        .set("PRODUCER_START", jiff::Timestamp::from_second(start)?)
        .set("PRODUCER_CATCH_UP", catch_up)
        .set("IOT_LATE_PROBABILITY", "0.02")
        .set("IOT_OUT_OF_ORDER_PROBABILITY", "0.05")
        .set("IOT_DUPLICATE_PROBABILITY", "0.02")
        .set("KAFKA_SESSION_TIMEOUT_MS", 6_000)
        .set("ANALYTICS_OUT_OF_ORDER_SEC", 1)
        .set("ANALYTICS_ALLOWED_LATENESS_SEC", 10)
        .set("ANALYTICS_ROLLUP_SEC", 300)
        .set("ANALYTICS_IDLE_TIMEOUT_SEC", 2)
        .set("ANALYTICS_FLUSH_INTERVAL_MS", 50);
    Ok(())
}

/// Tells of a progress line whether readings were taken in.
pub fn has_work(line: &LogLine) -> bool {
    line.message() == "progress" && line.number("readings_per_s").is_some_and(|n| n > 0.0)
}

/// A group of analytics processes with a keyspace and topics of its own.
#[derive(Debug)]
pub struct Side {
    settings: [(&'static str, String); 5],
    bootstrap_servers: String,
    database: Database,
}

impl Side {
    /// Makes the keyspace.
    pub fn new(trial: &Trial, name: &str) -> Result<Self> {
        let keyspace = format!("{}_{name}", trial.keyspace());
        let contact_points = trial.setting("CASSANDRA_CONTACT_POINTS");
        schema::create(contact_points, &keyspace, 1)?;
        let topic = |base: &str| format!("{}-{name}", trial.setting(base));
        Ok(Self {
            settings: [
                ("CASSANDRA_KEYSPACE", keyspace.clone()),
                ("ANALYTICS_GROUP_ID", topic("ANALYTICS_GROUP_ID")),
                ("KAFKA_AGGREGATES_TOPIC_NAME", topic("KAFKA_AGGREGATES_TOPIC_NAME")),
                ("KAFKA_ALERTS_TOPIC_NAME", topic("KAFKA_ALERTS_TOPIC_NAME")),
                ("KAFKA_LATE_TOPIC_NAME", topic("KAFKA_LATE_TOPIC_NAME")),
            ],
            bootstrap_servers: trial.setting("KAFKA_BOOTSTRAP_SERVERS").into(),
            database: Database::connect(contact_points, &keyspace)?,
        })
    }

    /// Starts a process of the group.
    pub fn start(&self, trial: &Trial, name: &str) -> Result<Program> {
        trial.start_with("analytics", name, &self.settings)
    }

    /// Waits until these processes have taken in so many records and all windows are written;
    /// returns how many readings were late.
    pub fn await_all(
        &self,
        programs: &mut [Program],
        records: u64,
        timeout: Duration,
    ) -> Result<u64> {
        let deadline = Instant::now() + timeout;
        let mut newest = vec![BTreeMap::<&str, u64>::new(); programs.len()];
        loop {
            for (program, newest) in programs.iter_mut().zip(&mut newest) {
                let Some(line) = program.next_line(Duration::from_millis(50)) else { continue };
                if line.message() == "progress" {
                    for name in ["taken_total", "windowed_total", "late_total"] {
                        newest.insert(name, line.number(name).map_or(0, whole));
                    }
                }
            }
            let sum = |name: &str| -> u64 { newest.iter().filter_map(|n| n.get(name)).sum() };
            if sum("taken_total") == records
                && self.readings_in("aggregates_1h")? == sum("windowed_total")
            {
                ensure!(
                    self.readings_in("aggregates_1m")? == sum("windowed_total"),
                    "hours hold other readings than minutes"
                );
                return Ok(sum("late_total"));
            }
            ensure!(
                Instant::now() < deadline,
                "of {records} records, {newest:?} were taken in; {} are in minutes, {} in hours{}",
                self.readings_in("aggregates_1m")?,
                self.readings_in("aggregates_1h")?,
                programs.iter().map(Program::last_lines).collect::<String>(),
            );
        }
    }

    /// Counts the readings in the windows of sensors.
    fn readings_in(&self, table: &str) -> Result<u64> {
        let mut readings = 0;
        for row in self.database.texts(&format!("SELECT JSON sensor_id, count FROM {table}"))? {
            let row: Value = serde_json::from_str(&row)?;
            if row["sensor_id"] != "" {
                readings += row["count"].as_u64().unwrap_or_default();
            }
        }
        Ok(readings)
    }

    /// Compares all tables with those of the other side, write timestamps included; returns how
    /// many rows each has.
    pub fn compare(&self, other: &Self) -> Result<Vec<(&'static str, usize)>> {
        let mut sizes = Vec::new();
        for (table, columns) in TABLES {
            let query = format!("SELECT JSON {columns} FROM {table}");
            let [own, others] = [self, other].map(|side| side.database.texts(&query));
            let [own, others] =
                [own?, others?].map(|rows| rows.into_iter().collect::<BTreeSet<_>>());
            ensure!(!own.is_empty(), "{table} is empty");
            let differences: Vec<_> = own.symmetric_difference(&others).take(6).collect();
            ensure!(differences.is_empty(), "{table}: {differences:#?}");
            sizes.push((table, own.len()));
        }
        Ok(sizes)
    }

    /// Counts the alerts that were said again.
    pub fn alerts_repeated(&self) -> Result<usize> {
        let alerts = topic::read(&self.bootstrap_servers, self.topic("KAFKA_ALERTS_TOPIC_NAME"))?;
        let mut said = BTreeSet::new();
        for alert in &alerts {
            let alert: Value = serde_json::from_slice(alert.payload().unwrap_or_default())?;
            said.insert((alert["alert_id"].to_string(), alert["state"].to_string()));
        }
        Ok(alerts.len() - said.len())
    }

    /// Counts the readings in the topic of the late ones.
    pub fn late_published(&self) -> Result<usize> {
        let published = topic::read(&self.bootstrap_servers, self.topic("KAFKA_LATE_TOPIC_NAME"))?;
        let mut origins = BTreeSet::new();
        for late in &published {
            ensure!(topic::header(late, "late-reason").as_deref() == Some("late"), "{late:?}");
            let header = |name| topic::header(late, name);
            origins.insert((header("late-partition"), header("late-offset")));
        }
        Ok(origins.len())
    }

    fn topic(&self, name: &str) -> &str {
        self.settings.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole(number: f64) -> u64 {
    number as u64
}

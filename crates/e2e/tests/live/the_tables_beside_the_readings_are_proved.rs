//! I2 beside `readings`: the audit checks `latest`, `sensors`, `sites` and `events` as well, and
//! tells each fault in them by its row.

use std::time::Duration;

use domain::simulation::{RunReport, Simulation};
use domain::write_timestamp;
use e2e::{Database, Trial, shared_stack, turn};
use nix::sys::signal::Signal;
use serde_json::Value;
use up::LogLine;

const WAIT: Duration = Duration::from_mins(1);
const READINGS: u64 = 4_000;
const SENSORS: u64 = 100;

/// Returns the key of row number `number` of a table, as a condition of CQL.
fn key(database: &Database, table: &str, columns: &[&str], number: usize) -> String {
    let query = format!("SELECT JSON {} FROM {table} LIMIT 100", columns.join(", "));
    let rows = database.texts(&query).unwrap();
    let row: Value = serde_json::from_str(&rows[number]).unwrap();
    let condition = |column: &&str| match &row[*column] {
        Value::String(text) => format!("{column} = '{}'", text.replace('Z', "+0000")),
        other => format!("{column} = {other}"),
    };
    columns.iter().map(condition).collect::<Vec<_>>().join(" AND ")
}

/// Writes `latest` anew, as of the last reading of each sensor, but for sensor 0: that has the
/// reading before.
fn age_latest(database: &Database, report: &RunReport) {
    database.execute("TRUNCATE latest").unwrap();
    let simulation = Simulation::new(report.manifest.clone());
    let fleet = simulation.fleet();
    for sensor in 0..SENSORS {
        let seq = READINGS / SENSORS - if sensor == 0 { 2 } else { 1 };
        let reading = simulation.reading(seq * SENSORS + sensor);
        let (kind, status) = (fleet.kind_of(sensor), reading.measurement.status);
        let (run, seq) = (&report.manifest.run, reading.seq.cast_signed());
        let us = write_timestamp::latest_us(reading.ts_ms, kind, status, run, seq);
        let insert = format!(
            "INSERT INTO latest (site_id, sensor_id, ts, value, unit, status, run, seq) VALUES \
             ('{}', '{}', {}, {:?}, '{}', '{}', '{run}', {seq}) USING TIMESTAMP {us}",
            fleet.site_of(sensor).id,
            fleet.sensor_id(sensor),
            reading.ts_ms,
            reading.measurement.value.to_f64(),
            kind.unit(),
            status.name(),
        );
        database.execute(&insert).unwrap();
    }
}

/// Runs the audit, which must find something wrong and say all of it.
fn assert_noticed(trial: &Trial, said: &[&str]) {
    let verdict = trial.audit().unwrap();
    assert_eq!(verdict.code, 1, "{}", verdict.output);
    for text in said {
        assert!(verdict.output.contains(text), "no `{text}` in {}", verdict.output);
    }
}

#[test]
fn the_audit_notices_what_is_wrong_beside_the_readings() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 4_000).set("PRODUCER_READINGS", READINGS);
    trial.set("IOT_NUM_SENSORS", SENSORS);
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let report = trial.produce(WAIT).unwrap();
    trial.assert_proved().unwrap();
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());
    let clean = trial.audit().unwrap().output;
    for line in [
        format!("events: stored {} missing 0 phantom 0 corrupt 0", report.events),
        "latest: stored 100 missing 0 phantom 0 corrupt 0".into(),
        "sensors: stored 100 missing 0 phantom 0 corrupt 0".into(),
        "sites: stored 4 missing 0 phantom 0 corrupt 0".into(),
    ] {
        assert!(clean.lines().any(|found| found == line), "no `{line}` in {clean}");
    }

    let database = trial.database().unwrap();
    age_latest(&database, &report);
    let sensor = "site site-0000 sensor site-0000/temperature-01";
    let older = format!("latest corrupt: {sensor} run {} seq 38: expected ts", report.manifest.run);
    assert_noticed(&trial, &[&older, "or a newer reading", "latest: stored 99 missing 0"]);

    let columns = ["site_id", "day", "ts", "sensor_id", "run", "seq"];
    let event = key(&database, "events", &columns, 3);
    database.execute(&format!("DELETE FROM events WHERE {event}")).unwrap();
    assert_noticed(&trial, &["events missing: site site-00", "missing 1 phantom 0 corrupt 0"]);
    let made_up = key(&database, "events", &columns[..5], 3) + " AND seq = 63";
    database.execute(&format!("UPDATE events SET event = 'fault' WHERE {made_up}")).unwrap();
    assert_noticed(&trial, &["events phantom: site site-00", "missing 1 phantom 1 corrupt 0"]);

    let of_sensor = "site_id = 'site-0000' AND sensor_id = 'site-0000/temperature-01'";
    database.execute(&format!("UPDATE sensors SET kind = 'light' WHERE {of_sensor}")).unwrap();
    let wrong = format!("sensors corrupt: {sensor}: expected kind temperature");
    assert_noticed(&trial, &[&wrong, "sensors: stored 99 missing 0 phantom 0 corrupt 1"]);

    database.execute("DELETE FROM sites WHERE site_id = 'site-0002'").unwrap();
    let missing = "sites: stored 3 missing 1 phantom 0 corrupt 0";
    assert_noticed(&trial, &["sites missing: site site-0002: expected lat", missing]);

    let columns = ["site_id", "hour", "sensor_id", "ts", "run", "seq"];
    for (number, using, said) in [
        (0, "TTL 0", "expiry never"),
        (1, "TIMESTAMP 9000000000000000", "write timestamp 9000000000000000"),
    ] {
        let reading = key(&database, "readings", &columns, number);
        let select = format!("SELECT CAST(value AS text) FROM readings WHERE {reading}");
        let value = database.texts(&select).unwrap().remove(0);
        let update = format!("UPDATE readings USING {using} SET value = {value} WHERE {reading}");
        database.execute(&update).unwrap();
        let counts = format!("missing 0 phantom 0 corrupt {}", number + 1);
        assert_noticed(&trial, &[said, &counts]);
    }

    // A table that nobody fills is told apart from one that is not there.
    database.execute("TRUNCATE latest").unwrap();
    assert_noticed(&trial, &["latest is empty: drop it", "latest: stored 0 missing 100"]);
    database.execute("DROP TABLE latest").unwrap();
    assert_noticed(&trial, &["latest: not checked, there is no such table"]);
}

/// While a backlog drains and more readings come, `latest` may be behind the committed offsets for
/// a moment: that is no fault.
#[test]
fn a_run_under_way_is_proved_while_its_backlog_drains() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 5_000).set("IOT_NUM_SENSORS", 1_000);
    let mut producer = trial.start("producer", "producer").unwrap();
    let enough = |line: &LogLine| line.number("acknowledged") >= Some(60_000.0);
    producer.wait_for("a backlog", WAIT, enough).unwrap();
    // Few rows make a backlog, so that commits leave sensors out.
    trial.set("CONSUMER_ROWS_BUFFERED_MAX", 2_000);
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    for _ in 0..5 {
        let verdict = trial.audit().unwrap();
        assert_eq!(verdict.code, 0, "{}", verdict.output);
        assert!(verdict.output.contains("latest: stored 1000 missing 0"), "{}", verdict.output);
    }
    producer.signal(Signal::SIGTERM).unwrap();
    assert!(producer.wait(WAIT).unwrap().success());
    trial.assert_proved().unwrap();
    let report = trial.report().unwrap();
    let span = report.event_span.unwrap();
    assert_eq!(span.acknowledged_to_ms, span.sent_to_ms, "kafka has every event");
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());
}

//! I2: what Kafka acknowledged is stored as it was made; and the audit would say so if it were not.

use std::time::Duration;

use e2e::{Trial, shared_stack, turn};
use runtime::clock::now_ms;

const READINGS: u64 = 60_000;

#[test]
fn the_audit_finds_every_reading_and_every_fault() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 20_000).set("PRODUCER_READINGS", READINGS);
    let _consumer = trial.start("consumer", "consumer").unwrap();
    let report = trial.produce(Duration::from_mins(1)).unwrap();
    assert_eq!((report.scheduled, report.acknowledged, report.failed), (READINGS, READINGS, 0));
    trial.assert_proved().unwrap();

    // The other tables know every sensor and site of the default fleet.
    let database = trial.database().unwrap();
    assert_eq!(database.number("SELECT count(*) FROM latest").unwrap(), 5_000);
    assert_eq!(database.number("SELECT count(*) FROM sensors").unwrap(), 5_000);
    assert_eq!(database.number("SELECT count(*) FROM sites").unwrap(), 200);

    // One row of each fault: lost, altered, made up.
    let key = |limit: u32| {
        let query = format!(
            "SELECT JSON site_id, hour, sensor_id, ts, run, seq FROM readings LIMIT {limit}"
        );
        let rows = database.texts(&query).unwrap();
        let row: serde_json::Value = serde_json::from_str(rows.last().unwrap()).unwrap();
        let text = |name: &str| row[name].as_str().unwrap().replace('Z', "+0000");
        format!(
            "site_id = '{}' AND hour = '{}' AND sensor_id = '{}' AND ts = '{}' AND run = '{}' \
             AND seq = {}",
            text("site_id"),
            text("hour"),
            text("sensor_id"),
            text("ts"),
            text("run"),
            row["seq"]
        )
    };
    let (lost, altered, copied) = (key(1), key(2), key(3));
    let odd = [(key(4), "TIMESTAMP 9000000000000000"), (key(5), "TTL 0")];
    database.execute(&format!("DELETE FROM readings WHERE {lost}")).unwrap();
    let update = format!("UPDATE readings SET value = -1 WHERE {altered}");
    database.execute(&update).unwrap();
    let phantom = copied.split(" AND seq").next().unwrap().to_owned() + " AND seq = 999999999";
    let insert =
        format!("UPDATE readings SET value = 1, unit = 'lx', status = 'ok' WHERE {phantom}");
    database.execute(&insert).unwrap();

    // And two that hold the right values: one has another write timestamp, one never expires.
    for (key, using) in odd {
        let select = format!("SELECT CAST(value AS text) FROM readings WHERE {key}");
        let value = database.texts(&select).unwrap().remove(0);
        let update = format!("UPDATE readings USING {using} SET value = {value} WHERE {key}");
        database.execute(&update).unwrap();
    }

    let verdict = trial.audit().unwrap();
    assert_eq!(verdict.code, 1);
    assert!(verdict.last_line().ends_with("missing 1 phantom 1 corrupt 3"), "{}", verdict.output);
    for found in ["write timestamp 9000000000000000", "expiry never"] {
        assert!(verdict.output.contains(found), "no `{found}` in {}", verdict.output);
    }
}

/// Readings of one's own beside a simulation are no fault of it; and what their ids hold is shown,
/// not obeyed.
#[test]
fn readings_of_others_are_counted_apart_and_their_ids_do_no_harm() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_READINGS", 100).set("PRODUCER_TARGET_RATE", 1_000);
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    trial.produce(Duration::from_mins(1)).unwrap();
    trial.assert_proved().unwrap();
    let database = trial.database().unwrap();
    let hour_ms = now_ms() - now_ms() % 3_600_000;
    let evil = r"\u001b[2J\u001b]0;title\u0007\n2026 ERROR forged\u202eabc\u0085";
    database
        .execute(&format!(
            r#"INSERT INTO readings JSON '{{"site_id":"plant","hour":{hour_ms},"sensor_id":"{evil}",
            "ts":{hour_ms},"run":"{evil}","seq":1,"value":1.5,"unit":"lx","status":"ok"}}'"#
        ))
        .unwrap();
    let verdict = trial.audit().unwrap();
    assert_eq!(verdict.code, 0, "{}", verdict.output);
    assert!(verdict.last_line().ends_with("phantom 0 corrupt 0 foreign 1"), "{}", verdict.output);
    assert!(verdict.output.contains("foreign: sensor \\u{1b}[2J"), "{}", verdict.output);
    let is_harmless = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(verdict.output.chars().all(is_harmless), "{:?}", verdict.output);
    let strict = trial.run("audit", &["--strict"]).unwrap();
    assert_eq!(strict.code, 1, "{}", strict.output);
    assert!(strict.last_line().ends_with("phantom 1 corrupt 0"), "{}", strict.output);
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());
}

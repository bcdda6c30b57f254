//! A table that takes no row at all: no record is to blame, so none becomes a dead letter.

use std::time::Duration;

use e2e::{Database, Trial, shared_stack, topic, turn};
use up::LogLine;

const WAIT: Duration = Duration::from_mins(1);
/// A row that lives for twenty years would expire past 2038, which Cassandra cannot express in the
/// format that it writes by default.
const TWENTY_YEARS_S: u32 = 20 * 365 * 86_400;

fn set_time_to_live(database: &Database, table: &str, time_to_live_s: u32) {
    let alter = format!("ALTER TABLE {table} WITH default_time_to_live = {time_to_live_s}");
    database.execute(&alter).unwrap();
}

fn is_refusal(text: &str, table: &str) -> bool {
    text.contains("cassandra refuses every write to")
        && text.contains(table)
        && text.contains("expiration date")
}

#[test]
fn tables_that_take_no_row_are_refused_before_the_first_record() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 100);
    trial.produce(WAIT).unwrap();
    let database = trial.database().unwrap();
    for (table, time_to_live_s) in [("readings", 86_400), ("events", 2_592_000), ("latest", 0)] {
        set_time_to_live(&database, table, TWENTY_YEARS_S);
        let mut consumer = trial.start("consumer", &format!("consumer-{table}")).unwrap();
        let status = consumer.wait(WAIT).unwrap();
        assert_eq!(status.code(), Some(1), "{table}{}", consumer.last_lines());
        assert!(is_refusal(&consumer.last_lines(), table), "{table}{}", consumer.last_lines());
        set_time_to_live(&database, table, time_to_live_s);
    }
    for table in ["readings", "events", "latest", "sensors", "sites"] {
        let rows = database.number(&format!("SELECT count(*) FROM {table}")).unwrap();
        assert_eq!(rows, 0, "trial writes are seen in {table}");
    }
    let _consumer = trial.start("consumer", "consumer").unwrap();
    trial.assert_proved().unwrap();
    assert_eq!(topic::count(&stack.bootstrap_servers(), trial.dead_letter_topic()).unwrap(), 0);
}

#[test]
fn a_table_that_takes_no_more_rows_ends_the_consumer_and_loses_nothing() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 2_000);
    let mut producer = trial.start("producer", "producer").unwrap();
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let has_rows = |line: &LogLine| line.number("rows_total").is_some_and(|rows| rows > 2_000.0);
    consumer.wait_for("rows at first", WAIT, has_rows).unwrap();
    let database = trial.database().unwrap();
    set_time_to_live(&database, "readings", TWENTY_YEARS_S);
    let status = consumer.wait(WAIT).unwrap();
    assert_eq!(status.code(), Some(1), "{}", consumer.last_lines());
    assert!(is_refusal(&consumer.last_lines(), "readings"), "{}", consumer.last_lines());

    set_time_to_live(&database, "readings", 86_400);
    let _consumer = trial.start("consumer", "consumer-again").unwrap();
    assert!(producer.stop(Duration::from_secs(15)).unwrap().success());
    trial.assert_proved().unwrap();
    assert_eq!(topic::count(&stack.bootstrap_servers(), trial.dead_letter_topic()).unwrap(), 0);
}

#[test]
fn an_altered_time_to_live_is_followed() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_READINGS", 10);
    // The topics, before the consumers.
    trial.produce(WAIT).unwrap();
    let mut consumers = Vec::new();
    for name in ["consumer-1", "consumer-2"] {
        consumers.push(trial.start("consumer", name).unwrap());
    }
    let database = trial.database().unwrap();
    let left_min_s = || {
        let query = "SELECT CAST(min(TTL(value)) AS bigint) FROM readings";
        database.number(query).unwrap()
    };
    trial.assert_proved().unwrap();
    assert!(left_min_s() <= 86_400);
    database.execute("TRUNCATE readings").unwrap();
    set_time_to_live(&database, "readings", 2 * 86_400);
    for consumer in &mut consumers {
        let follows = |line: &LogLine| {
            line.message() == "default_time_to_live was altered, following"
                && line.number("after_s") == Some(172_800.0)
        };
        consumer.wait_for("the new time to live", WAIT, follows).unwrap();
    }
    trial.produce(WAIT).unwrap();
    let deadline = std::time::Instant::now() + WAIT;
    while database.number("SELECT count(*) FROM readings").unwrap() < 10 {
        assert!(std::time::Instant::now() < deadline, "the readings are not stored");
    }
    let left_s = left_min_s();
    assert!(left_s > 86_400, "a row lives for {left_s} s");
}

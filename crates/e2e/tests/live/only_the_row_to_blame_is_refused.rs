//! A Cassandra that refuses single rows, here because they would expire after 2038: each of them
//! becomes a dead letter, whatever batch it came in, and all others become rows (I5).

use std::time::Duration;

use domain::dead_letter::{DETAIL_HEADER, REASON_HEADER};
use e2e::{Trial, shared_stack, topic, turn};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};
use runtime::clock::now_ms;

const READINGS: usize = 3_000;
/// The last moment at which a row can expire in the storage of Cassandra 4, in epoch seconds:
/// 2038-01-19.
const EXPIRY_MAX_S: i64 = 2_147_483_646;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

fn reading(number: usize, ts_ms: i64) -> String {
    format!(
        r#"{{"sensor_id":"plant/{number}","site_id":"plant","kind":"light","ts":{ts_ms},"value":1,
            "unit":"lx","seq":0,"run":"r","status":"ok","location":{{"lat":1,"lon":2}}}}"#
    )
}

#[test]
fn only_the_row_to_blame_is_refused() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 1).set("CONSUMER_CLOCK_AHEAD_MAX_SEC", 24 * 3_600);
    trial.produce(Duration::from_secs(30)).unwrap();

    // The limit stands in the middle of the next hour, so that one Cassandra partition has rows on
    // both sides of it.
    let now_ms = now_ms();
    let limit_ms = now_ms - now_ms % HOUR_MS + 90 * MINUTE_MS;
    let time_to_live_s = EXPIRY_MAX_S - limit_ms / 1_000;
    let database = trial.database().unwrap();
    let alter = format!("ALTER TABLE readings WITH default_time_to_live = {time_to_live_s}");
    database.execute(&alter).unwrap();

    let producer = topic::producer(&stack.bootstrap_servers()).unwrap();
    let ts_ms = |number: usize| match number % 50 {
        0 => limit_ms + 10 * MINUTE_MS,
        _ => limit_ms - 10 * MINUTE_MS,
    };
    let values: Vec<String> = (0..READINGS).map(|number| reading(number, ts_ms(number))).collect();
    for value in &values {
        let record = BaseRecord::to(trial.topic()).key("plant").payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();

    let refused = READINGS / 50;
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    consumer
        .wait_for("all records", Duration::from_mins(1), |line| {
            let is = |name, count: usize| line.number(name) == Some(count as f64);
            is("rows_total", READINGS - refused + 1) && is("dead_letters_total", refused)
        })
        .unwrap();
    let status = consumer.stop(Duration::from_secs(10)).unwrap();
    assert!(status.success(), "the consumer ended: {status}{}", consumer.last_lines());

    let letters = trial.read_topic(trial.dead_letter_topic()).unwrap();
    let mut found: Vec<&[u8]> = letters.iter().filter_map(Message::payload).collect();
    let mut expected: Vec<&[u8]> = values.iter().step_by(50).map(String::as_bytes).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert!(found == expected, "{} dead letters of {}", found.len(), expected.len());
    for letter in &letters {
        assert_eq!(topic::header(letter, REASON_HEADER).unwrap(), "refused-by-cassandra");
        let detail = topic::header(letter, DETAIL_HEADER).unwrap();
        assert!(detail.contains("expiration date"), "{detail}");
    }
}

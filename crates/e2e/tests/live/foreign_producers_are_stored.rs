//! The consumer knows nothing of the simulator: it stores what follows the data contract, and what
//! does not goes to the dead-letter topic, with the reason (I5).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::dead_letter::{
    ATTEMPTS_HEADER, OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER, TOPIC_HEADER,
};
use e2e::{Trial, shared_stack, topic, turn};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use runtime::clock::now_ms;

const WAIT: Duration = Duration::from_mins(1);
const HOUR_MS: i64 = 3_600_000;

/// A careful stranger: other ids, other field order, a field more, escaped text.
fn reading(number: i64, ts_ms: i64) -> String {
    format!(
        r#"{{ "location": {{"lat": 48, "lon": 2.25}}, "status": "degraded", "firmware": "9.1",
        "run": "plant-7", "seq": {number}, "unit": "\u00b0C", "value": -3.5,
        "ts": {ts_ms}, "kind": "temperature", "site_id": "plant", "sensor_id": "plant/boiler" }}"#,
    )
}

/// Returns bad records, each with the reason that it is to be given.
fn poison(number: i64, ts_ms: i64) -> Vec<(Vec<u8>, &'static str)> {
    let good = reading(number, ts_ms);
    let edit = |from: &str, to: &str| good.replace(from, to).into_bytes();
    vec![
        (b"not json".to_vec(), "malformed"),
        (vec![0xff, 0xfe], "malformed"),
        (edit("temperature", "co2"), "unknown-kind"),
        (edit("u00b0C", "u00b0F"), "impossible-value"),
        (edit("-3.5", "1e999"), "malformed"),
        (edit(&ts_ms.to_string(), &(ts_ms / 1_000).to_string()), "timestamp-out-of-bounds"),
        (edit(&ts_ms.to_string(), &(ts_ms + 3 * HOUR_MS).to_string()), "clock-ahead"),
        ([good.as_bytes(), &[b' '; 4_096]].concat(), "too-large"),
    ]
}

#[test]
fn any_producer_that_follows_the_contract_is_served() {
    const GOOD: i64 = 500;
    const EXPIRED: i64 = 20;
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    // A run of one reading creates the topic.
    trial.set("PRODUCER_READINGS", 1);
    trial.produce(Duration::from_secs(30)).unwrap();

    let producer = topic::producer(&stack.bootstrap_servers()).unwrap();
    let send = |value: &[u8]| {
        let headers = OwnedHeaders::new().insert(Header { key: "trace", value: Some("7") });
        let record = BaseRecord::to(trial.topic()).key("plant").payload(value).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    let now_ms = now_ms();
    let mut expected = BTreeMap::<Vec<u8>, (&str, usize)>::new();
    for number in 0..GOOD {
        send(reading(number, now_ms + number).as_bytes());
        if number % 10 == 0 {
            for (value, reason) in poison(number, now_ms + number) {
                send(&value);
                expected.entry(value).or_insert((reason, 0)).1 += 1;
            }
        }
    }
    for number in 0..EXPIRED {
        send(reading(number, now_ms - 25 * HOUR_MS).as_bytes());
    }
    producer.flush(Duration::from_secs(30)).unwrap();

    let mut consumer = trial.start("consumer", "consumer").unwrap();
    consumer
        .wait_for("all records", WAIT, |line| {
            let counts =
                [("rows_total", 501.0), ("dead_letters_total", 400.0), ("expired_total", 20.0)];
            counts.iter().all(|(name, count)| line.number(name) == Some(*count))
        })
        .unwrap();
    assert_stored(&trial, now_ms, GOOD);

    let letters = trial.read_topic(trial.dead_letter_topic()).unwrap();
    assert_eq!(letters.len(), 400);
    for letter in &letters {
        let (reason, left) = expected.get_mut(letter.payload().unwrap()).expect("it was sent");
        *left = left.checked_sub(1).expect("it is there once");
        let header = |name| topic::header(letter, name).unwrap_or_default();
        assert_eq!(header(REASON_HEADER), *reason);
        assert_eq!(letter.key(), Some(&b"plant"[..]));
        assert_eq!((header(TOPIC_HEADER), header("trace")), (trial.topic().into(), "7".into()));
        assert_eq!(header(PARTITION_HEADER), letter.partition().to_string(), "the same partition");
        assert!(header(OFFSET_HEADER).parse::<u64>().is_ok());
        assert_eq!(header(ATTEMPTS_HEADER), "1");
    }
}

/// Waits until all good readings are rows that will expire a day after their event time.
fn assert_stored(trial: &Trial, first_ms: i64, readings: i64) {
    let database = trial.database().unwrap();
    let hour_ms = |ts_ms: i64| ts_ms - ts_ms % HOUR_MS;
    let mut hours = vec![hour_ms(first_ms), hour_ms(first_ms + readings - 1)];
    hours.dedup();
    let count = |database: &e2e::Database| -> i64 {
        let from = "SELECT count(*) FROM readings WHERE site_id = 'plant' AND hour = ";
        hours.iter().map(|hour| database.number(&format!("{from}{hour}")).unwrap()).sum()
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while count(&database) != readings {
        assert!(Instant::now() < deadline, "{} rows", count(&database));
    }
    let left = format!(
        "SELECT CAST(TTL(value) AS bigint) FROM readings WHERE site_id = 'plant' AND hour = {} \
         LIMIT 1",
        hours[0]
    );
    let (left_s, age_s) = (database.number(&left).unwrap(), (now_ms() - first_ms) / 1_000);
    assert!((left_s + age_s - 86_400).abs() <= 3, "{left_s} s are left after {age_s} s");
    // The table latest hears of a sensor with the next commit.
    let latest = || database.texts("SELECT unit FROM latest WHERE site_id = 'plant'").unwrap();
    while latest() != ["°C"] {
        assert!(Instant::now() < deadline, "latest says {:?}", latest());
    }
}

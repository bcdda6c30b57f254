//! The consumer knows nothing of the simulator: it stores what follows the data contract and passes
//! over the rest.

use std::time::{Duration, Instant};

use e2e::{Trial, shared_stack, turn};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// A careful stranger: other ids, other field order, a field more, escaped text.
fn reading(number: i64) -> String {
    format!(
        r#"{{ "location": {{"lat": 48, "lon": 2.25}}, "status": "degraded", "firmware": "9.1",
        "run": "plant-7", "seq": {number}, "unit": "\u00b0C", "value": -3.5,
        "ts": {}, "kind": "temperature", "site_id": "plant", "sensor_id": "plant/boiler" }}"#,
        1_764_000_000_000 + number
    )
}

#[test]
fn any_producer_that_follows_the_contract_is_served() {
    const GOOD: i64 = 500;
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    // A run of one reading creates the topic.
    trial.set("PRODUCER_READINGS", 1);
    trial.produce(Duration::from_secs(30)).unwrap();

    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", stack.bootstrap_servers()).create().unwrap();
    let send = |record: &[u8]| {
        let record = BaseRecord::to(trial.topic()).key("plant").payload(record);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    for number in 0..GOOD {
        send(reading(number).as_bytes());
        if number % 10 == 0 {
            send(b"not json");
            send(reading(number).replace("temperature", "co2").as_bytes());
            send(reading(number).replace("-3.5", "1e999").as_bytes());
            send(&[0xff, 0xfe]);
        }
    }
    producer.flush(Duration::from_secs(30)).unwrap();

    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let (mut rows, mut rejected) = (0.0, 0.0);
    consumer
        .wait_for("all records", Duration::from_mins(1), |line| {
            rows = line.number("rows_total").unwrap_or(rows);
            rejected = line.number("rejected_total").unwrap_or(rejected);
            (rows, rejected) == (501.0, 200.0)
        })
        .unwrap();
    let database = trial.database().unwrap();
    let count = "SELECT count(*) FROM readings WHERE site_id = 'plant' AND hour = 1764000000000";
    let deadline = Instant::now() + Duration::from_secs(10);
    while database.number(count).unwrap() != GOOD {
        assert!(Instant::now() < deadline, "{} rows", database.number(count).unwrap());
    }
    // The table latest hears of a sensor with the next commit.
    let latest = || database.texts("SELECT unit FROM latest WHERE site_id = 'plant'").unwrap();
    while latest() != ["°C"] {
        assert!(Instant::now() < deadline, "latest says {:?}", latest());
    }
}

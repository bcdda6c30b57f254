//! A topic that gets more partitions while it is written and read: its new partitions are read from
//! their first record, bad records on them become dead letters, and nothing is lost.

use std::time::Duration;

use e2e::{Trial, shared_stack, topic, turn};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};
use runtime::clock::now_ms;

const WAIT: Duration = Duration::from_mins(2);

#[test]
fn new_partitions_are_read_from_their_first_record() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 2_000).set("KAFKA_AUTO_OFFSET_RESET", "latest");
    let mut producer = trial.start("producer", "producer").unwrap();
    let started = |line: &up::LogLine| line.number("acknowledged") > Some(0.0);
    producer.wait_for("an acknowledgement", WAIT, started).unwrap();
    // A group that has committed nothing begins where its setting says: at the end.
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let mut analytics = trial.start("analytics", "analytics").unwrap();
    let has_rows = |line: &up::LogLine| line.number("rows_total") > Some(0.0);
    consumer.wait_for("rows", WAIT, has_rows).unwrap();

    let servers = stack.bootstrap_servers();
    grow(&servers, trial.topic(), 24);
    let client = topic::producer(&servers).unwrap();
    for partition in 12..24 {
        for value in [b"no reading".to_vec(), reading(partition).into_bytes()] {
            let record = BaseRecord::to(trial.topic()).key("plant").payload(&value);
            client.send(record.partition(partition)).map_err(|(error, _)| error).unwrap();
        }
    }
    client.flush(WAIT).unwrap();
    let buried = |line: &up::LogLine| line.number("dead_letters_total") == Some(12.0);
    consumer.wait_for("dead letters of the new partitions", WAIT, buried).unwrap();
    let owns_all = |line: &up::LogLine| line.number("partitions") == Some(24.0);
    analytics.wait_for("all partitions", WAIT, owns_all).unwrap();
    let hour = now_ms() - now_ms() % 3_600_000;
    let from = "SELECT count(*) FROM readings WHERE site_id = 'plant' AND hour =";
    let database = trial.database().unwrap();
    let stored = || database.number(&format!("{from} {hour}")).unwrap();
    let deadline = std::time::Instant::now() + WAIT;
    while stored() != 12 {
        assert!(std::time::Instant::now() < deadline, "{} readings of 12", stored());
    }
    let letters = trial.read_topic(trial.dead_letter_topic()).unwrap();
    for letter in &letters {
        let origin: i32 = topic::header(letter, "dlq-partition").unwrap().parse().unwrap();
        assert_eq!(letter.partition(), origin % 12, "the topic of dead letters need not grow");
    }

    // A second start finds a topic that is larger than the one of its dead letters.
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());
    let mut consumer = trial.start("consumer", "consumer-again").unwrap();
    consumer.wait_for("rows", WAIT, has_rows).unwrap();
    let redriven = trial.run("dlq", &["redrive"]).unwrap();
    assert_eq!(redriven.code, 0, "{}", redriven.output);
    let again = |line: &up::LogLine| line.number("dead_letters_total") == Some(12.0);
    consumer.wait_for("the same dead letters", WAIT, again).unwrap();
    producer.stop(Duration::from_secs(15)).unwrap();
}

/// The fleet goes on to the partitions that it knows, so that each sensor's readings stay in order.
#[test]
fn growth_under_load_loses_nothing() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 5_000);
    let mut producer = trial.start("producer", "producer").unwrap();
    let mut consumers: Vec<_> =
        (1..=2).map(|n| trial.start("consumer", &format!("consumer-{n}")).unwrap()).collect();
    let has_rows = |line: &up::LogLine| line.number("rows_total") > Some(10_000.0);
    for consumer in &mut consumers {
        consumer.wait_for("rows", WAIT, has_rows).unwrap();
    }

    grow(&stack.bootstrap_servers(), trial.topic(), 24);
    for consumer in &mut consumers {
        let shares = |line: &up::LogLine| line.number("partitions") == Some(12.0);
        consumer.wait_for("half of the new number of partitions", WAIT, shares).unwrap();
        // More than it had when the topic grew.
        let goes_on = |line: &up::LogLine| line.number("rows_total") > Some(40_000.0);
        consumer.wait_for("more rows", WAIT, goes_on).unwrap();
    }
    assert!(producer.stop(Duration::from_secs(15)).unwrap().success());
    trial.assert_proved().unwrap();
    for consumer in &mut consumers {
        assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());
    }
}

fn reading(partition: i32) -> String {
    let ts_ms = now_ms();
    format!(
        r#"{{"sensor_id":"plant/{partition}","site_id":"plant","kind":"light","ts":{ts_ms},
        "value":1.5,"unit":"lx","seq":0,"run":"plant","status":"ok",
        "location":{{"lat":1,"lon":2}}}}"#
    )
}

fn grow(bootstrap_servers: &str, topic: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create().unwrap();
    let more = NewPartitions::new(topic, partitions);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let grown = runtime.block_on(admin.create_partitions([&more], &AdminOptions::new())).unwrap();
    assert!(grown.iter().all(Result::is_ok), "{grown:?}");
}

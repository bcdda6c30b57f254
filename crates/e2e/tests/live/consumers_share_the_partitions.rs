//! A group of consumers shares the twelve partitions, under load, and loses nothing when one of
//! them dies; whoever keeps it from its group is named.

use std::time::{Duration, Instant};

use e2e::{Trial, shared_stack, turn};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use up::Program;

const WAIT: Duration = Duration::from_mins(1);

fn wait_for_partitions(consumer: &mut Program, count: f64) {
    consumer
        .wait_for(&format!("{count} partitions"), WAIT, |line| {
            line.message() == "progress" && line.number("partitions") == Some(count)
        })
        .unwrap();
}

#[test]
fn three_consumers_own_four_partitions_each() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 10_000).set("KAFKA_SESSION_TIMEOUT_MS", 6_000);
    let mut producer = trial.start("producer", "producer").unwrap();
    let mut first = trial.start("consumer", "consumer-1").unwrap();
    wait_for_partitions(&mut first, 12.0);

    let mut second = trial.start("consumer", "consumer-2").unwrap();
    let mut third = trial.start("consumer", "consumer-3").unwrap();
    for consumer in [&mut first, &mut second, &mut third] {
        wait_for_partitions(consumer, 4.0);
    }

    // One dies without a word: the others take over.
    third.kill().unwrap();
    wait_for_partitions(&mut first, 6.0);
    wait_for_partitions(&mut second, 6.0);
    assert!(producer.stop(Duration::from_secs(10)).unwrap().success());
    trial.assert_proved().unwrap();
}

/// Another program that somebody gave the same group id, with an assignment strategy of its own.
#[test]
fn a_stranger_in_the_group_is_named_and_makes_room() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 100);
    trial.produce(WAIT).unwrap();
    let stranger: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", stack.bootstrap_servers())
        .set("group.id", trial.setting("KAFKA_CONSUMER_GROUP_ID"))
        .set("partition.assignment.strategy", "roundrobin")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    stranger.subscribe(&[trial.topic()]).unwrap();
    let deadline = Instant::now() + WAIT;
    while stranger.assignment().unwrap().count() == 0 {
        assert!(Instant::now() < deadline, "the stranger owns nothing within {WAIT:?}");
        let _record = stranger.poll(Duration::from_millis(100));
    }

    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let named = |line: &up::LogLine| {
        line.level() == "WARN" && line.fields().contains("another program with another assignment")
    };
    consumer.wait_for("a word about the stranger", WAIT, named).unwrap();
    drop(stranger);
    wait_for_partitions(&mut consumer, 12.0);
    trial.assert_proved().unwrap();
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());
}

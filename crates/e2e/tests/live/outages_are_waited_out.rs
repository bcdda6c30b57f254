//! Kafka or Cassandra away, at the start or in between: everybody says so, waits, and goes on
//! without a restart.

use std::time::Duration;

use e2e::{Trial, own_stack, turn};
use up::schema;

const WAIT: Duration = Duration::from_mins(1);

#[test]
fn programs_wait_for_servers_that_are_not_there_yet() {
    let _turn = turn();
    let stack = own_stack().unwrap();
    stack.kafka(0).kill().unwrap();
    stack.cassandra(0).kill().unwrap();
    let mut trial = Trial::without_schema(&stack).unwrap();
    trial.set("PRODUCER_READINGS", 5_000);
    let mut producer = trial.start("producer", "producer").unwrap();
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    for _ in 0..2 {
        producer
            .wait_for("complaint about kafka", WAIT, |line| {
                line.message().starts_with("kafka does not answer")
            })
            .unwrap();
        consumer
            .wait_for("complaint about cassandra", WAIT, |line| {
                line.message().starts_with("cassandra does not answer")
            })
            .unwrap();
    }
    stack.cassandra(0).start().unwrap();
    consumer
        .wait_for("complaint about the tables", WAIT, |line| {
            line.message().starts_with("the tables of infra/cassandra/init.cql are not ready")
        })
        .unwrap();
    schema::create(&stack.contact_points(), trial.keyspace(), 1).unwrap();
    stack.kafka(0).start().unwrap();
    let status = producer.wait(WAIT).unwrap();
    assert!(status.success(), "the producer ended: {status}{}", producer.last_lines());
    trial.assert_proved().unwrap();
}

#[test]
fn nothing_is_lost_when_servers_go_and_come_back() {
    let _turn = turn();
    let stack = own_stack().unwrap();
    let mut trial = Trial::new(&stack).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 10_000);
    let mut producer = trial.start("producer", "producer").unwrap();
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let mut flowing = |what: &str| {
        consumer
            .wait_for(what, WAIT, |line| {
                line.message() == "progress" && line.number("rows_per_s") > Some(5_000.0)
            })
            .unwrap();
    };
    flowing("rows at first");

    // In good order: a single node that is killed loses what its commit log had not yet marked.
    stack.cassandra(0).stop().unwrap();
    producer.wait_for("progress without cassandra", WAIT, |l| l.message() == "progress").unwrap();
    stack.cassandra(0).start().unwrap();
    flowing("rows after cassandra came back");

    stack.kafka(0).kill().unwrap();
    stack.kafka(0).start().unwrap();
    flowing("rows after kafka came back");

    let status = producer.stop(Duration::from_secs(10)).unwrap();
    assert!(status.success(), "the producer ended: {status}{}", producer.last_lines());
    trial.assert_proved().unwrap();
}

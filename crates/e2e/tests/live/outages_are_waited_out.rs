//! Kafka or Cassandra away, at the start or in between: everybody says so, waits, and goes on
//! without a restart.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{Trial, own_stack, program, shared_stack, turn};
use up::schema;

const WAIT: Duration = Duration::from_mins(1);

/// Returns an address that nobody listens on.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Waits until the consumer calls itself healthy, or says that no write becomes durable.
fn await_health(address: &str, healthy: bool) {
    let deadline = Instant::now() + WAIT;
    loop {
        let mut check = Command::new(program("consumer").unwrap());
        let output = check.arg("healthcheck").env("HEALTH_ADDRESS", address).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        if output.status.success() == healthy {
            assert!(healthy || text.contains("no write was durable for"), "{text}");
            return;
        }
        assert!(Instant::now() < deadline, "the consumer is not yet as it should be: {text}");
    }
}

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
    let health_address = free_address();
    let settings = [("HEALTH_ADDRESS", health_address.clone())];
    let mut consumer = trial.start_with("consumer", "consumer", &settings).unwrap();
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
    await_health(&health_address, false);
    stack.cassandra(0).start().unwrap();
    flowing("rows after cassandra came back");
    await_health(&health_address, true);

    stack.kafka(0).kill().unwrap();
    stack.kafka(0).start().unwrap();
    flowing("rows after kafka came back");

    let status = producer.stop(Duration::from_secs(10)).unwrap();
    assert!(status.success(), "the producer ended: {status}{}", producer.last_lines());
    trial.assert_proved().unwrap();
}

/// Goal: whatever Kafka does, a program can be asked how it is, and can be ended. Method: a broker
/// that takes connections and says nothing.
#[test]
fn a_kafka_that_never_answers_holds_up_neither_health_nor_signals() {
    const PROMPT: Duration = Duration::from_secs(2);
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    trial.set("KAFKA_BOOTSTRAP_SERVERS", silent.local_addr().unwrap());
    for name in ["producer", "consumer", "analytics"] {
        let health_address = free_address();
        let settings = [("HEALTH_ADDRESS", health_address.clone())];
        let mut waiting = trial.start_with(name, name, &settings).unwrap();
        let complains =
            |line: &up::LogLine| line.message().starts_with("kafka does not answer, trying again");
        waiting.wait_for("a complaint about kafka", WAIT, complains).unwrap();
        // Longer than one request to Kafka takes.
        let until = Instant::now() + Duration::from_secs(6);
        while Instant::now() < until {
            let asked = Instant::now();
            let mut check = Command::new(program(name).unwrap());
            let output =
                check.arg("healthcheck").env("HEALTH_ADDRESS", &health_address).output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(text.trim(), "starting", "{name}");
            assert!(asked.elapsed() < PROMPT, "{name} answered after {:?}", asked.elapsed());
        }
        let asked = Instant::now();
        let status = waiting.stop(WAIT).unwrap();
        assert!(asked.elapsed() < PROMPT, "{name} ended after {:?}", asked.elapsed());
        assert!(status.success(), "{name} ended: {status}{}", waiting.last_lines());
    }
}

/// I7: the grace period holds although nobody confirms that the member leaves.
#[test]
fn members_leave_in_time_although_kafka_has_fallen_silent() {
    const GRACE: Duration = Duration::from_secs(5);
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 1_000);
    trial.set("CONSUMER_SHUTDOWN_GRACE_SEC", GRACE.as_secs());
    trial.set("ANALYTICS_SHUTDOWN_GRACE_SEC", GRACE.as_secs());
    trial.produce(WAIT).unwrap();
    let mut members = Vec::new();
    for name in ["consumer", "analytics"] {
        let mut member = trial.start(name, name).unwrap();
        let is_done = |line: &up::LogLine| line.number("lag") == Some(0.0);
        member.wait_for("all records", WAIT, is_done).unwrap();
        members.push((name, member));
    }
    stack.kafka(0).pause().unwrap();
    let mut ends = Vec::new();
    for (name, member) in &mut members {
        let asked = Instant::now();
        ends.push((*name, member.stop(WAIT), asked.elapsed()));
    }
    stack.kafka(0).resume().unwrap();
    for (name, ended, took) in ends {
        ended.unwrap();
        assert!(took < GRACE + Duration::from_secs(2), "{name} ended after {took:?}");
    }
}

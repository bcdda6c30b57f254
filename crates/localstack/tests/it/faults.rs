//! Faults on single nodes: killed, stopped and paused servers come back with their data, at their
//! address.

use std::time::{Duration, Instant};

use localstack::{Node, StackError};

use crate::client::{self, ONE};
use crate::support::{machine, process_exists, small};

#[test]
fn killed_and_stopped_nodes_come_back_with_their_data() {
    let _machine = machine();
    let stack = small().start().unwrap();
    let (kafka, cassandra) = (stack.kafka(0), stack.cassandra(0));
    client::create_topic(kafka.address(), "kept", 1);
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    for statement in [
        &format!("CREATE KEYSPACE kept WITH replication = {replication}"),
        "CREATE TABLE kept.t (k int PRIMARY KEY, v text)",
        "INSERT INTO kept.t (k, v) VALUES (1, 'still here')",
    ] {
        client::cql(cassandra.address(), ONE, statement).unwrap();
    }
    let found = |node: &Node| {
        let body = client::cql(node.address(), ONE, "SELECT v FROM kept.t").unwrap();
        body.windows(10).any(|window| window == b"still here")
    };
    assert!(found(cassandra));

    for node in stack.nodes() {
        let before = node.pid().unwrap();
        node.kill().unwrap();
        assert!(!process_exists(before) && !node.is_running(), "{} lives on", node.name());
        assert!(matches!(node.pause(), Err(StackError::NotRunning { .. })));
        node.kill().unwrap(); // nothing to do is no error
        let start = Instant::now();
        node.start().unwrap();
        println!("{} was ready {} ms after a kill", node.name(), start.elapsed().as_millis());
        assert_ne!(node.pid().unwrap(), before);
        assert!(matches!(node.start(), Err(StackError::AlreadyRunning { .. })));
    }
    assert!(client::has_topic(kafka.address(), "kept") && found(cassandra));

    for node in stack.nodes() {
        let start = Instant::now();
        node.restart().unwrap();
        println!("{} took {} ms to restart", node.name(), start.elapsed().as_millis());
    }
    assert!(client::has_topic(kafka.address(), "kept") && found(cassandra));
}

#[test]
fn a_paused_node_answers_nothing_until_it_is_resumed() {
    let _machine = machine();
    let stack = small().start().unwrap();
    let (kafka, cassandra) = (stack.kafka(0), stack.cassandra(0));
    let patience = Duration::from_secs(1);
    let select = "SELECT * FROM system.local";
    let kafka_answers = || client::api_versions(kafka.address(), patience).is_ok();
    let cassandra_answers =
        || client::cql_within(cassandra.address(), ONE, select, patience).is_ok();
    assert!(kafka_answers() && cassandra_answers());

    for node in stack.nodes() {
        node.pause().unwrap();
        assert!(node.is_running());
    }
    assert!(!kafka_answers() && !cassandra_answers());

    for node in stack.nodes() {
        node.resume().unwrap();
    }
    assert!(kafka_answers() && cassandra_answers());

    cassandra.pause().unwrap();
    cassandra.stop().unwrap(); // a paused node can be stopped ...
    assert!(!cassandra.is_running());
    cassandra.start().unwrap();
    assert!(cassandra_answers());
    cassandra.pause().unwrap();
    cassandra.kill().unwrap(); // ... and killed
    assert!(!cassandra.is_running());
}

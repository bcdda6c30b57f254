//! Clusters of three: they form, they bear the loss of a node, and the node finds back.

use std::time::Instant;

use localstack::Stack;

use crate::client::{self, QUORUM};
use crate::support::{machine, wait_until};

#[test]
fn clusters_of_three_work_with_one_node_down_and_take_it_back() {
    let _machine = machine();
    let start = Instant::now();
    let stack = Stack::builder()
        .kafka_nodes(3)
        .cassandra_nodes(3)
        .kafka_heap_mib(256)
        .cassandra_heap_mib(512)
        .start()
        .unwrap();
    println!("three nodes of each were ready after {} ms", start.elapsed().as_millis());
    assert_eq!(stack.nodes().count(), 6);
    assert_eq!(stack.bootstrap_servers().split(',').count(), 3);
    for (index, host) in ["127.0.0.1", "127.0.0.2", "127.0.0.3"].into_iter().enumerate() {
        assert_eq!(stack.kafka(index).address().ip().to_string(), host);
        assert_eq!(stack.cassandra(index).address().ip().to_string(), host);
    }

    let cql = |node: usize, statement: &str| {
        client::cql(stack.cassandra(node).address(), QUORUM, statement)
    };
    cql(
        0,
        "CREATE KEYSPACE three
           WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 3}",
    )
    .unwrap();
    cql(0, "CREATE TABLE three.t (k int PRIMARY KEY, v text)").unwrap();
    // A node that is about to learn of a table acknowledges a write to it and drops it.
    let knows = |node: usize| cql(node, "SELECT v FROM three.t WHERE k = 1").is_ok();
    wait_until("all nodes know the table", || (0..3).all(knows));
    client::create_topic(stack.kafka(0).address(), "before", 3);

    stack.cassandra(2).kill().unwrap();
    stack.kafka(2).kill().unwrap();
    // On a busy machine the two that are left may need more than one try to answer in time.
    let insert = "INSERT INTO three.t (k, v) VALUES (1, 'with two of three')";
    wait_until("two of three nodes take a write", || cql(0, insert).is_ok());
    client::create_topic(stack.kafka(0).address(), "meanwhile", 2);

    let start = Instant::now();
    stack.kafka(2).start().unwrap();
    println!("kafka-3 was back {} ms after its start", start.elapsed().as_millis());
    let start = Instant::now();
    stack.cassandra(2).start().unwrap();
    println!("cassandra-3 was back {} ms after its start", start.elapsed().as_millis());
    let body = cql(2, "SELECT v FROM three.t WHERE k = 1").unwrap();
    assert!(body.windows(17).any(|window| window == b"with two of three"));
    assert!(client::has_topic(stack.kafka(2).address(), "meanwhile"));
}

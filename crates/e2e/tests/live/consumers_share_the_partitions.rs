//! A group of consumers shares the twelve partitions, under load, and loses nothing when one of
//! them dies.

use std::time::Duration;

use e2e::{Trial, shared_stack, turn};
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

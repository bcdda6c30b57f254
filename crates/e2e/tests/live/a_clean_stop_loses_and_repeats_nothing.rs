//! I7: SIGTERM under load ends every program within ten seconds, with nothing lost and nothing
//! written twice.

use std::time::Duration;

use e2e::{Trial, shared_stack, turn};
use up::Program;

const GRACE: Duration = Duration::from_secs(10);

/// Stops a consumer and returns how many rows it wrote.
fn stop(mut consumer: Program) -> f64 {
    consumer.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
    let last = consumer
        .wait_for("its last word", GRACE, |line| line.message() == "drained, committed, left")
        .unwrap();
    let status = consumer.wait(GRACE).unwrap();
    assert!(status.success(), "the consumer ended: {status}{}", consumer.last_lines());
    last.number("rows_total").unwrap()
}

#[test]
fn sigterm_under_load_is_clean() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 20_000);
    let mut producer = trial.start("producer", "producer").unwrap();
    let mut rows = 0.0;
    for round in 0..3 {
        let mut consumer = trial.start("consumer", &format!("consumer-{round}")).unwrap();
        consumer
            .wait_for("10 000 rows", Duration::from_mins(1), |line| {
                line.number("rows_total").is_some_and(|rows| rows > 10_000.0)
            })
            .unwrap();
        rows += stop(consumer);
    }
    let status = producer.stop(GRACE).unwrap();
    assert!(status.success(), "the producer ended: {status}{}", producer.last_lines());

    let consumer = trial.start("consumer", "consumer-last").unwrap();
    trial.assert_proved().unwrap();
    rows += stop(consumer);
    let acknowledged = trial.report().unwrap().acknowledged;
    let written = format!("{rows:.0}");
    assert_eq!(written, acknowledged.to_string(), "rows written by all consumers together");
}

//! One consumer drains a preloaded topic at 40 000 rows a second or more, on two cores shared with both servers.

use std::time::{Duration, Instant};

use e2e::{Trial, shared_stack, turn};

const READINGS: u64 = 1_000_000;
const ROWS_PER_S_MIN: f64 = 40_000.0;

#[test]
fn a_million_readings_are_drained_at_forty_thousand_a_second() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial
        .set("PRODUCER_TARGET_RATE", 500_000)
        .set("PRODUCER_READINGS", READINGS);
    trial.produce(Duration::from_secs(120)).unwrap();

    let started = Instant::now();
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    consumer
        .wait_for("a million rows", Duration::from_secs(120), |line| {
            line.number("rows_total")
                .is_some_and(|rows| rows as u64 >= READINGS)
        })
        .unwrap();
    let rate = READINGS as f64 / started.elapsed().as_secs_f64();
    println!("drained at {rate:.0} rows/s, start of the consumer included");
    assert!(rate >= ROWS_PER_S_MIN, "drained at {rate:.0} rows/s");
    trial.assert_proved().unwrap();
}

//! One consumer drains a preloaded topic of a million readings, all of them, at speed.

use std::time::{Duration, Instant};

use e2e::{Trial, shared_stack, turn};

const READINGS: u32 = 1_000_000;
/// What a busy machine reaches as well; docs/benchmarks.md has the figure of a quiet one.
const ROWS_PER_S_MIN: f64 = 25_000.0;

#[test]
fn a_million_readings_are_drained_without_a_gap() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_TARGET_RATE", 500_000).set("PRODUCER_READINGS", READINGS);
    trial.produce(Duration::from_mins(2)).unwrap();

    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let (mut first, mut rows_first) = (None, 0.0);
    consumer
        .wait_for("a million rows", Duration::from_mins(2), |line| {
            let rows = line.number("rows_total").unwrap_or(0.0);
            if rows > 0.0 && first.is_none() {
                (first, rows_first) = (Some(Instant::now()), rows);
            }
            rows >= READINGS.into()
        })
        .unwrap();
    let elapsed = first.unwrap().elapsed();
    let rate = (f64::from(READINGS) - rows_first) / elapsed.as_secs_f64();
    println!("drained at {rate:.0} rows/s");
    assert!(rate >= ROWS_PER_S_MIN, "drained at {rate:.0} rows/s");
    trial.assert_proved().unwrap();
}

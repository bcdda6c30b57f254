//! Windows and alerts are those of an undisturbed computation, whatever happens to the processes.

use std::time::Duration;

use e2e::windows::{self, Side};
use e2e::{Trial, shared_stack, topic, turn};

const READINGS: u64 = 300_000;
const WAIT: Duration = Duration::from_mins(2);

#[test]
fn kills_and_rebalances_leave_no_trace() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    windows::prepare(&mut trial, READINGS, "bounded:50").unwrap();
    let disturbed = Side::new(&trial, "disturbed").unwrap();
    let mut producer = trial.start("producer", "producer").unwrap();

    // One, then three, of which two are killed, then two.
    let mut first = disturbed.start(&trial, "first").unwrap();
    first.wait_for("work of the first", WAIT, windows::has_work).unwrap();
    let mut second = disturbed.start(&trial, "second").unwrap();
    let mut third = disturbed.start(&trial, "third").unwrap();
    second.wait_for("work of the second", WAIT, windows::has_work).unwrap();
    first.kill().unwrap();
    third.wait_for("work of the third", WAIT, windows::has_work).unwrap();
    let is_taken_over = |line: &up::LogLine| line.message() == "partitions assigned";
    third.wait_for("partitions of the first", WAIT, is_taken_over).unwrap();
    third.kill().unwrap();
    let fourth = disturbed.start(&trial, "fourth").unwrap();
    assert!(producer.wait(WAIT).unwrap().success(), "{}", producer.last_lines());

    let records = topic::count(trial.setting("KAFKA_BOOTSTRAP_SERVERS"), trial.topic()).unwrap();
    let mut survivors = [second, fourth];
    let late = disturbed.await_all(&mut survivors, records, WAIT).unwrap();
    assert!(late > 100, "only {late} readings were late");
    for program in &mut survivors {
        let status = program.stop(Duration::from_secs(10)).unwrap();
        assert!(status.success(), "{status}{}", program.last_lines());
    }

    let undisturbed = Side::new(&trial, "undisturbed").unwrap();
    let mut only = [undisturbed.start(&trial, "undisturbed").unwrap()];
    undisturbed.await_all(&mut only, records, WAIT).unwrap();
    assert!(only[0].stop(Duration::from_secs(10)).unwrap().success());
    for (table, rows) in disturbed.compare(&undisturbed).unwrap() {
        println!("{table}: {rows} rows");
    }
    assert_eq!(disturbed.alerts_repeated().unwrap(), 0);
    assert_eq!(disturbed.late_published().unwrap() as u64, late);
}

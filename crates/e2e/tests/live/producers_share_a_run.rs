//! A run is the same, byte for byte, whether one producer makes it or four.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::{Trial, shared_stack, turn};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use rdkafka::message::Message;

const READINGS: u64 = 20_000;
const WAIT: Duration = Duration::from_mins(1);

/// Makes a trial of a run with a given start, which is a backfill: all of it is overdue.
fn trial(start: Timestamp, seed: u64) -> Trial {
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial
        .set("PRODUCER_RUN", "shared")
        .set("PRODUCER_START", start)
        .set("PRODUCER_READINGS", READINGS)
        .set("PRODUCER_SEED", seed)
        .set("IOT_NUM_SENSORS", 1_000)
        .set("IOT_DUPLICATE_PROBABILITY", 0.01)
        .set("IOT_MISSING_PROBABILITY", 0.01);
    trial
}

type Record = (Vec<u8>, Vec<u8>);

/// Returns key and value of each record of the trial's topic, and how many records there are.
fn records(trial: &Trial) -> (BTreeSet<Record>, usize) {
    let messages = trial.read_topic(trial.topic()).unwrap();
    let part = |part: Option<&[u8]>| part.unwrap().to_vec();
    let records = messages.iter().map(|m| (part(m.key()), part(m.payload())));
    (records.collect(), messages.len())
}

#[test]
fn four_parts_are_one_run() {
    let _turn = turn();
    let an_hour_ago_ms = Timestamp::now().as_millisecond() - 3_600_000;
    let start = Timestamp::from_millisecond(an_hour_ago_ms).unwrap();
    let whole = trial(start, 7);
    whole.produce(WAIT).unwrap();
    let expected = records(&whole);
    assert!(expected.1 > expected.0.len(), "some are there twice");

    let mut parts = trial(start, 7);
    let mut producers = Vec::new();
    for number in 1..=4 {
        parts.set("PRODUCER_SHARD", format!("{number}/4"));
        producers.push(parts.start("producer", &format!("producer-{number}")).unwrap());
    }
    for producer in &mut producers {
        let status = producer.wait(WAIT).unwrap();
        assert!(status.success(), "{status}{}", producer.last_lines());
    }
    assert!(records(&parts) == expected, "four parts have the same records as the whole");

    let other = trial(start, 8);
    other.produce(WAIT).unwrap();
    let common = records(&other).0.intersection(&expected.0).count();
    assert!(common < 1_000, "{common} of {READINGS} records do not depend on the seed");

    // The audit takes the reports of all parts together.
    let _consumer = parts.start("consumer", "consumer").unwrap();
    let verdict = parts.audit().unwrap();
    assert_eq!(verdict.code, 0, "{}", verdict.output);
    let counts = format!("audit: scheduled {READINGS} acknowledged");
    assert!(verdict.last_line().starts_with(&counts), "{}", verdict.output);
}

#[test]
fn a_producer_that_waits_for_its_start_can_be_stopped() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    let in_an_hour_ms = Timestamp::now().as_millisecond() + 3_600_000;
    trial.set("PRODUCER_START", Timestamp::from_millisecond(in_an_hour_ms).unwrap());
    let mut producer = trial.start("producer", "producer").unwrap();
    producer.wait_for("the run", WAIT, |line| line.message() == "run starts").unwrap();
    producer.signal(Signal::SIGTERM).unwrap();
    let status = producer.wait(Duration::from_secs(10)).unwrap();
    assert!(status.success(), "{status}{}", producer.last_lines());
    assert_eq!(trial.report().unwrap().scheduled, 0);
}

/// Goal: a producer that is restarted in the midst of a history, as containers are, makes it whole
/// and nothing twice; after its end it sends nothing more.
#[test]
fn a_history_that_is_sent_again_is_the_same_run() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    let an_hour_ago_ms = Timestamp::now().as_millisecond() - 3_600_000;
    trial
        .set("PRODUCER_START", Timestamp::from_millisecond(an_hour_ago_ms).unwrap())
        .set("PRODUCER_READINGS", 300_000)
        .set("PRODUCER_CATCH_UP", "bounded:2");
    let mut producer = trial.start("producer", "producer-killed").unwrap();
    let has_begun = |line: &up::LogLine| line.number("sent").is_some_and(|sent| sent > 1_000.0);
    producer.wait_for("readings", WAIT, has_begun).unwrap();
    producer.kill().unwrap();
    let killed = trial.report().unwrap();

    trial.set("PRODUCER_CATCH_UP", "unlimited");
    let whole = trial.produce(WAIT).unwrap();
    assert_eq!(whole.manifest, killed.manifest);
    let (_, sent) = records(&trial);
    let mut again = trial.start("producer", "producer-again").unwrap();
    let says = |line: &up::LogLine| line.message().starts_with("the run is complete");
    again.wait_for("that the run is complete", WAIT, says).unwrap();
    assert!(again.wait(WAIT).unwrap().success());
    assert_eq!(records(&trial).1, sent, "a complete run is sent again");
    let _consumer = trial.start("consumer", "consumer").unwrap();
    trial.assert_proved().unwrap();
}

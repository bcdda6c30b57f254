//! What happens to readings on their way can be recomputed: the audit explains every difference
//! between what was measured and what is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::simulation::Simulation;
use e2e::{Trial, shared_stack, turn};
use rdkafka::message::Message;

const READINGS: u64 = 40_000;

#[test]
fn a_run_with_every_fault_is_proved() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial
        .set("IOT_NUM_SENSORS", 1_000)
        .set("PRODUCER_TARGET_RATE", 4_000)
        .set("PRODUCER_READINGS", READINGS)
        .set("IOT_MISSING_PROBABILITY", 0.02)
        .set("IOT_LATE_PROBABILITY", 0.02)
        .set("IOT_LATE_MAX_SEC", 10)
        .set("IOT_OUT_OF_ORDER_PROBABILITY", 0.02)
        .set("IOT_DUPLICATE_PROBABILITY", 0.05)
        .set("IOT_OFFLINE_PROBABILITY", 1)
        .set("IOT_OFFLINE_MAX_SEC", 12)
        .set("IOT_CLOCK_DRIFT_MAX_PPM", 500);
    let _consumer = trial.start("consumer", "consumer").unwrap();
    let report = trial.produce(Duration::from_mins(2)).unwrap();
    let fates = report.fates;
    assert_eq!((report.scheduled, report.failed), (READINGS, 0));
    assert_eq!(report.acknowledged, READINGS - fates.missing);

    let verdict = trial.audit().unwrap();
    let sent = report.acknowledged;
    let expected = format!(
        "audit: scheduled {READINGS} acknowledged {sent} stored {sent} missing 0 phantom 0 \
         corrupt 0"
    );
    assert_eq!((verdict.code, verdict.last_line()), (0, &*expected), "{}", verdict.output);
    let explained = format!(
        "on the way, as intended: never sent {}, forwarded {}, late {}, out of order {}, \
         duplicate {}",
        fates.missing, fates.forwarded, fates.late, fates.out_of_order, fates.duplicate
    );
    assert!(verdict.output.contains(&explained), "{explained}\n{}", verdict.output);

    // The topic has what the computation says: which readings, how often, and in disorder.
    let simulation = Simulation::new(report.manifest);
    let mut expected = BTreeMap::new();
    for index in 0..READINGS {
        let fate = simulation.fate(index);
        if fate.is_sent() {
            let mut record = Vec::new();
            simulation.encode(&simulation.reading(index), &mut record);
            expected.insert(record, 1 + u64::from(fate.copy_delay_ms.is_some()));
        }
    }
    let mut found = BTreeMap::new();
    for message in trial.read_topic(trial.topic()).unwrap() {
        *found.entry(message.payload().unwrap().to_vec()).or_insert(0_u64) += 1;
    }
    assert!(found == expected, "the topic holds what the run's inputs say");
    assert!(fates.missing > 500 && fates.late > 500 && fates.out_of_order > 500, "{fates:?}");
    assert!(fates.duplicate > 1_500, "{fates:?}");
}

//! What happens to readings on their way can be recomputed: the audit explains every difference
//! between what was measured and what is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use domain::hour::{HOUR_MS, hour_start_ms};
use domain::simulation::Simulation;
use e2e::{Trial, shared_stack, turn};
use jiff::Timestamp;
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
    let simulation = Simulation::new(report.manifest.clone());
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
    assert_events(&trial, &simulation, report.events);
    assert!(fates.missing > 500 && fates.late > 500 && fates.out_of_order > 500, "{fates:?}");
    assert!(fates.duplicate > 1_500, "{fates:?}");
}

/// Asserts that the table of events holds what happened to the sensors up to the last reading.
fn assert_events(trial: &Trial, simulation: &Simulation, sent: u64) {
    let schedule = &simulation.manifest().schedule;
    let end_ms = schedule.event_time_ms(READINGS - 1);
    let first_hour_ms = hour_start_ms(schedule.start_ms);
    let hours = (0..).map(|hour| first_hour_ms + hour * HOUR_MS).take_while(|ms| *ms <= end_ms);
    let mut expected = BTreeSet::new();
    for hour_ms in hours {
        for sensor in 0..simulation.fleet().sensors() {
            for (seq, event) in simulation.events(sensor, hour_ms) {
                if event.ts_ms <= end_ms {
                    let id = simulation.fleet().sensor_id(sensor);
                    expected.insert(format!("{id} {seq} {} {}", event.kind, event.ts_ms));
                }
            }
        }
    }
    assert!(expected.len() > 1_000, "at least each sensor has come online: {}", expected.len());
    assert_eq!(sent, expected.len() as u64);
    let database = trial.database().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while database.number("SELECT count(*) FROM events").unwrap() < sent.cast_signed() {
        assert!(Instant::now() < deadline, "all events are stored within 30 s");
        std::thread::sleep(Duration::from_millis(200));
    }
    let rows = database.texts("SELECT JSON sensor_id, seq, event, ts FROM events").unwrap();
    let found: BTreeSet<String> = rows
        .iter()
        .map(|row| {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            let text = |name: &str| row[name].as_str().unwrap().to_owned();
            let ts: Timestamp = text("ts").parse().unwrap();
            let (id, event) = (text("sensor_id"), text("event"));
            format!("{id} {} {event} {}", row["seq"], ts.as_millisecond())
        })
        .collect();
    assert!(found == expected, "the table of events holds what the run's inputs say");
}

//! Events of whoever follows the contract become rows of their own table, through a kill and a
//! replay; what is none becomes a dead letter of its own topic, and can be repaired (I2, I3, I5).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use domain::contract::{SCHEMA_VERSION, SCHEMA_VERSION_HEADER};
use domain::dead_letter::{PARTITION_HEADER, REASON_HEADER, TOPIC_HEADER};
use domain::hour::{DAY_MS, day_start_ms};
use domain::{Event, EventKind};
use e2e::{Database, Trial, shared_stack, topic, turn};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use runtime::clock::now_ms;
use up::LogLine;

const WAIT: Duration = Duration::from_mins(1);
const EVENTS: i64 = 6_000;
const SITES: i64 = 7;
const HOUR_MS: i64 = 3_600_000;
/// Time to live of the table, in seconds.
const TIME_TO_LIVE_S: i64 = 30 * 86_400;

fn site(number: i64) -> String {
    format!("plant-{}", number % SITES)
}

/// Event number `number` of a plant, one a minute, the newest at `last_ms`.
fn event(number: i64, last_ms: i64) -> Vec<u8> {
    let site_id = site(number);
    let event = Event {
        sensor_id: Cow::Owned(format!("{site_id}/boiler")),
        site_id: Cow::Owned(site_id),
        event: EventKind::ALL[usize::try_from(number).unwrap() % EventKind::ALL.len()],
        ts: last_ms - (EVENTS - number) * 60_000,
        seq: number,
        run: Cow::Borrowed("strike \"7\""),
        detail: Cow::Owned(number.to_string()),
    };
    let mut record = Vec::new();
    event.encode(&mut record);
    record
}

/// Returns bad records, each with the reason that it is to be given.
fn poison(last_ms: i64) -> [(String, &'static str); 4] {
    let good = String::from_utf8(event(1, last_ms)).unwrap();
    let ts = (last_ms - (EVENTS - 1) * 60_000).to_string();
    [
        ("{".into(), "malformed"),
        (good.replace("\"event\"", "\"kind\""), "malformed"),
        (good.replace("offline", "explosion"), "unknown-kind"),
        (good.replace(&ts, &(last_ms + 3 * HOUR_MS).to_string()), "clock-ahead"),
    ]
}

struct Plant<'a> {
    trial: &'a Trial,
    producer: BaseProducer,
    last_ms: i64,
}

impl Plant<'_> {
    fn send(&self, site: &str, value: &[u8]) {
        let header = Header { key: SCHEMA_VERSION_HEADER, value: Some(SCHEMA_VERSION) };
        let headers = OwnedHeaders::new().insert(header);
        let record = BaseRecord::to(self.trial.events_topic()).key(site).payload(value);
        self.producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
    }

    fn send_events(&self, numbers: std::ops::Range<i64>) {
        for number in numbers {
            self.send(&site(number), &event(number, self.last_ms));
        }
        self.producer.flush(WAIT).unwrap();
    }

    /// Reads a column of text of all rows.
    fn column(&self, database: &Database, column: &str) -> Vec<String> {
        let first_ms = self.last_ms - EVENTS * 60_000;
        let days = (0..).map(|day| day_start_ms(first_ms) + day * DAY_MS);
        let days: Vec<i64> = days.take_while(|day| *day <= self.last_ms).collect();
        let of_site = |number| {
            let query = format!("SELECT {column} FROM events WHERE site_id = '{}'", site(number));
            let of_day = |day: &i64| database.texts(&format!("{query} AND day = {day}")).unwrap();
            days.iter().flat_map(of_day).collect::<Vec<_>>()
        };
        (0..SITES).flat_map(of_site).collect()
    }

    /// Waits until the rows are exactly those of all events.
    fn await_rows(&self, database: &Database) {
        let expected: BTreeSet<String> = (0..EVENTS).map(|number| number.to_string()).collect();
        let deadline = Instant::now() + WAIT;
        loop {
            let rows = self.column(database, "detail");
            let found: BTreeSet<String> = rows.iter().cloned().collect();
            assert_eq!(found.len(), rows.len(), "each event is one row");
            assert!(found.is_subset(&expected), "phantom rows");
            if found == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{} of {EVENTS} events are stored", found.len());
        }
    }
}

fn says(line: &LogLine, events: i64) -> bool {
    let total = line.number("events_total");
    line.message() == "events: progress" && total.is_some_and(|total| total >= events as f64)
}

#[test]
fn events_are_stored_through_a_kill_and_a_replay_changes_nothing() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    // A run of one reading creates the topic of the readings.
    trial.set("PRODUCER_READINGS", 1);
    trial.produce(Duration::from_secs(30)).unwrap();
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let is_assigned = |line: &LogLine| line.message() == "events: partitions assigned";
    consumer.wait_for("the events' partitions", WAIT, is_assigned).unwrap();

    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", stack.bootstrap_servers())
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    let metadata = producer.client().fetch_metadata(Some(trial.events_topic()), WAIT).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 3, "the consumer has made the topic");
    let plant = Plant { trial: &trial, producer, last_ms: now_ms() };
    plant.send_events(0..EVENTS / 2);
    consumer.wait_for("some events", WAIT, |line| says(line, 1)).unwrap();
    plant.send_events(EVENTS / 2..EVENTS);
    consumer.kill().unwrap();

    let mut consumer = trial.start("consumer", "after-the-kill").unwrap();
    let database = trial.database().unwrap();
    plant.await_rows(&database);
    let status = consumer.stop(Duration::from_secs(10)).unwrap();
    assert!(status.success(), "the consumer ended: {status}{}", consumer.last_lines());

    let state = || {
        let columns = ["event", "run", "sensor_id", "CAST(WRITETIME(event) AS text)"];
        columns.map(|column| plant.column(&database, column))
    };
    let before = state();
    let newest_ms = plant.last_ms - 60_000;
    let second_us = newest_ms * 1_000..(newest_ms + 1_000) * 1_000;
    let is_newest = |us: &String| us.parse().is_ok_and(|us| second_us.contains(&us));
    assert!(before[3].iter().any(is_newest), "the write timestamp is within a second of the event");
    let group = ("KAFKA_CONSUMER_GROUP_ID", format!("{}-again", plant.trial.topic()));
    let mut consumer = trial.start_with("consumer", "replay", &[group]).unwrap();
    consumer.wait_for("all events again", WAIT, |line| says(line, EVENTS)).unwrap();
    assert!(state() == before, "a replay changes nothing");
    let left = "SELECT CAST(TTL(event) AS bigint) FROM events WHERE site_id = ";
    let day = day_start_ms(newest_ms);
    let newest = format!("{left}'{}' AND day = {day} LIMIT 1", site(EVENTS - 1));
    let (left_s, age_s) = (database.number(&newest).unwrap(), (now_ms() - newest_ms) / 1_000);
    assert!((left_s + age_s - TIME_TO_LIVE_S).abs() <= 3, "{left_s} s left after {age_s} s");
}

#[test]
fn what_is_no_event_is_a_dead_letter_that_can_be_repaired() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    // Fewer partitions than the events have: a dead letter finds a place all the same.
    trial.set("PRODUCER_READINGS", 1).set("KAFKA_NUM_PARTITIONS", 1);
    trial.produce(Duration::from_secs(30)).unwrap();
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let is_assigned = |line: &LogLine| line.message() == "events: partitions assigned";
    consumer.wait_for("the events' partitions", WAIT, is_assigned).unwrap();

    let producer = ClientConfig::new()
        .set("bootstrap.servers", stack.bootstrap_servers())
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    let plant = Plant { trial: &trial, producer, last_ms: now_ms() };
    let poison = poison(plant.last_ms);
    for (number, (value, _)) in (0..).zip(&poison) {
        plant.send(&site(number), value.as_bytes());
    }
    plant.producer.flush(WAIT).unwrap();
    consumer
        .wait_for("dead letters", WAIT, |line| {
            says(line, 0) && line.number("dead_letters_total") == Some(4.0)
        })
        .unwrap();
    let letters = trial.read_topic(trial.dead_letter_topic()).unwrap();
    let header = |letter, name| topic::header(letter, name).unwrap_or_default();
    let mut found: Vec<(String, String)> = Vec::new();
    for letter in &letters {
        assert_eq!(header(letter, TOPIC_HEADER), trial.events_topic());
        assert!(["0", "1", "2"].contains(&&*header(letter, PARTITION_HEADER)));
        assert_eq!(header(letter, SCHEMA_VERSION_HEADER), SCHEMA_VERSION);
        let value = String::from_utf8(letter.payload().unwrap().to_vec()).unwrap();
        found.push((value, header(letter, REASON_HEADER)));
    }
    let mut expected: Vec<(String, String)> =
        poison.iter().map(|(value, reason)| (value.clone(), (*reason).to_owned())).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);

    let listed = trial.run("dlq", &["list"]).unwrap();
    let origin = format!("{}[", trial.events_topic());
    assert_eq!(listed.output.matches(&origin).count(), 4, "{}", listed.output);
    let repair = ["redrive", "--reason", "unknown-kind", "--through", "sed s/explosion/fault/"];
    let redriven = trial.run("dlq", &repair).unwrap();
    assert_eq!((redriven.code, redriven.last_line()), (0, "redrive: sent 1 kept 3"));
    consumer.wait_for("the repaired event", WAIT, |line| says(line, 1)).unwrap();
    let database = trial.database().unwrap();
    assert_eq!(plant.column(&database, "event"), ["fault"]);
}

//! Of several versions of a row one stays whole, the same in every order and after a replay: of
//! readings, of events, of what `latest` says, and of where a site is (I3).

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::{Trial, shared_stack, topic, turn};
use rdkafka::producer::{BaseRecord, Producer};
use runtime::clock::now_ms;

const WAIT: Duration = Duration::from_mins(1);
/// Sensors whose versions come in one order, and as many in the other.
const SENSORS: usize = 100;
/// The two contents that there may be.
const VALUES: [&str; 2] = ["fault 30.0", "ok 20.0"];
const PLACES: [&str; 2] = ["50.5 -50.5", "40.5 -40.5"];

#[test]
fn versions_are_never_mixed() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 1);
    trial.produce(WAIT).unwrap();
    let producer = topic::producer(&stack.bootstrap_servers()).unwrap();
    let send = |topic: &str, value: &str| {
        let record = BaseRecord::to(topic).key("plant").payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    };
    let ts_ms = now_ms();
    // Each cell of the one is greater than that of the other, and the other way round.
    let versions =
        [("30.0", "fault", 1, "50.5", "offline", "a"), ("20.0", "ok", 2, "40.5", "battery", "b")];
    for sensor in 0..2 * SENSORS {
        let order = if sensor < SENSORS { [0, 1] } else { [1, 0] };
        for (value, status, seq, lat, event, detail) in order.map(|version| versions[version]) {
            // The same reading twice, and another one of the same millisecond.
            for (id, seq) in [(format!("r{sensor}"), 7), (format!("l{sensor}"), seq)] {
                send(
                    trial.topic(),
                    &format!(
                        r#"{{"sensor_id":"{id}","site_id":"plant","kind":"temperature","ts":{ts_ms},
                    "value":{value},"unit":"°C","seq":{seq},"run":"r","status":"{status}",
                    "location":{{"lat":{lat},"lon":-{lat}}}}}"#
                    ),
                );
            }
            send(
                trial.events_topic(),
                &format!(
                    r#"{{"sensor_id":"e{sensor}","site_id":"plant","event":"{event}","ts":{ts_ms},
                "seq":7,"run":"r","detail":"{detail}"}}"#
                ),
            );
        }
    }
    producer.flush(WAIT).unwrap();
    let records = 8 * SENSORS + 1;
    let first = stored(&trial, "first", records);
    for group in ["again", "once-more"] {
        // Another group reads all of it again, in other batches.
        trial.set("KAFKA_CONSUMER_GROUP_ID", group).set("CONSUMER_BATCH_ROWS_MAX", 7);
        assert_eq!(stored(&trial, group, records), first, "after a replay");
    }
}

/// Lets a consumer store everything; returns the different contents that there are, which must be
/// one for each table.
fn stored(trial: &Trial, name: &str, records: usize) -> Vec<String> {
    let mut consumer = trial.start("consumer", name).unwrap();
    let all = |line: &up::LogLine| line.number("rows_total") == Some(records as f64);
    consumer.wait_for("all readings", WAIT, all).unwrap();
    let all = |line: &up::LogLine| line.number("events_total") >= Some(4.0 * SENSORS as f64);
    let events = consumer.wait_for("all events", Duration::from_secs(5), all);
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success(), "{events:?}");

    let database = trial.database().unwrap();
    let hour_ms = now_ms() - now_ms() % 3_600_000;
    let day_ms = now_ms() - now_ms() % 86_400_000;
    let readings = format!("FROM readings WHERE site_id = 'plant' AND hour = {hour_ms}");
    let events = format!("FROM events WHERE site_id = 'plant' AND day = {day_ms}");
    let latest = "FROM latest WHERE site_id = 'plant'";
    let mut contents = Vec::new();
    for (columns, from, whole) in [
        (["status", "value"], format!("{readings} AND sensor_id >= 'r'"), VALUES),
        (["status", "value"], format!("{latest} AND sensor_id >= 'r'"), VALUES),
        (["status", "value"], format!("{latest} AND sensor_id < 'm'"), VALUES),
        (["event", "detail"], events, ["offline a", "battery b"]),
        (["lat", "lon"], readings.clone(), PLACES),
        (["lat", "lon"], "FROM sites WHERE site_id = 'plant'".into(), PLACES),
    ] {
        let [first, second] = columns.map(|column| {
            database.texts(&format!("SELECT CAST({column} AS text) {from}")).unwrap()
        });
        let rows: BTreeSet<String> =
            first.iter().zip(&second).map(|(first, second)| format!("{first} {second}")).collect();
        let rows: Vec<String> = rows.into_iter().collect();
        assert!(rows.iter().all(|row| whole.contains(&row.as_str())), "mixed {rows:?} {from}");
        assert_eq!(rows.len(), 1, "one version wins in both orders, not {rows:?} {from}");
        contents.extend(rows);
    }
    contents
}

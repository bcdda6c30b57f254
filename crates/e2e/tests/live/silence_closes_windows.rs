//! Windows of a partition that falls silent are written soon after, however many others are silent.

use std::time::{Duration, Instant};

use domain::partitioner::partition_of;
use e2e::{Trial, shared_stack, turn};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use up::LogLine;

const PARTITIONS: u32 = 12;
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
const WAIT: Duration = Duration::from_mins(1);

/// One site in each partition.
fn sites() -> Vec<String> {
    (0..PARTITIONS)
        .map(|partition| {
            let mut sites = (0..).map(|number| format!("site-{number:04}"));
            sites.find(|site| partition_of(site.as_bytes(), PARTITIONS) == partition).unwrap()
        })
        .collect()
}

fn send(producer: &BaseProducer, trial: &Trial, site: &str, seq: u64) {
    let ts = jiff::Timestamp::now().as_millisecond();
    let value = format!(
        r#"{{"sensor_id":"{site}/light-01","site_id":"{site}","kind":"light","ts":{ts},
            "value":{seq},"unit":"lx","seq":{seq},"run":"silence","status":"ok",
            "location":{{"lat":1,"lon":2}}}}"#
    );
    producer.send(BaseRecord::to(trial.topic()).key(site).payload(&value)).unwrap();
}

#[test]
fn the_last_window_is_written_when_nothing_more_comes() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    for silent in [1, 6, 11] {
        let mut trial = Trial::new(stack).unwrap();
        trial
            .set("PRODUCER_READINGS", 1)
            .set("ANALYTICS_IDLE_TIMEOUT_SEC", IDLE_TIMEOUT.as_secs())
            .set("ANALYTICS_FLUSH_INTERVAL_MS", 50);
        trial.produce(WAIT).unwrap();
        let mut analytics = trial.start("analytics", "analytics").unwrap();
        let is_assigned = |line: &LogLine| line.message() == "partitions assigned";
        analytics.wait_for("partitions", WAIT, is_assigned).unwrap();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", stack.bootstrap_servers())
            .set("partitioner", "murmur2_random")
            .create()
            .unwrap();
        let database = trial.database().unwrap();
        let sites = sites();
        let (silent_sites, others) = sites.split_at(silent);
        // A record is read after it was sent, and before its acknowledgement came or soon after.
        let sent = Instant::now();
        for site in &sites {
            send(&producer, &trial, site, 0);
        }
        producer.flush(WAIT).unwrap();
        let begin = Instant::now();
        let mut seq = 0;
        let written = loop {
            seq += 1;
            for site in others {
                send(&producer, &trial, site, seq);
            }
            producer.flush(WAIT).unwrap();
            let rows = database.texts("SELECT site_id FROM aggregates_1m").unwrap();
            if silent_sites.iter().all(|site| rows.contains(site)) {
                break begin.elapsed();
            }
            assert!(begin.elapsed() < WAIT, "{silent} silent: {rows:?}{}", analytics.last_lines());
        };
        println!("{silent} of {PARTITIONS} silent: written after {written:?}");
        assert!(sent.elapsed() >= IDLE_TIMEOUT, "{written:?}: nobody knew that no more would come");
        assert!(written <= IDLE_TIMEOUT.mul_f64(1.1), "{silent} silent: {written:?}");
        assert!(analytics.stop(Duration::from_secs(10)).unwrap().success());
    }
}

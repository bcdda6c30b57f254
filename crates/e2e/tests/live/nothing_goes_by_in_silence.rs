//! What is neither a row nor a dead letter is said and counted: readings that are older than the
//! table keeps rows, and records that Kafka deleted before they were read.

use std::time::Duration;

use e2e::{Trial, shared_stack, topic, turn};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use runtime::clock::now_ms;

const WAIT: Duration = Duration::from_mins(1);
const DAY_MS: i64 = 86_400_000;

#[test]
fn expired_and_deleted_records_are_counted_and_named() {
    const RECORDS: u32 = 40;
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 1);
    trial.produce(WAIT).unwrap();
    let servers = stack.bootstrap_servers();
    let producer = topic::producer(&servers).unwrap();
    let send = |partition: i32, age_ms: i64| {
        for seq in 0..RECORDS {
            let value = reading(seq, now_ms() - age_ms);
            let record = BaseRecord::to(trial.topic()).key("plant").payload(&value);
            let sent = producer.send(record.partition(partition));
            sent.map_err(|(error, _)| error).unwrap();
        }
        producer.flush(WAIT).unwrap();
    };
    // Two partitions that the run has left empty.
    let used = trial.read_topic(trial.topic()).unwrap()[0].partition();
    let (old, new) = ((used + 1) % 12, (used + 2) % 12);
    send(old, 400 * DAY_MS);
    send(new, 0);
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let said = |line: &up::LogLine| {
        line.level() == "WARN" && line.message().contains("older than the table keeps rows")
    };
    let line = consumer.wait_for("a word about expired records", WAIT, said).unwrap();
    assert_eq!(line.number("time_to_live_s"), Some(86_400.0));
    let counted = |line: &up::LogLine| {
        let counts = [("expired_total", f64::from(RECORDS)), ("rows_total", 41.0)];
        counts.iter().all(|(name, count)| line.number(name) == Some(*count))
    };
    consumer.wait_for("all counted", WAIT, counted).unwrap();
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());

    send(new, 0);
    delete_below(&servers, trial.topic(), new, i64::from(RECORDS) + 30);
    for name in ["consumer", "analytics"] {
        let mut program = trial.start(name, &format!("{name}-again")).unwrap();
        let deleted = if name == "consumer" { 30.0 } else { 0.0 };
        let counted = |line: &up::LogLine| {
            line.number("deleted_total") == Some(deleted) && line.number("lag") == Some(0.0)
        };
        program.wait_for("the deleted records counted", WAIT, counted).unwrap();
        assert!(program.stop(Duration::from_secs(15)).unwrap().success());
    }
}

fn reading(seq: u32, ts_ms: i64) -> String {
    format!(
        r#"{{"sensor_id":"plant/1","site_id":"plant","kind":"light","ts":{ts_ms},"value":1.5,
        "unit":"lx","seq":{seq},"run":"plant","status":"ok","location":{{"lat":1,"lon":2}}}}"#
    )
}

fn delete_below(bootstrap_servers: &str, topic: &str, partition: i32, offset: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
}

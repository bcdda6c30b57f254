//! Whatever the broker takes, the consumer and the analytics go on: records that unpack to many
//! megabytes, giant keys and headers, a topic for dead letters that takes small records only.

use std::time::Duration;

use e2e::{Trial, shared_stack, topic, turn};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use runtime::clock::now_ms;

const WAIT: Duration = Duration::from_mins(2);
const MIB: usize = 1 << 20;

#[test]
fn large_records_become_dead_letters_that_are_cut() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 1);
    trial.produce(WAIT).unwrap();
    make_small_topic(&stack.bootstrap_servers(), trial.dead_letter_topic());

    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", stack.bootstrap_servers())
        .set("compression.type", "gzip")
        .set("message.max.bytes", "1000000000")
        .create()
        .unwrap();
    let headers = |bytes: usize| {
        let value = vec![b'h'; bytes];
        OwnedHeaders::new().insert(Header { key: "trace", value: Some(&value) })
    };
    let send = |key: &[u8], value: &[u8], headers: OwnedHeaders| {
        let record = BaseRecord::to(trial.topic()).partition(1).key(key).payload(value);
        producer.send(record.headers(headers)).map_err(|(error, _)| error).unwrap();
        producer.flush(WAIT).unwrap();
    };
    let key = vec![b'k'; MIB];
    send(b"plant", &vec![b'x'; 11 * MIB], headers(3));
    send(b"plant", &vec![b'x'; 200_000], headers(3));
    send(&key, b"no reading", headers(3));
    send(b"plant", b"no reading", headers(2 * MIB));
    let reading = |seq: i64| {
        let ts_ms = now_ms();
        format!(
            r#"{{"sensor_id":"plant/1","site_id":"plant","kind":"light","ts":{ts_ms},"value":1.5,
            "unit":"lx","seq":{seq},"run":"plant","status":"ok","location":{{"lat":1,"lon":2}}}}"#
        )
    };
    // A reading whose window is final when it comes goes to the late topic with all it has.
    send(b"plant", reading(0).as_bytes(), headers(3));
    send(b"plant", reading(1).as_bytes(), headers(2 * MIB));

    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let all = [("rows_total", 3.0), ("dead_letters_total", 4.0)];
    consumer
        .wait_for("rows and dead letters", WAIT, |line| {
            all.iter().all(|(name, count)| line.number(name) == Some(*count))
        })
        .unwrap();
    let mut analytics = trial.start("analytics", "analytics").unwrap();
    let taken = |line: &up::LogLine| line.number("taken_total") == Some(7.0);
    analytics.wait_for("all records", WAIT, taken).unwrap();

    assert_cut(&trial.read_topic(trial.dead_letter_topic()).unwrap());
    let verdict = trial.run("dlq", &["redrive"]).unwrap();
    assert_eq!(verdict.code, 0, "{}", verdict.output);
    let waiting = trial.run("dlq", &["list"]).unwrap();
    assert!(waiting.last_line().contains('4'), "they wait on: {}", waiting.output);
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());
}

/// Four dead letters hold what the topic takes, and say what is missing.
fn assert_cut(letters: &[OwnedMessage]) {
    assert_eq!(letters.len(), 4);
    let cut = |name: &str| -> Vec<String> {
        letters.iter().filter_map(|letter| topic::header(letter, name)).collect()
    };
    let mut values = cut("dlq-value-bytes");
    values.sort();
    assert_eq!(values, [(11 * MIB).to_string(), "200000".to_owned()]);
    assert_eq!(cut("dlq-key-bytes"), [MIB.to_string()]);
    assert_eq!(cut("dlq-headers-bytes"), [(2 * MIB + 5).to_string()]);
    assert!(cut("dlq-value-sha256").iter().all(|hash| hash.len() == 64));
    for letter in letters {
        let sizes = [letter.payload(), letter.key()].map(|bytes| bytes.map_or(0, <[u8]>::len));
        assert!(sizes.iter().all(|size| *size <= 1_024), "{sizes:?}");
    }
}

/// Creates a topic that takes no record above 100 KB.
fn make_small_topic(bootstrap_servers: &str, name: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", bootstrap_servers).create().unwrap();
    let topic =
        NewTopic::new(name, 3, TopicReplication::Fixed(1)).set("max.message.bytes", "100000");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let created = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).unwrap();
    assert!(created.iter().all(Result::is_ok), "{created:?}");
}

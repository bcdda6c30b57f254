//! Dead letters go back to where they came from, exactly as they were, and none is lost on the way
//! whatever happens to the program.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use domain::dead_letter::{
    ATTEMPTS_HEADER, DETAIL_HEADER, OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER, Reason,
    SERVICE_HEADER, TIMESTAMP_HEADER, TOPIC_HEADER,
};
use e2e::{Trial, program, shared_stack, turn};
use nix::sys::signal::Signal;
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Message};
use runtime::clock::now_ms;
use runtime::kafka::{KafkaSettings, TopicSpec, ensure_topic};

const PARTITIONS: u32 = 12;
const WAIT: Duration = Duration::from_mins(1);

/// Returns the timestamp of the first record; each is a millisecond later than the one before.
///
/// An hour ago: what is older than a topic's retention may be gone as soon as it is there.
fn first_ms() -> i64 {
    static FIRST_MS: OnceLock<i64> = OnceLock::new();
    *FIRST_MS.get_or_init(|| now_ms() - 3_600_000)
}

/// A record, as it was and as it is to be again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Copy {
    partition: i32,
    timestamp_ms: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Copy {
    fn new(number: usize, value: &str) -> Self {
        Self {
            partition: i32::try_from(number % PARTITIONS as usize).unwrap(),
            timestamp_ms: Some(first_ms() + i64::try_from(number).unwrap()),
            key: Some(format!("key-{number}").into()),
            value: Some(value.into()),
            headers: vec![("schema-version".into(), Some("1".into()))],
        }
    }

    fn of(message: &OwnedMessage) -> Self {
        let headers = message.headers().into_iter().flat_map(Headers::iter);
        Self {
            partition: message.partition(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers
                .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        }
    }

    fn with(mut self, name: &str, value: &dyn ToString) -> Self {
        self.headers.push((name.into(), Some(value.to_string().into())));
        self
    }

    /// Makes it the dead letter that the contract asks for.
    fn dead(&self, topic: &str, reason: Reason, attempts: u32) -> Self {
        let letter = Self { timestamp_ms: None, ..self.clone() };
        letter
            .with(TOPIC_HEADER, &topic)
            .with(PARTITION_HEADER, &self.partition)
            .with(OFFSET_HEADER, &1_000)
            .with(TIMESTAMP_HEADER, &self.timestamp_ms.unwrap())
            .with(REASON_HEADER, &reason)
            .with(DETAIL_HEADER, &"it is\nnot right")
            .with(ATTEMPTS_HEADER, &attempts)
            .with(SERVICE_HEADER, &"test")
    }
}

/// A trial with its two topics and a client for each direction.
struct Fixture {
    trial: Trial,
    producer: BaseProducer,
}

impl Fixture {
    fn new() -> Self {
        let stack = shared_stack().unwrap();
        let trial = Trial::without_schema(stack).unwrap();
        let servers = stack.bootstrap_servers();
        let kafka = KafkaSettings {
            bootstrap_servers: servers.clone(),
            topic: trial.topic().to_owned(),
            partitions: PARTITIONS,
            replication_factor: 1,
        };
        let (_stopper, shutdown) = runtime::shutdown::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dead_letters = TopicSpec::dead_letters(trial.dead_letter_topic(), PARTITIONS);
        for topic in [kafka.readings(), dead_letters] {
            runtime.block_on(ensure_topic(&kafka, topic, &shutdown)).unwrap();
        }
        let producer = ClientConfig::new().set("bootstrap.servers", &servers).create().unwrap();
        Self { trial, producer }
    }

    /// Appends records to the dead-letter topic.
    fn bury<'a>(&self, letters: impl IntoIterator<Item = &'a Copy>) {
        for letter in letters {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &letter.headers {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
            let mut record = BaseRecord::<[u8], [u8]>::to(self.trial.dead_letter_topic())
                .partition(letter.partition)
                .headers(headers);
            record.key = letter.key.as_deref();
            record.payload = letter.value.as_deref();
            while let Err((_full, returned)) = self.producer.send(record) {
                self.producer.poll(Duration::from_millis(10));
                record = returned;
            }
        }
        self.producer.flush(WAIT).unwrap();
    }

    /// Reads all of a topic.
    fn read(&self, topic: &str) -> Vec<Copy> {
        let messages = self.trial.read_topic(topic).unwrap();
        messages.iter().map(Copy::of).collect()
    }

    /// Reads the topic that the records came from, in an order of its own.
    fn returned(&self) -> Vec<Copy> {
        let mut records = self.read(self.trial.topic());
        records.sort();
        records
    }

    /// Runs the program and returns exit code and output.
    fn dlq(&self, arguments: &[&str]) -> (i32, String) {
        let verdict = self.trial.run("dlq", arguments).unwrap();
        (verdict.code, verdict.output)
    }

    /// Runs the program, which is to end well with this line.
    fn assert_ends(&self, arguments: &[&str], expected: &str) {
        let (code, output) = self.dlq(arguments);
        assert_eq!((code, output.lines().last()), (0, Some(expected)), "{arguments:?}: {output}");
    }
}

#[test]
fn records_go_back_as_they_were_and_only_once() {
    let _turn = turn();
    let fixture = Fixture::new();
    fixture.assert_ends(&["list"], "dead letters: 0 waiting");
    fixture.assert_ends(&["redrive"], "redrive: sent 0 kept 0");

    let mut records: Vec<Copy> = (0..40).map(|n| Copy::new(n, &format!("value {n}"))).collect();
    records[0].key = None;
    records[1].value = None;
    records[2].value = Some(vec![0xff, 0, b'A']);
    records[3].value = Some(Vec::new());
    records[4].headers = vec![("twice".into(), None), ("twice".into(), Some(vec![0xfe]))];
    let topic = fixture.trial.topic();
    let reason = |n| if n % 4 == 0 { Reason::ClockAhead } else { Reason::Malformed };
    let letters = records.iter().enumerate();
    let letters: Vec<Copy> = letters.map(|(n, copy)| copy.dead(topic, reason(n), 2)).collect();
    fixture.bury(&letters);

    let (code, list) = fixture.dlq(&["list", "--limit", "7"]);
    assert_eq!((code, list.lines().count()), (0, 1 + 7 + 2), "{list}");
    assert!(list.contains(&format!("{topic}[0]@1000")), "{list}");
    fixture.assert_ends(&["list"], "dead letters: 40 waiting: malformed 30, clock-ahead 10");
    let (_, json) = fixture.dlq(&["list", "--format", "json"]);
    assert_eq!(json.lines().count(), 40);
    for line in json.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["detail"], "it is\nnot right", "{line}");
    }
    let (code, shown) = fixture.dlq(&["show", "--partition", "2", "--offset", "0"]);
    assert!(code == 0 && shown.contains("00000000  ff 00 41 "), "{shown}");
    assert!(shown.contains("dlq-reason: malformed"), "{shown}");
    assert_eq!(fixture.dlq(&["show", "--partition", "2", "--offset", "4"]).0, 1);

    fixture.assert_ends(&["redrive", "--dry-run"], "redrive: would send 40 keep 0");
    assert_eq!(fixture.returned(), []);
    fixture.assert_ends(&["redrive"], "redrive: sent 40 kept 0");
    let mut expected: Vec<Copy> =
        records.into_iter().map(|copy| copy.with(ATTEMPTS_HEADER, &2)).collect();
    expected.sort();
    assert_eq!(fixture.returned(), expected);

    fixture.assert_ends(&["redrive"], "redrive: sent 0 kept 0");
    assert_eq!(fixture.returned().len(), 40);
    fixture.assert_ends(&["list"], "dead letters: 0 waiting");
    let all = "dead letters: 40 in all, 0 waiting: malformed 30, clock-ahead 10";
    fixture.assert_ends(&["list", "--all"], all);
}

#[test]
fn a_command_repairs_and_what_it_cannot_repair_goes_on_waiting() {
    let _turn = turn();
    let fixture = Fixture::new();
    let topic = fixture.trial.topic();
    let repairable = |n: usize| n.is_multiple_of(3);
    let text = |n| if repairable(n) { format!("co2 {n}") } else { format!("dust {n}") };
    let unknown: Vec<Copy> = (0..30).map(|n| Copy::new(n, &text(n))).collect();
    let ahead: Vec<Copy> = (30..50).map(|n| Copy::new(n, &text(n))).collect();
    fixture
        .bury(&unknown.iter().map(|c| c.dead(topic, Reason::UnknownKind, 1)).collect::<Vec<_>>());
    fixture.bury(&ahead.iter().map(|c| c.dead(topic, Reason::ClockAhead, 1)).collect::<Vec<_>>());

    // `grep` fails where it finds nothing.
    let repair = "sed s/co2/temperature/ | grep temperature";
    let arguments = ["redrive", "--reason", "unknown-kind", "--through", repair];
    fixture.assert_ends(&arguments, "redrive: sent 10 kept 40");
    let mut expected: Vec<Copy> = (0..30)
        .filter(|n| repairable(*n))
        .map(|n| Copy::new(n, &format!("temperature {n}\n")).with(ATTEMPTS_HEADER, &1))
        .collect();
    expected.sort();
    assert_eq!(fixture.returned(), expected);
    let waiting = "dead letters: 40 waiting: clock-ahead 20, unknown-kind 20";
    fixture.assert_ends(&["list"], waiting);

    fixture.assert_ends(&["redrive"], "redrive: sent 40 kept 0");
    for record in fixture.returned().iter().filter(|record| !expected.contains(record)) {
        let number = usize::try_from(record.timestamp_ms.unwrap() - first_ms()).unwrap();
        // A repair that failed is an attempt; being passed over for another reason is none.
        let attempts = if number < 30 { 2 } else { 1 };
        assert_eq!(*record, Copy::new(number, &text(number)).with(ATTEMPTS_HEADER, &attempts));
    }

    let stranger = Copy::new(0, "hello");
    fixture.bury([&stranger]);
    let (code, output) = fixture.dlq(&["redrive"]);
    assert_eq!(code, 1, "{output}");
    assert!(output.starts_with("passed over 1 records"), "{output}");
    fixture.assert_ends(&["redrive"], "redrive: sent 0 kept 0");
    assert_eq!(fixture.returned().len(), 50);
}

#[test]
fn what_has_no_topic_to_go_back_to_goes_on_waiting_and_holds_nothing_up() {
    let _turn = turn();
    let fixture = Fixture::new();
    let homes = ["no-such-topic", "no/topic", "", fixture.trial.topic()];
    let letters = (0..).zip(homes).map(|(number, home)| {
        // All in one partition, so that each stands before the next.
        let record = Copy { partition: 0, ..Copy::new(number, "value") };
        record.dead(home, Reason::Malformed, 1)
    });
    fixture.bury(&letters.collect::<Vec<_>>());
    let (code, output) = fixture.dlq(&["redrive"]);
    assert_eq!(output.lines().last(), Some("redrive: sent 1 kept 2"), "{output}");
    assert!(output.starts_with("passed over 1 records"), "a topic without a name: {output}");
    assert_eq!(code, 1, "{output}");
    assert_eq!(fixture.returned().len(), 1);
    fixture.assert_ends(&["list"], "dead letters: 2 waiting: malformed 2");
}

#[test]
fn nothing_is_missing_after_a_redrive_was_killed() {
    const LETTERS: usize = 100_000;
    let _turn = turn();
    let fixture = Fixture::new();
    let topic = fixture.trial.topic();
    let letter = |n| Copy::new(n, "x").dead(topic, Reason::Malformed, 1);
    fixture.bury(&(0..LETTERS).map(letter).collect::<Vec<_>>());
    let waiting = format!("dead letters: {LETTERS} waiting: malformed {LETTERS}");
    fixture.assert_ends(&["list", "--limit", "1"], &waiting);

    let mut first = fixture.trial.start_action("dlq", &["redrive"], "killed").unwrap();
    first.wait_for("progress", WAIT, |line| line.message() == "progress").unwrap();
    first.kill().unwrap();
    let before = fixture.returned().len();
    assert!((1..LETTERS).contains(&before), "{before} of {LETTERS} were sent before the kill");

    // Two at once repeat each other's work and lose none of it.
    let mut both = ["left", "right"]
        .map(|name| fixture.trial.start_action("dlq", &["redrive"], name).unwrap());
    for redrive in &mut both {
        let status = redrive.wait(WAIT).unwrap();
        assert!(status.success(), "{status}{}", redrive.last_lines());
    }
    fixture.assert_ends(&["redrive"], "redrive: sent 0 kept 0");
    let returned = fixture.returned();
    let distinct: BTreeSet<_> = returned.iter().map(|record| &record.key).collect();
    let total = returned.len();
    println!("{before} before the kill, {total} in all for {LETTERS} dead letters");
    assert_eq!(distinct.len(), LETTERS, "{total} records came back");
}

#[test]
fn a_redrive_that_is_stopped_repeats_nothing() {
    const LETTERS: usize = 400;
    let _turn = turn();
    let fixture = Fixture::new();
    let topic = fixture.trial.topic();
    let letter = |n| Copy::new(n, "x").dead(topic, Reason::Malformed, 1);
    fixture.bury(&(0..LETTERS).map(letter).collect::<Vec<_>>());

    let slowly = ["redrive", "--through", "sleep 0.05; cat"];
    let mut redrive = fixture.trial.start_action("dlq", &slowly, "stopped").unwrap();
    redrive.wait_for("progress", WAIT, |line| line.message() == "progress").unwrap();
    redrive.signal(Signal::SIGTERM).unwrap();
    let status = redrive.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", redrive.last_lines());
    let before = fixture.returned().len();
    assert!((1..LETTERS).contains(&before), "{before} of {LETTERS} were sent before the stop");

    let rest = format!("redrive: sent {} kept 0", LETTERS - before);
    fixture.assert_ends(&["redrive"], &rest);
    let returned = fixture.returned();
    let distinct: BTreeSet<_> = returned.iter().map(|record| &record.key).collect();
    assert_eq!((distinct.len(), returned.len()), (LETTERS, LETTERS));
}

#[test]
fn dlq_says_how_it_is_used() {
    let _turn = turn();
    let trial = Trial::without_schema(shared_stack().unwrap()).unwrap();
    assert_eq!(trial.run("dlq", &[]).unwrap().code, 64);
    assert_eq!(trial.run("dlq", &["show"]).unwrap().code, 64);
    let help = trial.run("dlq", &["redrive", "--help"]).unwrap();
    assert!(help.code == 0 && help.output.contains("--through"), "{}", help.output);
    let output = Command::new(program("dlq").unwrap())
        .arg("list")
        .env("KAFKA_BOOTSTRAP_SERVERS", shared_stack().unwrap().bootstrap_servers())
        .env("KAFKA_DLQ_TOPIC_NAME", "no-such-topic")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("there is no topic `no-such-topic`"), "{text}");
}

//! All codecs are read; a batch that cannot be read stops its partition alone, is named in the log
//! and at the health endpoint, and is read as soon as that is possible, without a restart.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use e2e::{Trial, shared_stack, topic, turn};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, Producer};
use runtime::clock::now_ms;
use up::Program;

const WAIT: Duration = Duration::from_mins(2);
/// Pause before something is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes of a batch before its records, and where in it its length stands.
const BATCH_HEADER_BYTES: usize = 61;
const LENGTH_AT: usize = 8;

#[test]
fn every_codec_is_read() {
    const READINGS: u64 = 2_000;
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    trial.set("PRODUCER_READINGS", READINGS).set("PRODUCER_TARGET_RATE", 20_000);
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    for codec in codecs {
        trial.set("PRODUCER_COMPRESSION", codec);
        trial.produce(WAIT).unwrap();
    }
    let total = READINGS * codecs.len() as u64;
    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let counts = trial.audit_counts(WAIT).unwrap();
    assert_eq!((counts.acknowledged, counts.stored), (total, total), "{counts:?}");
    assert_eq!((counts.missing, counts.phantom, counts.corrupt), (0, 0, 0), "{counts:?}");
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());

    let mut analytics = trial.start("analytics", "analytics").unwrap();
    let all = |line: &up::LogLine| line.number("taken_total") == Some(total as f64);
    analytics.wait_for("every reading", WAIT, all).unwrap();
}

#[test]
fn a_corrupt_batch_stops_its_partition_alone_until_it_can_be_read() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 1).set("HEALTH_ADDRESS", "127.0.0.1:0");
    trial.produce(WAIT).unwrap();
    // Two partitions that the run has left empty.
    let used = trial.read_topic(trial.topic()).unwrap()[0].partition();
    let (damaged, sound) = ((used + 1) % 12, (used + 2) % 12);
    let producer = topic::producer(&stack.bootstrap_servers()).unwrap();
    // Three batches in each, of which the second in the first partition is going to be damaged.
    for seq in 0..30 {
        for partition in [damaged, sound] {
            let site = format!("plant-{partition}");
            let value = reading(&site, seq);
            let record = BaseRecord::to(trial.topic()).key(&site).payload(&value);
            producer.send(record.partition(partition)).map_err(|(error, _)| error).unwrap();
        }
        if seq % 10 == 9 {
            producer.flush(WAIT).unwrap();
        }
    }
    let segment = segment(stack.data_dir(), &format!("{}-{damaged}", trial.topic()));
    let original = fs::read(&segment).unwrap();
    let mut bytes = original.clone();
    bytes[batches(&original)[1] + BATCH_HEADER_BYTES + 40] ^= 0x55;
    write_over(&segment, &bytes);

    let mut consumer = trial.start("consumer", "consumer").unwrap();
    let mut analytics = trial.start("analytics", "analytics").unwrap();
    let database = trial.database().unwrap();
    let stored = || {
        let rows = |partition: i32| {
            let hour = now_ms() - now_ms() % 3_600_000;
            let from = "SELECT count(*) FROM readings WHERE site_id =";
            let query = format!("{from} 'plant-{partition}' AND hour = {hour}");
            database.number(&query).unwrap()
        };
        (rows(damaged), rows(sound))
    };
    for (name, program) in [("consumer", &mut consumer), ("analytics", &mut analytics)] {
        let address = health_address(program);
        let topic = trial.topic();
        let place = format!("partition {damaged} of `{topic}` has stood at offset 10");
        let why = wait_for_health(&address, 503, &place);
        assert!(why.contains("the batch is corrupt"), "{name}: {why}");
        assert!(program.exited().unwrap().is_none(), "{name} goes on");
    }
    assert_eq!(stored(), (10, 30), "nothing behind the damage is taken in");

    write_over(&segment, &original);
    for program in [&mut consumer, &mut analytics] {
        let address = health_address(program);
        wait_for_health(&address, 200, "ok");
    }
    let deadline = Instant::now() + WAIT;
    while stored() != (30, 30) {
        assert!(Instant::now() < deadline, "{:?} rows of 30 and 30", stored());
        thread::sleep(PAUSE);
    }
    assert!(consumer.stop(Duration::from_secs(15)).unwrap().success());
}

fn reading(site: &str, seq: i64) -> String {
    let ts_ms = now_ms();
    format!(
        r#"{{"sensor_id":"{site}/1","site_id":"{site}","kind":"light","ts":{ts_ms},
        "value":1.5,"unit":"lx","seq":{seq},"run":"plant","status":"ok",
        "location":{{"lat":1.0,"lon":2.0}}}}"#
    )
}

/// Finds the only segment of a partition.
fn segment(data: &Path, partition: &str) -> PathBuf {
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name == partition) {
                return path.join("00000000000000000000.log");
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    panic!("{} has no partition {partition}", data.display());
}

/// Returns where the batches of a segment begin.
fn batches(segment: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut start = 0;
    while start + BATCH_HEADER_BYTES <= segment.len() {
        let length = segment[start + LENGTH_AT..start + LENGTH_AT + 4].try_into().unwrap();
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            break;
        }
        starts.push(start);
        start += LENGTH_AT + 4 + length;
    }
    assert!(starts.len() >= 3, "{} batches", starts.len());
    starts
}

/// Changes a file that the broker has open, in place.
fn write_over(path: &Path, bytes: &[u8]) {
    fs::File::options().write(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// Returns where a program serves its health, as its log says.
fn health_address(program: &mut Program) -> String {
    let path = program.log_path().to_owned();
    let deadline = Instant::now() + WAIT;
    loop {
        let log = fs::read_to_string(&path).unwrap_or_default();
        let line = log.lines().find(|line| line.contains("health endpoint listening"));
        if let Some(line) = line {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            return line["address"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "no health endpoint{}", program.last_lines());
        thread::sleep(PAUSE);
    }
}

/// Waits until a health endpoint answers with a status and some words; returns the answer.
fn wait_for_health(address: &str, status: u16, words: &str) -> String {
    let deadline = Instant::now() + WAIT;
    loop {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _asked = stream.write_all(b"GET /healthz HTTP/1.0\r\nhost: health\r\n\r\n");
            let _read = stream.read_to_string(&mut answer);
        }
        let is_status = answer.split(' ').nth(1) == Some(&status.to_string());
        if is_status && answer.contains(words) {
            return answer;
        }
        assert!(Instant::now() < deadline, "no {status} with `{words}`: {answer}");
        thread::sleep(PAUSE);
    }
}

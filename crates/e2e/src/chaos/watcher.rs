//! I1 seen from outside: what lies just below a committed offset must be a row or a dead letter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::reading::Reading;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::letters;
use crate::database::{Database, ReadingKey};
use crate::trial::Trial;

/// Records looked at below each committed offset.
const RECORDS_BELOW: i64 = 20;
/// Time between two looks at the committed offsets.
const INTERVAL: Duration = Duration::from_millis(300);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Violations described in words.
const EXAMPLES_MAX: usize = 5;

/// What the watcher saw.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Records that were looked up.
    pub(super) checked: u64,
    /// Those that were neither row nor dead letter.
    pub(super) violations: u64,
    /// The first few of them.
    pub(super) examples: Vec<String>,
}

/// Where to look.
#[derive(Clone, Debug)]
struct Scope {
    bootstrap_servers: String,
    contact_points: String,
    topic: String,
    dead_letters: String,
    group: String,
    keyspace: String,
}

/// A thread that watches one group until it is asked what it saw.
#[derive(Debug)]
pub(super) struct Watcher {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Findings>,
}

impl Watcher {
    /// Starts to watch.
    pub(super) fn start(trial: &Trial) -> Self {
        let scope = Scope {
            bootstrap_servers: trial.setting("KAFKA_BOOTSTRAP_SERVERS").into(),
            contact_points: trial.setting("CASSANDRA_CONTACT_POINTS").into(),
            topic: trial.topic().into(),
            dead_letters: trial.setting("KAFKA_DLQ_TOPIC_NAME").into(),
            group: trial.setting("KAFKA_CONSUMER_GROUP_ID").into(),
            keyspace: trial.keyspace().into(),
        };
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut watch = Watch {
                scope,
                clients: None,
                seen: BTreeMap::new(),
                findings: Findings::default(),
            };
            while !stopped.load(Ordering::Relaxed) {
                // Servers that do not answer are asked again: what they have keeps.
                if watch.look().is_err() {
                    watch.clients = None;
                }
                thread::park_timeout(INTERVAL);
            }
            watch.findings
        });
        Self { stop, thread }
    }

    /// Ends the watch.
    pub(super) fn findings(self) -> Result<Findings> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().ok().context("the watcher panicked")
    }
}

struct Clients {
    kafka: BaseConsumer,
    database: Database,
}

struct Watch {
    scope: Scope,
    clients: Option<Clients>,
    /// The committed offsets that were looked below last.
    seen: BTreeMap<i32, i64>,
    findings: Findings,
}

/// A record below a committed offset.
struct Committed {
    partition: i32,
    offset: i64,
    key: Option<ReadingKey>,
}

impl Watch {
    fn look(&mut self) -> Result<()> {
        let clients = match self.clients.take() {
            Some(clients) => clients,
            None => self.scope.connect()?,
        };
        let committed = committed(&clients.kafka, &self.scope.topic)?;
        let moved = |(partition, offset): &(i32, i64)| self.seen.get(partition) != Some(offset);
        let moved: BTreeMap<i32, i64> = committed.into_iter().filter(moved).collect();
        if !moved.is_empty() {
            let records = newest_below(&clients.kafka, &self.scope.topic, &moved)?;
            let suspects = suspects(&clients.database, &records)?;
            self.judge(&suspects)?;
            self.findings.checked += records.len() as u64;
            self.seen.extend(moved);
        }
        self.clients = Some(clients);
        Ok(())
    }

    /// What is no row must be a dead letter.
    fn judge(&mut self, suspects: &[&Committed]) -> Result<()> {
        if suspects.is_empty() {
            return Ok(());
        }
        let letters = letters::read(&self.scope.bootstrap_servers, &self.scope.dead_letters)?;
        for Committed { partition, offset, key } in suspects.iter().copied() {
            let is_letter = letters
                .iter()
                .any(|letter| letter.partition == *partition && letter.offset == *offset);
            if is_letter {
                continue;
            }
            self.findings.violations += 1;
            if self.findings.examples.len() < EXAMPLES_MAX {
                let what = key.as_ref().map_or("no reading".into(), |key| format!("{key:?}"));
                self.findings.examples.push(format!(
                    "partition {partition} offset {offset} is committed, but neither row nor dead \
                     letter: {what}"
                ));
            }
        }
        Ok(())
    }
}

impl Scope {
    fn connect(&self) -> Result<Clients> {
        let kafka: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap_servers)
            // Named, but never joined.
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "error")
            .set("fetch.message.max.bytes", "65536")
            .set("queued.min.messages", "1")
            .set("reconnect.backoff.max.ms", "1000")
            .create()?;
        let database = Database::connect(&self.contact_points, &self.keyspace)?;
        Ok(Clients { kafka, database })
    }
}

fn committed(kafka: &BaseConsumer, topic: &str) -> Result<Vec<(i32, i64)>> {
    let metadata = kafka.fetch_metadata(Some(topic), PATIENCE)?;
    let partitions =
        metadata.topics().iter().flat_map(rdkafka::metadata::MetadataTopic::partitions);
    let mut wanted = TopicPartitionList::new();
    for partition in partitions {
        wanted.add_partition(topic, partition.id());
    }
    let answer = kafka.committed_offsets(wanted, PATIENCE)?;
    let mut committed = Vec::new();
    for element in answer.elements() {
        element.error()?;
        if let Offset::Offset(offset @ 1..) = element.offset() {
            committed.push((element.partition(), offset));
        }
    }
    Ok(committed)
}

/// Reads the records just below these offsets.
fn newest_below(
    kafka: &BaseConsumer,
    topic: &str,
    offsets: &BTreeMap<i32, i64>,
) -> Result<Vec<Committed>> {
    let mut wanted = TopicPartitionList::new();
    for (partition, offset) in offsets {
        let from = (offset - RECORDS_BELOW).max(0);
        wanted.add_partition_offset(topic, *partition, Offset::Offset(from))?;
    }
    kafka.assign(&wanted)?;
    let deadline = Instant::now() + PATIENCE;
    let mut open = offsets.clone();
    let mut records = Vec::new();
    while !open.is_empty() {
        ensure!(Instant::now() < deadline, "kafka does not give back what was committed");
        let Some(message) = kafka.poll(Duration::from_millis(100)) else { continue };
        let message = message?;
        let (partition, offset) = (message.partition(), message.offset());
        let Some(end) = offsets.get(&partition) else { continue };
        if offset < *end {
            let key = message.payload().and_then(|record| Reading::decode(record).ok());
            records.push(Committed { partition, offset, key: key.map(|reading| key_of(&reading)) });
        }
        if offset + 1 >= *end {
            open.remove(&partition);
        }
    }
    kafka.unassign()?;
    Ok(records)
}

fn key_of(reading: &Reading<'_>) -> ReadingKey {
    ReadingKey {
        site_id: reading.site_id.to_string(),
        sensor_id: reading.sensor_id.to_string(),
        ts_ms: reading.ts,
        run: reading.run.to_string(),
        seq: reading.seq,
    }
}

/// Returns the records that are no rows.
fn suspects<'a>(database: &Database, records: &'a [Committed]) -> Result<Vec<&'a Committed>> {
    let keyed: Vec<&Committed> = records.iter().filter(|record| record.key.is_some()).collect();
    let keys: Vec<ReadingKey> = keyed.iter().filter_map(|record| record.key.clone()).collect();
    let stored = database.are_stored(&keys)?;
    let rows = keyed.into_iter().zip(stored);
    let missing = rows.filter(|(_, stored)| !stored).map(|(record, _)| record);
    Ok(missing.chain(records.iter().filter(|record| record.key.is_none())).collect())
}

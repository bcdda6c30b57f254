//! Sends dead letters back: an offset is committed once everything below it is acknowledged, so a
//! crash repeats some and loses none.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use domain::dead_letter::Reason;
use rdkafka::error::RDKafkaErrorCode;
use runtime::Shutdown;
use runtime::kafka::Complaint;
use serde_json::json;
use tracing::{info, warn};

use crate::courier::{Courier, Parcel};
use crate::error::DlqError;
use crate::letter::Letter;
use crate::prefix::Prefix;
use crate::record::Record;
use crate::settings::{OutputFormat, RedriveSettings};
use crate::through::{Repair, Through};
use crate::topic::{DeadLetters, Extent, Records};

/// Records in memory, and so under way, at once.
const CHUNK_RECORDS_MAX: usize = 1_000;
/// Bytes at which a chunk takes no further record.
const CHUNK_BYTES_MAX: usize = 16 << 20;
/// How long one round of acknowledgements is waited for.
const ROUND: Duration = Duration::from_millis(100);
/// Longest wait for acknowledgements after a signal to stop.
const GRACE: Duration = Duration::from_secs(8);

/// What became of the dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Sent back to where they came from.
    sent: u64,
    /// Put into the dead-letter topic again, where they wait.
    kept: u64,
    /// No dead letters: passed over.
    unreadable: u64,
}

/// What is done with one dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Plan {
    /// Send it back to where it came from, with this value.
    Send { letter: Letter, value: Option<Vec<u8>> },
    /// Append it to its own topic again, with so many attempts.
    Keep { attempts: u32 },
    /// Leave it where it is.
    PassOver,
}

/// Sends back all that waits and prints the balance: exit code 1 if something was no dead letter.
pub(crate) fn redrive(
    settings: &RedriveSettings,
    shutdown: &Shutdown,
    output: &mut impl Write,
) -> Result<ExitCode, DlqError> {
    let dead_letters = DeadLetters::open(&settings.common, shutdown)?;
    let mut redrive = Redrive {
        settings,
        shutdown,
        dead_letters: &dead_letters,
        courier: Courier::open(&settings.common.bootstrap_servers)?,
        through: settings.through.as_deref().map(|command| Through::new(command, shutdown)),
        tally: Tally::default(),
        progress: Complaint::default(),
    };
    let outcome = redrive.run();
    let tally = redrive.tally;
    match outcome {
        Ok(()) if tally == Tally::default() => info!("no dead letters are waiting"),
        Err(DlqError::Stopped) => info!("stopped, what was not sent goes on waiting"),
        _ => {}
    }
    tally.write(settings, output)?;
    match outcome {
        Ok(()) | Err(DlqError::Stopped) if tally.unreadable == 0 => Ok(ExitCode::SUCCESS),
        Ok(()) | Err(DlqError::Stopped) => Ok(ExitCode::FAILURE),
        Err(error) => Err(error),
    }
}

impl Tally {
    fn write(self, settings: &RedriveSettings, output: &mut impl Write) -> io::Result<()> {
        let Self { sent, kept, unreadable } = self;
        match settings.common.format {
            OutputFormat::Text => {
                if unreadable > 0 {
                    writeln!(output, "passed over {unreadable} records that are no dead letters")?;
                }
                if settings.dry_run {
                    writeln!(output, "redrive: would send {sent} keep {kept}")?;
                } else {
                    writeln!(output, "redrive: sent {sent} kept {kept}")?;
                }
            }
            OutputFormat::Json => {
                let dry_run = settings.dry_run;
                let balance = json!({
                    "sent": sent, "kept": kept, "unreadable": unreadable, "dry_run": dry_run,
                });
                writeln!(output, "{balance}")?;
            }
        }
        output.flush()
    }
}

/// A redrive under way.
struct Redrive<'a> {
    settings: &'a RedriveSettings,
    shutdown: &'a Shutdown,
    dead_letters: &'a DeadLetters,
    courier: Courier,
    through: Option<Through>,
    tally: Tally,
    progress: Complaint,
}

impl Redrive<'_> {
    fn run(&mut self) -> Result<(), DlqError> {
        // What is kept is appended behind these ends, so there is an end.
        for extent in self.dead_letters.extents()? {
            let (from, to) = (extent.waiting_from(), extent.high);
            let mut records = self.dead_letters.records(extent.partition, from, to)?;
            loop {
                let chunk = read_chunk(&mut records)?;
                if chunk.is_empty() {
                    break;
                }
                self.handle(&extent, &chunk)?;
            }
        }
        Ok(())
    }

    /// Settles a chunk and commits what is settled, also if the rest could not be.
    fn handle(&mut self, extent: &Extent, chunk: &[Record]) -> Result<(), DlqError> {
        if self.settings.dry_run {
            return self.rehearse(chunk);
        }
        let mut under_way = UnderWay::new(chunk);
        let sent = self.send(&mut under_way);
        let settled = self.await_outcomes(&mut under_way);
        if let Some(offset) = under_way.prefix.committable() {
            self.dead_letters.commit(extent, offset)?;
        }
        // Why the acknowledgements did not come says more than why the sending ended.
        settled.and(sent)
    }

    /// Counts what would be done.
    fn rehearse(&mut self, chunk: &[Record]) -> Result<(), DlqError> {
        for record in chunk {
            let plan = self.plan(record)?;
            self.count(&plan);
            self.report();
        }
        Ok(())
    }

    fn send(&mut self, under_way: &mut UnderWay<'_>) -> Result<(), DlqError> {
        for (position, record) in under_way.chunk.iter().enumerate() {
            if self.shutdown.is_stopping() {
                return Err(DlqError::Stopped);
            }
            let plan = self.plan(record)?;
            self.dispatch(position, record, &plan);
            if plan == Plan::PassOver {
                self.count(&plan);
                under_way.prefix.settle(position);
            } else {
                under_way.open += 1;
            }
            under_way.plans.push(plan);
            self.collect(under_way, Duration::ZERO);
            if under_way.failure.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn plan(&self, record: &Record) -> Result<Plan, DlqError> {
        let (partition, offset) = (record.partition, record.offset);
        let letter = match Letter::read(record) {
            Ok(letter) => letter,
            Err(damage) => {
                warn!(partition, offset, "no dead letter, passed over: {damage}");
                return Ok(Plan::PassOver);
            }
        };
        if !wanted(self.settings.reason, letter.reason) {
            return Ok(Plan::Keep { attempts: letter.attempts });
        }
        if letter.is_cut {
            let Letter { topic, partition: origin, offset: at, attempts, .. } = letter;
            warn!(
                partition,
                offset,
                "too large to be sent back, kept: the whole record is in {topic}[{origin}]@{at}"
            );
            return Ok(Plan::Keep { attempts });
        }
        let Some(through) = &self.through else {
            return Ok(Plan::Send { letter, value: record.value.clone() });
        };
        match through.repair(record.value.as_deref().unwrap_or_default())? {
            Repair::Done(value) => Ok(Plan::Send { letter, value: Some(value) }),
            Repair::Failed(why) => {
                warn!(partition, offset, "not repaired, kept: {why}");
                Ok(Plan::Keep { attempts: letter.attempts.saturating_add(1) })
            }
        }
    }

    fn dispatch(&self, position: usize, record: &Record, plan: &Plan) {
        let key = record.key.as_deref();
        match plan {
            Plan::Send { letter, value } => self.courier.send(
                position,
                Parcel {
                    topic: &letter.topic,
                    partition: letter.partition,
                    timestamp_ms: letter.timestamp_ms,
                    key,
                    value: value.as_deref(),
                    headers: &record.headers_to_send(letter.attempts),
                },
            ),
            Plan::Keep { attempts } => self.courier.send(
                position,
                Parcel {
                    topic: &self.settings.common.topic,
                    partition: record.partition,
                    timestamp_ms: record.timestamp_ms,
                    key,
                    value: record.value.as_deref(),
                    headers: &record.headers_to_keep(*attempts),
                },
            ),
            Plan::PassOver => {}
        }
    }

    /// Waits until everything under way is settled.
    fn await_outcomes(&mut self, under_way: &mut UnderWay<'_>) -> Result<(), DlqError> {
        let mut deadline = None;
        while under_way.open > 0 {
            self.collect(under_way, ROUND);
            if self.shutdown.is_stopping() {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + GRACE);
                if Instant::now() >= deadline {
                    return Err(DlqError::Unacknowledged { count: under_way.open });
                }
            }
        }
        under_way.failure.take().map_or(Ok(()), Err)
    }

    /// Settles what has an outcome by now.
    fn collect(&mut self, under_way: &mut UnderWay<'_>, timeout: Duration) {
        for (position, result) in self.courier.outcomes(timeout) {
            under_way.open -= 1;
            match result {
                Ok(()) => {
                    under_way.prefix.settle(position);
                    self.count(&under_way.plans[position]);
                }
                Err(code) => {
                    let failure = self.refused(under_way, position, code).err();
                    under_way.failure = under_way.failure.take().or(failure);
                }
            }
        }
        self.report();
    }

    /// Keeps a record that Kafka would never take back as it is; any other refusal is a failure.
    fn refused(
        &self,
        under_way: &mut UnderWay<'_>,
        position: usize,
        code: RDKafkaErrorCode,
    ) -> Result<(), DlqError> {
        let record = &under_way.chunk[position];
        let (partition, offset) = (record.partition, record.offset);
        let plan = &mut under_way.plans[position];
        match plan {
            Plan::Send { letter, .. } if is_about_the_record(code) => {
                let topic = &letter.topic;
                warn!(partition, offset, topic, "kafka does not take it back, kept: {code}");
                *plan = Plan::Keep { attempts: letter.attempts.saturating_add(1) };
                self.dispatch(position, record, plan);
                under_way.open += 1;
                Ok(())
            }
            Plan::Send { letter, .. } => {
                let topic = letter.topic.clone();
                Err(DlqError::Unsent { partition, offset, topic, code })
            }
            Plan::Keep { .. } | Plan::PassOver => {
                let topic = self.settings.common.topic.clone();
                Err(DlqError::Unsent { partition, offset, topic, code })
            }
        }
    }

    fn count(&mut self, plan: &Plan) {
        let count = match plan {
            Plan::Send { .. } => &mut self.tally.sent,
            Plan::Keep { .. } => &mut self.tally.kept,
            Plan::PassOver => &mut self.tally.unreadable,
        };
        *count += 1;
    }

    fn report(&mut self) {
        let Tally { sent, kept, unreadable } = self.tally;
        if sent + kept + unreadable > 0 {
            self.progress.raise(|| info!(sent, kept, unreadable, "progress"));
        }
    }
}

/// A chunk of one partition on its way.
struct UnderWay<'a> {
    chunk: &'a [Record],
    /// For each record that was looked at, from the first.
    plans: Vec<Plan>,
    prefix: Prefix,
    /// Records sent and not settled.
    open: usize,
    /// Why one of them never will be.
    failure: Option<DlqError>,
}

impl<'a> UnderWay<'a> {
    fn new(chunk: &'a [Record]) -> Self {
        let prefix = Prefix::new(chunk.iter().map(|record| record.offset));
        Self { chunk, plans: Vec::with_capacity(chunk.len()), prefix, open: 0, failure: None }
    }
}

fn read_chunk(records: &mut Records<'_>) -> Result<Vec<Record>, DlqError> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while chunk.len() < CHUNK_RECORDS_MAX && bytes < CHUNK_BYTES_MAX {
        let Some(record) = records.next()? else { break };
        bytes += record.bytes();
        chunk.push(record);
    }
    Ok(chunk)
}

fn wanted(only: Option<Reason>, reason: Reason) -> bool {
    only.is_none_or(|only| only == reason)
}

/// Tells a refusal of this one record, or of the place that it is from, from one of all records.
fn is_about_the_record(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        // Its topic is gone, or never had such a name.
        RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::UnknownPartition
    )
}

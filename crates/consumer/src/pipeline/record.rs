//! A record as it comes from Kafka, and as it goes to the dead-letter topic.

use domain::dead_letter::Reason;
use domain::hour::{day_start_ms, hour_start_ms};
use domain::{ContractError, Event, Reading};

use super::ledger::RecordOffset;

/// What a topic carries: which contract its records follow and which table they become rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Rows of `readings`, and news for `latest`, `sensors` and `sites`.
    Readings,
    /// Rows of `events`.
    Events,
}

/// A record that follows its contract.
#[derive(Clone, Debug, PartialEq)]
pub enum Content<'a> {
    /// What a sensor measures.
    Reading(Reading<'a>),
    /// What happens to a sensor.
    Event(Event<'a>),
}

impl<'a> Content<'a> {
    /// Decodes and checks a record's value.
    pub fn decode(stream: Stream, value: &'a [u8]) -> Result<Self, ContractError> {
        match stream {
            Stream::Readings => Reading::decode(value).map(Self::Reading),
            Stream::Events => Event::decode(value).map(Self::Event),
        }
    }

    /// Returns the site, by which the rows are kept.
    pub fn site_id(&self) -> &str {
        match self {
            Self::Reading(reading) => &reading.site_id,
            Self::Event(event) => &event.site_id,
        }
    }

    /// Returns the event time in epoch milliseconds.
    pub fn ts_ms(&self) -> i64 {
        match self {
            Self::Reading(reading) => reading.ts,
            Self::Event(event) => event.ts,
        }
    }

    /// Returns the start of the hour or the day by which the rows are kept, in epoch milliseconds.
    pub fn bucket_ms(&self) -> i64 {
        match self {
            Self::Reading(reading) => hour_start_ms(reading.ts),
            Self::Event(event) => day_start_ms(event.ts),
        }
    }
}

/// A record of the topic of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What it should hold.
    pub stream: Stream,
    /// Kafka partition.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: RecordOffset,
    /// Kafka's timestamp in epoch milliseconds.
    pub timestamp_ms: Option<i64>,
    /// Key; `None` is not the same as empty.
    pub key: Option<&'a [u8]>,
    /// Value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Why a record can never be a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason, for machines.
    pub reason: Reason,
    /// The reason, for people.
    pub detail: String,
}

/// A header of a record.
pub type Header = (String, Option<Vec<u8>>);

/// A record that can never be a row, to be put on the dead-letter topic (I5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// What it should hold; tells the topic that it was read from.
    pub stream: Stream,
    /// Partition that it was read from.
    pub partition: i32,
    /// Its place in the partition that it was read from.
    pub offset: RecordOffset,
    /// Kafka's timestamp in epoch milliseconds.
    pub timestamp_ms: Option<i64>,
    /// Key, byte for byte.
    pub key: Option<Vec<u8>>,
    /// Value, byte for byte.
    pub value: Option<Vec<u8>>,
    /// The record's own headers. They are not kept for a record that Cassandra refused.
    pub headers: Vec<Header>,
    /// Why.
    pub rejection: Rejection,
    /// How often the record was a dead letter before.
    pub attempts_before: u32,
}

impl DeadLetter {
    /// Makes one of a record, with its headers.
    pub fn new(
        record: &Record<'_>,
        headers: Vec<Header>,
        attempts_before: u32,
        rejection: Rejection,
    ) -> Self {
        Self {
            stream: record.stream,
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers,
            rejection,
            attempts_before,
        }
    }

    /// Returns about how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        const FIXED_BYTES: usize = 256;
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + len(value));
        FIXED_BYTES + len(&self.key) + len(&self.value) + headers.sum::<usize>()
    }
}

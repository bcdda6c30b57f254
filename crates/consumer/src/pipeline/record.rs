//! A record as it comes from Kafka, and as it goes to the dead-letter topic.

use domain::contract::check_key;
use domain::dead_letter::Reason;
use domain::hour::{day_start_ms, hour_start_ms};
use domain::{ContractError, Event, Reading};
use sha2::{Digest, Sha256};

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
    pub fn decode(record: &Record<'a>) -> Result<Self, ContractError> {
        check_key(record.key)?;
        let value = record.value.ok_or_else(ContractError::tombstone)?;
        match record.stream {
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

/// Bytes of a key or value that are kept when it is cut off: enough to see what it is.
const CUT_BYTES: usize = 1_024;

/// A key or value that was too large and of which only the beginning is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes that it had.
    pub bytes: usize,
    /// SHA-256 of all of them.
    pub sha256: [u8; 32],
}

impl Cut {
    /// Cuts off what is longer than [`CUT_BYTES`]; returns what it was, `None` if nothing is cut.
    fn shorten(bytes: &mut Option<Vec<u8>>) -> Option<Self> {
        let all = bytes.as_mut().filter(|all| all.len() > CUT_BYTES)?;
        let cut = Self { bytes: all.len(), sha256: Sha256::digest(&*all).into() };
        all.truncate(CUT_BYTES);
        all.shrink_to_fit();
        Some(cut)
    }
}

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
    /// Key, byte for byte, unless it is cut.
    pub key: Option<Vec<u8>>,
    /// Value, byte for byte, unless it is cut.
    pub value: Option<Vec<u8>>,
    /// The record's own headers. They are not kept for a record that Cassandra refused.
    pub headers: Vec<Header>,
    /// What the key was, if only its beginning is left.
    pub key_cut: Option<Cut>,
    /// What the value was, if only its beginning is left.
    pub value_cut: Option<Cut>,
    /// Bytes of the record's own headers, if these are left out.
    pub headers_cut: Option<usize>,
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
            key_cut: None,
            value_cut: None,
            headers_cut: None,
            rejection,
            attempts_before,
        }
    }

    /// Leaves of key, value and headers what any topic takes, with the size and hash of what is cut
    /// off; the record itself can be fetched from where it came from.
    pub fn cut(&mut self) {
        self.key_cut = self.key_cut.or(Cut::shorten(&mut self.key));
        self.value_cut = self.value_cut.or(Cut::shorten(&mut self.value));
        let headers_bytes = self.headers_bytes();
        if headers_bytes > CUT_BYTES {
            self.headers_cut = Some(headers_bytes);
            self.headers = Vec::new();
        }
    }

    /// Returns about how many bytes it takes in memory.
    pub fn bytes(&self) -> usize {
        const FIXED_BYTES: usize = 256;
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        FIXED_BYTES + len(&self.key) + len(&self.value) + self.headers_bytes()
    }

    fn headers_bytes(&self) -> usize {
        let mut bytes = 0;
        for (name, value) in &self.headers {
            bytes += name.len() + value.as_ref().map_or(0, Vec::len);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead_letter(key: usize, value: usize, header: usize) -> DeadLetter {
        let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
        let record = Record {
            stream: Stream::Readings,
            partition: 1,
            offset: RecordOffset(7),
            timestamp_ms: None,
            key: Some(&key),
            value: Some(&value),
        };
        let headers = vec![("trace".to_owned(), Some(vec![b'h'; header]))];
        let rejection = Rejection { reason: Reason::TooLarge, detail: String::new() };
        DeadLetter::new(&record, headers, 0, rejection)
    }

    #[test]
    fn what_is_too_large_is_cut_off_and_can_be_recognised() {
        let mut letter = dead_letter(2_000, 11_000_000, 900_000);
        letter.cut();
        assert!(letter.bytes() < 4_096, "{}", letter.bytes());
        let sha256 = <[u8; 32]>::from(Sha256::digest(vec![b'v'; 11_000_000]));
        assert_eq!(letter.value_cut, Some(Cut { bytes: 11_000_000, sha256 }));
        assert_eq!(letter.key_cut.map(|cut| cut.bytes), Some(2_000));
        assert_eq!(letter.headers_cut, Some(900_005));
        let once = letter.clone();
        letter.cut();
        assert_eq!(letter, once, "twice is as once");
    }

    #[test]
    fn what_is_small_stays_whole() {
        let mut letter = dead_letter(9, 1_024, 9);
        let whole = letter.clone();
        letter.cut();
        assert_eq!(letter, whole);
    }
}

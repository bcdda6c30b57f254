//! A record of the dead-letter topic, copied out of the client.

use domain::dead_letter::{ATTEMPTS_HEADER, HEADER_PREFIX};
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use runtime::kafka;

/// One header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: Option<Vec<u8>>,
}

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<Header>,
}

impl Record {
    /// Copies a message.
    pub(crate) fn of(message: &BorrowedMessage<'_>) -> Self {
        // A name that is no text is none of ours: without headers the letter is unreadable.
        let headers = kafka::headers(message).unwrap_or_default();
        let headers = headers.into_iter().map(|(name, value)| Header { name, value });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.collect(),
        }
    }

    /// Returns the bytes of key, value and headers.
    pub(crate) fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|header| header.name.len() + length(&header.value));
        length(&self.key) + length(&self.value) + headers.sum::<usize>()
    }

    /// Returns the value of the last header of that name: what comes later was put on top.
    pub(crate) fn header(&self, name: &str) -> Option<&[u8]> {
        let header = self.headers.iter().rfind(|header| header.name == name)?;
        header.value.as_deref()
    }

    /// Returns the headers that the record had before it became a dead letter, and how often it
    /// has become one, for whoever may have to make it one again.
    pub(crate) fn headers_to_send(&self, attempts: u32) -> Vec<Header> {
        let own = self.headers.iter().filter(|header| !header.name.starts_with(HEADER_PREFIX));
        own.cloned().chain([attempts_header(attempts)]).collect()
    }

    /// Returns the headers of the dead letter itself with another number of attempts.
    pub(crate) fn headers_to_keep(&self, attempts: u32) -> Vec<Header> {
        let others = self.headers.iter().filter(|header| header.name != ATTEMPTS_HEADER);
        others.cloned().chain([attempts_header(attempts)]).collect()
    }
}

fn attempts_header(attempts: u32) -> Header {
    Header { name: ATTEMPTS_HEADER.into(), value: Some(attempts.to_string().into()) }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Dead letters as the contract has them.

    use super::{Header, Record};

    /// Makes a header.
    pub(crate) fn header(name: &str, value: &str) -> Header {
        Header { name: name.into(), value: Some(value.into()) }
    }

    /// Makes a dead letter with one header of its own, between others.
    pub(crate) fn letter() -> Record {
        Record {
            partition: 3,
            offset: 17,
            timestamp_ms: Some(1_764_000_000_000),
            key: Some("plant".into()),
            value: Some("not json".into()),
            headers: vec![
                header("schema-version", "1"),
                header("dlq-topic", "sensor-readings"),
                header("dlq-partition", "3"),
                header("dlq-offset", "1234"),
                header("dlq-timestamp-ms", "1763999999999"),
                header("dlq-reason", "malformed"),
                header("dlq-detail", "no JSON:\nexpected ident"),
                header("dlq-attempts", "2"),
                header("dlq-service", "consumer 0.1.0"),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{header, letter};
    use super::*;

    #[test]
    fn a_record_goes_back_with_its_own_headers_and_its_attempts() {
        let mut record = letter();
        record.headers.push(Header { name: "empty".into(), value: None });
        let expected = [
            header("schema-version", "1"),
            Header { name: "empty".into(), value: None },
            header("dlq-attempts", "2"),
        ];
        assert_eq!(record.headers_to_send(2), expected);
    }

    #[test]
    fn a_dead_letter_that_is_kept_says_all_it_said() {
        let kept = letter().headers_to_keep(3);
        assert_eq!(kept.len(), letter().headers.len());
        assert_eq!(kept.last(), Some(&header("dlq-attempts", "3")));
        assert!(kept.contains(&header("dlq-offset", "1234")));
    }
}

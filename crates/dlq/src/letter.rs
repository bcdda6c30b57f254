//! What a dead letter says about the record that it stands for, read from its headers.

use std::str::FromStr;

use domain::dead_letter::{
    ATTEMPTS_HEADER, DETAIL_HEADER, HEADERS_BYTES_HEADER, KEY_BYTES_HEADER, OFFSET_HEADER,
    PARTITION_HEADER, REASON_HEADER, Reason, SERVICE_HEADER, TIMESTAMP_HEADER, TOPIC_HEADER,
    VALUE_BYTES_HEADER,
};

use crate::record::Record;

/// Headers of a dead letter from which something is cut off.
const CUT_HEADERS: [&str; 3] = [KEY_BYTES_HEADER, VALUE_BYTES_HEADER, HEADERS_BYTES_HEADER];

/// What a dead letter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Timestamp of the original record, in epoch milliseconds.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) reason: Reason,
    pub(crate) detail: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) service: Option<String>,
    /// Whether key, value or headers were too large for the topic and are not all here.
    pub(crate) is_cut: bool,
}

/// Why a record of the topic is no dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    /// A header that every dead letter has is not there.
    #[error("header {0} is missing")]
    Missing(&'static str),
    /// A header has a value that it cannot have.
    #[error("header {name} cannot be `{value}`")]
    Impossible {
        /// The header.
        name: &'static str,
        /// Its value, as far as it is text.
        value: String,
    },
}

impl Letter {
    /// Reads the headers of a record.
    pub(crate) fn read(record: &Record) -> Result<Self, Damage> {
        let text = |name| record.header(name).map(|v| String::from_utf8_lossy(v).into_owned());
        let timestamp_ms = match record.header(TIMESTAMP_HEADER) {
            None => None,
            Some(_) => Some(parse(record, TIMESTAMP_HEADER, |_: &i64| true)?),
        };
        Ok(Self {
            topic: parse(record, TOPIC_HEADER, |topic: &String| !topic.is_empty())?,
            partition: parse(record, PARTITION_HEADER, |partition| *partition >= 0)?,
            offset: parse(record, OFFSET_HEADER, |offset| *offset >= 0)?,
            timestamp_ms,
            reason: parse(record, REASON_HEADER, |_| true)?,
            detail: text(DETAIL_HEADER),
            attempts: parse(record, ATTEMPTS_HEADER, |attempts| *attempts >= 1)?,
            service: text(SERVICE_HEADER),
            is_cut: CUT_HEADERS.iter().any(|name| record.header(name).is_some()),
        })
    }
}

fn parse<T: FromStr>(
    record: &Record,
    name: &'static str,
    accepts: impl Fn(&T) -> bool,
) -> Result<T, Damage> {
    let value = record.header(name).ok_or(Damage::Missing(name))?;
    let parsed = str::from_utf8(value).ok().and_then(|text| text.parse().ok()).filter(accepts);
    parsed.ok_or_else(|| {
        let value = String::from_utf8_lossy(value).into_owned();
        Damage::Impossible { name, value }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::{header, letter};

    #[test]
    fn a_letter_says_what_its_headers_say() {
        let expected = Letter {
            topic: "sensor-readings".into(),
            partition: 3,
            offset: 1_234,
            timestamp_ms: Some(1_763_999_999_999),
            reason: Reason::Malformed,
            detail: Some("no JSON:\nexpected ident".into()),
            attempts: 2,
            service: Some("consumer 0.1.0".into()),
            is_cut: false,
        };
        assert_eq!(Letter::read(&letter()), Ok(expected));
    }

    #[test]
    fn a_letter_knows_that_something_is_cut_off() {
        for name in CUT_HEADERS {
            let mut record = letter();
            record.headers.push(header(name, "11000000"));
            assert!(Letter::read(&record).unwrap().is_cut, "{name}");
        }
    }

    #[test]
    fn what_a_stranger_wrote_is_no_letter() {
        assert_eq!(Letter::read(&Record::default()), Err(Damage::Missing(TOPIC_HEADER)));
        for (name, value) in [
            (TOPIC_HEADER, ""),
            (PARTITION_HEADER, "-1"),
            (OFFSET_HEADER, "many"),
            (TIMESTAMP_HEADER, "noon"),
            (REASON_HEADER, "boredom"),
            (ATTEMPTS_HEADER, "0"),
        ] {
            let mut record = letter();
            record.headers.push(header(name, value));
            let damage = Damage::Impossible { name, value: value.into() };
            assert_eq!(Letter::read(&record), Err(damage));
            record.headers.retain(|header| header.name != name);
            let expected = match name {
                TIMESTAMP_HEADER => Ok(None),
                _ => Err(Damage::Missing(name)),
            };
            assert_eq!(Letter::read(&record).map(|letter| letter.timestamp_ms), expected);
        }
    }
}

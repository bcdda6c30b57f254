//! The contract of the dead-letter topic: what stands there beside the record itself.
//!
//! A dead letter has the key, the value, the headers and the partition of the record that it
//! stands for, and these headers on top.

use std::fmt;
use std::str::FromStr;

/// What every header of the dead letter itself begins with; the others are the record's own.
pub const HEADER_PREFIX: &str = "dlq-";
/// Topic that the record was read from.
pub const TOPIC_HEADER: &str = "dlq-topic";
/// Its partition, in decimal.
pub const PARTITION_HEADER: &str = "dlq-partition";
/// Its offset, in decimal.
pub const OFFSET_HEADER: &str = "dlq-offset";
/// Its timestamp in epoch milliseconds, in decimal; absent if it had none.
pub const TIMESTAMP_HEADER: &str = "dlq-timestamp-ms";
/// Name of the [`Reason`].
pub const REASON_HEADER: &str = "dlq-reason";
/// The same in words, for people.
pub const DETAIL_HEADER: &str = "dlq-detail";
/// How often the record has become a dead letter by now, in decimal, from 1.
pub const ATTEMPTS_HEADER: &str = "dlq-attempts";
/// Name and version of the program that gave up on it.
pub const SERVICE_HEADER: &str = "dlq-service";

/// Bytes that the value had, in decimal: it is cut off, being too large for the topic.
pub const VALUE_BYTES_HEADER: &str = "dlq-value-bytes";
/// SHA-256 of the whole value, in lower-case hexadecimal.
pub const VALUE_SHA256_HEADER: &str = "dlq-value-sha256";
/// Bytes that the key had, in decimal: it is cut off.
pub const KEY_BYTES_HEADER: &str = "dlq-key-bytes";
/// SHA-256 of the whole key, in lower-case hexadecimal.
pub const KEY_SHA256_HEADER: &str = "dlq-key-sha256";
/// Bytes of the record's own headers, in decimal: they are left out.
pub const HEADERS_BYTES_HEADER: &str = "dlq-headers-bytes";

/// Why a record can never become a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The value is no JSON, or a field is missing or of another type.
    Malformed,
    /// The value is larger than any record may be.
    TooLarge,
    /// `kind` of a reading, or `event` of an event, is none of the known ones.
    UnknownKind,
    /// A field has a value that it can never have.
    ImpossibleValue,
    /// `ts` lies outside the range of the contract.
    TimestampOutOfBounds,
    /// `ts` is farther in the future than clocks may differ.
    ClockAhead,
    /// Cassandra refuses this very row as invalid.
    RefusedByCassandra,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Malformed,
        Self::TooLarge,
        Self::UnknownKind,
        Self::ImpossibleValue,
        Self::TimestampOutOfBounds,
        Self::ClockAhead,
        Self::RefusedByCassandra,
    ];

    /// Returns the name in the header.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::UnknownKind => "unknown-kind",
            Self::ImpossibleValue => "impossible-value",
            Self::TimestampOutOfBounds => "timestamp-out-of-bounds",
            Self::ClockAhead => "clock-ahead",
            Self::RefusedByCassandra => "refused-by-cassandra",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no reason.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reason for a dead letter")]
pub struct UnknownReason(pub String);

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(name: &str) -> Result<Self, UnknownReason> {
        let found = Self::ALL.into_iter().find(|reason| reason.name() == name);
        found.ok_or_else(|| UnknownReason(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_reason() {
        for reason in Reason::ALL {
            assert_eq!(reason.name().parse(), Ok(reason));
        }
        assert_eq!("boredom".parse::<Reason>(), Err(UnknownReason("boredom".into())));
    }
}

//! What the data contracts of readings and events share: limits, identity, and what can be wrong
//! with a record (docs/data-contract.md).

mod fields;
mod look;

use serde_json::{Map, Value};

use crate::dead_letter::Reason;

pub(crate) use fields::Fields;

/// Kafka header that carries [`SCHEMA_VERSION`].
pub const SCHEMA_VERSION_HEADER: &str = "schema-version";
/// Version of the data contract; a change that old consumers cannot read raises it.
pub const SCHEMA_VERSION: &str = "1";

/// Most bytes in a record: an honest reading has about 200.
pub const RECORD_BYTES_MAX: usize = 4_096;
/// Most bytes in a record's key: it is the site of the record.
pub const KEY_BYTES_MAX: usize = 4_096;
/// Most bytes in `sensor_id`, `site_id` and `run`.
pub const ID_BYTES_MAX: usize = 128;
/// Range of `ts`: 2000-01-01 to 2100-01-01 UTC, in epoch milliseconds. Outside it a clock is
/// broken.
pub const TS_RANGE_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;
/// Greatest `seq`: whole numbers up to here are exact in every JSON parser (RFC 7493).
pub const SEQ_MAX: i64 = (1 << 53) - 1;
/// Most bytes of what a detail says: a dead letter carries it as a header.
const DETAIL_BYTES_MAX: usize = 1_000;

/// Why a record is not what its topic carries.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContractError {
    /// The record is larger than any may be.
    #[error("the {part} has {bytes} bytes, more than {max}")]
    TooLarge {
        /// `record` or `key`.
        part: &'static str,
        /// Its size.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// The bytes are not one JSON object.
    #[error("wanted a JSON object: {0}")]
    NotAnObject(String),
    /// Fields are missing or hold what they cannot hold.
    #[error("{detail}")]
    Fields {
        /// The weightiest reason.
        reason: Reason,
        /// Everything that is wrong, in words.
        detail: String,
    },
}

impl ContractError {
    /// Returns the reason that a dead letter gives.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::NotAnObject(_) => Reason::Malformed,
            Self::Fields { reason, .. } => *reason,
        }
    }

    /// The error of a record without a value, which Kafka calls a tombstone.
    pub fn tombstone() -> Self {
        Self::NotAnObject("the record is a tombstone, it has no value".into())
    }
}

/// Refuses a record that is larger than any may be.
pub(crate) fn check_size(record: &[u8]) -> Result<(), ContractError> {
    let (bytes, max) = (record.len(), RECORD_BYTES_MAX);
    if bytes > max {
        return Err(ContractError::TooLarge { part: "record", bytes, max });
    }
    Ok(())
}

/// Refuses a key that is larger than any may be.
pub fn check_key(key: Option<&[u8]>) -> Result<(), ContractError> {
    let (bytes, max) = (key.map_or(0, <[u8]>::len), KEY_BYTES_MAX);
    if bytes > max {
        return Err(ContractError::TooLarge { part: "key", bytes, max });
    }
    Ok(())
}

/// Parses the object that a record has to be. Of a field that is given twice the last counts, as
/// for every validator of JSON Schema.
pub(crate) fn object(record: &[u8]) -> Result<Map<String, Value>, ContractError> {
    let text = str::from_utf8(record)
        .map_err(|error| ContractError::NotAnObject(look::of_bytes(record, error.valid_up_to())))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(ContractError::NotAnObject(look::of_value(&other))),
        Err(error) => Err(ContractError::NotAnObject(look::of_text(text, &error))),
    }
}

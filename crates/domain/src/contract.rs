//! What the data contracts of readings and events share: limits, identity, and what can be wrong
//! with a record (docs/data-contract.md).

use std::fmt;

use serde::Deserialize;

use crate::SensorKind;
use crate::dead_letter::Reason;
use crate::event::EventKind;

/// Kafka header that carries [`SCHEMA_VERSION`].
pub const SCHEMA_VERSION_HEADER: &str = "schema-version";
/// Version of the data contract; a change that old consumers cannot read raises it.
pub const SCHEMA_VERSION: &str = "1";

/// Most bytes in a record: an honest reading has about 200.
pub const RECORD_BYTES_MAX: usize = 4_096;
/// Most bytes in `sensor_id`, `site_id` and `run`.
pub const ID_BYTES_MAX: usize = 128;
/// Range of `ts`: 2000-01-01 to 2100-01-01 UTC, in epoch milliseconds. Outside it a clock is
/// broken.
pub const TS_RANGE_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// Why a record is not what its topic carries.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The record is larger than any may be.
    #[error("the record has {bytes} bytes, more than {RECORD_BYTES_MAX}")]
    TooLarge {
        /// Size of the record.
        bytes: usize,
    },
    /// The bytes are no JSON, or lack a field, or a field has another type.
    #[error("the record is not a JSON {expected}: {source}")]
    Malformed {
        /// What it should be: `reading` or `event`.
        expected: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A field has the right type but a value that it can never have.
    #[error("`{field}` is {value}, allowed is {allowed}")]
    Impossible {
        /// The field at fault.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        allowed: String,
    },
}

impl ContractError {
    /// Returns the reason that a dead letter gives.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::TooLarge,
            Self::Malformed { source, .. } if is_unknown_kind(source) => Reason::UnknownKind,
            Self::Malformed { .. } => Reason::Malformed,
            Self::Impossible { field: "ts", .. } => Reason::TimestampOutOfBounds,
            Self::Impossible { .. } => Reason::ImpossibleValue,
        }
    }
}

/// serde tells an unknown name only in words: which names it would have known.
fn is_unknown_kind(error: &serde_json::Error) -> bool {
    let text = error.to_string();
    let first = [SensorKind::Temperature.name(), EventKind::Online.name()];
    text.starts_with("unknown variant")
        && first.iter().any(|name| text.contains(&format!("expected one of `{name}`")))
}

/// Parses one record value; `expected` says what it should be.
pub(crate) fn parse<'a, T: Deserialize<'a>>(
    record: &'a [u8],
    expected: &'static str,
) -> Result<T, ContractError> {
    if record.len() > RECORD_BYTES_MAX {
        return Err(ContractError::TooLarge { bytes: record.len() });
    }
    serde_json::from_slice(record).map_err(|source| ContractError::Malformed { expected, source })
}

/// The fields that tell a record from all others of its topic.
pub(crate) struct Identity<'a> {
    pub(crate) sensor_id: &'a str,
    pub(crate) site_id: &'a str,
    pub(crate) run: &'a str,
    /// Event time in epoch milliseconds.
    pub(crate) ts: i64,
    pub(crate) seq: i64,
}

impl Identity<'_> {
    pub(crate) fn check(&self) -> Result<(), ContractError> {
        for (field, id) in
            [("sensor_id", self.sensor_id), ("site_id", self.site_id), ("run", self.run)]
        {
            if id.is_empty() || id.len() > ID_BYTES_MAX {
                return Err(impossible(field, &id, format!("1 to {ID_BYTES_MAX} bytes")));
            }
        }
        if !TS_RANGE_MS.contains(&self.ts) {
            return Err(impossible("ts", &self.ts, "epoch milliseconds from 2000 to 2100".into()));
        }
        if self.seq < 0 {
            return Err(impossible("seq", &self.seq, "0 or more".into()));
        }
        Ok(())
    }
}

pub(crate) fn impossible(
    field: &'static str,
    value: &impl fmt::Debug,
    allowed: String,
) -> ContractError {
    ContractError::Impossible { field, value: format!("{value:?}"), allowed }
}

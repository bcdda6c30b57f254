//! What stands in the dead-letter topic.

use anyhow::{Context, Result};
use domain::dead_letter::{OFFSET_HEADER, PARTITION_HEADER, REASON_HEADER};
use rdkafka::message::OwnedMessage;

use crate::topic;

/// One dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    /// Partition of the record that it stands for.
    pub(super) partition: i32,
    /// Its offset.
    pub(super) offset: i64,
    /// Name of the reason.
    pub(super) reason: String,
}

/// Reads all dead letters; none if there is no such topic.
pub(super) fn read(bootstrap_servers: &str, name: &str) -> Result<Vec<Letter>> {
    topic::read(bootstrap_servers, name)?.iter().map(letter).collect()
}

fn letter(message: &OwnedMessage) -> Result<Letter> {
    let text = |name: &str| {
        let text = topic::header(message, name);
        text.with_context(|| format!("a dead letter has the header {name}"))
    };
    Ok(Letter {
        partition: text(PARTITION_HEADER)?.parse().context("a partition is a number")?,
        offset: text(OFFSET_HEADER)?.parse().context("an offset is a number")?,
        reason: text(REASON_HEADER)?,
    })
}

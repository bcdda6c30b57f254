//! The bounds of batches and of memory.

use std::time::Duration;

/// How much may be gathered before it is written, and how much may be in memory at all (I6).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows at which a batch is written.
    pub batch_rows_max: usize,
    /// Bytes at which a batch is written.
    pub batch_bytes_max: usize,
    /// Age of its oldest row at which a batch is written.
    pub batch_age_max: Duration,
    /// Writes to Cassandra under way at once.
    pub writes_in_flight_max: usize,
    /// Rows in memory at which no more are taken in.
    pub rows_buffered_max: usize,
    /// Time between two commits of a partition.
    pub commit_interval: Duration,
    /// How far in the future an event time may lie.
    pub clock_ahead_max: Duration,
}

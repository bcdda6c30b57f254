//! The bounds of batches and of memory.

use std::ops::{AddAssign, SubAssign};
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
    /// Rows in memory at which no more are taken in, and KiB: rows of the simulated fleet take
    /// half of one, each with its record.
    pub rows_buffered_max: usize,
    /// Time between two commits of a partition.
    pub commit_interval: Duration,
    /// How far in the future an event time may lie.
    pub clock_ahead_max: Duration,
}

impl Limits {
    /// Bytes of rows in memory at which no more are taken in.
    pub(super) fn bytes_buffered_max(&self) -> usize {
        self.rows_buffered_max.saturating_mul(1_024)
    }
}

/// Rows in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Buffered {
    /// How many.
    pub(super) rows: usize,
    /// What they take, their records included.
    pub(super) bytes: usize,
}

impl AddAssign for Buffered {
    fn add_assign(&mut self, other: Self) {
        (self.rows, self.bytes) = (self.rows + other.rows, self.bytes + other.bytes);
    }
}

impl SubAssign for Buffered {
    fn sub_assign(&mut self, other: Self) {
        (self.rows, self.bytes) = (self.rows - other.rows, self.bytes - other.bytes);
    }
}

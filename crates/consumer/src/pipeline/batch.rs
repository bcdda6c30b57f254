//! Rows of one Cassandra partition that will be one write, packed into two allocations.

use std::sync::Arc;
use std::time::Instant;

use domain::reading::Location;
use domain::{Reading, Status};

use super::ledger::RecordOffset;

/// A piece of a batch's text.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    bytes: u32,
}

/// One row; its text lies in the batch.
#[derive(Clone, Copy, Debug)]
struct Row {
    offset: RecordOffset,
    ts_ms: i64,
    seq: i64,
    value: f64,
    unit: &'static str,
    status: Status,
    sensor_id: Span,
    run: Span,
}

/// The columns of one row that differ within a partition.
#[derive(Clone, Copy, Debug)]
pub struct RowView<'a> {
    /// Clustering key: the sensor.
    pub sensor_id: &'a str,
    /// Clustering key: event time, epoch milliseconds.
    pub ts_ms: i64,
    /// Clustering key: the producer run.
    pub run: &'a str,
    /// Clustering key: number of the reading.
    pub seq: i64,
    /// The measured value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The sensor's own verdict.
    pub status: Status,
}

/// Readings of one site and hour.
#[derive(Debug)]
pub struct RowBatch {
    site_id: Arc<str>,
    hour_ms: i64,
    location: Location,
    opened: Instant,
    text: String,
    rows: Vec<Row>,
}

impl RowBatch {
    /// Opens a batch for the partition of `reading`.
    pub fn open(site_id: Arc<str>, hour_ms: i64, location: Location, now: Instant) -> Self {
        Self { site_id, hour_ms, location, opened: now, text: String::new(), rows: Vec::new() }
    }

    /// Adds a reading of the batch's own site and hour.
    pub fn push(&mut self, offset: RecordOffset, reading: &Reading<'_>) {
        debug_assert_eq!(*self.site_id, *reading.site_id);
        // A run's readings come together, so its id is stored once.
        let run = match self.rows.last() {
            Some(row) if self.slice(row.run) == reading.run => row.run,
            _ => self.keep(&reading.run),
        };
        let sensor_id = self.keep(&reading.sensor_id);
        self.location = reading.location;
        self.rows.push(Row {
            offset,
            ts_ms: reading.ts,
            seq: reading.seq,
            value: reading.value,
            unit: reading.kind.unit(),
            status: reading.status,
            sensor_id,
            run,
        });
    }

    fn keep(&mut self, text: &str) -> Span {
        // A batch is flushed at 8 MiB at the latest and an id has at most 128 bytes.
        let at = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        let span = Span { start: at(self.text.len()), bytes: at(text.len()) };
        self.text.push_str(text);
        span
    }

    fn slice(&self, span: Span) -> &str {
        let start = span.start as usize;
        &self.text[start..start + span.bytes as usize]
    }

    /// Returns the partition key's site.
    pub fn site_id(&self) -> &str {
        &self.site_id
    }

    /// Returns the partition key's hour, in epoch milliseconds.
    pub fn hour_ms(&self) -> i64 {
        self.hour_ms
    }

    /// Returns where the site is, as the newest reading says.
    pub fn location(&self) -> Location {
        self.location
    }

    /// Returns when the oldest reading came in.
    pub fn opened(&self) -> Instant {
        self.opened
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Tells whether the batch has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns about how many bytes the batch has on the wire.
    pub fn bytes(&self) -> usize {
        const FIXED_COLUMNS_BYTES: usize = 72;
        self.text.len() + self.rows.len() * (FIXED_COLUMNS_BYTES + self.site_id.len())
    }

    /// Returns the row at `position`; `None` past the end.
    pub fn row(&self, position: usize) -> Option<RowView<'_>> {
        self.rows.get(position).map(|row| RowView {
            sensor_id: self.slice(row.sensor_id),
            ts_ms: row.ts_ms,
            run: self.slice(row.run),
            seq: row.seq,
            value: row.value,
            unit: row.unit,
            status: row.status,
        })
    }

    /// Returns the offsets of the records that the rows come from.
    pub fn offsets(&self) -> impl Iterator<Item = RecordOffset> {
        self.rows.iter().map(|row| row.offset)
    }
}

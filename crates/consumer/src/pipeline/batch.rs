//! Rows of one Cassandra partition that will be one write, packed into three allocations.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use domain::reading::Location;
use domain::{EventKind, Reading, Status, write_timestamp};

use super::ledger::RecordOffset;
use super::limits::Buffered;
use super::record::{Content, DeadLetter, Record, Rejection, Stream};

/// A piece of a batch's text or records.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    bytes: u32,
}

impl Span {
    fn new(start: usize, bytes: usize) -> Self {
        // A batch has at most 1 000 rows, whose records have at most 4 KiB and a key each.
        let at = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { start: at(start), bytes: at(bytes) }
    }

    fn range(self) -> Range<usize> {
        let start = self.start as usize;
        start..start + self.bytes as usize
    }
}

/// One row; its text and the record it comes from lie in the batch.
#[derive(Clone, Copy, Debug)]
struct Row {
    offset: RecordOffset,
    timestamp_ms: Option<i64>,
    key: Option<Span>,
    record: Span,
    ts_ms: i64,
    seq: i64,
    sensor_id: Span,
    run: Span,
    cells: Cells<Span>,
    location: Option<Location>,
    write_timestamp_us: i64,
}

/// The columns of one row beside its key; `T` is text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cells<T> {
    /// Those of a reading.
    Reading {
        /// The measured value.
        value: f64,
        /// Its unit.
        unit: &'static str,
        /// The sensor's own verdict.
        status: Status,
    },
    /// Those of an event.
    Event {
        /// What happened.
        event: EventKind,
        /// More about it.
        detail: T,
    },
}

impl<T> Cells<T> {
    fn map_text<U>(self, map: impl FnOnce(T) -> U) -> Cells<U> {
        match self {
            Self::Reading { value, unit, status } => Cells::Reading { value, unit, status },
            Self::Event { event, detail } => Cells::Event { event, detail: map(detail) },
        }
    }
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
    /// Clustering key: number of the reading or event.
    pub seq: i64,
    /// The other columns.
    pub cells: Cells<&'a str>,
    /// Where the site is; events do not say.
    pub location: Option<Location>,
    /// Decides which of several versions of the row stays, in epoch microseconds.
    pub write_timestamp_us: i64,
}

/// Readings of one site and hour, or events of one site and day.
#[derive(Clone, Debug)]
pub struct RowBatch {
    stream: Stream,
    site_id: Arc<str>,
    bucket_ms: i64,
    opened: Instant,
    text: String,
    /// Keys and values as they came, should Cassandra refuse a row.
    records: Vec<u8>,
    rows: Vec<Row>,
}

impl RowBatch {
    /// Opens a batch for one Cassandra partition of the stream's table.
    pub fn open(stream: Stream, site_id: Arc<str>, bucket_ms: i64, now: Instant) -> Self {
        Self {
            stream,
            site_id,
            bucket_ms,
            opened: now,
            text: String::new(),
            records: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Adds what a record holds, which is of the batch's own stream, site and hour or day.
    pub fn push(&mut self, record: &Record<'_>, content: &Content<'_>) {
        debug_assert_eq!((self.stream, &*self.site_id), (record.stream, content.site_id()));
        let key = record.key.map(|key| self.keep_bytes(key));
        let value = self.keep_bytes(record.value.unwrap_or_default());
        let (sensor_id, run, seq, cells, location, write_timestamp_us) = match content {
            Content::Reading(reading) => {
                let Reading { ts, kind, status, value, location, .. } = *reading;
                let cells = Cells::Reading { value, unit: kind.unit(), status };
                let us = write_timestamp::reading_us(ts, kind, status, value, location);
                (&reading.sensor_id, &reading.run, reading.seq, cells, Some(location), us)
            }
            Content::Event(event) => {
                let cells = Cells::Event { event: event.event, detail: self.keep(&event.detail) };
                let us = write_timestamp::event_us(event.ts, event.event, &event.detail);
                (&event.sensor_id, &event.run, event.seq, cells, None, us)
            }
        };
        let run = self.keep_run(run);
        let sensor_id = self.keep(sensor_id);
        self.rows.push(Row {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key,
            record: value,
            ts_ms: content.ts_ms(),
            seq,
            sensor_id,
            run,
            cells,
            location,
            write_timestamp_us,
        });
    }

    /// A run's readings come together, so its id is stored once.
    fn keep_run(&mut self, run: &str) -> Span {
        match self.rows.last() {
            Some(row) if self.slice(row.run) == run => row.run,
            _ => self.keep(run),
        }
    }

    fn keep(&mut self, text: &str) -> Span {
        let span = Span::new(self.text.len(), text.len());
        self.text.push_str(text);
        span
    }

    fn keep_bytes(&mut self, bytes: &[u8]) -> Span {
        let span = Span::new(self.records.len(), bytes.len());
        self.records.extend_from_slice(bytes);
        span
    }

    fn slice(&self, span: Span) -> &str {
        &self.text[span.range()]
    }

    fn bytes_of(&self, span: Span) -> &[u8] {
        &self.records[span.range()]
    }

    /// Parts the rows into two halves.
    pub fn split(&self) -> [Self; 2] {
        let (first, second) = self.rows.split_at(self.rows.len() / 2);
        [first, second].map(|rows| {
            let site_id = Arc::clone(&self.site_id);
            let mut half = Self::open(self.stream, site_id, self.bucket_ms, self.opened);
            for row in rows {
                let run = half.keep_run(self.slice(row.run));
                let sensor_id = half.keep(self.slice(row.sensor_id));
                let key = row.key.map(|key| half.keep_bytes(self.bytes_of(key)));
                let record = half.keep_bytes(self.bytes_of(row.record));
                let cells = row.cells.map_text(|text| half.keep(self.slice(text)));
                half.rows.push(Row { key, record, sensor_id, run, cells, ..*row });
            }
            half
        })
    }

    /// Returns what a record will take in memory, once it is a row.
    pub(super) fn cost(record: &Record<'_>) -> Buffered {
        let len = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        Self::cost_of(1, len(record.key) + len(record.value))
    }

    /// Returns what the batch takes in memory.
    pub(super) fn held(&self) -> Buffered {
        Self::cost_of(self.rows.len(), self.records.len())
    }

    /// A row's text comes from its record, which is kept besides.
    fn cost_of(rows: usize, records_bytes: usize) -> Buffered {
        Buffered { rows, bytes: 2 * records_bytes + rows * size_of::<Row>() }
    }

    /// Turns the only row back into its record; `None` if there are more.
    pub fn dead_letter(&self, partition: i32, rejection: Rejection) -> Option<DeadLetter> {
        let [row] = self.rows.as_slice() else {
            return None;
        };
        let record = Record {
            stream: self.stream,
            partition,
            offset: row.offset,
            timestamp_ms: row.timestamp_ms,
            key: row.key.map(|key| self.bytes_of(key)),
            value: Some(self.bytes_of(row.record)),
        };
        Some(DeadLetter::new(&record, Vec::new(), 0, rejection))
    }

    /// Returns what the rows are.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// Returns the partition key's site.
    pub fn site_id(&self) -> &str {
        &self.site_id
    }

    /// Returns the start of the partition key's hour or day, in epoch milliseconds.
    pub fn bucket_ms(&self) -> i64 {
        self.bucket_ms
    }

    /// Returns the position of the newest row, whose location is that of the partition: written
    /// with its row, it has the same write timestamp and expires with it.
    pub fn newest(&self) -> usize {
        // Of equal timestamps Cassandra keeps the greater bytes.
        let bits =
            |row: &Row| row.location.map(|Location { lat, lon }| (lat.to_bits(), lon.to_bits()));
        let mut newest = 0;
        for (position, row) in self.rows.iter().enumerate() {
            let order = row.write_timestamp_us.cmp(&self.rows[newest].write_timestamp_us);
            if order.then_with(|| bits(row).cmp(&bits(&self.rows[newest]))).is_gt() {
                newest = position;
            }
        }
        newest
    }

    /// Returns when the oldest record came in.
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
            cells: row.cells.map_text(|text| self.slice(text)),
            location: row.location,
            write_timestamp_us: row.write_timestamp_us,
        })
    }

    /// Returns the offsets of the records that the rows come from.
    pub fn offsets(&self) -> impl Iterator<Item = RecordOffset> {
        self.rows.iter().map(|row| row.offset)
    }
}

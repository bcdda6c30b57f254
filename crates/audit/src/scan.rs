//! Reads the whole table `readings`, several partitions at once, and records every row in the
//! ledger.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use futures::stream::{self, LocalBoxStream, StreamExt};
use runtime::clock::now_ms;
use scylla::errors::ExecutionError;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use tracing::{info, warn};

use crate::compare::{Expiry, Row};
use crate::error::AuditError;
use crate::ledger::Ledger;
use crate::pages::{CONCURRENCY, PageError, Pages, READ_PAGE_ROWS, ring};
use crate::window::{Plan, Retention, Window};

const TABLE: &str = "readings";
/// Partitions in a page of their list; the server caches what it filters and complains above 2 000.
const LIST_PAGE_ROWS: i32 = 1_000;
const PROGRESS_INTERVAL: Duration = Duration::from_secs(3);

/// The columns of a row as selected; a partition with nothing but a location has one with nulls.
type Columns<'a> = (
    &'a str,
    CqlTimestamp,
    Option<&'a str>,
    Option<CqlTimestamp>,
    Option<&'a str>,
    Option<i64>,
    Option<f64>,
    Option<&'a str>,
    Option<&'a str>,
    Option<f64>,
    Option<f64>,
    Option<i64>,
    Option<i32>,
);

/// Reads the table.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    pages: &'a Pages,
    retention: Retention,
    list: PreparedStatement,
    read: PreparedStatement,
}

/// A token range within a window of hours.
#[derive(Clone, Debug)]
struct Slice {
    after_token: i64,
    to_token: i64,
    window: Window,
}

/// One partition of the table.
#[derive(Clone, Debug)]
struct Partition {
    site_id: Box<str>,
    hour: CqlTimestamp,
    required: bool,
}

/// What reading a partition yields.
enum Piece {
    /// A page of rows, and when it was read, in epoch milliseconds.
    Page(QueryRowsResult, i64),
    /// Nothing more.
    End,
    /// The rest cannot be read, and need not.
    Unread(ExecutionError),
}

impl<'a> Scanner<'a> {
    /// Prepares the scan.
    pub(crate) async fn prepare(pages: &'a Pages) -> Result<Self, AuditError> {
        let name = pages.full_name(TABLE);
        let Some(retention) = pages.retention(TABLE).await? else {
            return Err(AuditError::NoTable { table: name });
        };
        // Cassandra filters partition keys before it looks into the partitions.
        let list = format!(
            "SELECT DISTINCT site_id, hour FROM {name} \
             WHERE token(site_id, hour) > ? AND token(site_id, hour) <= ? \
             AND hour >= ? AND hour < ? ALLOW FILTERING"
        );
        let read = format!(
            "SELECT site_id, hour, sensor_id, ts, run, seq, value, unit, status, lat, lon, \
             WRITETIME(value), TTL(value) FROM {name} WHERE site_id = ? AND hour = ?"
        );
        let mut list = pages.prepare(TABLE, list, LIST_PAGE_ROWS).await?;
        // At more replicas Cassandra settles, partition by partition, what each has filtered out,
        // and gives up where one was lately away. What the runs wrote to is known anyhow.
        list.set_consistency(Consistency::LocalOne);
        let read = pages.prepare(TABLE, read, READ_PAGE_ROWS).await?;
        Ok(Self { pages, retention, list, read })
    }

    /// Returns how long the table keeps rows.
    pub(crate) fn retention(&self) -> Retention {
        self.retention
    }

    /// Reads everything that is planned into the ledger.
    ///
    /// A partition that comes into being meanwhile may be left out: nothing in it is required.
    pub(crate) async fn scan(&self, plan: &Plan, ledger: &mut Ledger) -> Result<(), AuditError> {
        let mut unread = None;
        let mut partitions = expected(plan, ledger);
        let slices: Vec<Slice> = plan.windows.iter().flat_map(slices_of).collect();
        let mut lists =
            stream::iter(slices).map(|slice| self.list(slice)).buffer_unordered(CONCURRENCY);
        while let Some(list) = lists.next().await {
            let (found, failure) = list?;
            for (site_id, hour_ms, required) in found {
                partitions.entry((site_id, hour_ms)).or_insert(required);
            }
            unread = failure.or(unread);
        }

        let mut progress = Progress::new(partitions.len());
        let mut pieces = stream::iter(partitions)
            .map(|((site_id, hour_ms), required)| {
                self.pieces(Partition { site_id, hour: CqlTimestamp(hour_ms), required })
            })
            .flatten_unordered(CONCURRENCY);
        while let Some(piece) = pieces.next().await {
            match piece? {
                Piece::Page(page, read_at_ms) => self.record(&page, read_at_ms, ledger)?,
                Piece::End => progress.done += 1,
                Piece::Unread(error) => {
                    progress.done += 1;
                    unread = Some(error);
                }
            }
            progress.show(ledger.rows());
        }
        if let Some(error) = unread {
            warn!(
                "hours past the time to live not read in full, phantoms there go unseen: {error}"
            );
        }
        Ok(())
    }

    /// Lists the partitions of a slice, with what kept it from listing all if none is required.
    async fn list(
        &self,
        slice: Slice,
    ) -> Result<(Vec<(Box<str>, i64, bool)>, Option<ExecutionError>), AuditError> {
        let Window { hours_ms, required } = slice.window;
        let values = (
            slice.after_token,
            slice.to_token,
            CqlTimestamp(hours_ms.start),
            CqlTimestamp(hours_ms.end),
        );
        let mut partitions = Vec::new();
        let mut from = PagingState::start();
        loop {
            let (page, next) = match self.pages.page(&self.list, &values, from, required).await {
                Ok(page) => page,
                Err(PageError { source, .. }) if !required => {
                    return Ok((partitions, Some(source)));
                }
                Err(error) => return Err(self.pages.unscanned(TABLE, error)),
            };
            let keys = page.rows::<(&str, CqlTimestamp)>();
            for key in keys.map_err(|error| self.pages.other_table(TABLE, &error))? {
                let (site_id, hour) = key.map_err(|error| self.pages.other_table(TABLE, &error))?;
                partitions.push((site_id.into(), hour.0, required));
            }
            match next {
                ControlFlow::Continue(next) => from = next,
                ControlFlow::Break(()) => return Ok((partitions, None)),
            }
        }
    }

    fn pieces(&self, partition: Partition) -> LocalBoxStream<'_, Result<Piece, AuditError>> {
        // The outer option ends the stream, the inner one the pages.
        let state = (partition, Some(Some(PagingState::start())));
        stream::unfold(state, move |(partition, from)| async move {
            let Some(from) = from? else {
                return Some((Ok(Piece::End), (partition, None)));
            };
            let required = partition.required;
            let key = (&*partition.site_id, partition.hour);
            let (piece, next) = match self.pages.page(&self.read, &key, from, required).await {
                Ok((page, next)) => (Ok(Piece::Page(page, now_ms())), Some(next.continue_value())),
                Err(PageError { source, .. }) if !required => (Ok(Piece::Unread(source)), None),
                Err(error) => (Err(self.pages.unscanned(TABLE, error)), None),
            };
            Some((piece, (partition, next)))
        })
        .boxed_local()
    }

    fn record(
        &self,
        page: &QueryRowsResult,
        read_at_ms: i64,
        ledger: &mut Ledger,
    ) -> Result<(), AuditError> {
        let rows = page.rows::<Columns<'_>>();
        for columns in rows.map_err(|error| self.pages.other_table(TABLE, &error))? {
            let columns = columns.map_err(|error| self.pages.other_table(TABLE, &error))?;
            if let Some(row) = row_of(columns, self.retention.time_to_live_ms, read_at_ms) {
                ledger.record(&row, read_at_ms);
            }
        }
        Ok(())
    }
}

/// Returns the partitions that have to be read whether anything lists them or not: those that the
/// runs have written to, in the hours in which readings are required.
fn expected(plan: &Plan, ledger: &Ledger) -> BTreeMap<(Box<str>, i64), bool> {
    let required = |hour_ms: &i64| {
        plan.windows.iter().any(|window| window.required && window.hours_ms.contains(hour_ms))
    };
    let partitions = ledger.partitions();
    let partitions = partitions.into_iter().filter(|(_, hour_ms)| required(hour_ms));
    partitions.map(|(site_id, hour_ms)| ((site_id.into(), hour_ms), true)).collect()
}

fn slices_of(window: &Window) -> impl Iterator<Item = Slice> {
    ring().map(|(after_token, to_token)| Slice { after_token, to_token, window: window.clone() })
}

/// Names the columns; `None` for a partition that has a location but no row.
fn row_of(columns: Columns<'_>, time_to_live_ms: i64, read_at_ms: i64) -> Option<Row<'_>> {
    let (site_id, hour, sensor_id, ts, run, seq, value, unit, status, lat, lon, written, left_s) =
        columns;
    let ts_ms = ts?.0;
    Some(Row {
        site_id,
        hour_ms: hour.0,
        sensor_id: sensor_id?,
        ts_ms,
        run: run?,
        seq: seq?,
        value,
        unit,
        status,
        lat,
        lon,
        write_timestamp_us: written,
        expiry: Expiry::new(ts_ms, time_to_live_ms, read_at_ms, left_s),
    })
}

/// Says now and then how far the scan is.
struct Progress {
    partitions: usize,
    done: usize,
    shown: Instant,
}

impl Progress {
    fn new(partitions: usize) -> Self {
        info!(partitions, "reading the table");
        Self { partitions, done: 0, shown: Instant::now() }
    }

    fn show(&mut self, rows: u64) {
        if self.shown.elapsed() >= PROGRESS_INTERVAL {
            self.shown = Instant::now();
            let percent = 100 * self.done / self.partitions.max(1);
            info!(rows, percent, "reading the table");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_with_nothing_but_its_location_is_no_row() {
        let hour = CqlTimestamp(0);
        let ts = Some(CqlTimestamp(5));
        let (lat, lon) = (Some(52.5), Some(13.4));
        let id = Some("s/x");
        let run = Some("a");
        let left_s = Some(86_400);
        let full = ("s", hour, id, ts, run, Some(0), None, None, None, lat, lon, Some(7), left_s);
        let row = row_of(full, 86_400_000, 10).unwrap();
        assert_eq!((row.ts_ms, row.value, row.write_timestamp_us), (5, None, Some(7)));
        let expected_ms = Some(86_400_005);
        assert_eq!(row.expiry, Expiry { expected_ms, found_ms: Some(86_400_010) });
        let kept = row_of(full, 0, 10).unwrap();
        assert_eq!(kept.expiry.expected_ms, None, "a table that keeps its rows for good");
        let empty = ("s", hour, None, None, None, None, None, None, None, lat, lon, None, None);
        assert_eq!(row_of(empty, 86_400_000, 10), None);
    }
}

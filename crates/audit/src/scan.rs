//! Reads the whole table, several partitions at once, and records every row in the ledger.

use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use futures::stream::{self, LocalBoxStream, StreamExt};
use runtime::backoff::Backoff;
use runtime::clock::now_ms;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use tracing::{info, warn};

use crate::compare::{Expiry, Row};
use crate::error::AuditError;
use crate::ledger::Ledger;
use crate::window::{Plan, Retention, Window};

/// Token ranges that the ring is cut into.
const RANGES: u8 = 64;
/// Token ranges or partitions that are read at once.
const CONCURRENCY: usize = 8;
/// Partitions in a page of their list; the server caches what it filters and complains above 2 000.
const LIST_PAGE_ROWS: i32 = 1_000;
/// Rows in a page of a partition, about 120 bytes each.
const READ_PAGE_ROWS: i32 = 5_000;
/// Attempts at one page.
const ATTEMPTS_MAX: u32 = 6;
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);
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

/// Reads one table.
#[derive(Debug)]
pub(crate) struct Scanner {
    session: Session,
    keyspace: String,
    time_to_live_ms: i64,
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

type Page = (QueryRowsResult, ControlFlow<(), PagingState>);

/// A page that could not be read, and how often it was tried.
struct PageError {
    attempts: u32,
    source: ExecutionError,
}

impl Scanner {
    /// Prepares the scan of `readings` in a keyspace.
    pub(crate) async fn prepare(session: Session, keyspace: &str) -> Result<Self, AuditError> {
        let Some(retention) = retention(&session, keyspace).await? else {
            let keyspace = keyspace.to_owned();
            return Err(AuditError::NoTable { keyspace });
        };
        // Cassandra filters partition keys before it looks into the partitions.
        let list = format!(
            "SELECT DISTINCT site_id, hour FROM {keyspace}.readings \
             WHERE token(site_id, hour) > ? AND token(site_id, hour) <= ? \
             AND hour >= ? AND hour < ? ALLOW FILTERING"
        );
        let read = format!(
            "SELECT site_id, hour, sensor_id, ts, run, seq, value, unit, status, lat, lon, \
             WRITETIME(value), TTL(value) FROM {keyspace}.readings WHERE site_id = ? AND hour = ?"
        );
        let mut list = prepare(&session, keyspace, list, LIST_PAGE_ROWS).await?;
        // At more replicas Cassandra settles, partition by partition, what each has filtered out,
        // and gives up where one was lately away. What the runs wrote to is known anyhow.
        list.set_consistency(Consistency::LocalOne);
        Ok(Self {
            list,
            read: prepare(&session, keyspace, read, READ_PAGE_ROWS).await?,
            keyspace: keyspace.to_owned(),
            time_to_live_ms: retention.time_to_live_ms,
            session,
        })
    }

    /// Returns how long the table keeps rows.
    pub(crate) async fn retention(&self) -> Result<Retention, AuditError> {
        let keyspace = self.keyspace.clone();
        retention(&self.session, &keyspace).await?.ok_or(AuditError::NoTable { keyspace })
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
            let (page, next) = match self.page(&self.list, &values, from, required).await {
                Ok(page) => page,
                Err(PageError { source, .. }) if !required => {
                    return Ok((partitions, Some(source)));
                }
                Err(error) => return Err(self.unscanned(error)),
            };
            let keys = page.rows::<(&str, CqlTimestamp)>();
            for key in keys.map_err(|error| self.other_table(&error))? {
                let (site_id, hour) = key.map_err(|error| self.other_table(&error))?;
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
            let (piece, next) = match self.page(&self.read, &key, from, required).await {
                Ok((page, next)) => (Ok(Piece::Page(page, now_ms())), Some(next.continue_value())),
                Err(PageError { source, .. }) if !required => (Ok(Piece::Unread(source)), None),
                Err(error) => (Err(self.unscanned(error)), None),
            };
            Some((piece, (partition, next)))
        })
        .boxed_local()
    }

    /// Reads one page, trying again where it is required.
    async fn page(
        &self,
        statement: &PreparedStatement,
        values: &impl SerializeRow,
        from: PagingState,
        required: bool,
    ) -> Result<Page, PageError> {
        let attempts_max = if required { ATTEMPTS_MAX } else { 1 };
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_MAX);
        loop {
            let attempt = self.session.execute_single_page(statement, values, from.clone());
            let source = match attempt.await {
                Ok((result, next)) => {
                    let page = result.into_rows_result().expect("a SELECT gives rows");
                    return Ok((page, next.into_paging_control_flow()));
                }
                Err(error) => error,
            };
            let attempts = backoff.attempts() + 1;
            if attempts >= attempts_max {
                return Err(PageError { attempts, source });
            }
            let delay = backoff.next_delay();
            let delay_ms = delay.as_millis();
            warn!(attempts, attempts_max, delay_ms, "page not read, trying again: {source}");
            tokio::time::sleep(delay).await;
        }
    }

    fn record(
        &self,
        page: &QueryRowsResult,
        read_at_ms: i64,
        ledger: &mut Ledger,
    ) -> Result<(), AuditError> {
        let rows = page.rows::<Columns<'_>>();
        for columns in rows.map_err(|error| self.other_table(&error))? {
            let columns = columns.map_err(|error| self.other_table(&error))?;
            if let Some(row) = row_of(columns, self.time_to_live_ms, read_at_ms) {
                ledger.record(&row, read_at_ms);
            }
        }
        Ok(())
    }

    fn other_table(&self, error: &dyn Error) -> AuditError {
        AuditError::OtherTable { keyspace: self.keyspace.clone(), why: error.to_string() }
    }

    fn unscanned(&self, error: PageError) -> AuditError {
        AuditError::Unscanned {
            table: format!("{}.readings", self.keyspace),
            attempts: error.attempts,
            source: Box::new(error.source),
        }
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

async fn prepare(
    session: &Session,
    keyspace: &str,
    text: String,
    page_rows: i32,
) -> Result<PreparedStatement, AuditError> {
    match session.prepare(text).await {
        Ok(mut statement) => {
            statement.set_page_size(page_rows);
            statement.set_is_idempotent(true);
            Ok(statement)
        }
        Err(source) => {
            Err(AuditError::Unprepared { keyspace: keyspace.to_owned(), source: Box::new(source) })
        }
    }
}

/// Returns how long the table keeps rows; `None` if there is no such table.
async fn retention(session: &Session, keyspace: &str) -> Result<Option<Retention>, AuditError> {
    const SELECT: &str = "SELECT default_time_to_live, gc_grace_seconds FROM system_schema.tables \
                          WHERE keyspace_name = ? AND table_name = 'readings'";
    let mut backoff = Backoff::new(RETRY_BASE, RETRY_MAX);
    let result = loop {
        match session.query_unpaged(SELECT, (keyspace,)).await {
            Ok(result) => break result,
            Err(source) if backoff.attempts() + 1 >= ATTEMPTS_MAX => {
                let table = "system_schema.tables".into();
                let (attempts, source) = (ATTEMPTS_MAX, Box::new(source));
                return Err(AuditError::Unscanned { table, attempts, source });
            }
            Err(error) => {
                warn!("schema not read, trying again: {error}");
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    };
    let rows = result.into_rows_result().expect("a SELECT gives rows");
    let row = rows.maybe_first_row::<(i32, i32)>().map_err(|error| AuditError::OtherTable {
        keyspace: keyspace.to_owned(),
        why: error.to_string(),
    })?;
    Ok(row.map(|(time_to_live_s, grace_s)| Retention {
        time_to_live_ms: i64::from(time_to_live_s) * 1_000,
        grace_ms: i64::from(grace_s) * 1_000,
    }))
}

/// Cuts the ring into equal ranges; the least token, which none holds, belongs to no partition.
fn slices_of(window: &Window) -> impl Iterator<Item = Slice> {
    const WIDTH: u64 = u64::MAX / RANGES as u64 + 1;
    (0..u64::from(RANGES)).map(|number| {
        let after_token = i64::MIN.wrapping_add_unsigned(number * WIDTH);
        Slice {
            after_token,
            to_token: after_token.saturating_add_unsigned(WIDTH),
            window: window.clone(),
        }
    })
}

/// Names the columns; `None` for a partition that has a location but no row.
fn row_of(columns: Columns<'_>, time_to_live_ms: i64, read_at_ms: i64) -> Option<Row<'_>> {
    let (site_id, hour, sensor_id, ts, run, seq, value, unit, status, lat, lon, written, left_s) =
        columns;
    let expiry = Expiry {
        expected_ms: (time_to_live_ms > 0).then(|| ts.map_or(0, |ts| ts.0) + time_to_live_ms),
        found_ms: left_s.map(|left_s| read_at_ms + 1_000 * i64::from(left_s)),
    };
    Some(Row {
        site_id,
        hour_ms: hour.0,
        sensor_id: sensor_id?,
        ts_ms: ts?.0,
        run: run?,
        seq: seq?,
        value,
        unit,
        status,
        lat,
        lon,
        write_timestamp_us: written,
        expiry,
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
    fn the_ranges_cover_the_ring_without_overlap() {
        let window = Window { hours_ms: 0..1, required: true };
        let slices: Vec<Slice> = slices_of(&window).collect();
        assert_eq!(slices.len(), usize::from(RANGES));
        assert_eq!(slices[0].after_token, i64::MIN);
        assert_eq!(slices.last().unwrap().to_token, i64::MAX);
        for pair in slices.windows(2) {
            assert_eq!(pair[0].to_token, pair[1].after_token);
            assert!(pair[0].after_token < pair[0].to_token);
        }
    }

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

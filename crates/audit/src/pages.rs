//! Reads tables page by page, trying again where Cassandra does not answer.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use runtime::backoff::Backoff;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use tracing::warn;

use crate::error::AuditError;
use crate::window::Retention;

/// Token ranges that the ring is cut into.
const RANGES: u8 = 64;
/// Token ranges or partitions that are read at once.
pub(crate) const CONCURRENCY: usize = 8;
/// Rows in a page of a partition, about 120 bytes each.
pub(crate) const READ_PAGE_ROWS: i32 = 5_000;
/// Attempts at one page.
const ATTEMPTS_MAX: u32 = 6;
const RETRY_BASE: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A page of rows, and where the next one begins.
pub(crate) type Page = (QueryRowsResult, ControlFlow<(), PagingState>);

/// A page that could not be read, and how often it was tried.
pub(crate) struct PageError {
    attempts: u32,
    pub(crate) source: ExecutionError,
}

/// Reads the tables of one keyspace.
#[derive(Debug)]
pub(crate) struct Pages {
    session: Session,
    keyspace: String,
}

impl Pages {
    /// Makes a reader of a keyspace.
    pub(crate) fn new(session: Session, keyspace: &str) -> Self {
        Self { session, keyspace: keyspace.to_owned() }
    }

    /// Returns a table's name with that of its keyspace.
    pub(crate) fn full_name(&self, table: &str) -> String {
        format!("{}.{table}", self.keyspace)
    }

    /// Prepares a query of a table.
    pub(crate) async fn prepare(
        &self,
        table: &str,
        text: String,
        page_rows: i32,
    ) -> Result<PreparedStatement, AuditError> {
        match self.session.prepare(text).await {
            Ok(mut statement) => {
                statement.set_page_size(page_rows);
                statement.set_is_idempotent(true);
                Ok(statement)
            }
            Err(source) => Err(AuditError::Unprepared {
                table: self.full_name(table),
                source: Box::new(source),
            }),
        }
    }

    /// Reads one page, trying again where it is required.
    pub(crate) async fn page(
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

    /// Returns how long a table keeps rows; `None` if there is no such table.
    pub(crate) async fn retention(&self, table: &str) -> Result<Option<Retention>, AuditError> {
        const SELECT: &str = "SELECT default_time_to_live, gc_grace_seconds \
                              FROM system_schema.tables \
                              WHERE keyspace_name = ? AND table_name = ?";
        let mut backoff = Backoff::new(RETRY_BASE, RETRY_MAX);
        let keyspace = self.keyspace.as_str();
        let result = loop {
            match self.session.query_unpaged(SELECT, (keyspace, table)).await {
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
        let row = rows.maybe_first_row::<(i32, i32)>();
        let row = row.map_err(|error| self.other_table(table, &error))?;
        Ok(row.map(|(time_to_live_s, grace_s)| Retention {
            time_to_live_ms: i64::from(time_to_live_s) * 1_000,
            grace_ms: i64::from(grace_s) * 1_000,
        }))
    }

    /// Says that a table has other columns.
    pub(crate) fn other_table(&self, table: &str, error: &dyn Error) -> AuditError {
        AuditError::OtherTable { table: self.full_name(table), why: error.to_string() }
    }

    /// Says that part of a table could not be read.
    pub(crate) fn unscanned(&self, table: &str, error: PageError) -> AuditError {
        AuditError::Unscanned {
            table: self.full_name(table),
            attempts: error.attempts,
            source: Box::new(error.source),
        }
    }
}

/// Cuts the ring into equal ranges of tokens, from one excluded to one included; the least token,
/// which none holds, belongs to no partition.
pub(crate) fn ring() -> impl Iterator<Item = (i64, i64)> {
    const WIDTH: u64 = u64::MAX / RANGES as u64 + 1;
    (0..u64::from(RANGES)).map(|number| {
        let after_token = i64::MIN.wrapping_add_unsigned(number * WIDTH);
        (after_token, after_token.saturating_add_unsigned(WIDTH))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_cover_the_ring_without_overlap() {
        let ranges: Vec<(i64, i64)> = ring().collect();
        assert_eq!(ranges.len(), usize::from(RANGES));
        assert_eq!(ranges[0].0, i64::MIN);
        assert_eq!(ranges.last().unwrap().1, i64::MAX);
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].1, pair[1].0);
            assert!(pair[0].0 < pair[0].1);
        }
    }
}

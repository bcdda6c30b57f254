//! Checks the tables beside `readings`: reads each of them whole and compares every row.

mod events;
mod latest;
mod outcome;
mod runs;
mod sensors;
mod sites;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use futures::stream::{self, LocalBoxStream, StreamExt};
use runtime::clock::now_ms;
use scylla::deserialize::row::DeserializeRow;
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::statement::prepared::PreparedStatement;
use tracing::{info, warn};

use crate::error::AuditError;
use crate::pages::{CONCURRENCY, Pages, READ_PAGE_ROWS, ring};
use events::Events;
use latest::Latest;
#[cfg(test)]
pub(crate) use outcome::Key;
pub(crate) use outcome::{Outcome, TableSummary};
pub(crate) use runs::Runs;
use sensors::Sensors;
use sites::Sites;

/// Longest wait for a consumer that is draining a backlog: it leaves sensors with a newer reading
/// out of four commits in a row, which come once a second.
const PATIENCE: Duration = Duration::from_secs(15);
/// Time between two looks at what may be behind.
const PAUSE: Duration = Duration::from_secs(1);

/// Name of the table of the events.
pub(crate) const EVENTS: &str = events::TABLE;

/// The check of one table.
trait Check {
    /// Name of the table.
    const TABLE: &'static str;
    /// The columns of its partition key.
    const PARTITION_KEY: &'static str;
    /// What is selected.
    const SELECTED: &'static str;
    /// The same as values.
    type Columns<'row>: DeserializeRow<'row, 'row>;

    /// Compares a row that was read at `read_at_ms`, in epoch milliseconds.
    fn record(&mut self, columns: Self::Columns<'_>, read_at_ms: i64);

    /// Finds out what is missing, once every row was recorded.
    fn close(self) -> Outcome;
}

/// Checks all of them, in the order of `init.cql`. One that is not there is not checked.
pub(crate) async fn check(pages: &Pages, runs: &Runs<'_>) -> Result<Vec<Outcome>, AuditError> {
    info!("reading the other tables");
    let mut outcomes = Vec::new();
    outcomes.push(match pages.retention(events::TABLE).await? {
        Some(retention) => read(pages, Events::new(runs, retention.time_to_live_ms)).await?,
        None => absent(pages, events::TABLE),
    });
    outcomes.push(await_consumers(pages, runs, || Latest::new(runs)).await?);
    outcomes.push(await_consumers(pages, runs, || Sensors::new(runs)).await?);
    outcomes.push(await_consumers(pages, runs, || Sites::new(runs)).await?);
    Ok(outcomes)
}

/// Tells whether the keyspace has a table.
pub(crate) async fn is_there(pages: &Pages, table: &str) -> Result<bool, AuditError> {
    Ok(pages.retention(table).await?.is_some())
}

fn absent(pages: &Pages, table: &'static str) -> Outcome {
    let name = pages.full_name(table);
    warn!("there is no table {name}, so it is not checked: infra/cassandra/init.cql makes it");
    Outcome::absent(table)
}

/// Reads a table until it is up to date, where it may be behind for a moment.
async fn await_consumers<C: Check>(
    pages: &Pages,
    runs: &Runs<'_>,
    begin: impl Fn() -> C,
) -> Result<Outcome, AuditError> {
    if !is_there(pages, C::TABLE).await? {
        return Ok(absent(pages, C::TABLE));
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let outcome = read(pages, begin()).await?;
        if !outcome.is_behind() || !runs.may_be_under_way() || Instant::now() >= deadline {
            return Ok(outcome);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read<C: Check>(pages: &Pages, mut check: C) -> Result<Outcome, AuditError> {
    let (name, key) = (pages.full_name(C::TABLE), C::PARTITION_KEY);
    let select =
        format!("SELECT {} FROM {name} WHERE token({key}) > ? AND token({key}) <= ?", C::SELECTED);
    let statement = pages.prepare(C::TABLE, select, READ_PAGE_ROWS).await?;
    let mut read = stream::iter(ring())
        .map(|range| pages_of::<C>(pages, &statement, range))
        .flatten_unordered(CONCURRENCY);
    while let Some(page) = read.next().await {
        let (page, read_at_ms) = page?;
        let rows = page.rows::<C::Columns<'_>>();
        for row in rows.map_err(|error| pages.other_table(C::TABLE, &error))? {
            let columns = row.map_err(|error| pages.other_table(C::TABLE, &error))?;
            check.record(columns, read_at_ms);
        }
    }
    drop(read);
    Ok(check.close())
}

/// Reads a range of tokens page by page; each comes with the time at which it was read.
fn pages_of<'a, C: Check>(
    pages: &'a Pages,
    statement: &'a PreparedStatement,
    range: (i64, i64),
) -> LocalBoxStream<'a, Result<(QueryRowsResult, i64), AuditError>> {
    stream::unfold(Some(PagingState::start()), move |from| async move {
        let from = from?;
        Some(match pages.page(statement, &range, from, true).await {
            Ok((page, ControlFlow::Continue(next))) => (Ok((page, now_ms())), Some(next)),
            Ok((page, ControlFlow::Break(()))) => (Ok((page, now_ms())), None),
            Err(error) => (Err(pages.unscanned(C::TABLE, error)), None),
        })
    })
    .boxed_local()
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

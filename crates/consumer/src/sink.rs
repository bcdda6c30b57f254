//! Writes to Cassandra: unlogged batches of one partition each, repeated until they are durable.

mod statements;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::Shutdown;
use runtime::backoff::Backoff;
use runtime::cassandra::{self, ConsistencyLevel};
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use tracing::warn;

use crate::error::{ConsumerError, Disposition, disposition};
use crate::pipeline::batch::RowBatch;
use crate::pipeline::site::SiteWrite;
use crate::pipeline::{Ticket, Write};
use crate::settings::ConsumerSettings;
use statements::Statements;

/// First bound of the wait between two attempts.
const BACKOFF_BASE: Duration = Duration::from_millis(50);
/// Last bound: how late a Cassandra that is back is noticed at the most.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Attempts after which a write that still fails is worth a line, and between two lines.
const ATTEMPTS_PER_COMPLAINT: u32 = 8;

/// The end of a write.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) ticket: Ticket,
    pub(crate) write: Write,
    /// From the first attempt to the last answer.
    pub(crate) latency: Duration,
    /// Attempts that failed before.
    pub(crate) retries: u32,
    /// Set if repeating it would be useless.
    pub(crate) refused: Option<ConsumerError>,
}

/// A session with everything prepared.
pub(crate) struct Sink {
    session: Session,
    statements: Statements,
}

/// Waits for Cassandra and its tables; `None` when asked to stop.
pub(crate) async fn connect(
    settings: &ConsumerSettings,
    shutdown: &Shutdown,
) -> Result<Option<Sink>, ConsumerError> {
    // The levels of the writes stand on the statements; this one is for the driver's own needs.
    let level = ConsistencyLevel::LocalOne;
    let Some(session) = cassandra::connect(&settings.cassandra, level, shutdown).await else {
        return Ok(None);
    };
    let statements = statements::prepare(&session, settings, shutdown).await?;
    Ok(statements.map(|statements| Sink { session, statements }))
}

impl Sink {
    /// Writes until it is durable or refused; waits out any outage.
    pub(crate) async fn write(self: Arc<Self>, ticket: Ticket, write: Write) -> Done {
        let started = Instant::now();
        let mut backoff = Backoff::new(BACKOFF_BASE, BACKOFF_MAX);
        let refused = loop {
            let attempt = match &write {
                Write::Rows(batch) => self.write_rows(batch).await,
                Write::Site(news) => self.write_site(news).await,
            };
            let Err(error) = attempt else { break None };
            if disposition(&error) == Disposition::Fatal {
                let partition = partition_name(&write);
                break Some(ConsumerError::Refused { partition, source: Box::new(error) });
            }
            let delay = backoff.next_delay();
            let attempts = backoff.attempts();
            if attempts % ATTEMPTS_PER_COMPLAINT == 1 {
                let partition = partition_name(&write);
                warn!(partition, attempts, "cassandra write failed, trying again: {error}");
            }
            tokio::time::sleep(delay).await;
        };
        let retries = backoff.attempts();
        Done { ticket, write, latency: started.elapsed(), retries, refused }
    }

    async fn write_rows(&self, batch: &RowBatch) -> Result<(), ExecutionError> {
        let rows = values::rows(batch);
        if let [row] = rows.as_slice() {
            let insert = &self.statements.row_with_location;
            return self.session.execute_unpaged(insert, row).await.map(drop);
        }
        let statement = self.statements.rows(batch.len());
        self.session.batch(&statement, rows).await.map(drop)
    }

    async fn write_site(&self, news: &SiteWrite) -> Result<(), ExecutionError> {
        let statement = self.statements.site(news);
        self.session.batch(&statement, values::site(news)).await.map(drop)
    }
}

fn partition_name(write: &Write) -> String {
    match write {
        Write::Rows(batch) => format!("{} {}", batch.site_id(), batch.hour_ms()),
        Write::Site(news) => news.site_id.to_string(),
    }
}

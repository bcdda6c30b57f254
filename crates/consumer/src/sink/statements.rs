//! The prepared statements, checked against the tables before the first write.

use std::sync::{Arc, OnceLock};

use runtime::Shutdown;
use runtime::cassandra::schema::{self, Lifetimes, SchemaError, Table};
use scylla::client::session::Session;
use scylla::statement::Consistency;
use scylla::statement::batch::Batch;
use scylla::statement::prepared::PreparedStatement;

use crate::error::ConsumerError;
use crate::pipeline::batch::RowBatch;
use crate::pipeline::record::Stream;
use crate::pipeline::site::SiteWrite;
use crate::settings::ConsumerSettings;

use super::tables::{self, EVENTS, LATEST, READINGS, READINGS_STATIC, SENSORS, SITES};
use super::trial::Target;

/// The inserts of one table that is written in batches of many rows.
pub(super) struct RowStatements {
    /// For the first row in a batch, the newest, which also sets the static columns.
    pub(super) first: PreparedStatement,
    next: PreparedStatement,
    consistency: Consistency,
    /// Batches of n rows at n: a batch is a list of statements, and making one is not free.
    batches: Vec<OnceLock<Arc<Batch>>>,
}

impl RowStatements {
    fn new(
        first: PreparedStatement,
        next: PreparedStatement,
        consistency: Consistency,
        rows_max: usize,
    ) -> Self {
        let batches = (0..=rows_max).map(|_| OnceLock::new()).collect();
        Self { first, next, consistency, batches }
    }

    /// Returns the batch for so many rows.
    pub(super) fn batch(&self, rows: usize) -> Arc<Batch> {
        match self.batches.get(rows) {
            Some(slot) => Arc::clone(slot.get_or_init(|| Arc::new(self.build(rows)))),
            None => Arc::new(self.build(rows)),
        }
    }

    fn build(&self, rows: usize) -> Batch {
        let mut batch = schema::unlogged(self.consistency);
        batch.append_statement(self.first.clone());
        for _ in 1..rows {
            batch.append_statement(self.next.clone());
        }
        batch
    }
}

/// All statements of the sink.
pub(super) struct Statements {
    readings: RowStatements,
    events: RowStatements,
    latest: PreparedStatement,
    sensor: PreparedStatement,
    site: PreparedStatement,
    latest_consistency: Consistency,
}

impl Statements {
    /// Returns the inserts for the rows of a batch.
    pub(super) fn rows(&self, batch: &RowBatch) -> &RowStatements {
        match batch.stream() {
            Stream::Readings => &self.readings,
            Stream::Events => &self.events,
        }
    }

    /// Returns how many replicas must have what is written.
    pub(super) fn consistency(&self, target: Target) -> Consistency {
        match target {
            Target::Rows(Stream::Readings) => self.readings.consistency,
            Target::Rows(Stream::Events) => self.events.consistency,
            Target::Site => self.latest_consistency,
        }
    }

    /// Returns the batch for news of a site, in the order in which [`super::values::Site`] writes
    /// it.
    pub(super) fn site(&self, news: &SiteWrite) -> Batch {
        let mut batch = schema::unlogged(self.latest_consistency);
        if news.location.is_some() {
            batch.append_statement(self.site.clone());
        }
        for (_, latest) in &news.sensors {
            batch.append_statement(self.latest.clone());
            if latest.unregistered {
                batch.append_statement(self.sensor.clone());
            }
        }
        batch
    }
}

/// What the tables are and how they are written to.
pub(super) struct Prepared {
    pub(super) statements: Statements,
    pub(super) lifetimes: Lifetimes,
}

/// Compares the tables and prepares everything, waiting for tables that are not there yet; `None`
/// when asked to stop.
pub(super) async fn prepare(
    session: &Session,
    settings: &ConsumerSettings,
    shutdown: &Shutdown,
) -> Result<Option<Prepared>, ConsumerError> {
    let ready = schema::until_ready(async || attempt(session, settings).await, shutdown);
    ready.await.map_err(|problems| misfit(settings, &problems))
}

pub(super) fn misfit(settings: &ConsumerSettings, problems: &[String]) -> ConsumerError {
    let keyspace = settings.cassandra.keyspace.clone();
    ConsumerError::Schema { keyspace, problems: problems.join("; ") }
}

/// Compares the tables and prepares everything, once.
pub(super) async fn attempt(
    session: &Session,
    settings: &ConsumerSettings,
) -> Result<Prepared, SchemaError> {
    let keyspace = &settings.cassandra.keyspace;
    let lifetimes = schema::check(session, keyspace, &tables::ALL).await?;
    let consistency = settings.consistency.into();
    let latest_consistency = settings.latest_consistency.into();
    let (columns, statics) = (READINGS.columns, READINGS_STATIC);
    let prepare = async |table: &Table, columns, consistency, expires| {
        let insert = schema::insert(keyspace, table, columns, expires);
        schema::prepare(session, &insert, consistency).await
    };
    let first = prepare(&READINGS, columns, consistency, true).await?;
    let next = prepare(&READINGS, &columns[..columns.len() - statics], consistency, true).await?;
    let event = prepare(&EVENTS, EVENTS.columns, consistency, true).await?;
    let rows_max = settings.limits.batch_rows_max;
    let statements = Statements {
        readings: RowStatements::new(first, next, consistency, rows_max),
        events: RowStatements::new(event.clone(), event, consistency, rows_max),
        latest: prepare(&LATEST, LATEST.columns, latest_consistency, false).await?,
        sensor: prepare(&SENSORS, SENSORS.columns, latest_consistency, false).await?,
        site: prepare(&SITES, SITES.columns, latest_consistency, false).await?,
        latest_consistency,
    };
    Ok(Prepared { statements, lifetimes })
}

//! The prepared statements, checked against the tables before the first write.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use runtime::Shutdown;
use scylla::client::session::Session;
use scylla::cluster::metadata::{ColumnType, NativeType};
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tracing::warn;

use crate::error::{ConsumerError, is_worth_waiting};
use crate::pipeline::site::SiteWrite;
use crate::settings::ConsumerSettings;

use NativeType::{BigInt, Double, Text, Timestamp};

/// Time between two looks for tables that are not there yet.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(2);

/// Name and type of a column.
type Column = (&'static str, NativeType);

/// Columns of `readings` in the order in which [`super::values`] writes them; the write timestamp
/// follows.
const ROW_COLUMNS: [Column; 9] = [
    ("site_id", Text),
    ("hour", Timestamp),
    ("sensor_id", Text),
    ("ts", Timestamp),
    ("run", Text),
    ("seq", BigInt),
    ("value", Double),
    ("unit", Text),
    ("status", Text),
];
const LOCATION_COLUMNS: [Column; 2] = [("lat", Double), ("lon", Double)];
const LATEST_COLUMNS: [Column; 8] = [
    ("site_id", Text),
    ("sensor_id", Text),
    ("ts", Timestamp),
    ("value", Double),
    ("unit", Text),
    ("status", Text),
    ("run", Text),
    ("seq", BigInt),
];
const SENSOR_COLUMNS: [Column; 4] =
    [("site_id", Text), ("sensor_id", Text), ("kind", Text), ("unit", Text)];
const SITE_COLUMNS: [Column; 3] = [("site_id", Text), ("lat", Double), ("lon", Double)];

/// All statements of the sink.
pub(super) struct Statements {
    pub(super) row_with_location: PreparedStatement,
    row: PreparedStatement,
    latest: PreparedStatement,
    sensor: PreparedStatement,
    site: PreparedStatement,
    consistency: Consistency,
    latest_consistency: Consistency,
    /// Batches of n rows at n: a batch is a list of statements, and making one is not free.
    row_batches: Vec<OnceLock<Arc<Batch>>>,
}

impl Statements {
    /// Returns the batch for so many rows, of which the first also sets the location.
    pub(super) fn rows(&self, rows: usize) -> Arc<Batch> {
        match self.row_batches.get(rows) {
            Some(slot) => Arc::clone(slot.get_or_init(|| Arc::new(self.build_rows(rows)))),
            None => Arc::new(self.build_rows(rows)),
        }
    }

    fn build_rows(&self, rows: usize) -> Batch {
        let mut batch = unlogged(self.consistency);
        batch.append_statement(self.row_with_location.clone());
        for _ in 1..rows {
            batch.append_statement(self.row.clone());
        }
        batch
    }

    /// Returns the batch for news of a site, in the order in which [`super::values::Site`] writes
    /// it.
    pub(super) fn site(&self, news: &SiteWrite) -> Batch {
        let mut batch = unlogged(self.latest_consistency);
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

fn unlogged(consistency: Consistency) -> Batch {
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_is_idempotent(true);
    batch.set_consistency(consistency);
    batch
}

/// Prepares everything, waiting for tables that are not there yet; `None` when asked to stop.
pub(super) async fn prepare(
    session: &Session,
    settings: &ConsumerSettings,
    shutdown: &Shutdown,
) -> Result<Option<Statements>, ConsumerError> {
    let keyspace = &settings.cassandra.keyspace;
    let consistency = settings.consistency.into();
    let latest_consistency = settings.latest_consistency.into();
    let with_location = [&ROW_COLUMNS[..], &LOCATION_COLUMNS[..]].concat();
    let inserts: [(&str, &[Column], Consistency); 5] = [
        ("readings", &with_location, consistency),
        ("readings", &ROW_COLUMNS, consistency),
        ("latest", &LATEST_COLUMNS, latest_consistency),
        ("sensors", &SENSOR_COLUMNS, latest_consistency),
        ("sites", &SITE_COLUMNS, latest_consistency),
    ];
    let mut prepared = Vec::new();
    for (table, columns, consistency) in inserts {
        let insert = insert(keyspace, table, columns);
        let statement = prepare_one(session, &insert, columns, shutdown).await?;
        let Some(mut statement) = statement else {
            return Ok(None);
        };
        statement.set_is_idempotent(true);
        statement.set_consistency(consistency);
        prepared.push(statement);
    }
    let Ok([row_with_location, row, latest, sensor, site]) =
        <[PreparedStatement; 5]>::try_from(prepared)
    else {
        return Ok(None);
    };
    let row_batches = (0..=settings.limits.batch_rows_max).map(|_| OnceLock::new()).collect();
    Ok(Some(Statements {
        row_with_location,
        row,
        latest,
        sensor,
        site,
        consistency,
        latest_consistency,
        row_batches,
    }))
}

fn insert(keyspace: &str, table: &str, columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    let names = names.join(", ");
    format!("INSERT INTO {keyspace}.{table} ({names}) VALUES ({marks}) USING TIMESTAMP ?")
}

async fn prepare_one(
    session: &Session,
    insert: &str,
    columns: &[Column],
    shutdown: &Shutdown,
) -> Result<Option<PreparedStatement>, ConsumerError> {
    let misfit = |reason| ConsumerError::Schema { statement: insert.to_owned(), reason };
    loop {
        let error = match session.prepare(insert).await {
            Ok(prepared) => {
                check(&prepared, columns).map_err(misfit)?;
                return Ok(Some(prepared));
            }
            Err(error) => error,
        };
        if !is_worth_waiting(&error) {
            return Err(misfit(error.to_string()));
        }
        warn!("the tables of infra/cassandra/init.cql are not ready, trying again: {error}");
        if shutdown.stopped_within(ATTEMPT_INTERVAL).await {
            return Ok(None);
        }
    }
}

/// Values are written without a check of their own, so the types are compared here, once.
fn check(prepared: &PreparedStatement, columns: &[Column]) -> Result<(), String> {
    let specs = prepared.get_variable_col_specs();
    for (spec, (name, expected)) in specs.iter().zip(columns) {
        if spec.typ() != &ColumnType::Native(expected.clone()) {
            return Err(format!("column {name} is {:?}, not {expected:?}", spec.typ()));
        }
    }
    Ok(())
}

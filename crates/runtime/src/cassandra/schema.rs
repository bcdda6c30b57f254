//! The tables as a program uses them, compared with those that are there, and inserts for them.

use std::collections::BTreeMap;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tracing::{debug, warn};

use super::failure::is_worth_waiting;
use crate::shutdown::Shutdown;

/// Time between two looks for tables that are not there yet.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(2);

/// Name and CQL type of a column.
pub type Column = (&'static str, &'static str);

/// A table as a program uses it.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name.
    pub name: &'static str,
    /// Columns of the partition key, in order.
    pub partition_key: &'static [&'static str],
    /// Columns of the clustering key, in order.
    pub clustering_key: &'static [&'static str],
    /// The columns that it uses, in the order of the values of an insert or a row.
    pub columns: &'static [Column],
    /// Whether rows may expire.
    pub may_expire: bool,
}

/// The first version whose behaviour the programs rely on.
const CASSANDRA_MAJOR_MIN: u32 = 4;
/// The longest time to live that CQL takes: twenty years, in seconds.
pub const TIME_TO_LIVE_MAX_S: i32 = 20 * 365 * 24 * 60 * 60;

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Nobody has made this one yet.
    #[error("{0} is missing")]
    Missing(String),
    /// They are others than those of `init.cql`: everything that does not fit.
    #[error("{}", .0.join("; "))]
    Misfit(Vec<String>),
    /// Cassandra does not say.
    #[error("{0}")]
    Unanswered(String),
}

impl<E: Into<ExecutionError>> From<E> for SchemaError {
    fn from(error: E) -> Self {
        Self::Unanswered(error.into().to_string())
    }
}

/// A column that is there.
struct Found {
    kind: String,
    position: i32,
    cql_type: String,
}

/// How long after their event time the rows of each table expire.
#[derive(Clone, Debug)]
pub struct Lifetimes {
    default_s: BTreeMap<String, i32>,
}

impl Lifetimes {
    /// Returns the default time to live of a table; `None` is for good.
    pub fn of(&self, table: &Table) -> Option<Duration> {
        let seconds = u64::try_from(*self.default_s.get(table.name)?).ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}

/// Compares tables with those that are there; returns how long rows live by default.
pub async fn check(
    session: &Session,
    keyspace: &str,
    tables: &[&Table],
) -> Result<Lifetimes, SchemaError> {
    let mut problems = Vec::new();
    let version: String = first(session, "SELECT release_version FROM system.local").await?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < CASSANDRA_MAJOR_MIN) {
        problems.push(format!("cassandra is {version}, {CASSANDRA_MAJOR_MIN}.0 is the least"));
    }
    let default_s = lifetimes(session, keyspace).await?;
    let columns = columns(session, keyspace).await?;
    for table in tables {
        let (Some(lifetime_s), Some(found)) = (default_s.get(table.name), columns.get(table.name))
        else {
            return Err(SchemaError::Missing(format!("{keyspace}.{}", table.name)));
        };
        compare(table, *lifetime_s, found, &mut problems);
    }
    if !problems.is_empty() {
        return Err(SchemaError::Misfit(problems));
    }
    agreement(session).await?;
    let lifetimes = Lifetimes { default_s };
    debug!(version, keyspace, ?lifetimes, "tables fit");
    Ok(lifetimes)
}

/// A node that is about to learn of a table acknowledges a write to it, drops it and says so only
/// in its own log ("Attempting to mutate non-existant table").
async fn agreement(session: &Session) -> Result<(), SchemaError> {
    match session.check_schema_agreement().await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(SchemaError::Unanswered("nodes do not agree on the schema yet".into())),
        Err(error) => Err(SchemaError::Unanswered(error.to_string())),
    }
}

/// Tries until the tables are there and all is prepared, saying what is missing; `None` when asked
/// to stop. The error names what does not fit.
pub async fn until_ready<T>(
    attempt: impl AsyncFn() -> Result<T, SchemaError>,
    shutdown: &Shutdown,
) -> Result<Option<T>, Vec<String>> {
    loop {
        let error = match attempt().await {
            Ok(prepared) => return Ok(Some(prepared)),
            Err(SchemaError::Misfit(problems)) => return Err(problems),
            Err(error @ (SchemaError::Missing(_) | SchemaError::Unanswered(_))) => error,
        };
        warn!("the tables of infra/cassandra/init.cql are not ready, trying again: {error}");
        if shutdown.stopped_within(ATTEMPT_INTERVAL).await {
            return Ok(None);
        }
    }
}

/// Returns an empty batch that is one mutation, if all of it is of one partition; it may be
/// repeated.
pub fn unlogged(consistency: Consistency) -> Batch {
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_is_idempotent(true);
    batch.set_consistency(consistency);
    batch
}

/// Returns the insert for some columns of a table. The write timestamp, and where rows expire the
/// time to live, follow the columns.
pub fn insert(keyspace: &str, table: &Table, columns: &[Column], expires: bool) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    let (table, names) = (table.name, names.join(", "));
    let using = if expires { "TIMESTAMP ? AND TTL ?" } else { "TIMESTAMP ?" };
    format!("INSERT INTO {keyspace}.{table} ({names}) VALUES ({marks}) USING {using}")
}

/// Prepares an idempotent statement.
pub async fn prepare(
    session: &Session,
    cql: &str,
    consistency: Consistency,
) -> Result<PreparedStatement, SchemaError> {
    let mut statement = session.prepare(cql).await.map_err(|error| {
        if is_worth_waiting(&error) {
            SchemaError::Unanswered(error.to_string())
        } else {
            SchemaError::Misfit(vec![format!("`{cql}`: {error}")])
        }
    })?;
    statement.set_is_idempotent(true);
    statement.set_consistency(consistency);
    Ok(statement)
}

fn compare(
    table: &Table,
    lifetime_s: i32,
    found: &BTreeMap<String, Found>,
    problems: &mut Vec<String>,
) {
    let name = table.name;
    for (column, cql_type) in table.columns {
        match found.get(*column) {
            None => problems.push(format!("{name}.{column} is missing")),
            Some(found) if found.cql_type != *cql_type => {
                problems.push(format!("{name}.{column} is {}, not {cql_type}", found.cql_type));
            }
            Some(_) => {}
        }
    }
    for (kind, expected) in
        [("partition_key", table.partition_key), ("clustering", table.clustering_key)]
    {
        let mut key: Vec<_> = found.iter().filter(|(_, column)| column.kind == kind).collect();
        key.sort_by_key(|(_, column)| column.position);
        let key: Vec<&str> = key.into_iter().map(|(column, _)| column.as_str()).collect();
        if key != expected {
            let (key, expected) = (key.join(", "), expected.join(", "));
            problems.push(format!("the {kind} columns of {name} are ({key}), not ({expected})"));
        }
    }
    if lifetime_s > 0 && !table.may_expire {
        problems.push(format!("{name} has default_time_to_live = {lifetime_s}, 0 is needed"));
    }
    if lifetime_s > TIME_TO_LIVE_MAX_S {
        problems.push(format!("default_time_to_live of {name} is beyond {TIME_TO_LIVE_MAX_S}"));
    }
}

async fn first(session: &Session, query: &str) -> Result<String, SchemaError> {
    let result = session.query_unpaged(query, ()).await?;
    let rows = result.into_rows_result().map_err(unreadable)?;
    let (value,) = rows.first_row::<(String,)>().map_err(unreadable)?;
    Ok(value)
}

/// Default time to live of each table, in seconds; 0 is for good.
async fn lifetimes(
    session: &Session,
    keyspace: &str,
) -> Result<BTreeMap<String, i32>, SchemaError> {
    let query = "SELECT table_name, default_time_to_live FROM system_schema.tables \
        WHERE keyspace_name = ?";
    let rows = session.query_unpaged(query, (keyspace,)).await?;
    let rows = rows.into_rows_result().map_err(unreadable)?;
    let rows = rows.rows::<(String, Option<i32>)>().map_err(unreadable)?;
    let lifetimes = rows.map(|row| row.map(|(table, lifetime)| (table, lifetime.unwrap_or(0))));
    lifetimes.collect::<Result<_, _>>().map_err(unreadable)
}

/// Columns of each table.
async fn columns(
    session: &Session,
    keyspace: &str,
) -> Result<BTreeMap<String, BTreeMap<String, Found>>, SchemaError> {
    let query = "SELECT table_name, column_name, kind, position, type \
        FROM system_schema.columns WHERE keyspace_name = ?";
    let rows = session.query_unpaged(query, (keyspace,)).await?;
    let rows = rows.into_rows_result().map_err(unreadable)?;
    let mut tables = BTreeMap::<String, BTreeMap<String, Found>>::new();
    for row in rows.rows::<(String, String, String, i32, String)>().map_err(unreadable)? {
        let (table, column, kind, position, cql_type) = row.map_err(unreadable)?;
        tables.entry(table).or_default().insert(column, Found { kind, position, cql_type });
    }
    Ok(tables)
}

fn unreadable(error: impl std::fmt::Display) -> SchemaError {
    SchemaError::Unanswered(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        name: "latest",
        partition_key: &["site_id"],
        clustering_key: &[],
        columns: &[("site_id", "text"), ("value", "double")],
        may_expire: false,
    };

    #[test]
    fn an_insert_names_the_columns_in_the_order_of_the_values() {
        assert_eq!(
            insert("iot", &TABLE, TABLE.columns, true),
            "INSERT INTO iot.latest (site_id, value) VALUES (?, ?) USING TIMESTAMP ? AND TTL ?"
        );
        assert_eq!(
            insert("iot", &TABLE, &TABLE.columns[..1], false),
            "INSERT INTO iot.latest (site_id) VALUES (?) USING TIMESTAMP ?"
        );
    }

    #[test]
    fn everything_that_does_not_fit_is_named() {
        let found = |kind: &str, cql_type: &str| Found {
            kind: kind.into(),
            position: 0,
            cql_type: cql_type.into(),
        };
        let mut there = BTreeMap::from([
            ("site_id".to_owned(), found("partition_key", "text")),
            ("value".to_owned(), found("regular", "double")),
        ]);
        let problems = |there: &BTreeMap<String, Found>, lifetime_s| {
            let mut problems = Vec::new();
            compare(&TABLE, lifetime_s, there, &mut problems);
            problems
        };
        assert_eq!(problems(&there, 0), Vec::<String>::new());
        there.insert("value".into(), found("clustering", "float"));
        let expected = [
            "latest.value is float, not double",
            "the clustering columns of latest are (value), not ()",
            "latest has default_time_to_live = 60, 0 is needed",
        ];
        assert_eq!(problems(&there, 60), expected);
    }
}

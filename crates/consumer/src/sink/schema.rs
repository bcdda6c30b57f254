//! The tables as the sink writes them, compared with those that are there.

use std::collections::BTreeMap;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use tracing::debug;

use crate::pipeline::record::Stream;

/// Name and CQL type of a column.
pub(super) type Column = (&'static str, &'static str);

/// A table: its name, its key, and the columns that an insert sets, in the order of the values.
pub(super) struct Table {
    pub(super) name: &'static str,
    partition_key: &'static [&'static str],
    clustering_key: &'static [&'static str],
    pub(super) columns: &'static [Column],
    /// Whether rows may expire.
    may_expire: bool,
}

/// Every reading. The static columns come last: only one row of a batch sets them.
pub(super) const READINGS: Table = Table {
    name: "readings",
    partition_key: &["site_id", "hour"],
    clustering_key: &["sensor_id", "ts", "run", "seq"],
    columns: &[
        ("site_id", "text"),
        ("hour", "timestamp"),
        ("sensor_id", "text"),
        ("ts", "timestamp"),
        ("run", "text"),
        ("seq", "bigint"),
        ("value", "double"),
        ("unit", "text"),
        ("status", "text"),
        ("lat", "double"),
        ("lon", "double"),
    ],
    may_expire: true,
};
/// How many of them are static.
pub(super) const READINGS_STATIC: usize = 2;

/// Every event.
pub(super) const EVENTS: Table = Table {
    name: "events",
    partition_key: &["site_id", "day"],
    clustering_key: &["ts", "sensor_id", "run", "seq"],
    columns: &[
        ("site_id", "text"),
        ("day", "timestamp"),
        ("sensor_id", "text"),
        ("ts", "timestamp"),
        ("run", "text"),
        ("seq", "bigint"),
        ("event", "text"),
        ("detail", "text"),
    ],
    may_expire: true,
};

/// The newest reading of each sensor.
pub(super) const LATEST: Table = Table {
    name: "latest",
    partition_key: &["site_id"],
    clustering_key: &["sensor_id"],
    columns: &[
        ("site_id", "text"),
        ("sensor_id", "text"),
        ("ts", "timestamp"),
        ("value", "double"),
        ("unit", "text"),
        ("status", "text"),
        ("run", "text"),
        ("seq", "bigint"),
    ],
    may_expire: true,
};

/// The registry of sensors.
pub(super) const SENSORS: Table = Table {
    name: "sensors",
    partition_key: &["site_id"],
    clustering_key: &["sensor_id"],
    columns: &[("site_id", "text"), ("sensor_id", "text"), ("kind", "text"), ("unit", "text")],
    // A sensor is registered once by each consumer, not with each reading.
    may_expire: false,
};

/// The registry of sites.
pub(super) const SITES: Table = Table {
    name: "sites",
    partition_key: &["site_id"],
    clustering_key: &[],
    columns: &[("site_id", "text"), ("lat", "double"), ("lon", "double")],
    may_expire: false,
};

/// The first version whose behaviour the sink relies on.
const CASSANDRA_MAJOR_MIN: u32 = 4;
/// The longest time to live that CQL takes: twenty years, in seconds.
pub(super) const TIME_TO_LIVE_MAX_S: i32 = 20 * 365 * 24 * 60 * 60;

/// Why the tables cannot be written to.
#[derive(Debug)]
pub(super) enum SchemaError {
    /// Nobody has made them yet.
    Missing(String),
    /// They are others than those of `init.cql`.
    Misfit(Vec<String>),
    /// Cassandra does not say.
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

/// How long after its event time a row expires; `None` is never.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimesToLive {
    readings: Option<Duration>,
    events: Option<Duration>,
}

impl TimesToLive {
    pub(super) fn of(self, stream: Stream) -> Option<Duration> {
        match stream {
            Stream::Readings => self.readings,
            Stream::Events => self.events,
        }
    }
}

/// Compares all tables; returns how long their rows live by default.
pub(super) async fn check(session: &Session, keyspace: &str) -> Result<TimesToLive, SchemaError> {
    let mut problems = Vec::new();
    let version: String = first(session, "SELECT release_version FROM system.local").await?;
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < CASSANDRA_MAJOR_MIN) {
        problems.push(format!("cassandra is {version}, {CASSANDRA_MAJOR_MIN}.0 is the least"));
    }
    let expiries = lifetimes(session, keyspace).await?;
    let columns = columns(session, keyspace).await?;
    for table in [&READINGS, &EVENTS, &LATEST, &SENSORS, &SITES] {
        let (Some(lifetime_s), Some(found)) = (expiries.get(table.name), columns.get(table.name))
        else {
            return Err(SchemaError::Missing(format!("{keyspace}.{}", table.name)));
        };
        compare(table, *lifetime_s, found, &mut problems);
    }
    if !problems.is_empty() {
        return Err(SchemaError::Misfit(problems));
    }
    let time_to_live = |table: &Table| {
        let seconds = u64::try_from(*expiries.get(table.name)?).ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    };
    let times = TimesToLive { readings: time_to_live(&READINGS), events: time_to_live(&EVENTS) };
    debug!(version, keyspace, ?times, "tables fit");
    Ok(times)
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

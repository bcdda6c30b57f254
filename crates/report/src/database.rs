//! Reads from Cassandra what reports are made of, each answer bounded.

use domain::SensorKind;
use futures::TryStreamExt;
use runtime::cassandra::schema::{self, Table};
use runtime::cassandra::{self, CassandraSettings, ConsistencyLevel};
use scylla::client::pager::TypedRowStream;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::statement::Statement;
use scylla::value::CqlTimestamp;

use crate::error::ReportError;
use crate::rows::{Alert, Sensor, Window};

/// Most alerts that are read for one list; whoever has more than that needs no list.
pub(crate) const ALERTS_MAX: usize = 10_000;
/// Most sites that are read, to count them and to name a few.
const SITES_MAX: usize = 10_000;
/// Most sensors that are counted.
const SENSORS_COUNTED_MAX: usize = 1_000_000;
/// Most sensors of a site that are read.
const SENSORS_MAX: usize = 10_000;
/// Rows in a page, about 100 bytes each.
const PAGE_ROWS: i32 = 2_000;

/// What each minute comes to.
const AGGREGATES: Table = Table {
    name: "aggregates_1m",
    partition_key: &["site_id", "hour"],
    clustering_key: &["kind", "sensor_id", "window_start"],
    columns: &[
        ("kind", "text"),
        ("sensor_id", "text"),
        ("window_start", "timestamp"),
        ("count", "bigint"),
        ("min", "double"),
        ("max", "double"),
        ("mean", "double"),
        ("not_ok", "bigint"),
    ],
    may_expire: true,
};

/// In the order of [`AGGREGATES`].
type AggregateRow =
    (String, String, CqlTimestamp, Option<i64>, Option<f64>, Option<f64>, Option<f64>, Option<i64>);

/// All alerts of a site, the newest first.
const ALERTS: Table = Table {
    name: "alerts",
    partition_key: &["site_id"],
    clustering_key: &["started_at", "alert_id"],
    columns: &[
        ("site_id", "text"),
        ("started_at", "timestamp"),
        ("sensor_id", "text"),
        ("kind", "text"),
        ("rule", "text"),
        ("severity", "text"),
        ("state", "text"),
        ("cleared_at", "timestamp"),
        ("value", "double"),
        ("threshold", "double"),
    ],
    may_expire: true,
};

/// In the order of [`ALERTS`].
type AlertRow = (
    String,
    CqlTimestamp,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<CqlTimestamp>,
    Option<f64>,
    Option<f64>,
);

/// The registry of sensors.
const SENSORS: Table = Table {
    name: "sensors",
    partition_key: &["site_id"],
    clustering_key: &["sensor_id"],
    columns: &[("sensor_id", "text"), ("kind", "text")],
    may_expire: true,
};

/// In the order of [`SENSORS`].
type SensorRow = (String, Option<String>);

/// The registry of sites.
const SITES: Table = Table {
    name: "sites",
    partition_key: &["site_id"],
    clustering_key: &[],
    columns: &[("site_id", "text")],
    may_expire: true,
};

/// Alerts, the newest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alerts {
    pub(crate) rows: Vec<Alert>,
    /// Whether these are all that there are.
    pub(crate) is_complete: bool,
}

/// A number of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) rows: usize,
    /// Whether these are all that there are.
    pub(crate) is_complete: bool,
}

/// The sites, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sites {
    pub(crate) names: Vec<String>,
    /// Whether these are all that there are.
    pub(crate) is_complete: bool,
}

/// A session on the tables of one keyspace.
pub(crate) struct Database {
    session: Session,
    keyspace: String,
}

impl Database {
    /// Connects if Cassandra answers now, and compares the tables.
    pub(crate) async fn connect(settings: &CassandraSettings) -> Result<Self, ReportError> {
        // A look that also works while replicas are away.
        let level = ConsistencyLevel::LocalOne;
        let session = cassandra::connect_once(settings, level).await.map_err(|error| {
            let nodes = settings.contact_points.join(",");
            ReportError::Unreachable { nodes, source: Box::new(error) }
        })?;
        let keyspace = settings.keyspace.clone();
        let tables = [&AGGREGATES, &ALERTS, &SENSORS, &SITES];
        match schema::check(&session, &keyspace, &tables).await {
            Ok(_) => Ok(Self { session, keyspace }),
            Err(source) => Err(ReportError::Tables { keyspace, source }),
        }
    }

    /// Returns the alerts that are open now, of a site or of all.
    pub(crate) async fn open_alerts(&self, site_id: Option<&str>) -> Result<Alerts, ReportError> {
        match site_id {
            Some(site_id) => self.alerts("site_id = ? AND state = 'open'", (site_id,)).await,
            None => self.alerts("state = 'open'", ()).await,
        }
    }

    /// Returns the alerts of a site that started in a span, in epoch milliseconds.
    pub(crate) async fn alerts_between(
        &self,
        site_id: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Alerts, ReportError> {
        let span = (site_id, CqlTimestamp(from_ms), CqlTimestamp(to_ms));
        self.alerts("site_id = ? AND started_at >= ? AND started_at < ?", span).await
    }

    async fn alerts(
        &self,
        condition: &str,
        values: impl SerializeRow,
    ) -> Result<Alerts, ReportError> {
        let condition = format!("{condition} LIMIT {}", ALERTS_MAX + 1);
        let rows: Vec<AlertRow> = self.select(&ALERTS, &condition, values).await?;
        let mut rows: Vec<Alert> = rows.into_iter().map(alert).collect();
        let is_complete = rows.len() <= ALERTS_MAX;
        rows.truncate(ALERTS_MAX);
        rows.sort_by_key(|alert| std::cmp::Reverse(alert.started_ms));
        Ok(Alerts { rows, is_complete })
    }

    /// Returns the start of the newest window of a site's hour, both in epoch milliseconds.
    pub(crate) async fn newest_window(
        &self,
        site_id: &str,
        hour_ms: i64,
    ) -> Result<Option<i64>, ReportError> {
        let query = format!(
            "SELECT max(window_start) FROM {}.{} WHERE site_id = ? AND hour = ? AND {}",
            self.keyspace,
            AGGREGATES.name,
            of_kinds()
        );
        let values = (site_id, CqlTimestamp(hour_ms));
        let rows: Vec<(Option<CqlTimestamp>,)> = self.query(&AGGREGATES, query, values).await?;
        Ok(rows.into_iter().find_map(|(newest,)| newest).map(|newest| newest.0))
    }

    /// Returns the windows of a site's hour: those of whole kinds, or those of sensors as well.
    pub(crate) async fn windows(
        &self,
        site_id: &str,
        hour_ms: i64,
        with_sensors: bool,
    ) -> Result<Vec<Window>, ReportError> {
        let mut condition = "site_id = ? AND hour = ?".to_owned();
        if !with_sensors {
            condition = format!("{condition} AND {}", of_kinds());
        }
        let values = (site_id, CqlTimestamp(hour_ms));
        let rows: Vec<AggregateRow> = self.select(&AGGREGATES, &condition, values).await?;
        Ok(rows.into_iter().filter_map(window).collect())
    }

    /// Returns the sensors of a site that were ever heard of.
    pub(crate) async fn sensors(&self, site_id: &str) -> Result<Vec<Sensor>, ReportError> {
        let condition = format!("site_id = ? LIMIT {SENSORS_MAX}");
        let rows: Vec<SensorRow> = self.select(&SENSORS, &condition, (site_id,)).await?;
        Ok(rows.into_iter().map(sensor).collect())
    }

    /// Returns the sites that there are.
    pub(crate) async fn sites(&self) -> Result<Sites, ReportError> {
        let (keyspace, limit) = (&self.keyspace, SITES_MAX + 1);
        let query = format!("SELECT site_id FROM {keyspace}.{} LIMIT {limit}", SITES.name);
        let rows: Vec<(String,)> = self.query(&SITES, query, ()).await?;
        let is_complete = rows.len() <= SITES_MAX;
        let mut names: Vec<String> = rows.into_iter().map(|(site_id,)| site_id).collect();
        names.truncate(SITES_MAX);
        names.sort_unstable();
        Ok(Sites { names, is_complete })
    }

    /// Counts the sensors of all sites, page by page.
    pub(crate) async fn count_sensors(&self) -> Result<Count, ReportError> {
        let (keyspace, limit) = (&self.keyspace, SENSORS_COUNTED_MAX + 1);
        let query = format!("SELECT site_id FROM {keyspace}.{} LIMIT {limit}", SENSORS.name);
        let mut rows = self.rows::<(String,)>(&SENSORS, query, ()).await?;
        let mut count = 0;
        while rows.try_next().await.map_err(|error| unread(SENSORS.name, error))?.is_some() {
            count += 1;
        }
        let is_complete = count <= SENSORS_COUNTED_MAX;
        Ok(Count { rows: count.min(SENSORS_COUNTED_MAX), is_complete })
    }

    async fn select<R>(
        &self,
        table: &Table,
        condition: &str,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, ReportError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + 'static,
    {
        let columns: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let (columns, keyspace, name) = (columns.join(", "), &self.keyspace, table.name);
        let query = format!("SELECT {columns} FROM {keyspace}.{name} WHERE {condition}");
        self.query(table, query, values).await
    }

    async fn query<R>(
        &self,
        table: &Table,
        query: String,
        values: impl SerializeRow,
    ) -> Result<Vec<R>, ReportError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + 'static,
    {
        let rows = self.rows(table, query, values).await?;
        rows.try_collect().await.map_err(|error| unread(table.name, error))
    }

    async fn rows<R>(
        &self,
        table: &Table,
        query: String,
        values: impl SerializeRow,
    ) -> Result<TypedRowStream<R>, ReportError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + 'static,
    {
        let statement = Statement::new(query).with_page_size(PAGE_ROWS);
        let pages = self.session.query_iter(statement, values).await;
        let rows = pages.map_err(|error| unread(table.name, error))?.rows_stream::<R>();
        rows.map_err(|error| unread(table.name, error))
    }
}

/// The rows of `aggregates_1m` that are about all sensors of a kind.
fn of_kinds() -> String {
    let names = SensorKind::ALL.map(|kind| format!("'{}'", kind.name()));
    format!("kind IN ({}) AND sensor_id = ''", names.join(", "))
}

fn unread(table: &'static str, error: impl std::fmt::Display) -> ReportError {
    ReportError::Unread { table, why: error.to_string() }
}

/// A row without its values is none: they may have been deleted by hand.
fn window(row: AggregateRow) -> Option<Window> {
    let (kind, sensor_id, start, count, min, max, mean, not_ok) = row;
    Some(Window {
        kind,
        sensor_id,
        start_ms: start.0,
        count: u64::try_from(count?).ok()?,
        min: min?,
        max: max?,
        mean: mean?,
        not_ok: u64::try_from(not_ok?).ok()?,
    })
}

fn sensor((sensor_id, kind): SensorRow) -> Sensor {
    Sensor { sensor_id, kind: kind.unwrap_or_default() }
}

fn alert(row: AlertRow) -> Alert {
    let (site_id, started, sensor_id, kind, rule, severity, state, cleared, value, threshold) = row;
    Alert {
        site_id,
        started_ms: started.0,
        sensor_id: sensor_id.unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        rule: rule.unwrap_or_default(),
        severity: severity.unwrap_or_default(),
        state: state.unwrap_or_default(),
        cleared_ms: cleared.map(|cleared| cleared.0),
        value,
        threshold,
    }
}

//! Cassandra: every write is repeated until it is durable, and what a partition goes on from is
//! read.

mod rows;
mod tables;
mod values;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::Alert;
use domain::hour::{HOUR_MS, day_start_ms, hour_start_ms};
use runtime::Shutdown;
use runtime::backoff::Backoff;
use runtime::cassandra::clock;
use runtime::cassandra::failure::{Disposition, needs_new_session, write_disposition};
use runtime::cassandra::schema::{self, Lifetimes, SchemaError, Table};
use runtime::cassandra::watch::{CheckedTables, Unfit, watch};
use runtime::cassandra::{self, ConsistencyLevel, Lifetime, Renewable};
use runtime::clock::CheckedClock;
use runtime::kafka::Complaint;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::response::PagingState;
use scylla::statement::Consistency;
use scylla::statement::batch::Batch;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;
use tracing::warn;

use crate::detect::Watch;
use crate::error::AnalyticsError;
use crate::rollup;
use crate::settings::ServiceSettings;
use crate::window::{Known, Raised, SensorState, WindowRow};
use rows::{AlertColumns, WindowColumns};
use tables::{ALERTS, DETECTORS, MINUTES, ROLLUPS};
use values::{AggregateValues, AlertValues, StateValues};

/// Bounds of the wait before a request is repeated.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// Most rows in a batch, which is one mutation of one partition.
pub(crate) const BATCH_ROWS_MAX: usize = 100;

/// Which table of aggregates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// The windows themselves, kept by site and hour.
    Window,
    /// The larger ones, kept by site and day.
    Rollup,
}

impl Level {
    /// Returns the start of the hour or the day that a window is kept by.
    pub(crate) fn bucket_ms(self, window_start_ms: i64) -> i64 {
        match self {
            Self::Window => hour_start_ms(window_start_ms),
            Self::Rollup => day_start_ms(window_start_ms),
        }
    }
}

struct Statements {
    windows: PreparedStatement,
    rollups: PreparedStatement,
    alert: PreparedStatement,
    state: PreparedStatement,
    read_windows: PreparedStatement,
    read_alert: PreparedStatement,
    read_provisional: PreparedStatement,
    read_states: PreparedStatement,
}

struct Connection {
    session: Session,
    statements: Statements,
}

/// All tables.
pub(crate) struct Store {
    settings: ServiceSettings,
    shutdown: Shutdown,
    connection: Renewable<Connection>,
    tables: CheckedTables,
    clock: Arc<CheckedClock>,
    complaint: Mutex<Complaint>,
}

/// Waits for Cassandra and its tables, which have to fit; `None` when asked to stop.
pub(crate) async fn connect(
    settings: &ServiceSettings,
    shutdown: &Shutdown,
) -> Result<Option<Store>, AnalyticsError> {
    let level = ConsistencyLevel::LocalOne;
    let Some(session) = cassandra::connect(&settings.cassandra, level, shutdown).await else {
        return Ok(None);
    };
    let ready = schema::until_ready(async || prepare(&session, settings).await, shutdown);
    let ready = ready.await.map_err(|problems| misfit(settings, &problems))?;
    let Some((statements, lifetimes)) = ready else { return Ok(None) };
    let clock = CheckedClock::new();
    if clock::await_agreement(&session, &clock, shutdown).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(Store {
        settings: settings.clone(),
        shutdown: shutdown.clone(),
        connection: Renewable::new(Connection { session, statements }),
        tables: CheckedTables::new(&settings.cassandra.keyspace, &tables::ALL, lifetimes),
        clock: Arc::new(clock),
        complaint: Mutex::default(),
    }))
}

async fn prepare(
    session: &Session,
    settings: &ServiceSettings,
) -> Result<(Statements, Lifetimes), SchemaError> {
    let keyspace = &settings.cassandra.keyspace;
    let lifetimes = schema::check(session, keyspace, &tables::ALL).await?;
    let level: Consistency = settings.consistency.into();
    let insert = async |table: &Table| {
        schema::prepare(session, &schema::insert(keyspace, table, table.columns, true), level).await
    };
    let select = async |what: &str, table: &Table, which: &str| {
        let cql = format!("SELECT {what} FROM {keyspace}.{} WHERE {which}", table.name);
        schema::prepare(session, &cql, level).await
    };
    let all = |table: &Table| {
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    };
    let statements = Statements {
        windows: insert(&MINUTES).await?,
        rollups: insert(&ROLLUPS).await?,
        alert: insert(&ALERTS).await?,
        state: insert(&DETECTORS).await?,
        read_windows: select(WindowColumns::NAMES, &MINUTES, "site_id = ? AND hour = ?").await?,
        read_alert: select(
            "state, WRITETIME(state)",
            &ALERTS,
            "site_id = ? AND started_at = ? AND alert_id = ?",
        )
        .await?,
        read_provisional: select(&all(&ALERTS), &ALERTS, "provisional = true").await?,
        read_states: select(
            "site_id, kind, sensor_id, state",
            &DETECTORS,
            "group_id = ? AND kafka_partition = ?",
        )
        .await?,
    };
    Ok((statements, lifetimes))
}

fn misfit(settings: &ServiceSettings, problems: &[String]) -> AnalyticsError {
    let keyspace = settings.cassandra.keyspace.clone();
    AnalyticsError::Schema { keyspace, problems: problems.join("; ") }
}

impl Store {
    /// Returns the clock of this machine, which is held against Cassandra's.
    pub(crate) fn clock(&self) -> Arc<CheckedClock> {
        Arc::clone(&self.clock)
    }

    /// Returns why no write can be right any more, as soon as that is so.
    pub(crate) async fn unfit(&self) -> AnalyticsError {
        let current = || self.connection.current();
        match watch(current, |current| &current.session, &self.clock, &self.tables).await {
            Unfit::Clock(difference) => difference.into(),
            Unfit::Tables(problems) => misfit(&self.settings, &problems),
        }
    }

    fn lifetime(&self, table: &Table) -> Lifetime {
        Lifetime::new(self.tables.time_to_live(table), self.clock.now().earliest_ms)
    }

    /// Asks until there is an answer.
    async fn ask<T>(
        &self,
        what: &'static str,
        request: impl AsyncFn(&Connection) -> Result<T, ExecutionError>,
    ) -> Result<T, AnalyticsError> {
        let mut backoff = Backoff::new(RETRY_MIN, RETRY_MAX);
        loop {
            let connection = self.connection.current();
            // When a row expires depends on the time at which it is written. Where there is no
            // answer, the request will have none either.
            clock::settle(&connection.session, &self.clock).await?;
            let error = match request(&connection).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if write_disposition(&error) != Disposition::Retry {
                return Err(AnalyticsError::Refused { what, source: Box::new(error) });
            }
            self.complaint.lock().unwrap_or_else(PoisonError::into_inner).raise(|| {
                warn!("cassandra does not answer, trying again: {error}");
            });
            if needs_new_session(&error) {
                let prepare = async |session| {
                    let (statements, _) = prepare(&session, &self.settings).await?;
                    Ok(Connection { session, statements })
                };
                let renewed = self.connection.renew(&self.settings.cassandra, &connection, prepare);
                renewed.await.map_err(|problems| misfit(&self.settings, &problems))?;
            }
            if backoff.attempts() > 0 && self.shutdown.is_stopping() {
                return Err(AnalyticsError::Stopped("cassandra"));
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }

    /// Writes rows of one partition of a table of aggregates.
    pub(crate) async fn write_rows(
        &self,
        level: Level,
        rows: &[WindowRow],
    ) -> Result<(), AnalyticsError> {
        let (table, window_ms) = match level {
            Level::Window => (&MINUTES, self.settings.timing.window_ms),
            Level::Rollup => (&ROLLUPS, self.settings.timing.rollup_ms),
        };
        self.ask("rows of aggregates", async |Connection { session, statements }| {
            let statement = match level {
                Level::Window => &statements.windows,
                Level::Rollup => &statements.rollups,
            };
            let lifetime = self.lifetime(table);
            let bucket_ms = |row: &WindowRow| level.bucket_ms(row.key.window_start_ms);
            let values = rows.iter().map(|row| {
                let bucket_ms = bucket_ms(row);
                AggregateValues { row, bucket_ms, window_ms, lifetime }
            });
            let values: Vec<_> = values.collect();
            let batch = self.batch(statement, values.len());
            session.batch(&batch, values).await.map(drop)
        })
        .await
    }

    /// Writes an alert.
    pub(crate) async fn write_alert(&self, raised: &Raised) -> Result<(), AnalyticsError> {
        self.ask("an alert", async |Connection { session, statements }| {
            let values = AlertValues { raised, lifetime: self.lifetime(&ALERTS) };
            session.execute_unpaged(&statements.alert, values).await.map(drop)
        })
        .await
    }

    /// Writes what the detectors have learnt in a Kafka partition.
    pub(crate) async fn write_states(
        &self,
        partition: i32,
        states: &[SensorState],
    ) -> Result<(), AnalyticsError> {
        self.ask("states of detectors", async |Connection { session, statements }| {
            let (group_id, lifetime) = (&*self.settings.group_id, self.lifetime(&DETECTORS));
            let values =
                states.iter().map(|state| StateValues { group_id, partition, state, lifetime });
            let values: Vec<_> = values.collect();
            let batch = self.batch(&statements.state, values.len());
            session.batch(&batch, values).await.map(drop)
        })
        .await
    }

    fn batch(&self, statement: &PreparedStatement, rows: usize) -> Batch {
        let mut batch = schema::unlogged(self.settings.consistency.into());
        (0..rows).for_each(|_| batch.append_statement(statement.clone()));
        batch
    }

    /// Tells whether an alert has been said: with this state, or with a later one.
    pub(crate) async fn is_said(&self, raised: &Raised) -> Result<bool, AnalyticsError> {
        let Raised { alert, write_timestamp_us } = raised;
        let started_at = CqlTimestamp(alert.started_at);
        let answer = self
            .ask("an alert", async |Connection { session, statements }| {
                let key = (&alert.site_id, started_at, &alert.alert_id);
                session.execute_unpaged(&statements.read_alert, key).await
            })
            .await?;
        let rows = answer.into_rows_result().map_err(unreadable("an alert"))?;
        let row = rows.maybe_first_row::<(Option<String>, Option<i64>)>();
        let Some((Some(state), written_us)) = row.map_err(unreadable("an alert"))? else {
            return Ok(false);
        };
        let is_later = written_us.is_some_and(|written_us| written_us >= *write_timestamp_us);
        Ok(state == alert.state.name() || is_later)
    }

    /// Reads the windows of a site in an hour.
    pub(crate) async fn read_windows(
        &self,
        site_id: &str,
        hour_ms: i64,
    ) -> Result<Vec<WindowRow>, AnalyticsError> {
        let mut rows = Vec::new();
        let what = "rows of aggregates";
        self.read_all(
            what,
            |statements| &statements.read_windows,
            (site_id, CqlTimestamp(hour_ms)),
            |row: WindowColumns| {
                rows.push(row.into_row()?);
                Ok(())
            },
        )
        .await?;
        Ok(rows)
    }

    /// Tells whether no window that began at `start_ms` or later has expired by now.
    pub(crate) fn keeps_windows_since(&self, start_ms: i64) -> bool {
        let end_ms = start_ms.saturating_add(self.settings.timing.window_ms);
        let time_to_live = self.tables.time_to_live(&MINUTES);
        rollup::is_kept(end_ms, time_to_live, self.clock.now().latest_ms)
    }

    /// Reads what is known of the sensors of a Kafka partition.
    pub(crate) async fn read_states(&self, partition: i32) -> Result<Vec<Known>, AnalyticsError> {
        let mut known = Vec::new();
        self.read_all(
            "states of detectors",
            |statements| &statements.read_states,
            (&self.settings.group_id, partition),
            |(site_id, kind, sensor_id, state): (String, String, String, Vec<u8>)| {
                if let (Ok(kind), Ok(watch)) = (kind.parse(), Watch::decode(&state)) {
                    known.push(Known { site_id, kind, sensor_id, watch });
                } else {
                    // Another version learnt it: it is learnt anew.
                    warn!(sensor_id, "what was learnt of a sensor is of no more use");
                }
                Ok(())
            },
        )
        .await?;
        Ok(known)
    }

    /// Reads all alerts that were said of unfinished windows.
    pub(crate) async fn read_provisional(&self) -> Result<Vec<Alert>, AnalyticsError> {
        let mut alerts = Vec::new();
        self.read_all(
            "alerts",
            |statements| &statements.read_provisional,
            (),
            |row: AlertColumns| {
                alerts.push(row.into_alert()?);
                Ok(())
            },
        )
        .await?;
        Ok(alerts)
    }

    async fn read_all<R>(
        &self,
        what: &'static str,
        statement: impl Fn(&Statements) -> &PreparedStatement,
        key: impl scylla::serialize::row::SerializeRow,
        mut take: impl FnMut(R) -> Result<(), String>,
    ) -> Result<(), AnalyticsError>
    where
        R: for<'f, 'm> scylla::deserialize::row::DeserializeRow<'f, 'm>,
    {
        let mut page = PagingState::start();
        loop {
            let (answer, next) = self
                .ask(what, async |Connection { session, statements }| {
                    let statement = statement(statements);
                    session.execute_single_page(statement, &key, page.clone()).await
                })
                .await?;
            let rows = answer.into_rows_result().map_err(unreadable(what))?;
            for row in rows.rows::<R>().map_err(unreadable(what))? {
                take(row.map_err(unreadable(what))?).map_err(unreadable(what))?;
            }
            match next.into_paging_control_flow() {
                std::ops::ControlFlow::Break(()) => return Ok(()),
                std::ops::ControlFlow::Continue(next) => page = next,
            }
        }
    }
}

fn unreadable<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> AnalyticsError {
    move |error| AnalyticsError::Unreadable { what, reason: error.to_string() }
}

/// Returns the hours that a larger window lies in, each by its start.
pub(crate) fn hours_of(start_ms: i64, size_ms: i64) -> impl Iterator<Item = i64> {
    let first = hour_start_ms(start_ms);
    (0..).map(move |hour| first + hour * HOUR_MS).take_while(move |hour| *hour < start_ms + size_ms)
}

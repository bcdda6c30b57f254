//! A look at Cassandra from a test's own session.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::simulation::Simulation;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlTimestamp;
use tokio::runtime::{Builder, Runtime};

/// What tells a reading from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingKey {
    /// Site.
    pub site_id: String,
    /// Sensor.
    pub sensor_id: String,
    /// Event time in epoch milliseconds.
    pub ts_ms: i64,
    /// The producer run.
    pub run: String,
    /// Number of the reading, per sensor and run.
    pub seq: i64,
}

/// A blocking session on one keyspace.
#[derive(Debug)]
pub struct Database {
    runtime: Runtime,
    session: Session,
}

impl Database {
    /// Connects.
    pub fn connect(contact_points: &str, keyspace: &str) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let builder = SessionBuilder::new()
            .known_nodes(contact_points.split(','))
            .use_keyspace(keyspace, false);
        let session = runtime.block_on(builder.build()).context("cassandra answers")?;
        Ok(Self { runtime, session })
    }

    /// Runs a statement that returns nothing.
    pub fn execute(&self, statement: &str) -> Result<()> {
        self.runtime.block_on(self.session.query_unpaged(statement, ()))?;
        Ok(())
    }

    /// Runs a query whose first row's first column is a number.
    pub fn number(&self, query: &str) -> Result<i64> {
        let rows = self.runtime.block_on(self.session.query_unpaged(query, ()))?;
        let (number,) = rows.into_rows_result()?.single_row::<(i64,)>()?;
        Ok(number)
    }

    /// Runs a query of one text column.
    pub fn texts(&self, query: &str) -> Result<Vec<String>> {
        let result = self.runtime.block_on(self.session.query_unpaged(query, ()))?;
        let result = result.into_rows_result()?;
        let rows: Result<Vec<(String,)>, _> = result.rows::<(String,)>()?.collect();
        Ok(rows?.into_iter().map(|(text,)| text).collect())
    }

    /// Tells whether reading `index` of a run is stored.
    pub fn holds(&self, simulation: &Simulation, index: u64) -> Result<bool> {
        let reading = simulation.reading(index);
        let fleet = simulation.fleet();
        let key = ReadingKey {
            site_id: fleet.site_of(reading.sensor).id.clone(),
            sensor_id: fleet.sensor_id(reading.sensor),
            ts_ms: reading.ts_ms,
            run: simulation.manifest().run.clone(),
            seq: reading.seq.cast_signed(),
        };
        Ok(self.are_stored(&[key])? == [true])
    }

    /// Tells which of these readings are stored.
    pub fn are_stored(&self, keys: &[ReadingKey]) -> Result<Vec<bool>> {
        const QUERY: &str = "SELECT seq FROM readings WHERE site_id = ? AND hour = ? \
            AND sensor_id = ? AND ts = ? AND run = ? AND seq = ?";
        self.runtime.block_on(async {
            let select = self.session.prepare(QUERY).await?;
            let asked = keys.iter().map(async |key| {
                let hour = CqlTimestamp(domain::hour::hour_start_ms(key.ts_ms));
                let ts = CqlTimestamp(key.ts_ms);
                let values = (&key.site_id, hour, &key.sensor_id, ts, &key.run, key.seq);
                let answer = self.session.execute_unpaged(&select, values).await?;
                Ok(answer.into_rows_result()?.rows_num() > 0)
            });
            futures::future::try_join_all(asked).await
        })
    }

    /// Measures how long after its due time reading `index` can be read; it must be due already.
    pub fn readable_after(
        &self,
        simulation: &Simulation,
        index: u64,
        now_ms: impl Fn() -> i64,
        timeout: Duration,
    ) -> Result<Duration> {
        let due_ms = simulation.reading(index).ts_ms;
        let deadline = Instant::now() + timeout;
        loop {
            if self.holds(simulation, index)? {
                let age_ms = u64::try_from(now_ms() - due_ms).unwrap_or(0);
                return Ok(Duration::from_millis(age_ms));
            }
            ensure!(Instant::now() < deadline, "reading {index} is not readable after {timeout:?}");
        }
    }
}

//! A look at Cassandra from a test's own session.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use domain::simulation::Simulation;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::value::CqlTimestamp;
use tokio::runtime::{Builder, Runtime};

/// A blocking session on one keyspace.
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

    /// Measures how long after its due time reading `index` can be read; it must be due already.
    pub fn readable_after(
        &self,
        simulation: &Simulation,
        index: u64,
        now_ms: impl Fn() -> i64,
        timeout: Duration,
    ) -> Result<Duration> {
        let reading = simulation.reading(index);
        let key = (
            &simulation.fleet().site_of(reading.sensor).id,
            CqlTimestamp(domain::hour::hour_start_ms(reading.ts_ms)),
            simulation.fleet().sensor_id(reading.sensor),
            CqlTimestamp(reading.ts_ms),
            &simulation.manifest().run,
        );
        let query = "SELECT seq FROM readings \
            WHERE site_id = ? AND hour = ? AND sensor_id = ? AND ts = ? AND run = ?";
        let select = self.runtime.block_on(self.session.prepare(query))?;
        let deadline = Instant::now() + timeout;
        loop {
            let rows = self.runtime.block_on(self.session.execute_unpaged(&select, &key))?;
            if rows.into_rows_result()?.rows_num() > 0 {
                let age_ms = u64::try_from(now_ms() - reading.ts_ms).unwrap_or(0);
                return Ok(Duration::from_millis(age_ms));
            }
            ensure!(Instant::now() < deadline, "reading {index} is not readable after {timeout:?}");
        }
    }
}

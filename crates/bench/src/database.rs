//! A look at Cassandra from outside: which readings can be read.

use std::time::Duration;

use anyhow::{Context, Result};
use domain::hour::hour_start_ms;
use domain::simulation::Simulation;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

/// What tells a reading from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadingKey {
    site_id: String,
    sensor_id: String,
    ts_ms: i64,
    run: String,
    seq: i64,
}

impl ReadingKey {
    /// Computes the key of reading `index` of a run.
    pub fn of(simulation: &Simulation, index: u64) -> Self {
        let fleet = simulation.fleet();
        let reading = simulation.clean_reading(index);
        Self {
            site_id: fleet.site_of(reading.sensor).id.clone(),
            sensor_id: fleet.sensor_id(reading.sensor),
            ts_ms: reading.ts_ms,
            run: simulation.manifest().run.clone(),
            seq: reading.seq.cast_signed(),
        }
    }
}

/// A session that belongs to no keyspace.
#[derive(Debug)]
pub struct Database(Session);

/// A prepared look into one keyspace's readings.
#[derive(Debug)]
pub struct Look<'a> {
    session: &'a Session,
    select: PreparedStatement,
}

impl Database {
    /// Connects.
    pub async fn connect(contact_points: &str) -> Result<Self> {
        let builder = SessionBuilder::new().known_nodes(contact_points.split(','));
        let session = builder.connection_timeout(Duration::from_secs(10)).build().await;
        Ok(Self(session.with_context(|| format!("cassandra at {contact_points} answers"))?))
    }

    /// Removes a keyspace and what is in it.
    pub async fn drop_keyspace(&self, keyspace: &str) -> Result<()> {
        self.0
            .query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ())
            .await
            .with_context(|| format!("cannot drop the keyspace {keyspace}"))?;
        Ok(())
    }

    /// Prepares a look into a keyspace.
    pub async fn look(&self, keyspace: &str) -> Result<Look<'_>> {
        let select = format!(
            "SELECT seq FROM {keyspace}.readings WHERE site_id = ? AND hour = ? \
             AND sensor_id = ? AND ts = ? AND run = ? AND seq = ?"
        );
        let select = self.0.prepare(select).await.context("cannot prepare a look")?;
        Ok(Look { session: &self.0, select })
    }

    /// Tells whether a keyspace has any reading; one that does not exist has none.
    pub async fn has_readings(&self, keyspace: &str) -> bool {
        let select = format!("SELECT site_id FROM {keyspace}.readings LIMIT 1");
        let Ok(answer) = self.0.query_unpaged(select, ()).await else { return false };
        answer.into_rows_result().is_ok_and(|rows| rows.rows_num() > 0)
    }
}

impl Look<'_> {
    /// Tells whether a reading can be read.
    pub async fn finds(&self, key: &ReadingKey) -> Result<bool> {
        let hour = CqlTimestamp(hour_start_ms(key.ts_ms));
        let ts = CqlTimestamp(key.ts_ms);
        let values = (&key.site_id, hour, &key.sensor_id, ts, &key.run, key.seq);
        let answer = self.session.execute_unpaged(&self.select, values).await?;
        Ok(answer.into_rows_result()?.rows_num() > 0)
    }
}

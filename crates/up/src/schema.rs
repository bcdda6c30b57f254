//! Creates the keyspace and tables of `init.cql` without cqlsh.

use anyhow::{Context, Result};
use runtime::cassandra::schema_statements;
use scylla::client::session_builder::SessionBuilder;
use tokio::runtime::Builder;

/// The schema, as it stands in the repository.
const INIT_CQL: &str = include_str!("../../../infra/cassandra/init.cql");

/// Creates a keyspace of this name and its tables; what exists stays as it is.
pub fn create(contact_points: &str, keyspace: &str, replication_factor: u32) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let session = SessionBuilder::new()
            .known_nodes(contact_points.split(','))
            .build()
            .await
            .with_context(|| format!("cassandra at {contact_points} does not answer"))?;
        for statement in schema_statements(INIT_CQL, keyspace, replication_factor) {
            session
                .query_unpaged(statement.as_str(), ())
                .await
                .with_context(|| format!("cassandra refuses `{statement}`"))?;
        }
        Ok(())
    })
}

//! Why there is no report.

use std::io;

use runtime::cassandra::ConnectError;
use runtime::cassandra::schema::SchemaError;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nobody answers.
    #[error("cassandra at {nodes} does not answer: start it, or set CASSANDRA_CONTACT_POINTS")]
    Unreachable {
        /// The nodes that were asked.
        nodes: String,
        /// Why.
        source: Box<ConnectError>,
    },
    /// The answers take too long.
    #[error("cassandra at {nodes} did not say everything within {waited_s} s, try again")]
    Slow {
        /// The nodes that were asked.
        nodes: String,
        /// The time waited, in seconds.
        waited_s: u64,
    },
    /// The tables are not there, or are others.
    #[error(
        "the tables cannot be read, see that CASSANDRA_KEYSPACE `{keyspace}` is that of \
         infra/cassandra/init.cql"
    )]
    Tables {
        /// The keyspace.
        keyspace: String,
        /// What does not fit.
        source: SchemaError,
    },
    /// A query failed.
    #[error("{table} cannot be read: {why}")]
    Unread {
        /// The table.
        table: &'static str,
        /// What Cassandra or its client says.
        why: String,
    },
    /// The report could not be written to standard output.
    #[error("the report cannot be written to standard output")]
    Output(#[source] io::Error),
}

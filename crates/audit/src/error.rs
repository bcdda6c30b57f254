//! Why an audit comes to no verdict.

use std::io;
use std::path::PathBuf;

use scylla::errors::{ExecutionError, PrepareError};

/// Why an audit comes to no verdict.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// There is nothing to compare the table with.
    #[error(
        "no run report (*.json) in {}: start a producer, or set AUDIT_REPORT_DIR to the folder \
         that its PRODUCER_REPORT_DIR names",
        dir.display()
    )]
    NoReports {
        /// Where the reports should be.
        dir: PathBuf,
    },
    /// The run that was asked for has no report.
    #[error(
        "no report of run `{run}` in {}: check AUDIT_RUN and AUDIT_REPORT_DIR; \
         reports there: {known}",
        dir.display()
    )]
    NoSuchRun {
        /// The run.
        run: String,
        /// Where its report should be.
        dir: PathBuf,
        /// The runs that have reports.
        known: String,
    },
    /// The folder or a report cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what a producer writes.
    #[error("{} is not a run report: {why}; remove it or restore it", path.display())]
    NotAReport {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The Kafka client could not be made at all.
    #[error("the kafka client cannot be made")]
    KafkaClient(#[source] rdkafka::error::KafkaError),
    /// The table is not there.
    #[error("there is no table {table}: run infra/cassandra/init.cql, or set CASSANDRA_KEYSPACE")]
    NoTable {
        /// The table, with its keyspace.
        table: String,
    },
    /// A table is there but is another one.
    #[error("table {table} is not that of infra/cassandra/init.cql: {why}")]
    OtherTable {
        /// The table, with its keyspace.
        table: String,
        /// What differs.
        why: String,
    },
    /// Cassandra refuses the statement that reads a table.
    #[error(
        "cassandra refuses to prepare the scan of {table}: compare the table with \
         infra/cassandra/init.cql"
    )]
    Unprepared {
        /// The table, with its keyspace.
        table: String,
        /// Why.
        source: Box<PrepareError>,
    },
    /// Part of a table could not be read, whatever was tried.
    #[error(
        "a page of {table} could not be read in {attempts} attempts, see that enough replicas \
         are up for CASSANDRA_READ_CONSISTENCY"
    )]
    Unscanned {
        /// The table.
        table: String,
        /// How often it was tried.
        attempts: u32,
        /// The last failure.
        source: Box<ExecutionError>,
    },
    /// The verdict could not be written to standard output.
    #[error("the verdict cannot be written to standard output")]
    Output(#[from] io::Error),
    /// The process was asked to stop.
    #[error("stopped before the verdict")]
    Stopped,
}

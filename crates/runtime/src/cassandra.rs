//! Cassandra: settings, a session that waits for the cluster, the schema of `init.cql`, and what
//! the failure of a write means.

pub mod clock;
pub mod failure;
pub mod lifetime;
pub mod renewable;
pub mod schema;
pub mod watch;

use std::sync::Arc;
use std::time::Duration;

use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::errors::NewSessionError;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::Consistency;
use serde::Deserialize;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::settings::{Reader, Setting};
use crate::shutdown::Shutdown;

pub use lifetime::Lifetime;
pub use renewable::Renewable;

/// Time between two attempts to connect, and so between two complaints.
const ATTEMPT_INTERVAL: Duration = Duration::from_secs(3);
/// Longest wait for a connection to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a session: for a node that accepts connections and then says nothing, the
/// driver sets no limit of its own.
const SESSION_TIMEOUT: Duration = Duration::from_secs(20);

/// How many replicas have to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsistencyLevel {
    /// Any one replica.
    One,
    /// Most replicas of all datacenters.
    Quorum,
    /// Any one replica of the local datacenter.
    LocalOne,
    /// Most replicas of the local datacenter; with one replica, that one.
    LocalQuorum,
    /// Every replica.
    All,
}

impl ConsistencyLevel {
    /// The accepted names, in words.
    pub const ALLOWED: &str = "ONE, QUORUM, LOCAL_ONE, LOCAL_QUORUM or ALL";

    /// Reads the level of writes.
    pub fn read(reader: &mut Reader) -> Self {
        let setting = Setting::plain(
            "CASSANDRA_CONSISTENCY",
            "LOCAL_QUORUM",
            "Replicas that must have a row before its offset is committed",
        );
        reader.choice(setting, Self::ALLOWED)
    }
}

impl From<ConsistencyLevel> for Consistency {
    fn from(level: ConsistencyLevel) -> Self {
        match level {
            ConsistencyLevel::One => Self::One,
            ConsistencyLevel::Quorum => Self::Quorum,
            ConsistencyLevel::LocalOne => Self::LocalOne,
            ConsistencyLevel::LocalQuorum => Self::LocalQuorum,
            ConsistencyLevel::All => Self::All,
        }
    }
}

/// Where Cassandra is.
#[derive(Clone, Debug)]
pub struct CassandraSettings {
    /// `host:port` of nodes to start from.
    pub contact_points: Vec<String>,
    /// The keyspace that `init.cql` made.
    pub keyspace: String,
    /// Connections to each node.
    pub connections_per_node: usize,
    /// Longest wait for one answer; above the server's own timeout, so that the server speaks
    /// first.
    pub request_timeout: Duration,
}

impl CassandraSettings {
    /// Reads the `CASSANDRA_*` settings that every client shares.
    pub fn read(reader: &mut Reader) -> Self {
        const KEYSPACE: Setting = Setting {
            name: "CASSANDRA_KEYSPACE",
            default: "iot",
            unit: "",
            meaning: "Keyspace of all tables",
        };
        let contact_points = reader.addresses(Setting {
            name: "CASSANDRA_CONTACT_POINTS",
            default: "localhost:9042",
            unit: "",
            meaning: "Nodes to start from",
        });
        let keyspace = reader.text(KEYSPACE);
        if !is_identifier(&keyspace) {
            let allowed = "lower-case letters, digits and _, starting with a letter, at most 48";
            reader.refuse(KEYSPACE.name, &keyspace, allowed);
        }
        let timeout_ms = reader.number(
            Setting {
                name: "CASSANDRA_REQUEST_TIMEOUT_MS",
                default: "12000",
                unit: "ms",
                meaning: "Longest wait for one answer; keep it above the server's write timeout",
            },
            100..=600_000,
        );
        Self {
            contact_points,
            keyspace,
            connections_per_node: reader.number(
                Setting {
                    name: "CASSANDRA_CONNECTIONS_PER_NODE",
                    default: "1",
                    unit: "connections",
                    meaning: "Connections to each node",
                },
                1..=64,
            ),
            request_timeout: Duration::from_millis(timeout_ms),
        }
    }
}

/// The keyspace is put into statements as it stands, so it must be a plain identifier.
fn is_identifier(name: &str) -> bool {
    name.len() <= 48
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No node can be asked about the cluster.
    #[error(transparent)]
    Session(#[from] NewSessionError),
    /// A node accepts connections, and leaves them without an answer.
    #[error("no answer within {} s", .0.as_secs())]
    Unanswered(Duration),
}

/// Connects to the cluster, waiting without end and saying so every few seconds; `None` when asked
/// to stop.
///
/// The session does not retry by itself: whoever writes decides what a failure means.
pub async fn connect(
    settings: &CassandraSettings,
    consistency: ConsistencyLevel,
    shutdown: &Shutdown,
) -> Option<Session> {
    let nodes = settings.contact_points.join(",");
    loop {
        let outcome = tokio::select! {
            outcome = connect_once(settings, consistency) => outcome,
            () = shutdown.stopped() => return None,
        };
        match outcome {
            Ok(session) => {
                info!(nodes, "connected to cassandra");
                return Some(session);
            }
            Err(error) => warn!(nodes, "cassandra does not answer, trying again: {error}"),
        }
        if shutdown.stopped_within(ATTEMPT_INTERVAL).await {
            return None;
        }
    }
}

/// Connects to the cluster if it answers within 20 s.
pub async fn connect_once(
    settings: &CassandraSettings,
    consistency: ConsistencyLevel,
) -> Result<Session, ConnectError> {
    connect_within(settings, consistency, SESSION_TIMEOUT).await
}

async fn connect_within(
    settings: &CassandraSettings,
    consistency: ConsistencyLevel,
    longest: Duration,
) -> Result<Session, ConnectError> {
    let connections = std::num::NonZeroUsize::new(settings.connections_per_node)
        .unwrap_or(std::num::NonZeroUsize::MIN);
    let profile = ExecutionProfile::builder()
        .consistency(consistency.into())
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .request_timeout(Some(settings.request_timeout))
        .build();
    let builder = SessionBuilder::new()
        .known_nodes(&settings.contact_points)
        .connection_timeout(CONNECT_TIMEOUT)
        .pool_size(PoolSize::PerHost(connections))
        .default_execution_profile_handle(profile.into_handle());
    match timeout(longest, builder.build()).await {
        Ok(session) => Ok(session?),
        Err(_) => Err(ConnectError::Unanswered(longest)),
    }
}

/// Splits `init.cql` into statements for a keyspace of another name and replication factor.
///
/// The session that runs them must not have a keyspace of its own: the second statement is the
/// `USE`.
pub fn schema_statements(init_cql: &str, keyspace: &str, replication_factor: u32) -> Vec<String> {
    let code: Vec<&str> =
        init_cql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    code.join("\n")
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
        .map(|statement| {
            statement
                .replace("EXISTS iot\n", &format!("EXISTS {keyspace}\n"))
                .replace("USE iot", &format!("USE {keyspace}"))
                .replace(
                    "'replication_factor': 1}",
                    &format!("'replication_factor': {replication_factor}}}"),
                )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_split_into_statements_and_renamed() {
        let text = include_str!("../../../infra/cassandra/init.cql");
        let statements = schema_statements(text, "trial", 3);
        assert!(statements[0].contains("CREATE KEYSPACE IF NOT EXISTS trial"), "{statements:?}");
        assert!(statements[0].contains("'replication_factor': 3"), "{statements:?}");
        assert_eq!(statements[1], "USE trial");
        let is_known = |s: &&String| s.starts_with("CREATE TABLE") || s.starts_with("CREATE INDEX");
        assert_eq!(statements.iter().filter(is_known).count() + 2, statements.len());
        assert!(statements.iter().all(|statement| !statement.contains("iot")), "{statements:?}");
    }

    /// Goal: whoever connects anew is held up by no node, or nothing would ever be tried again.
    /// Method: a node that accepts connections and says nothing.
    #[tokio::test]
    async fn a_node_that_never_answers_is_given_up() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let mut reader = Reader::new([("CASSANDRA_CONTACT_POINTS".into(), address)].into());
        let settings = CassandraSettings::read(&mut reader);
        let attempt =
            connect_within(&settings, ConsistencyLevel::LocalOne, Duration::from_millis(100));
        let outcome = timeout(Duration::from_secs(30), attempt).await.expect("it waits for ever");
        assert!(matches!(outcome, Err(ConnectError::Unanswered(_))), "{:?}", outcome.err());
    }

    #[test]
    fn a_keyspace_is_a_plain_identifier() {
        assert!(is_identifier("iot") && is_identifier("trial_2"));
        for bad in ["", "2iot", "iot; DROP", "Iot", &"x".repeat(49)] {
            assert!(!is_identifier(bad), "{bad}");
        }
    }
}

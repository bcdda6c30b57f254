//! The servers that all cases share: one Kafka, one Cassandra, and clients for both.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use localstack::{CommitLog, Stack};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use runtime::kafka;
use tokio::runtime::{Builder, Runtime};
use up::schema;

use crate::database::Database;
use crate::names::Names;
use crate::process::{Usage, usage};

/// Partitions of every topic, as by default.
pub const PARTITIONS: i32 = 12;
const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Running servers; they end with this.
pub struct Servers {
    database: Database,
    admin: AdminClient<DefaultClientContext>,
    runtime: Runtime,
    /// Last, so that the clients are gone before the servers are.
    stack: Stack,
}

/// What both servers have used since they were started.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerUsage {
    /// Kafka's.
    pub kafka: Usage,
    /// Cassandra's.
    pub cassandra: Usage,
}

impl Servers {
    /// Starts them, with Cassandra's stock commit log: periodic, as the peers' figures are made.
    pub fn start() -> Result<Self> {
        let builder = Stack::builder().commit_log(CommitLog::Periodic);
        let stack = builder.start().context("real servers start")?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let admin = {
            // The client finds its timers on the runtime.
            let _guard = runtime.enter();
            kafka::client(&stack.bootstrap_servers(), "sensorium-bench").create()?
        };
        let database = runtime.block_on(Database::connect(&stack.contact_points()))?;
        Ok(Self { database, admin, runtime, stack })
    }

    /// Returns the names of a turn.
    pub fn names(&self, number: u32, reports: &str) -> Names {
        let stack = &self.stack;
        Names::new(number, stack.bootstrap_servers(), stack.contact_points(), reports)
    }

    /// Returns the runtime that clients live on.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Returns a session on Cassandra.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Creates an empty topic.
    pub fn create_topic(&self, name: &str) -> Result<()> {
        let topic = NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1));
        let results = self.runtime.block_on(self.admin.create_topics([&topic], &options()))?;
        for result in results {
            result.map_err(|(topic, code)| anyhow::anyhow!("cannot create {topic}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes topics; those that do not exist are no error.
    pub fn delete_topics(&self, names: &[&str]) -> Result<()> {
        self.runtime.block_on(self.admin.delete_topics(names, &options()))?;
        Ok(())
    }

    /// Creates a keyspace with all tables.
    pub fn create_keyspace(&self, keyspace: &str) -> Result<()> {
        schema::create(&self.stack.contact_points(), keyspace, 1)
    }

    /// Removes a keyspace and what is in it.
    pub fn drop_keyspace(&self, keyspace: &str) -> Result<()> {
        self.runtime.block_on(self.database.drop_keyspace(keyspace))
    }

    /// Returns what the servers have used so far.
    pub fn usage(&self) -> Result<ServerUsage> {
        let of = |node: &localstack::Node| -> Result<Usage> {
            let pid = node.pid();
            ensure!(
                pid.is_some(),
                "{} has ended; its log is {}",
                node.name(),
                node.log_path().display()
            );
            usage(pid.unwrap_or_default())
        };
        Ok(ServerUsage { kafka: of(self.stack.kafka(0))?, cassandra: of(self.stack.cassandra(0))? })
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ADMIN_TIMEOUT)).request_timeout(Some(ADMIN_TIMEOUT))
}

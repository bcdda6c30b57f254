//! The servers that cases share: one of each behind proxies that are usually not used, or three of
//! each.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use localstack::{CommitLog, Node, Server, Stack, StackError};

use crate::proxy::Proxy;

/// Three JVMs of each kind start slowly on few cores.
const READY_TIMEOUT: Duration = Duration::from_mins(3);

/// Real servers and ways around them.
#[derive(Debug)]
pub struct Servers {
    /// The servers.
    pub stack: Stack,
    /// Nodes of each kind: 1 or 3.
    pub nodes: usize,
    /// A way to the only Kafka node.
    pub kafka_proxy: Proxy,
    /// A way to the only Cassandra node.
    pub cassandra_proxy: Proxy,
}

impl Servers {
    /// Starts so many nodes of each kind, with a commit log that survives `kill -9`.
    pub fn start(nodes: usize) -> Result<Self> {
        let (kafka_proxy, cassandra_proxy) = (Proxy::listen()?, Proxy::listen()?);
        let mut builder = Stack::builder()
            .kafka_nodes(nodes)
            .cassandra_nodes(nodes)
            .commit_log(CommitLog::Group)
            .ready_timeout(READY_TIMEOUT);
        if nodes == 1 {
            builder = builder.kafka_detour(kafka_proxy.address());
        } else {
            builder = builder.kafka_heap_mib(384).cassandra_heap_mib(768);
        }
        let stack = builder.start().context("real servers start")?;
        if let Some(target) = stack.kafka_detour() {
            kafka_proxy.forward_to(target);
            // The driver takes the address of its contact point for the node's own.
            cassandra_proxy.forward_to(stack.cassandra(0).address());
        }
        Ok(Self { stack, nodes, kafka_proxy, cassandra_proxy })
    }

    /// Starts whatever is down: all brokers at once, since they need each other, and Cassandra's
    /// nodes one after the other, since all but the first give up without it.
    pub fn start_what_is_down(&self) -> Result<()> {
        let down = self.stack.nodes().filter(|node| !node.is_running());
        let (brokers, nodes): (Vec<&Node>, Vec<&Node>) =
            down.partition(|node| node.name().starts_with(Server::Kafka.name()));
        let results: Vec<Result<(), StackError>> = thread::scope(|scope| {
            let start = |node: &Node| node.start();
            let mut handles: Vec<_> =
                brokers.iter().map(|broker| scope.spawn(move || start(broker))).collect();
            handles.push(scope.spawn(|| nodes.iter().try_for_each(|node| node.start())));
            let join = |handle: thread::ScopedJoinHandle<'_, _>| {
                handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            handles.into_iter().map(join).collect()
        });
        results.into_iter().collect::<Result<(), _>>()?;
        Ok(())
    }

    /// Undoes whatever a case that broke off left behind.
    pub fn restore(&self) -> Result<()> {
        for node in self.stack.nodes().filter(|node| node.is_running()) {
            node.resume()?;
        }
        self.start_what_is_down()
    }
}

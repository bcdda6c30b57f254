//! Kafka nodes: a KRaft cluster where each node is broker and controller.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::error::StackError;
use crate::jars::Server;
use crate::java::{ClassArchive, CommandLine, file_url};
use crate::node::{Cluster, Node, NodeSpec, kafka_id, node_name};
use crate::ports;
use crate::process::Supervised;
use crate::stack::{Plan, Ports};
use crate::tools;
use crate::workspace::log_tail;

/// Any fixed id does: clusters on different ports never meet.
const CLUSTER_ID: &str = "c2Vuc29yaXVtLWxvY2Fscw";

/// The settings, in the node's folder.
const SETTINGS: &str = "server.properties";
/// The data, in the node's folder. The server runs there and is told no more than this name: a
/// longer path would be split at commas.
const DATA: &str = "data";

/// Formatting takes a second of CPU time.
const FORMAT_TIMEOUT: Duration = Duration::from_mins(1);

const LOGGING: &str = r#"<Configuration>
  <Appenders>
    <Console name="out"><PatternLayout pattern="[%d] %p %m (%c)%n"/></Console>
  </Appenders>
  <Loggers>
    <!-- It prints all settings, several times over. -->
    <Logger name="org.apache.kafka.common.config.AbstractConfig" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"#;

/// Starts all nodes at once and waits until each sees all.
pub(crate) fn start(plan: &Plan<'_>, ports: Ports) -> Result<Vec<Node>, StackError> {
    let cluster = Cluster::new(plan.nodes);
    let nodes = thread::scope(|scope| {
        let cluster = &cluster;
        let handles: Vec<_> = (0..plan.nodes)
            .map(|index| scope.spawn(move || prepare(plan, ports, index, cluster.clone())))
            .collect();
        join(handles)
    })?;
    thread::scope(|scope| {
        let start = |node: &'_ Node| node.start_among(plan.nodes);
        join(nodes.iter().map(|node| scope.spawn(move || start(node))).collect())
    })?;
    Ok(nodes)
}

/// Waits for all threads and returns their results or the first error.
fn join<T>(
    handles: Vec<thread::ScopedJoinHandle<'_, Result<T, StackError>>>,
) -> Result<Vec<T>, StackError> {
    let results: Vec<_> = handles
        .into_iter()
        .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        .collect();
    results.into_iter().collect()
}

/// Writes a node's configuration, and formats its storage unless it holds data.
fn prepare(
    plan: &Plan<'_>,
    ports: Ports,
    index: usize,
    cluster: Cluster,
) -> Result<Node, StackError> {
    let name = node_name(Server::Kafka, index);
    let folder = plan.workspace.root().join(&name);
    let data = folder.join(DATA);
    fs::create_dir_all(&data).map_err(StackError::io("create", &data))?;
    let settings = folder.join(SETTINGS);
    fs::write(&settings, properties(plan, index, ports))
        .map_err(StackError::io("write", &settings))?;
    let logging = folder.join("log4j2.xml");
    fs::write(&logging, LOGGING).map_err(StackError::io("write", &logging))?;

    let log_path = plan.workspace.root().join(format!("logs/{name}.log"));
    if !data.join("meta.properties").is_file() {
        format_storage(plan, &name, &folder, &log_path)?;
    }
    let java_argument = CommandLine {
        heap_mib: plan.heap_mib,
        temporary_folder: &folder.join("tmp"),
        archive: &plan.archive,
        options: options(&logging),
        jars: plan.jars,
        main_class: "kafka.Kafka",
        arguments: vec![SETTINGS.to_owned()],
    }
    .write(&folder.join("java.args"))?;
    Ok(Node::new(NodeSpec {
        server: Server::Kafka,
        index,
        address: SocketAddr::new(ports::address(index), ports.client),
        log_path,
        folder,
        java_argument,
        temporary_root: plan.temporary_root(),
        ready_timeout: plan.ready_timeout,
        interrupt: Arc::clone(plan.interrupt),
        cluster,
    }))
}

/// One collector thread: with half a gigabyte of heap its pauses are short, and the processors are
/// left to others.
fn options(logging: &Path) -> Vec<String> {
    vec!["-XX:+UseSerialGC".to_owned(), format!("-Dlog4j2.configurationFile={}", file_url(logging))]
}

fn format_storage(
    plan: &Plan<'_>,
    name: &str,
    folder: &Path,
    log_path: &Path,
) -> Result<(), StackError> {
    let archive = match &plan.archive {
        ClassArchive::Use(path) => ClassArchive::Use(path.clone()),
        // It is the server's classes that are to be recorded.
        ClassArchive::Absent | ClassArchive::Record(_) => ClassArchive::Absent,
    };
    let mut options = options(&folder.join("log4j2.xml"));
    options.push("-XX:TieredStopAtLevel=1".to_owned());
    let java_argument = CommandLine {
        heap_mib: 128,
        temporary_folder: &folder.join("tmp"),
        archive: &archive,
        options,
        jars: plan.jars,
        main_class: "kafka.tools.StorageTool",
        arguments: ["format", "-t", CLUSTER_ID, "-c", SETTINGS].map(str::to_owned).to_vec(),
    }
    .write(&folder.join("format.args"))?;
    let program = tools::java_program();
    let root = plan.temporary_root();
    let mut format =
        Supervised::spawn(&program, &[java_argument], folder, log_path, root.as_deref(), || {})
            .map_err(StackError::io("run", &program))?;
    format.wait_exit_unless(plan.interrupt, FORMAT_TIMEOUT)?;
    let status = format.reap().map_err(StackError::io("end", &program))?;
    if status.success() {
        return Ok(());
    }
    Err(StackError::Exited {
        node: format!("the storage format of {name}"),
        status: format!("with {status}"),
        log_path: log_path.to_path_buf(),
        log_tail: log_tail(log_path),
    })
}

fn properties(plan: &Plan<'_>, index: usize, ports: Ports) -> String {
    let (nodes, host) = (plan.nodes, ports::address(index));
    let Ports { client, internal, detour } = ports;
    let (mut listener, mut advertised) = (String::new(), String::new());
    if let (Some(port), Some(address)) = (detour, plan.detour) {
        listener = format!(",DETOUR://{host}:{port}");
        advertised = format!(",DETOUR://{address}");
    }
    let voters: Vec<_> = (0..nodes)
        .map(|node| format!("{}@{}:{internal}", kafka_id(node), ports::address(node)))
        .collect();
    let replicas = nodes.min(3);
    // A cluster of three accepts writes with one node down; a smaller one has nothing to spare.
    let in_sync_min = if nodes >= 3 { 2 } else { 1 };
    let mut text = String::new();
    let mut set = |key: &str, value: &dyn std::fmt::Display| {
        writeln!(text, "{key}={value}").expect("a string takes everything");
    };
    set("process.roles", &"broker,controller");
    set("node.id", &kafka_id(index));
    set("controller.quorum.voters", &voters.join(","));
    set(
        "listeners",
        &format!("PLAINTEXT://{host}:{client},CONTROLLER://{host}:{internal}{listener}"),
    );
    set("advertised.listeners", &format!("PLAINTEXT://{host}:{client}{advertised}"));
    set("inter.broker.listener.name", &"PLAINTEXT");
    set("controller.listener.names", &"CONTROLLER");
    let protocols = "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,DETOUR:PLAINTEXT";
    set("listener.security.protocol.map", &protocols);
    set("log.dirs", &DATA);
    set("auto.create.topics.enable", &false);
    set("default.replication.factor", &replicas);
    set("min.insync.replicas", &in_sync_min);
    // A broker that was killed is let back in when its last session has ended: after 3 s instead of
    // 9.
    set("broker.session.timeout.ms", &3_000);
    set("broker.heartbeat.interval.ms", &500);
    // The first member of a group need not wait for others.
    set("group.initial.rebalance.delay.ms", &0);
    for topic in ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"] {
        set(&format!("{topic}.replication.factor"), &replicas);
        // Enough for tests; the default of 50 costs every first group of a cluster half a second.
        set(&format!("{topic}.num.partitions"), &10);
    }
    for topic in ["transaction.state.log", "share.coordinator.state.topic"] {
        set(&format!("{topic}.min.isr"), &in_sync_min);
    }
    text
}

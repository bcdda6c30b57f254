//! Cassandra nodes: one data centre, one rack each, joined one after the other.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tracing::warn;

use crate::error::StackError;
use crate::jars::Server;
use crate::java::{CommandLine, file_url};
use crate::node::{Cluster, Node, NodeSpec, node_name};
use crate::ports;
use crate::stack::{Plan, Ports};

/// How Cassandra keeps rows in memory and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// As the public image comes: skip-list memtables, BIG SSTables, compatible with Cassandra 4.
    #[default]
    Stock,
    /// As `cassandra_latest.yaml` has it: trie memtables off the heap, BTI SSTables.
    Trie,
}

impl Storage {
    const fn settings(self) -> &'static str {
        match self {
            Self::Stock => "storage_compatibility_mode: CASSANDRA_4\n",
            Self::Trie => {
                "storage_compatibility_mode: NONE
uuid_sstable_identifiers_enabled: true
sstable: {selected_format: bti}
memtable_allocation_type: offheap_objects
memtable:
  configurations:
    skiplist: {class_name: SkipListMemtable}
    trie: {class_name: TrieMemtable}
    default: {inherits: trie}
"
            }
        }
    }
}

/// When a write is acknowledged: before or after it can survive a `kill -9` of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CommitLog {
    /// As the public image comes: before. A server that is killed loses about 100 ms of
    /// acknowledged writes.
    #[default]
    Periodic,
    /// After: one flush for all writes that came within 10 ms.
    Group,
}

impl CommitLog {
    /// A synchronous mode refuses to start with a period.
    const fn settings(self) -> &'static str {
        match self {
            Self::Periodic => "commitlog_sync: periodic\ncommitlog_sync_period: 10000ms\n",
            Self::Group => "commitlog_sync: group\ncommitlog_sync_group_window: 10ms\n",
        }
    }
}

/// How Cassandra is set up, beside where it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct CassandraOptions {
    pub(crate) storage: Storage,
    pub(crate) commit_log: CommitLog,
    /// Lines of `cassandra.yaml` that win over ours.
    pub(crate) settings: Vec<(String, String)>,
}

/// What is the same for every node; the names and values are those of the public image's file,
/// except where noted.
const COMMON_SETTINGS: &str = r"cluster_name: sensorium
num_tokens: 16
allocate_tokens_for_local_replication_factor: 3
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
endpoint_snitch: GossipingPropertyFileSnitch
commitlog_segment_size: 32MiB
column_index_size: 4KiB
column_index_cache_size: 2KiB
batch_size_warn_threshold: 5KiB
batch_size_fail_threshold: 50KiB
internode_compression: dc
# A quarter of a disk and a copy of each dropped table are too much here.
commitlog_total_space: 512MiB
auto_snapshot: false
";

const LOGGING: &str = r#"<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"#;

/// Packages of the Java runtime that Cassandra exports to itself, as its own `jvm17-server.options`
/// does.
const EXPORTS: [&str; 9] = [
    "java.base/java.lang.ref",
    "java.base/jdk.internal.misc",
    "java.base/sun.nio.ch",
    "java.management.rmi/com.sun.jmx.remote.internal.rmi",
    "java.rmi/sun.rmi.registry",
    "java.rmi/sun.rmi.server",
    "java.sql/java.sql",
    "jdk.attach/sun.tools.attach",
    "jdk.unsupported/sun.misc",
];

/// Packages that it opens to reflection, from the same file.
const OPENS: [&str; 17] = [
    "java.base/java.io",
    "java.base/java.lang",
    "java.base/java.lang.module",
    "java.base/java.lang.reflect",
    "java.base/java.math",
    "java.base/java.net",
    "java.base/java.nio",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.loader",
    "java.base/jdk.internal.math",
    "java.base/jdk.internal.module",
    "java.base/jdk.internal.ref",
    "java.base/jdk.internal.reflect",
    "java.base/jdk.internal.util.jar",
    "java.base/sun.nio.ch",
];

/// The rest: the public image's collector settings, and what makes a small cluster join in seconds.
const OPTIONS: [&str; 15] = [
    "--add-opens=jdk.management/com.sun.management.internal=ALL-UNNAMED",
    "-Djava.security.manager=allow",
    "-Djdk.attach.allowAttachSelf=true",
    "-Dio.netty.tryReflectionSetAccessible=true",
    "-XX:+UseG1GC",
    "-XX:+ParallelRefProcEnabled",
    "-XX:MaxTenuringThreshold=2",
    "-XX:MaxGCPauseMillis=300",
    "-XX:InitiatingHeapOccupancyPercent=70",
    "-Dcassandra-foreground=yes",
    "-Dcassandra.ring_delay_ms=1000",
    "-Dcassandra.consistent.rangemovement=false",
    "-Dcassandra.skip_wait_for_gossip_to_settle=0",
    "-Dcassandra.superuser_setup_delay_ms=0",
    "-Dcassandra.shutdown_announce_in_ms=100",
];

/// How often a newcomer may try to join.
const JOIN_ATTEMPTS: u32 = 3;

/// Starts the nodes one after the other: a ring takes one newcomer at a time.
pub(crate) fn start(plan: &Plan<'_>, ports: Ports) -> Result<Vec<Node>, StackError> {
    let cluster = Cluster::new(plan.nodes);
    let mut nodes = Vec::new();
    for index in 0..plan.nodes {
        let node = prepare(plan, ports, index, cluster.clone())?;
        join(&node, index + 1)?;
        nodes.push(node);
    }
    // Those that started first learn of the others a little later.
    nodes.iter().try_for_each(|node| node.wait_ready(plan.nodes))?;
    Ok(nodes)
}

/// Starts a node; a newcomer that gave up because it heard of no seed within the ring delay, as it
/// may on a busy machine, tries again.
fn join(node: &Node, nodes: usize) -> Result<(), StackError> {
    for attempt in 1..JOIN_ATTEMPTS {
        let log_bytes = fs::metadata(node.log_path()).map_or(0, |log| log.len());
        match node.start_among(nodes) {
            Err(StackError::Exited { .. }) if heard_of_no_seed(node.log_path(), log_bytes) => {
                warn!(node = node.name(), attempt, "heard of no seed, starting again");
            }
            other => return other,
        }
    }
    node.start_among(nodes)
}

/// Tells whether a log says so after its first bytes, which an earlier attempt wrote.
fn heard_of_no_seed(log_path: &Path, log_bytes: u64) -> bool {
    let earlier = usize::try_from(log_bytes).unwrap_or(usize::MAX);
    fs::read(log_path).is_ok_and(|log| {
        let log = String::from_utf8_lossy(log.get(earlier..).unwrap_or_default());
        log.contains("Unable to contact any seeds")
    })
}

/// Writes a node's configuration.
fn prepare(
    plan: &Plan<'_>,
    ports: Ports,
    index: usize,
    cluster: Cluster,
) -> Result<Node, StackError> {
    let name = node_name(Server::Cassandra, index);
    let folder = plan.workspace.root().join(&name);
    fs::create_dir_all(&folder).map_err(StackError::io("create", &folder))?;
    let rack = format!("dc=datacenter1\nrack=rack{}\n", index + 1);
    for (file, text) in [
        ("cassandra.yaml", settings(&plan.cassandra, index, ports, &folder)),
        ("cassandra-rackdc.properties", rack),
        ("logback.xml", LOGGING.to_owned()),
    ] {
        let path = folder.join(file);
        fs::write(&path, text).map_err(StackError::io("write", &path))?;
    }
    let java_argument = CommandLine {
        heap_mib: plan.heap_mib,
        temporary_folder: &folder.join("tmp"),
        archive: &plan.archive,
        options: options(&folder, plan.heap_mib),
        jars: plan.jars,
        main_class: "org.apache.cassandra.service.CassandraDaemon",
        arguments: Vec::new(),
    }
    .write(&folder.join("java.args"))?;
    Ok(Node::new(NodeSpec {
        server: Server::Cassandra,
        index,
        address: SocketAddr::new(ports::address(index), ports.client),
        log_path: plan.workspace.root().join(format!("logs/{name}.log")),
        folder,
        java_argument,
        temporary_root: plan.temporary_root(),
        ready_timeout: plan.ready_timeout,
        interrupt: Arc::clone(plan.interrupt),
        cluster,
    }))
}

fn settings(options: &CassandraOptions, index: usize, ports: Ports, folder: &Path) -> String {
    let (host, seed) = (ports::address(index), ports::address(0));
    let Ports { client, internal, .. } = ports;
    let path = |name: &str| yaml_string(&folder.join(name));
    let text = format!(
        "{COMMON_SETTINGS}{}{}listen_address: {host}
rpc_address: {host}
native_transport_port: {client}
storage_port: {internal}
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: \"{seed}:{internal}\"}}]
data_file_directories: [{}]
commitlog_directory: {}
saved_caches_directory: {}
hints_directory: {}
cdc_raw_directory: {}
",
        options.storage.settings(),
        options.commit_log.settings(),
        path("data"),
        path("commitlog"),
        path("saved_caches"),
        path("hints"),
        path("cdc_raw"),
    );
    overlay(&text, &options.settings)
}

/// Puts settings of one line each in place of those of the same name.
fn overlay(text: &str, settings: &[(String, String)]) -> String {
    let replaced = |line: &&str| {
        settings.iter().any(|(name, _)| line.split_once(':').is_some_and(|(key, _)| key == name))
    };
    let kept = text.lines().filter(|line| !replaced(line)).map(str::to_owned);
    let added = settings.iter().map(|(name, value)| format!("{name}: {value}"));
    kept.chain(added).map(|line| line + "\n").collect()
}

fn options(folder: &Path, heap_mib: u32) -> Vec<String> {
    // Memtables allocate by the megabyte, which in small regions would all be humongous objects.
    let region_mib = if heap_mib < 1024 { 4 } else { 16 };
    let url = |name: &str| file_url(&folder.join(name));
    let exports = EXPORTS.iter().map(|name| format!("--add-exports={name}=ALL-UNNAMED"));
    let opens = OPENS.iter().map(|name| format!("--add-opens={name}=ALL-UNNAMED"));
    exports
        .chain(opens)
        .chain(OPTIONS.map(str::to_owned))
        .chain([
            format!("-XX:G1HeapRegionSize={region_mib}m"),
            format!("-Dcassandra.config={}", url("cassandra.yaml")),
            format!("-Dcassandra-rackdc.properties={}", url("cassandra-rackdc.properties")),
            format!("-Dlogback.configurationFile={}", url("logback.xml")),
            format!("-Dcassandra.storagedir={}", folder.display()),
        ])
        .collect()
}

/// A path as a quoted YAML scalar of plain ASCII.
fn yaml_string(path: &Path) -> String {
    let mut text = String::from('"');
    for unit in path.display().to_string().encode_utf16() {
        match u8::try_from(unit).map(char::from) {
            Ok(plain @ (' '..='!' | '#'..='[' | ']'..='~')) => text.push(plain),
            _ => text += &format!("\\u{unit:04x}"),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_scalar_whatever_is_in_it() {
        let path = Path::new("/a b/it's\\\"ü\u{1f600}: #");
        assert_eq!(yaml_string(path), r#""/a b/it's\u005c\u0022\u00fc\ud83d\ude00: #""#);
    }

    #[test]
    fn each_node_listens_on_its_own_address_and_seeds_from_the_first() {
        let ports = Ports { client: 9042, internal: 7000, detour: None };
        let options = CassandraOptions { storage: Storage::Trie, ..CassandraOptions::default() };
        let text = settings(&options, 2, ports, Path::new("/data"));
        for line in ["listen_address: 127.0.0.3", "seeds: \"127.0.0.1:7000\"", "bti"] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
    }
    #[test]
    fn a_setting_is_replaced_or_added() {
        let text = "num_tokens: 16\nauto_snapshot: false\nsettings:\n  num_tokens: 1\n";
        let settings = [("num_tokens", "4"), ("new", "1h")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let expected = "auto_snapshot: false\nsettings:\n  num_tokens: 1\nnum_tokens: 4\nnew: 1h\n";
        assert_eq!(overlay(text, &settings), expected);
    }
}

//! A stack: a Kafka cluster and a Cassandra cluster that start together and end with their owner.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::cassandra::{CassandraOptions, CommitLog, Storage};
use crate::error::StackError;
use crate::jars::{self, Jars, Server};
use crate::java::ClassArchive;
use crate::node::Node;
use crate::ports::{self, NODES_MAX};
use crate::workspace::Workspace;
use crate::{archive, cassandra, kafka, tools};

/// How often a cluster is started anew because somebody took its port between the choice and the
/// start.
const PORT_TRIES_MAX: usize = 3;

/// The ports that every node of a cluster listens on, each on its own address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    /// For clients.
    pub(crate) client: u16,
    /// For the nodes among themselves.
    pub(crate) internal: u16,
    /// For clients that are told another address; Kafka only.
    pub(crate) detour: Option<u16>,
}

/// The ports that the caller, or the data folder's last user, insists on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RequestedPorts {
    pub(crate) client: Option<u16>,
    pub(crate) internal: Option<u16>,
}

/// How to start one cluster.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) server: Server,
    pub(crate) nodes: usize,
    pub(crate) heap_mib: u32,
    /// Means something to Cassandra only.
    pub(crate) cassandra: CassandraOptions,
    /// What the first Kafka node calls itself on its second listener, if it has one.
    pub(crate) detour: Option<SocketAddr>,
    pub(crate) ports: RequestedPorts,
    pub(crate) ready_timeout: Duration,
    pub(crate) workspace: &'a Workspace,
    pub(crate) jars: &'a Jars,
    pub(crate) archive: ClassArchive,
    pub(crate) interrupt: &'a Arc<AtomicBool>,
}

impl Plan<'_> {
    /// The folder that supervisors remove should the owner die.
    pub(crate) fn temporary_root(&self) -> Option<PathBuf> {
        self.workspace.is_temporary().then(|| self.workspace.root().to_path_buf())
    }
}

/// What to start, and where.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    kafka: ClusterOptions,
    cassandra: ClusterOptions,
    cassandra_options: CassandraOptions,
    kafka_detour: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    keep_data: bool,
    ready_timeout: Duration,
    interrupt: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy)]
struct ClusterOptions {
    server: Server,
    nodes: usize,
    heap_mib: u32,
    port: Option<u16>,
}

impl Default for Builder {
    fn default() -> Self {
        let one = |server, heap_mib| ClusterOptions { server, nodes: 1, heap_mib, port: None };
        Self {
            kafka: one(Server::Kafka, 512),
            cassandra: one(Server::Cassandra, 1024),
            cassandra_options: CassandraOptions::default(),
            kafka_detour: None,
            data_dir: None,
            keep_data: false,
            ready_timeout: Duration::from_mins(1),
            interrupt: Arc::default(),
        }
    }
}

impl Builder {
    /// Sets the number of Kafka nodes, 0 to 3; 0 starts none.
    pub fn kafka_nodes(mut self, nodes: usize) -> Self {
        self.kafka.nodes = nodes;
        self
    }

    /// Sets the number of Cassandra nodes, 0 to 3; 0 starts none.
    pub fn cassandra_nodes(mut self, nodes: usize) -> Self {
        self.cassandra.nodes = nodes;
        self
    }

    /// Sets the Java heap of each Kafka node, in MiB.
    pub fn kafka_heap_mib(mut self, heap_mib: u32) -> Self {
        self.kafka.heap_mib = heap_mib;
        self
    }

    /// Sets the Java heap of each Cassandra node, in MiB; 512 is the least that works well.
    pub fn cassandra_heap_mib(mut self, heap_mib: u32) -> Self {
        self.cassandra.heap_mib = heap_mib;
        self
    }

    /// Makes the Kafka nodes listen on this port; otherwise a free one is chosen.
    pub fn kafka_port(mut self, port: Option<u16>) -> Self {
        self.kafka.port = port;
        self
    }

    /// Makes the Cassandra nodes listen on this port; otherwise a free one is chosen.
    pub fn cassandra_port(mut self, port: Option<u16>) -> Self {
        self.cassandra.port = port;
        self
    }

    /// Sets how Cassandra stores its rows.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.cassandra_options.storage = storage;
        self
    }

    /// Sets when Cassandra acknowledges a write (default: once it survives a `kill -9`).
    pub fn commit_log(mut self, commit_log: CommitLog) -> Self {
        self.cassandra_options.commit_log = commit_log;
        self
    }

    /// Sets one more line of `cassandra.yaml`, or another value for one that is there.
    pub fn cassandra_setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.cassandra_options.settings.push((name.into(), value.into()));
        self
    }

    /// Gives the only Kafka node a second listener, on which it calls itself `advertised`: clients
    /// that come that way come back that way, through whatever listens there and forwards to
    /// [`Stack::kafka_detour`].
    pub fn kafka_detour(mut self, advertised: SocketAddr) -> Self {
        self.kafka_detour = Some(advertised);
        self
    }

    /// Keeps data and logs in this folder, across stacks: the next one on the same folder finds the
    /// same data and takes the same ports. Without it they go to a temporary folder.
    pub fn data_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(folder.into());
        self
    }

    /// Keeps a temporary folder when the stack ends.
    pub fn keep_data(mut self, keep: bool) -> Self {
        self.keep_data = keep;
        self
    }

    /// Sets how long each server may take to become ready (default: 60 s).
    pub fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// Makes the start fail with [`StackError::Interrupted`] soon after this flag is set; nothing
    /// that was started stays.
    pub fn interrupted_by(mut self, flag: Arc<AtomicBool>) -> Self {
        self.interrupt = flag;
        self
    }

    /// Starts all servers, both kinds at once, and returns when all are ready.
    ///
    /// The first start on a machine fetches the jars (a minute or two) and records the class
    /// archives (half a minute).
    pub fn start(self) -> Result<Stack, StackError> {
        let start = Instant::now();
        let clusters = [self.kafka, self.cassandra];
        for ClusterOptions { server, nodes, .. } in clusters {
            if nodes > NODES_MAX {
                return Err(StackError::NodeCount { server: server.name(), nodes, max: NODES_MAX });
            }
        }
        let servers: Vec<_> = clusters
            .iter()
            .filter_map(|cluster| (cluster.nodes > 0).then_some(cluster.server))
            .collect();
        let mut workspace = match &self.data_dir {
            Some(folder) => Workspace::at(folder)?,
            None => Workspace::temporary(self.keep_data)?,
        };
        tools::check(&tools::required(&servers))?;
        // One after the other: Maven's own cache is not made for two at a time.
        let jars: Vec<_> =
            servers.iter().map(|&server| jars::ensure(server, &self.interrupt)).collect();
        let jars = jars.into_iter().collect::<Result<Vec<_>, _>>()?;
        let jars = |server| {
            let place = servers.iter().position(|&other| other == server)?;
            jars.get(place)
        };
        let (kafka, cassandra) = thread::scope(|scope| {
            let [kafka, cassandra] = clusters.map(|cluster| {
                let (builder, workspace) = (&self, &workspace);
                let jars = jars(cluster.server);
                scope.spawn(move || builder.start_cluster(cluster, jars, workspace))
            });
            let joined = [kafka, cassandra].map(|handle| {
                handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.into()
        });
        match (kafka, cassandra) {
            (Ok((kafka, detour)), Ok((cassandra, _))) => {
                let elapsed_ms = start.elapsed().as_millis();
                let stack = Stack { kafka, cassandra, detour, workspace };
                info!(
                    bootstrap_servers = stack.bootstrap_servers(),
                    contact_points = stack.contact_points(),
                    elapsed_ms,
                    "stack ready"
                );
                Ok(stack)
            }
            (Err(StackError::Interrupted), _) | (_, Err(StackError::Interrupted)) => {
                Err(StackError::Interrupted)
            }
            (Err(error), _) | (_, Err(error)) => {
                workspace.keep_logs();
                Err(error)
            }
        }
    }

    fn start_cluster(
        &self,
        cluster: ClusterOptions,
        jars: Option<&Jars>,
        workspace: &Workspace,
    ) -> Result<(Vec<Node>, Option<SocketAddr>), StackError> {
        let Some(jars) = jars else {
            return Ok((Vec::new(), None));
        };
        let ClusterOptions { server, nodes, heap_mib, port } = cluster;
        let ports_file = workspace.root().join(format!("{}.ports", server.name()));
        let saved = read_ports(&ports_file);
        let plan = Plan {
            server,
            nodes,
            heap_mib,
            cassandra: self.cassandra_options.clone(),
            detour: self.kafka_detour.filter(|_| server == Server::Kafka),
            ports: RequestedPorts {
                client: port.or(saved.map(|ports| ports.client)),
                internal: saved.map(|ports| ports.internal),
            },
            ready_timeout: self.ready_timeout,
            workspace,
            jars,
            archive: archive::ensure(server, jars, &self.interrupt),
            interrupt: &self.interrupt,
        };
        let (nodes, ports) = start_nodes(&plan)?;
        let text = format!("{} {}\n", ports.client, ports.internal);
        fs::write(&ports_file, text).map_err(StackError::io("write", &ports_file))?;
        let detour = ports.detour.map(|port| SocketAddr::new(ports::address(0), port));
        Ok((nodes, detour))
    }
}

/// Starts one cluster, again on other ports if somebody else was faster to take the chosen ones.
pub(crate) fn start_nodes(plan: &Plan<'_>) -> Result<(Vec<Node>, Ports), StackError> {
    let name = plan.server.name();
    let mut tries = 1;
    loop {
        let client = ports::pick(name, plan.nodes, plan.ports.client, &[])?;
        let internal = ports::pick(name, plan.nodes, plan.ports.internal, &[client])?;
        let detour = match plan.detour {
            Some(_) => Some(ports::pick(name, plan.nodes, None, &[client, internal])?),
            None => None,
        };
        let ports = Ports { client, internal, detour };
        let started = match plan.server {
            Server::Kafka => kafka::start(plan, ports),
            Server::Cassandra => cassandra::start(plan, ports),
        };
        match started {
            Ok(nodes) => return Ok((nodes, ports)),
            Err(error) if error.is_address_in_use() && tries < PORT_TRIES_MAX => {
                warn!(server = name, client, internal, "a port was taken meanwhile, trying again");
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The ports that the last cluster in this folder had. Nodes know each other by address and port,
/// so the next one has to have the same.
fn read_ports(path: &Path) -> Option<Ports> {
    let text = fs::read_to_string(path).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    let (Some(Ok(client)), Some(Ok(internal))) = (numbers.next(), numbers.next()) else {
        return None;
    };
    Some(Ports { client, internal, detour: None })
}

/// Running servers. Dropping it ends them all: at once if the data is temporary, in good order if
/// it is kept.
#[derive(Debug)]
pub struct Stack {
    kafka: Vec<Node>,
    cassandra: Vec<Node>,
    detour: Option<SocketAddr>,
    /// Last, so that it is removed after the servers have ended.
    workspace: Workspace,
}

impl Stack {
    /// Describes a stack of one Kafka and one Cassandra node in a temporary folder, to be changed
    /// and started.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A Kafka node, counted from 0.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn kafka(&self, index: usize) -> &Node {
        &self.kafka[index]
    }

    /// A Cassandra node, counted from 0.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn cassandra(&self, index: usize) -> &Node {
        &self.cassandra[index]
    }

    /// All nodes, Kafka's first.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.kafka.iter().chain(&self.cassandra)
    }

    /// All Kafka addresses, separated by commas, as `bootstrap.servers` takes them.
    pub fn bootstrap_servers(&self) -> String {
        addresses(&self.kafka)
    }

    /// Where whatever Kafka advertises on its second listener has to forward to, if it was asked
    /// for one.
    pub fn kafka_detour(&self) -> Option<SocketAddr> {
        self.detour
    }

    /// All Cassandra addresses, separated by commas.
    pub fn contact_points(&self) -> String {
        addresses(&self.cassandra)
    }

    /// The folder with data and, in `logs`, a log for each node.
    pub fn data_dir(&self) -> &Path {
        self.workspace.root()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.workspace.is_temporary() {
            // All at once; what is left to do is waiting, when the nodes are dropped.
            self.nodes().for_each(Node::kill_soon);
            return;
        }
        thread::scope(|scope| {
            for node in self.nodes() {
                scope.spawn(|| {
                    if let Err(error) = node.stop() {
                        warn!(node = node.name(), %error, "not stopped in good order");
                    }
                });
            }
        });
    }
}

fn addresses(nodes: &[Node]) -> String {
    let addresses: Vec<_> = nodes.iter().map(|node| node.address().to_string()).collect();
    addresses.join(",")
}

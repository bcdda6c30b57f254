//! One server and the handle on it: start, stop, kill, pause, on the same data and the same
//! address.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use nix::sys::signal::Signal;
use tracing::{info, warn};

use crate::error::StackError;
use crate::jars::Server;
use crate::process::{SYSTEM_TIMEOUT, Supervised};
use crate::workspace::log_tail;
use crate::{ports, probe, tools};

/// How long an orderly stop may take before the server is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

const READY_POLL: Duration = Duration::from_millis(30);

/// What a node is: fixed when the stack starts.
#[derive(Debug)]
pub(crate) struct NodeSpec {
    pub(crate) server: Server,
    /// Counted from 0 within its cluster.
    pub(crate) index: usize,
    pub(crate) address: SocketAddr,
    pub(crate) log_path: PathBuf,
    /// The folder that it runs in.
    pub(crate) folder: PathBuf,
    /// What follows `java` on the command line.
    pub(crate) java_argument: String,
    /// Removed if the owner dies.
    pub(crate) temporary_root: Option<PathBuf>,
    pub(crate) ready_timeout: Duration,
    /// Ends the wait for a node to become ready.
    pub(crate) interrupt: Arc<AtomicBool>,
    /// Which nodes of the cluster are up, this one included.
    pub(crate) cluster: Cluster,
}

/// Which nodes of a cluster are up: ready, and not paused since.
#[derive(Debug, Clone)]
pub(crate) struct Cluster(Arc<[AtomicBool]>);

impl Cluster {
    pub(crate) fn new(nodes: usize) -> Self {
        Self((0..nodes).map(|_| AtomicBool::new(false)).collect())
    }

    fn set(&self, index: usize, up: bool) {
        self.0[index].store(up, Ordering::SeqCst);
    }

    /// How many nodes are up if this one is.
    fn count_with(&self, index: usize) -> usize {
        1 + self.peers_up(index).count()
    }

    /// The nodes that are up, this one aside.
    fn peers_up(&self, index: usize) -> impl Iterator<Item = usize> {
        let is_up = move |other: &usize| *other != index && self.0[*other].load(Ordering::SeqCst);
        (0..self.0.len()).filter(is_up)
    }
}

/// One server of a stack.
///
/// Every method blocks, for a bounded time, until what it does is done. All take `&self`: a test
/// may pause a node from one thread while others use it.
#[derive(Debug)]
pub struct Node {
    spec: NodeSpec,
    name: String,
    process: Mutex<Option<Supervised>>,
}

impl Node {
    pub(crate) fn new(spec: NodeSpec) -> Self {
        let name = node_name(spec.server, spec.index);
        Self { spec, name, process: Mutex::new(None) }
    }

    /// The name: `kafka-1`, `cassandra-3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.spec.address
    }

    /// The server's log; every start appends to it.
    pub fn log_path(&self) -> &Path {
        &self.spec.log_path
    }

    /// The id of the Java process, if it runs (paused counts).
    pub fn pid(&self) -> Option<u32> {
        let process = self.process();
        let running = process.as_ref().filter(|process| !process.has_exited())?;
        u32::try_from(running.pid().as_raw()).ok()
    }

    /// Tells whether the Java process runs (paused counts).
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// Starts a node that is down, on the data it had, and waits until it is ready and sees its
    /// running peers.
    pub fn start(&self) -> Result<(), StackError> {
        self.start_among(self.spec.cluster.count_with(self.spec.index))
    }

    /// Stops the node in good order (SIGTERM), or kills it if that takes more than 30 s. Nothing
    /// happens if it is down.
    pub fn stop(&self) -> Result<(), StackError> {
        self.stop_unless(&AtomicBool::new(false), STOP_TIMEOUT)
    }

    /// Kills the node at once (SIGKILL) and waits until it is gone. Nothing happens if it is down.
    pub fn kill(&self) -> Result<(), StackError> {
        let Some(mut process) = self.process().take() else {
            return Ok(());
        };
        self.reap(&mut process)?;
        info!(node = self.name, "killed");
        Ok(())
    }

    /// Freezes the node (SIGSTOP): its connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), StackError> {
        self.spec.cluster.set(self.spec.index, false);
        self.signal(Signal::SIGSTOP)?;
        info!(node = self.name, "paused");
        Ok(())
    }

    /// Thaws a paused node (SIGCONT) and waits until it is ready again.
    pub fn resume(&self) -> Result<(), StackError> {
        self.signal(Signal::SIGCONT)?;
        self.wait_ready(self.spec.cluster.count_with(self.spec.index))?;
        info!(node = self.name, "resumed");
        Ok(())
    }

    /// Stops the node in good order, starts it again and waits until it is ready.
    pub fn restart(&self) -> Result<(), StackError> {
        self.stop()?;
        self.start()
    }

    /// Starts the node and waits until it takes part in a cluster of at least `nodes` nodes.
    pub(crate) fn start_among(&self, nodes: usize) -> Result<(), StackError> {
        let start = Instant::now();
        self.spawn()?;
        self.wait_ready(nodes)?;
        let elapsed_ms = start.elapsed().as_millis();
        info!(node = self.name, address = %self.spec.address, elapsed_ms, "ready");
        Ok(())
    }

    /// Stops the node in good order; kills it at once and fails when `interrupt` is set.
    pub(crate) fn stop_unless(
        &self,
        interrupt: &AtomicBool,
        timeout: Duration,
    ) -> Result<(), StackError> {
        let Some(mut process) = self.process().take() else {
            return Ok(());
        };
        self.spec.cluster.set(self.spec.index, false);
        // The second signal is for a paused node, which would take the first one only when resumed.
        for signal in [Signal::SIGTERM, Signal::SIGCONT] {
            process.signal(signal).map_err(|source| self.signal_error(signal, source))?;
        }
        // On an interrupt the process is dropped, which kills it.
        if !process.wait_exit_unless(interrupt, timeout)? {
            let timeout_s = timeout.as_secs();
            warn!(node = self.name, timeout_s, "not stopped in time, killing it");
        }
        self.reap(&mut process)?;
        info!(node = self.name, "stopped");
        Ok(())
    }

    /// Sends SIGKILL without waiting for the end.
    pub(crate) fn kill_soon(&self) {
        if let Some(process) = self.process().as_ref() {
            process.signal(Signal::SIGKILL).ok();
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Supervised>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> Result<(), StackError> {
        let mut process = self.process();
        if process.as_ref().is_some_and(|process| !process.has_exited()) {
            return Err(StackError::AlreadyRunning { node: self.name.clone() });
        }
        let program = tools::java_program();
        let (cluster, index) = (self.spec.cluster.clone(), self.spec.index);
        let spawned = Supervised::spawn(
            &program,
            std::slice::from_ref(&self.spec.java_argument),
            &self.spec.folder,
            &self.spec.log_path,
            self.spec.temporary_root.as_deref(),
            move || cluster.set(index, false),
        );
        *process = Some(spawned.map_err(StackError::io("run", &program))?);
        Ok(())
    }

    /// Probes until the node is ready. The process stays accessible meanwhile: it may be killed on
    /// its way up.
    pub(crate) fn wait_ready(&self, nodes: usize) -> Result<(), StackError> {
        let deadline = Instant::now() + self.spec.ready_timeout;
        loop {
            let problem = match self.probe(nodes) {
                Ok(()) => {
                    self.spec.cluster.set(self.spec.index, true);
                    return Ok(());
                }
                Err(problem) => problem,
            };
            self.check_alive()?;
            if self.spec.interrupt.load(Ordering::Relaxed) {
                return Err(StackError::Interrupted);
            }
            if Instant::now() > deadline {
                return Err(StackError::NotReady {
                    node: self.name.clone(),
                    seconds: self.spec.ready_timeout.as_secs(),
                    problem: problem.to_string(),
                    log_path: self.spec.log_path.clone(),
                    log_tail: log_tail(&self.spec.log_path),
                });
            }
            thread::sleep(READY_POLL);
        }
    }

    fn probe(&self, nodes: usize) -> io::Result<()> {
        match self.spec.server {
            Server::Kafka => probe::kafka(self.spec.address, kafka_id(self.spec.index), nodes),
            Server::Cassandra => self.probe_cassandra(nodes),
        }
    }

    /// A node that was down while the schema changed answers before it has caught up, so that is
    /// waited for too.
    fn probe_cassandra(&self, nodes: usize) -> io::Result<()> {
        let version = probe::cassandra(self.spec.address, nodes)?;
        for index in self.spec.cluster.peers_up(self.spec.index) {
            let peer = SocketAddr::new(ports::address(index), self.spec.address.port());
            if probe::cassandra(peer, 1)? != version {
                return Err(io::Error::other("its schema differs from that of its peers"));
            }
        }
        Ok(())
    }

    /// Fails if the process has ended by itself, or was ended by another thread.
    fn check_alive(&self) -> Result<(), StackError> {
        let mut slot = self.process();
        let Some(process) = slot.as_mut() else {
            return Err(StackError::NotRunning { node: self.name.clone() });
        };
        if !process.has_exited() {
            return Ok(());
        }
        let status = self.reap(process)?;
        *slot = None;
        Err(StackError::Exited {
            node: self.name.clone(),
            status,
            log_path: self.spec.log_path.clone(),
            log_tail: log_tail(&self.spec.log_path),
        })
    }

    fn signal(&self, signal: Signal) -> Result<(), StackError> {
        let slot = self.process();
        match slot.as_ref().filter(|process| !process.has_exited()) {
            Some(process) => {
                process.signal(signal).map_err(|source| self.signal_error(signal, source))
            }
            None => Err(StackError::NotRunning { node: self.name.clone() }),
        }
    }

    fn signal_error(&self, signal: Signal, source: io::Error) -> StackError {
        StackError::Signal { node: self.name.clone(), signal: signal.as_str(), source }
    }

    /// Kills what still runs, and says how it ended.
    fn reap(&self, process: &mut Supervised) -> Result<String, StackError> {
        match process.reap() {
            Ok(status) => Ok(format!("with {status}")),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(StackError::Unkillable {
                node: self.name.clone(),
                pid: process.pid().as_raw().unsigned_abs(),
                seconds: SYSTEM_TIMEOUT.as_secs(),
            }),
            Err(source) => Err(self.signal_error(Signal::SIGKILL, source)),
        }
    }
}

/// The name of a node, counted from 0.
pub(crate) fn node_name(server: Server, index: usize) -> String {
    format!("{}-{}", server.name(), index + 1)
}

/// The broker id of a Kafka node, counted from 0.
pub(crate) fn kafka_id(index: usize) -> i32 {
    i32::try_from(index + 1).expect("a cluster has at most three nodes")
}

//! What can go wrong with local servers: each variant says what failed, with which value, and what
//! to do.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::tools::MissingTools;

/// The reasons why a server could not be fetched, started or controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StackError {
    /// A program that the servers need is not installed.
    #[error(transparent)]
    Tools(#[from] MissingTools),
    /// There is nowhere to keep the jars.
    #[error("no cache folder for the jars: set HOME or XDG_CACHE_HOME to an absolute path")]
    NoCacheFolder,
    /// Maven did not deliver the jars.
    #[error(
        "cannot fetch the jars of {server}: {reason}; check that Maven reaches its repository and \
         start again, finished downloads are kept; last lines of Maven:\n{log_tail}"
    )]
    Fetch {
        /// The server whose jars are missing.
        server: &'static str,
        /// How Maven failed.
        reason: String,
        /// The last lines that Maven printed.
        log_tail: String,
    },
    /// More nodes than there are loopback addresses for.
    #[error("{nodes} {server} nodes were asked for: 0 to {max} are supported")]
    NodeCount {
        /// The server.
        server: &'static str,
        /// How many were asked for.
        nodes: usize,
        /// The most that are supported.
        max: usize,
    },
    /// A requested port is in use.
    #[error(
        "port {} for {server} is taken on {}: stop what listens there or choose another port",
        .address.port(), .address.ip()
    )]
    PortTaken {
        /// The server that wants the port.
        server: &'static str,
        /// The address in use.
        address: SocketAddr,
    },
    /// A loopback address cannot be bound at all.
    #[error(
        "cannot listen on {address}: several nodes need an address each \
         (on macOS: `sudo ifconfig lo0 alias {address}`)"
    )]
    Loopback {
        /// The address.
        address: IpAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Every port that was tried is taken.
    #[error("no free port for {server} after {tried} tries: close some listeners and start again")]
    NoFreePort {
        /// The server that wants the port.
        server: &'static str,
        /// How many ports were tried.
        tried: usize,
    },
    /// Another process runs servers on the same folder.
    #[error("{} is in use by {owner}: stop it or choose another folder", path.display())]
    DataFolderInUse {
        /// The data folder.
        path: PathBuf,
        /// What uses it, in words.
        owner: String,
    },
    /// Servers cannot keep their data in this folder.
    #[error("`{}` cannot be the data folder: {problem}", path.display())]
    DataFolder {
        /// The folder that was asked for.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The start was interrupted.
    #[error("the start was interrupted")]
    Interrupted,
    /// A server ended although nobody asked it to.
    #[error("{node} ended {status} before it was ready; log {}:\n{log_tail}", log_path.display())]
    Exited {
        /// The node's name.
        node: String,
        /// How it ended.
        status: String,
        /// Its log.
        log_path: PathBuf,
        /// The last lines of its log.
        log_tail: String,
    },
    /// A server did not answer in time.
    #[error(
        "{node} was not ready after {seconds} s ({problem}); log {}:\n{log_tail}",
        log_path.display()
    )]
    NotReady {
        /// The node's name.
        node: String,
        /// How long it was waited for.
        seconds: u64,
        /// What the last probe met.
        problem: String,
        /// Its log.
        log_path: PathBuf,
        /// The last lines of its log.
        log_tail: String,
    },
    /// The node is down, and what was asked for needs a running one.
    #[error("{node} is not running: start it first")]
    NotRunning {
        /// The node's name.
        node: String,
    },
    /// The node is up already.
    #[error("{node} is already running: stop it first, or use restart")]
    AlreadyRunning {
        /// The node's name.
        node: String,
    },
    /// A signal could not be sent.
    #[error("cannot send {signal} to {node}")]
    Signal {
        /// The node's name.
        node: String,
        /// The signal's name.
        signal: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A process did not end, not even when killed.
    #[error("{node} (pid {pid}) is still there {seconds} s after SIGKILL")]
    Unkillable {
        /// The node's name.
        node: String,
        /// Its process id.
        pid: u32,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A file, folder or process operation failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file, folder or program.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StackError {
    /// Names the operation and the path that an I/O error belongs to; for use with `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// Tells whether a server ended because somebody else had taken its port.
    pub(crate) fn is_address_in_use(&self) -> bool {
        let Self::Exited { log_tail, .. } = self else {
            return false;
        };
        ["Address already in use", "in use by another process", "Failed to bind port"]
            .iter()
            .any(|sign| log_tail.contains(sign))
    }
}

//! The servers' jars: fetched with Maven once per machine, whole or not at all, and shared by all
//! checkouts.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tracing::info;

use crate::error::StackError;
use crate::process::Supervised;
use crate::workspace::log_tail;

/// On a slow line the jars (120 MB in all) take minutes; what is finished when this ends is kept
/// for the next try.
const FETCH_TIMEOUT: Duration = Duration::from_mins(15);

const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

const LOCK_POLL: Duration = Duration::from_millis(100);

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// Apache Kafka, broker and controller in one.
    Kafka,
    /// Apache Cassandra.
    Cassandra,
}

impl Server {
    /// The name, as in log files and error messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Cassandra => "cassandra",
        }
    }

    /// The version of the server that is run.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Kafka => "4.3.1",
            Self::Cassandra => "5.0.9",
        }
    }

    const fn pom(self) -> &'static str {
        match self {
            Self::Kafka => include_str!("../poms/kafka/pom.xml"),
            Self::Cassandra => include_str!("../poms/cassandra/pom.xml"),
        }
    }
}

/// A complete set of jars.
#[derive(Debug)]
pub(crate) struct Jars {
    pub(crate) folder: PathBuf,
    /// All jars, in an order that is the same for every start.
    pub(crate) class_path: String,
}

/// Tells whether no fetch is needed.
pub(crate) fn is_cached(server: Server) -> bool {
    cache_folder().is_ok_and(|cache| cache.join(folder_name(server)).is_dir())
}

/// Returns the server's jars, fetched first if need be.
pub(crate) fn ensure(server: Server, interrupt: &AtomicBool) -> Result<Jars, StackError> {
    let cache = cache_folder()?;
    let folder = cache.join(folder_name(server));
    if !folder.is_dir() {
        fs::create_dir_all(&cache).map_err(StackError::io("create", &cache))?;
        let _lock = lock(&cache.join("fetch.lock"), FETCH_TIMEOUT, interrupt)?;
        if !folder.is_dir() {
            fetch(server, &cache, &folder, interrupt)?;
        }
    }
    Ok(Jars { class_path: class_path(&folder)?, folder })
}

/// Takes a lock that other processes respect; it is released when the file is dropped or the
/// process ends.
pub(crate) fn lock(
    path: &Path,
    timeout: Duration,
    interrupt: &AtomicBool,
) -> Result<File, StackError> {
    let file = File::create(path).map_err(StackError::io("create", path))?;
    let deadline = Instant::now() + timeout;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {}
            Err(error) => return Err(StackError::io("lock", path)(error.into())),
        }
        if interrupt.load(Ordering::Relaxed) {
            return Err(StackError::Interrupted);
        }
        if !told {
            info!(path = %path.display(), "waiting for another process to prepare the same files");
            told = true;
        }
        thread::sleep(LOCK_POLL);
    }
}

/// A short text that stands for `bytes` in file names: FNV-1a, stable over releases of the
/// compiler.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn cache_folder() -> Result<PathBuf, StackError> {
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(base.ok_or(StackError::NoCacheFolder)?.join("sensorium/jars"))
}

fn folder_name(server: Server) -> String {
    format!("{}-{}-{}", server.name(), server.version(), digest(server.pom().as_bytes()))
}

/// Fetches into a folder beside `folder`, which appears only when it is complete.
fn fetch(
    server: Server,
    cache: &Path,
    folder: &Path,
    interrupt: &AtomicBool,
) -> Result<(), StackError> {
    let work = cache.join(format!("{}.partial", folder_name(server)));
    if work.exists() {
        fs::remove_dir_all(&work).map_err(StackError::io("remove", &work))?;
    }
    let jars = work.join("jars");
    fs::create_dir_all(&jars).map_err(StackError::io("create", &jars))?;
    let pom = work.join("pom.xml");
    fs::write(&pom, server.pom()).map_err(StackError::io("write", &pom))?;
    run_maven(server, &work, &pom, &jars, interrupt)?;
    fs::rename(&jars, folder).map_err(StackError::io("rename", &jars))?;
    fs::remove_dir_all(&work).map_err(StackError::io("remove", &work))
}

fn run_maven(
    server: Server,
    work: &Path,
    pom: &Path,
    jars: &Path,
    interrupt: &AtomicBool,
) -> Result<(), StackError> {
    let log = work.join("maven.log");
    let arguments = [
        "-q".to_owned(),
        "-B".to_owned(),
        "-f".to_owned(),
        pom.display().to_string(),
        "dependency:copy-dependencies".to_owned(),
        "-DincludeScope=runtime".to_owned(),
        format!("-DoutputDirectory={}", jars.display()),
    ];
    let (name, version) = (server.name(), server.version());
    info!(
        server = name,
        version, "fetching jars with maven, once for this machine; about a minute"
    );
    let start = Instant::now();
    let mut maven = Supervised::spawn(Path::new("mvn"), &arguments, work, &log, None, || {})
        .map_err(StackError::io("run", Path::new("mvn")))?;
    let failed = |reason| Err(StackError::Fetch { server: name, reason, log_tail: log_tail(&log) });
    while !maven.wait_exit_unless(interrupt, PROGRESS_INTERVAL)? {
        let elapsed_s = start.elapsed().as_secs();
        if start.elapsed() > FETCH_TIMEOUT {
            return failed(format!("not done after {elapsed_s} s"));
        }
        info!(server = name, elapsed_s, "still fetching jars");
    }
    let status = maven.reap().map_err(StackError::io("end", Path::new("mvn")))?;
    if !status.success() {
        return failed(format!("Maven ended with {status}"));
    }
    info!(server = name, elapsed_s = start.elapsed().as_secs(), "jars fetched");
    Ok(())
}

fn class_path(folder: &Path) -> Result<String, StackError> {
    let mut jars = Vec::new();
    for entry in fs::read_dir(folder).map_err(StackError::io("read", folder))? {
        let path = entry.map_err(StackError::io("read", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "jar") {
            jars.push(path.display().to_string());
        }
    }
    jars.sort_unstable();
    Ok(jars.join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_poms_name_the_versions_that_the_code_names() {
        for server in [Server::Kafka, Server::Cassandra] {
            let line = format!("<version>{}</version>", server.version());
            assert!(server.pom().contains(&line), "{server:?}");
        }
    }

    #[test]
    fn the_digest_is_fnv_1a() {
        assert_eq!(digest(b""), "cbf29ce484222325");
        assert_eq!(digest(b"foobar"), "85944171f73967e8");
    }

    #[test]
    fn a_lock_excludes_others_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let interrupt = AtomicBool::new(false);
        let lock = |timeout| lock(&path, timeout, &interrupt);
        let held = lock(Duration::ZERO).unwrap();
        assert!(lock(Duration::from_millis(150)).is_err());
        interrupt.store(true, Ordering::Relaxed);
        assert!(matches!(lock(Duration::from_hours(1)), Err(StackError::Interrupted)));
        drop(held);
        assert!(lock(Duration::ZERO).is_ok());
    }
}

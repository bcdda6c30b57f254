//! The archive of classes that a server loads on its way up, recorded once per Java and set of
//! jars.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::cassandra::CassandraOptions;
use crate::error::StackError;
use crate::jars::{self, Jars, Server};
use crate::java::ClassArchive;
use crate::stack::{self, Plan, RequestedPorts};
use crate::tools;
use crate::workspace::Workspace;

/// A start, a stop and the writing of the archive, on a slow machine; twice, if another process is
/// at it.
const RECORD_TIMEOUT: Duration = Duration::from_mins(3);

/// Returns the archive for this server, recorded first if need be. Without one a start is slower,
/// nothing else: so this never fails, it warns.
pub(crate) fn ensure(server: Server, jars: &Jars, interrupt: &Arc<AtomicBool>) -> ClassArchive {
    let Some(java) = tools::java_version_text() else {
        return ClassArchive::Absent;
    };
    let key = jars::digest(format!("{java}\n{}", jars.class_path).as_bytes());
    let archive = jars.folder.join(format!("classes-{key}.jsa"));
    if archive.is_file() {
        return ClassArchive::Use(archive);
    }
    match record(server, jars, &archive, interrupt) {
        Ok(()) => ClassArchive::Use(archive),
        Err(StackError::Interrupted) => ClassArchive::Absent,
        Err(error) => {
            warn!(server = server.name(), %error, "no class archive; starts will be slower");
            ClassArchive::Absent
        }
    }
}

/// Runs the server once, up and down, recording the classes it loads.
fn record(
    server: Server,
    jars: &Jars,
    archive: &Path,
    interrupt: &Arc<AtomicBool>,
) -> Result<(), StackError> {
    let _lock = jars::lock(&jars.folder.join(".archive.lock"), RECORD_TIMEOUT, interrupt)?;
    if archive.is_file() {
        return Ok(());
    }
    info!(server = server.name(), "recording the classes of a start, once for this machine");
    let start = Instant::now();
    let partial = archive.with_extension("partial");
    if partial.exists() {
        fs::remove_file(&partial).map_err(StackError::io("remove", &partial))?;
    }
    let workspace = Workspace::temporary(false)?;
    let plan = Plan {
        server,
        nodes: 1,
        heap_mib: 1024,
        cassandra: CassandraOptions::default(),
        detour: None,
        ports: RequestedPorts::default(),
        ready_timeout: RECORD_TIMEOUT,
        workspace: &workspace,
        jars,
        archive: ClassArchive::Record(partial.clone()),
        interrupt,
    };
    for node in stack::start_nodes(&plan)?.0 {
        node.stop_unless(interrupt, RECORD_TIMEOUT)?;
    }
    fs::rename(&partial, archive).map_err(StackError::io("rename", &partial))?;
    info!(server = server.name(), elapsed_s = start.elapsed().as_secs(), "classes recorded");
    Ok(())
}

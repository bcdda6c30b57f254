//! The folder that servers keep data and logs in: temporary and removed whatever happens, or the
//! caller's and kept.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;

use crate::error::StackError;
use crate::process::FolderGuard;

const LOG_TAIL_BYTES: u64 = 8 * 1024;
const LOG_TAIL_LINES: usize = 25;

/// Longest path of a data folder: what servers put behind it has to fit into what systems take.
const PATH_BYTES_MAX: usize = 1024;

/// Says why a folder cannot hold the data of servers; `None` if it can. Makes nothing.
pub fn data_dir_problem(folder: &Path) -> Option<String> {
    let Some(text) = folder.to_str() else {
        return Some("its name is not UTF-8, which the servers need".into());
    };
    if text.is_empty() {
        return Some("it has no name".into());
    }
    if text.chars().any(char::is_control) {
        return Some("its name has a control character, such as a line break".into());
    }
    if text.starts_with('~') {
        return Some(format!(
            "only a shell replaces `~`, at the start of a word: write $HOME, or ./{text} for a \
             folder of that name"
        ));
    }
    let path = match std::path::absolute(folder) {
        Ok(path) => path,
        Err(error) => return Some(error.to_string()),
    };
    let bytes = path.as_os_str().len();
    if bytes > PATH_BYTES_MAX {
        return Some(format!("its path has {bytes} bytes, at most {PATH_BYTES_MAX} are allowed"));
    }
    let exists = |path: &&Path| path.symlink_metadata().is_ok();
    let there = path.ancestors().find(exists).unwrap_or(Path::new("/"));
    if !there.is_dir() {
        return Some(format!("`{}` is not a folder", there.display()));
    }
    let written = tempfile::tempfile_in(there);
    written.err().map(|error| format!("cannot write in `{}`: {error}", there.display()))
}

fn check(root: &Path) -> Result<(), StackError> {
    match data_dir_problem(root) {
        None => Ok(()),
        Some(problem) => Err(StackError::DataFolder { path: root.to_path_buf(), problem }),
    }
}

/// The root folder of a stack, with `logs` in it.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    /// Present when the folder is to be removed.
    guard: Option<FolderGuard>,
    /// Held as long as the folder is in use.
    _lock: File,
    keep_logs: bool,
}

impl Workspace {
    /// Makes a temporary folder; with `keep` it stays when the stack ends.
    pub(crate) fn temporary(keep: bool) -> Result<Self, StackError> {
        let parent = std::env::temp_dir();
        let parent = parent.canonicalize().map_err(StackError::io("find", &parent))?;
        check(&parent)?;
        let folder = tempfile::Builder::new()
            .prefix("sensorium-")
            .tempdir_in(&parent)
            .map_err(StackError::io("create a folder in", &parent))?;
        let guard = if keep {
            None
        } else {
            Some(
                FolderGuard::spawn(folder.path())
                    .map_err(StackError::io("run", Path::new("sh")))?,
            )
        };
        Self::open(folder.keep(), guard)
    }

    /// Uses the caller's folder, made if need be and never removed.
    pub(crate) fn at(root: &Path) -> Result<Self, StackError> {
        check(root)?;
        fs::create_dir_all(root).map_err(StackError::io("create", root))?;
        // Servers run in folders of their own, so paths must not depend on where this process runs.
        let root = root.canonicalize().map_err(StackError::io("find", root))?;
        check(&root)?;
        Self::open(root, None)
    }

    fn open(root: PathBuf, guard: Option<FolderGuard>) -> Result<Self, StackError> {
        let logs = root.join("logs");
        fs::create_dir_all(&logs).map_err(StackError::io("create", &logs))?;
        let path = root.join("lock");
        // Not cut to nothing: it may say who holds it.
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(StackError::io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => {
                let pid = std::process::id();
                let note = lock.set_len(0).and_then(|()| write!(lock, "{pid}"));
                note.map_err(StackError::io("write", &path))?;
                Ok(Self { root, guard, _lock: lock, keep_logs: false })
            }
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&path).ok().and_then(|pid| pid.parse::<u32>().ok());
                let owner = pid.map_or("another process".into(), |pid| format!("process {pid}"));
                Err(StackError::DataFolderInUse { path: root, owner })
            }
            Err(TryLockError::Error(source)) => Err(StackError::io("lock", &path)(source)),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Tells whether the folder goes when the stack goes.
    pub(crate) fn is_temporary(&self) -> bool {
        self.guard.is_some()
    }

    /// Leaves the logs behind, because somebody has to find out what went wrong.
    pub(crate) fn keep_logs(&mut self) {
        self.keep_logs = true;
    }

    fn remove(&self) -> io::Result<()> {
        let logs = self.root.join("logs");
        let wanted = self.keep_logs || thread::panicking();
        if !wanted || fs::read_dir(&logs)?.next().is_none() {
            return fs::remove_dir_all(&self.root);
        }
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name() == "logs" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        // Not through tracing: a test that fails seldom has a subscriber.
        writeln!(io::stderr(), "the servers' logs are kept in {}", logs.display())
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if self.guard.take().is_some()
            && let Err(error) = self.remove()
        {
            let folder = self.root.display();
            tracing::warn!(%folder, %error, "cannot remove a temporary folder");
        }
    }
}

/// The last lines of a log, or why there are none.
pub(crate) fn log_tail(path: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
        }
        Err(error) => format!("(no log: {error})"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_temporary_folder_goes_but_for_logs_that_somebody_needs() {
        for (keep_logs, log, left) in
            [(false, true, false), (true, true, true), (true, false, false)]
        {
            let mut workspace = Workspace::temporary(false).unwrap();
            let root = workspace.root().to_path_buf();
            let data = root.join("data");
            fs::write(&data, "").unwrap();
            if log {
                fs::write(root.join("logs/a.log"), "").unwrap();
            }
            if keep_logs {
                workspace.keep_logs();
            }
            drop(workspace);
            assert!(!data.exists());
            assert_eq!(root.exists(), left, "keep {keep_logs}, log {log}");
            if left {
                fs::remove_dir_all(root).unwrap();
            }
        }
    }

    #[test]
    fn a_folder_of_the_caller_stays_and_has_one_user_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Workspace::at(folder.path()).unwrap();
        let error = Workspace::at(folder.path()).unwrap_err();
        let expected = format!("in use by process {}", std::process::id());
        assert!(error.to_string().contains(&expected), "{error}");
        drop(first);
        assert!(folder.path().join("logs").is_dir());
        Workspace::at(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_refused_and_the_reason_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let dangling = folder.path().join("dangling");
        std::os::unix::fs::symlink("/no/such/folder", &dangling).unwrap();
        let line_break = folder.path().join("a\nb");
        let long = folder.path().join("long/".repeat(300));
        for (path, reason) in [
            (file.as_path(), "is not a folder"),
            (&file.join("below"), "is not a folder"),
            (&dangling, "is not a folder"),
            (&line_break, "control character"),
            (&long, "at most 1024"),
            (Path::new("~/data"), "only a shell replaces `~`"),
            (Path::new(""), "has no name"),
            (Path::new(OsStr::from_bytes(b"/tmp/\xff")), "not UTF-8"),
            (Path::new("/proc/data"), "cannot write in `/proc`"),
        ] {
            let error = Workspace::at(path).unwrap_err();
            assert!(error.to_string().contains(reason), "{}: {error}", path.display());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing was made");
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let lines: Vec<_> = (0..2000).map(|line| format!("line {line}")).collect();
        fs::write(&path, lines.join("\n")).unwrap();
        let tail = log_tail(&path);
        assert!(tail.ends_with("line 1999") && tail.starts_with("line 1975\n"), "{tail}");
    }
}

//! Which pipelines run on this machine: each keeps a file in a folder, locked as long as it runs.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A running pipeline, as others need to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pipeline {
    /// Id of the process that owns it.
    pub pid: u32,
    /// Where its data are.
    pub data_dir: PathBuf,
    /// The settings of its programs, by environment name.
    pub environment: BTreeMap<String, String>,
}

/// The file of a running pipeline; dropping it removes the file.
#[derive(Debug)]
pub struct Entry {
    path: PathBuf,
    _lock: File,
}

impl Pipeline {
    /// Says in `folder` that this pipeline runs, until the entry is dropped or the process ends.
    pub fn enter(&self, folder: &Path) -> io::Result<Entry> {
        fs::create_dir_all(folder)?;
        // It appears under its name only when it is whole and locked.
        let partial = folder.join(format!("{}.partial", self.pid));
        let path = folder.join(format!("{}.json", self.pid));
        let mut file = File::create(&partial)?;
        file.lock()?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        fs::rename(&partial, &path)?;
        Ok(Entry { path, _lock: file })
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // What is gone need not be removed.
        let _gone = fs::remove_file(&self.path);
    }
}

/// Returns the pipelines that run, by process id, and removes the files of those that were killed.
///
/// The system releases the lock of a process that ends, however that happens, and process ids are
/// used again: so the lock tells, and not the id.
pub fn running(folder: &Path) -> io::Result<Vec<Pipeline>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut pipelines = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            // It has ended in this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // Shared: two that look at the same time must not take each other for the owner.
        match file.try_lock_shared() {
            Ok(()) => {
                // Another one that looks may have been faster.
                let _gone = fs::remove_file(&path);
            }
            Err(TryLockError::WouldBlock) => pipelines.push(serde_json::from_reader(&file)?),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    pipelines.sort_by_key(|pipeline: &Pipeline| pipeline.pid);
    Ok(pipelines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(pid: u32) -> Pipeline {
        let environment = BTreeMap::from([("KAFKA_TOPIC_NAME".into(), "two\nlines".into())]);
        Pipeline { pid, data_dir: "/ünï".into(), environment }
    }

    #[test]
    fn pipelines_are_listed_until_they_end() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(running(&folder.path().join("none")).unwrap(), []);
        let first = pipeline(7).enter(folder.path()).unwrap();
        let second = pipeline(3).enter(folder.path()).unwrap();
        for _ in 0..2 {
            assert_eq!(running(folder.path()).unwrap(), [pipeline(3), pipeline(7)]);
        }
        drop(second);
        assert_eq!(running(folder.path()).unwrap(), [pipeline(7)], "the other one's file stays");
        drop(first);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_pipeline_leaves_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        // This process runs, and has no lock on it.
        let left = folder.path().join(format!("{}.json", std::process::id()));
        fs::write(&left, serde_json::to_vec(&pipeline(std::process::id())).unwrap()).unwrap();
        assert_eq!(running(folder.path()).unwrap(), []);
        assert!(!left.exists());
    }
}

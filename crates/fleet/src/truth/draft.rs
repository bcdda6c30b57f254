//! A folder of results that appears as a whole, or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::FleetError;

/// A folder that takes its place once all is written; without that it is removed again.
#[derive(Debug)]
pub(crate) struct DraftFolder {
    draft: PathBuf,
    target: PathBuf,
}

impl DraftFolder {
    /// Makes a draft beside `target`, which is to be missing or empty.
    pub(crate) fn create(target: &Path) -> Result<Self, FleetError> {
        let target = std::path::absolute(target).map_err(unwritable(target))?;
        let is_free = match fs::read_dir(&target) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
            Err(error) => return Err(unwritable(&target)(error)),
        };
        if !is_free {
            return Err(FleetError::Occupied { path: target });
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let draft = target.with_file_name(format!(".{name}.draft-{}", std::process::id()));
        fs::create_dir_all(&draft).map_err(unwritable(&draft))?;
        Ok(Self { draft, target })
    }

    /// Starts a file in the folder, and the folders it is in.
    pub(crate) fn file(&self, name: &str) -> Result<DraftFile, FleetError> {
        let path = self.draft.join(name);
        let folder = path.parent().unwrap_or(&self.draft);
        fs::create_dir_all(folder).map_err(unwritable(folder))?;
        let file = File::create(&path).map_err(unwritable(&path))?;
        Ok(DraftFile { file: BufWriter::new(file), path })
    }

    /// Puts the folder in its place.
    pub(crate) fn publish(self) -> Result<(), FleetError> {
        fs::rename(&self.draft, &self.target).map_err(unwritable(&self.target))
    }
}

impl Drop for DraftFolder {
    fn drop(&mut self) {
        // It is gone if it was published; otherwise its name says what it is.
        let _gone = fs::remove_dir_all(&self.draft);
    }
}

/// A file of such a folder.
#[derive(Debug)]
pub(crate) struct DraftFile {
    file: BufWriter<File>,
    path: PathBuf,
}

impl DraftFile {
    pub(crate) fn write(&mut self, text: &[u8]) -> Result<(), FleetError> {
        self.file.write_all(text).map_err(unwritable(&self.path))
    }

    /// Makes sure that all of it is on the disk.
    pub(crate) fn finish(mut self) -> Result<(), FleetError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        synced.map_err(unwritable(&self.path))
    }
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> FleetError {
    let path = path.to_owned();
    |source| FleetError::Unwritable { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a/truth");
        let folder = DraftFolder::create(&target).unwrap();
        folder.file("x/y.csv").unwrap().write(b"half").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 0);

        fs::create_dir(&target).unwrap();
        let folder = DraftFolder::create(&target).unwrap();
        let mut file = folder.file("x/y.csv").unwrap();
        file.write(b"whole").unwrap();
        file.finish().unwrap();
        folder.publish().unwrap();
        assert_eq!(fs::read(target.join("x/y.csv")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "mine").unwrap();
        for occupied in [dir.path(), &file] {
            let error = DraftFolder::create(occupied).unwrap_err();
            assert!(matches!(error, FleetError::Occupied { .. }), "{error:?}");
            assert!(error.to_string().contains(&*occupied.to_string_lossy()), "{error}");
        }
        let error = DraftFolder::create(&file.join("deeper")).unwrap_err().to_string();
        assert!(error.contains("deeper"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
}

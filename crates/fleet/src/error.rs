//! Why a task cannot be done.

use std::io;
use std::path::PathBuf;

/// Why a task cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The report cannot be read.
    #[error("{} cannot be read: set FLEET_REPORT to a report of a producer", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what a producer writes.
    #[error("{} is not a run report: {why}", path.display())]
    NotAReport {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Results are not mixed with what is there.
    #[error("{} is not an empty folder: empty it, or set FLEET_OUT to another", path.display())]
    Occupied {
        /// The folder for the results.
        path: PathBuf,
    },
    /// A file or folder of the results cannot be written.
    #[error("{} cannot be written", path.display())]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The summary could not be written to standard output.
    #[error("the summary cannot be written to standard output")]
    Output(#[from] io::Error),
    /// The process was asked to stop.
    #[error("stopped before the end: nothing was written")]
    Stopped,
}

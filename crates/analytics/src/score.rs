//! How good the detectors are: against the simulator, which knows what went wrong, and on the
//! Numenta Anomaly Benchmark.

mod labelled;
mod nab;

use std::path::PathBuf;

pub use self::labelled::{KindScore, LabelledScore, LabelledSpec, RuleScore, labelled};
pub use self::nab::{NabScore, ProfileScore, nab};

/// Why a score could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// A file or folder cannot be read or written.
    #[error("{path}: {cause}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A file is not in the layout of the benchmark.
    #[error("{path}: {problem}", path = path.display())]
    Layout {
        /// Which one.
        path: PathBuf,
        /// What is wrong, with the line where there is one.
        problem: String,
    },
    /// The table could not be printed.
    #[error("the score cannot be written to standard output")]
    Output(#[from] std::io::Error),
    /// A run of nothing has no score.
    #[error("{0}")]
    Empty(&'static str),
}

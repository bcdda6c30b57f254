//! The files of the benchmark: data and labels in, results out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;

use super::super::ScoreError;

/// One row of a data file.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// `timestamp,value` as it stands in the file.
    text: String,
    pub(super) value: f64,
}

/// One data file.
#[derive(Clone, Debug)]
pub(super) struct Series {
    category: String,
    file: String,
    pub(super) rows: Vec<Row>,
    /// First and last row of each label window, ascending.
    pub(super) windows: Vec<(usize, usize)>,
}

/// Label windows by `category/file.csv`.
type Labels = BTreeMap<String, Vec<[String; 2]>>;

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> ScoreError {
    let path = path.to_owned();
    |cause| ScoreError::File { path, cause }
}

fn layout(path: &Path, problem: impl Into<String>) -> ScoreError {
    ScoreError::Layout { path: path.to_owned(), problem: problem.into() }
}

/// Reads all data files in the order of their names.
pub(super) fn read(folder: &Path) -> Result<Vec<Series>, ScoreError> {
    let path = folder.join("labels/combined_windows.json");
    let text = fs::read_to_string(&path).map_err(file_error(&path))?;
    let labels: Labels =
        serde_json::from_str(&text).map_err(|error| layout(&path, error.to_string()))?;
    let mut corpus = Vec::new();
    for category in entries(&folder.join("data"))?.into_iter().filter(|path| path.is_dir()) {
        for path in entries(&category)? {
            if path.extension().is_some_and(|extension| extension == "csv") {
                corpus.push(read_series(&path, &category, &labels)?);
            }
        }
    }
    Ok(corpus)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, ScoreError> {
    let entries = fs::read_dir(folder).map_err(file_error(folder))?;
    let paths: io::Result<Vec<PathBuf>> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(file_error(folder))?;
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_series(path: &Path, category: &Path, labels: &Labels) -> Result<Series, ScoreError> {
    let text = fs::read_to_string(path).map_err(file_error(path))?;
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, header)| header.trim()) != Some("timestamp,value") {
        return Err(layout(path, "line 1 is not `timestamp,value`"));
    }
    let (mut rows, mut times) = (Vec::new(), Vec::new());
    for (index, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let problem = || layout(path, format!("line {}: `{line}` is no row", index + 1));
        let (at, value) = line.trim().split_once(',').ok_or_else(problem)?;
        let value: f64 = value.trim().parse().map_err(|_| problem())?;
        if !value.is_finite() {
            return Err(problem());
        }
        times.push(time(at).ok_or_else(problem)?);
        rows.push(Row { text: line.trim().to_owned(), value });
    }
    let (category, file) = (name(category), name(path));
    let labelled = labels.get(&format!("{category}/{file}"));
    let mut windows = Vec::new();
    for [from, to] in labelled.into_iter().flatten() {
        let ends = time(from).zip(time(to));
        let (from, to) =
            ends.ok_or_else(|| layout(path, format!("its label `{from}`, `{to}` is no window")))?;
        let first = times.partition_point(|time| *time < from);
        let after = times.partition_point(|time| *time <= to);
        if after > first {
            windows.push((first, after - 1));
        }
    }
    windows.sort_unstable();
    Ok(Series { category, file, rows, windows })
}

/// Reads `2014-04-01 00:00:00`, with or without a fraction.
fn time(text: &str) -> Option<DateTime> {
    text.trim().parse().ok()
}

/// Writes the result file of a series; the label is 1 inside a window.
pub(super) fn write(folder: &Path, series: &Series, scores: &[f64]) -> Result<(), ScoreError> {
    let folder = folder.join("results/sensorium").join(&series.category);
    fs::create_dir_all(&folder).map_err(file_error(&folder))?;
    let path = folder.join(format!("sensorium_{}", series.file));
    let mut text = "timestamp,value,anomaly_score,label\n".to_owned();
    for (at, (row, score)) in series.rows.iter().zip(scores).enumerate() {
        let inside = series.windows.iter().any(|(first, last)| (*first..=*last).contains(&at));
        // A string takes all that is written to it.
        let _ = writeln!(text, "{},{score},{}", row.text, u8::from(inside));
    }
    fs::write(&path, text).map_err(file_error(&path))
}

//! The Numenta Anomaly Benchmark: writes the result files that its own scorer reads, and computes
//! its score as well.
//!
//! One configuration serves all series, and the score of a row comes from that row and those before
//! it. The threshold is the best over the corpus, as in the benchmark; because it has then seen
//! what it is judged by, the score with thresholds from other files is given beside it.

mod corpus;
mod scorer;
mod stream;

use std::io::Write;
use std::path::Path;

use self::corpus::Series;
use self::scorer::{Profile, Scored};
use self::stream::Stream;
use super::ScoreError;

/// Parts of the corpus, each judged with the threshold of the others.
const FOLDS: usize = 5;

/// The score under one of the benchmark's application profiles.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileScore {
    /// `standard`, `reward_low_FP_rate` or `reward_low_FN_rate`.
    pub profile: &'static str,
    /// Level of `anomaly_score` from which a row counts as detected.
    pub threshold: f64,
    /// 0 is a detector that says nothing, 100 a perfect one.
    pub score: f64,
    /// The same with the threshold of files that are not judged by it.
    pub held_out: f64,
}

/// What came of the benchmark.
#[derive(Clone, Debug, PartialEq)]
pub struct NabScore {
    /// Data files.
    pub files: usize,
    /// Rows in all of them.
    pub rows: usize,
    /// Label windows.
    pub windows: usize,
    /// The three profiles.
    pub profiles: Vec<ProfileScore>,
}

/// Scores the corpus in a folder, which has the layout of the benchmark's repository: `data`,
/// `labels/combined_windows.json`, and `results`, where `sensorium` is written.
pub fn nab(folder: &Path, output: &mut dyn Write) -> Result<NabScore, ScoreError> {
    let corpus = corpus::read(folder)?;
    if corpus.is_empty() {
        return Err(ScoreError::Empty("no data files: there has to be data/<category>/<name>.csv"));
    }
    let mut files = Vec::new();
    for series in &corpus {
        let mut stream = Stream::default();
        let scores: Vec<f64> = series.rows.iter().map(|row| stream.score(row.value)).collect();
        corpus::write(folder, series, &scores)?;
        files.push(Scored::new(&series.windows, scores));
    }
    let score = NabScore {
        files: corpus.len(),
        rows: corpus.iter().map(|series| series.rows.len()).sum(),
        windows: corpus.iter().map(|series: &Series| series.windows.len()).sum(),
        profiles: Profile::ALL.iter().map(|profile| judge(profile, &files)).collect(),
    };
    print(&score, output)?;
    Ok(score)
}

fn judge(profile: &Profile, scored: &[Scored]) -> ProfileScore {
    let all: Vec<&Scored> = scored.iter().collect();
    let (threshold, points) = scorer::best(profile, &all);
    let mut held_out = 0.0;
    for fold in 0..FOLDS {
        let part = |inside: bool| -> Vec<&Scored> {
            let files = scored.iter().enumerate();
            files.filter(|(at, _)| (at % FOLDS == fold) == inside).map(|(_, file)| file).collect()
        };
        let (level, _) = scorer::best(profile, &part(false));
        held_out += part(true).iter().map(|file| file.points(profile, level)).sum::<f64>();
    }
    let windows = scored.iter().map(Scored::windows).sum();
    ProfileScore {
        profile: profile.name,
        threshold,
        score: profile.normalise(points, windows),
        held_out: profile.normalise(held_out, windows),
    }
}

fn print(score: &NabScore, output: &mut dyn Write) -> Result<(), ScoreError> {
    let NabScore { files, rows, windows, profiles } = score;
    writeln!(output, "{files} files, {rows} rows, {windows} windows\n")?;
    writeln!(output, "{:<22}{:>8}{:>10}{:>11}", "profile", "score", "held out", "threshold")?;
    for ProfileScore { profile, threshold, score, held_out } in profiles {
        writeln!(output, "{profile:<22}{score:>8.2}{held_out:>10.2}{threshold:>11.6}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

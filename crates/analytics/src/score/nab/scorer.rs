//! The score of the benchmark (Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms:
//! the Numenta anomaly benchmark", 2015; numenta/NAB: `nab/sweeper.py`).

/// How much right and wrong detections weigh.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    pub(super) name: &'static str,
    true_positive: f64,
    false_positive: f64,
    false_negative: f64,
}

impl Profile {
    /// The benchmark's own three.
    pub(super) const ALL: [Self; 3] = [
        Self { name: "standard", true_positive: 1.0, false_positive: 0.11, false_negative: 1.0 },
        Self {
            name: "reward_low_FP_rate",
            true_positive: 1.0,
            false_positive: 0.22,
            false_negative: 1.0,
        },
        Self {
            name: "reward_low_FN_rate",
            true_positive: 1.0,
            false_positive: 0.11,
            false_negative: 2.0,
        },
    ];

    /// Maps points to 0 for a detector that says nothing and 100 for a perfect one.
    pub(super) fn normalise(&self, points: f64, windows: usize) -> f64 {
        let null = -self.false_negative * windows as f64;
        let perfect = self.true_positive * windows as f64;
        if windows == 0 { 0.0 } else { 100.0 * (points - null) / (perfect - null) }
    }
}

/// Value of a detection at a position: -1 is the first row of a window, 0 one past its last; all
/// beyond 3 windows' lengths is a plain false alarm.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + libm::exp(5.0 * position)) - 1.0 }
}

/// Rows at the start of a file that do not count: 15 %, of 5 000 rows at most.
fn probation(rows: usize) -> usize {
    15 * rows.min(5_000) / 100
}

/// What a detection at a row is worth.
#[derive(Clone, Copy, Debug)]
enum Worth {
    /// In this window, so much of a whole; only the best of a window counts.
    Inside(usize, f64),
    /// A false alarm, from nearly nothing right after a window to -1.
    Outside(f64),
}

/// One file with its scores.
#[derive(Debug)]
pub(super) struct Scored {
    windows: usize,
    /// Score and worth of each row after the probation, the highest score first.
    rows: Vec<(f64, Worth)>,
}

impl Scored {
    /// Takes the windows, ascending, as first and last rows.
    pub(super) fn new(windows: &[(usize, usize)], scores: Vec<f64>) -> Self {
        let from = probation(scores.len());
        let worth = |row: usize| {
            let begun = windows.partition_point(|(first, _)| *first <= row);
            let Some(number) = begun.checked_sub(1) else { return Worth::Outside(-1.0) };
            let (first, last) = windows[number];
            if row <= last {
                let position = -((last - row + 1) as f64) / (last - first + 1) as f64;
                return Worth::Inside(number, sigmoid(position) / sigmoid(-1.0));
            }
            let length = (last - first).max(1) as f64;
            Worth::Outside(sigmoid((row - last) as f64 / length))
        };
        let mut rows: Vec<(f64, Worth)> = scores
            .into_iter()
            .enumerate()
            .skip(from)
            .map(|(row, score)| (score, worth(row)))
            .collect();
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { windows: windows.len(), rows }
    }

    /// Returns the number of windows.
    pub(super) fn windows(&self) -> usize {
        self.windows
    }

    /// Returns the points of the file at a threshold.
    pub(super) fn points(&self, profile: &Profile, threshold: f64) -> f64 {
        let mut tally = Tally::new(profile, self.windows);
        let detected = self.rows.iter().take_while(|(score, _)| *score >= threshold);
        detected.for_each(|(_, worth)| tally.add(profile, 0, *worth));
        tally.points
    }
}

/// The points so far, while the threshold falls.
struct Tally {
    points: f64,
    /// The best of each window, file after file.
    best: Vec<Option<f64>>,
}

impl Tally {
    fn new(profile: &Profile, windows: usize) -> Self {
        Self { points: -profile.false_negative * windows as f64, best: vec![None; windows] }
    }

    fn add(&mut self, profile: &Profile, first_window: usize, worth: Worth) {
        match worth {
            Worth::Outside(worth) => self.points += profile.false_positive * worth,
            Worth::Inside(number, worth) => {
                let worth = profile.true_positive * worth;
                let best = &mut self.best[first_window + number];
                let before = best.unwrap_or(-profile.false_negative);
                if best.is_none() || worth > before {
                    self.points += worth - before;
                    *best = Some(worth);
                }
            }
        }
    }
}

/// Returns the threshold with the most points over some files, and the points.
pub(super) fn best(profile: &Profile, files: &[&Scored]) -> (f64, f64) {
    let mut rows = Vec::new();
    let mut windows = 0;
    for file in files {
        rows.extend(file.rows.iter().map(|(score, worth)| (*score, windows, *worth)));
        windows += file.windows;
    }
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut tally = Tally::new(profile, windows);
    // Above every score: nothing is detected.
    let mut best = (1.1, tally.points);
    for (at, (score, first_window, worth)) in rows.iter().enumerate() {
        tally.add(profile, *first_window, *worth);
        let is_last = rows.get(at + 1).is_none_or(|(next, _, _)| next < score);
        if is_last && tally.points > best.1 {
            best = (*score, tally.points);
        }
    }
    best
}

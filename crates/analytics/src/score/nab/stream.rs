//! The score of a single series without peers: level and first difference against their past, and
//! the conformal rank of each; then silence for a while, but for what is larger still.

use std::collections::VecDeque;

use crate::detect::statistics::Moving;

/// The least weight of a row.
const WEIGHT_MIN: f64 = 0.001;
/// Rows that a rank is taken over.
const PAST_ROWS: usize = 6_000;
/// Rows in which only a new maximum counts.
const REFRACTORY_ROWS: usize = 200;
/// Quantile beyond which a score counts for more than its rank says.
const TAIL: f64 = 0.995;
/// How much a rank weighs against a distance.
const RANK_SHARE: f64 = 0.3;
/// Raw score at which `anomaly_score` is 1 - 1/e.
const SCALE: f64 = 10.0;

/// What is known of a series so far.
#[derive(Debug, Default)]
pub(super) struct Stream {
    level: Channel,
    difference: Channel,
    before: Option<f64>,
    /// Raw scores that are larger than all after them, with their rows.
    maxima: VecDeque<(usize, f64)>,
    row: usize,
}

/// One statistic of a series and how unusual it has been.
#[derive(Debug, Default)]
struct Channel {
    moving: Moving,
    past: VecDeque<f64>,
    /// The same, ascending.
    sorted: Vec<f64>,
}

impl Channel {
    /// Returns how unusual a value is, and takes it in.
    fn score(&mut self, value: f64) -> f64 {
        let floor = (1e-3 * self.moving.mean().abs()).max(1e-9);
        let known = self.moving.count() > 1;
        let distance = if known { self.moving.distance(value, floor) } else { 0.0 };
        self.moving.add(value, WEIGHT_MIN);
        let rank = self.rank(distance);
        self.remember(distance);
        libm::log1p(distance) + RANK_SHARE * rank
    }

    /// Minus the logarithm of the share of the past that was as large, and half of how far it is
    /// beyond the tail.
    fn rank(&self, distance: f64) -> f64 {
        let count = self.sorted.len();
        let as_large = count - self.sorted.partition_point(|past| *past < distance);
        let rank = -libm::log((as_large as f64 + 1.0) / (count as f64 + 1.0));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index below the count"
        )]
        let tail = self.sorted.get((TAIL * count as f64) as usize).copied().unwrap_or(distance);
        if distance > tail && tail > 0.0 { rank + 0.5 * libm::log(distance / tail) } else { rank }
    }

    fn remember(&mut self, distance: f64) {
        if self.past.len() == PAST_ROWS
            && let Some(oldest) = self.past.pop_front()
        {
            let at = self.sorted.partition_point(|past| *past < oldest);
            self.sorted.remove(at);
        }
        self.past.push_back(distance);
        let at = self.sorted.partition_point(|past| *past < distance);
        self.sorted.insert(at, distance);
    }
}

impl Stream {
    /// Returns the score of the next row, from 0 to 1.
    pub(super) fn score(&mut self, value: f64) -> f64 {
        let difference = value - self.before.unwrap_or(value);
        self.before = Some(value);
        let raw = self.level.score(value) + self.difference.score(difference);
        let row = self.row;
        self.row += 1;
        while self.maxima.front().is_some_and(|(at, _)| at + REFRACTORY_ROWS < row) {
            self.maxima.pop_front();
        }
        let is_maximum = self.maxima.front().is_none_or(|(_, most)| raw > *most);
        while self.maxima.back().is_some_and(|(_, score)| *score <= raw) {
            self.maxima.pop_back();
        }
        self.maxima.push_back((row, raw));
        if is_maximum { 1.0 - libm::exp(-raw / SCALE) } else { 0.0 }
    }
}

//! Which readings Kafka acknowledged: exact for each reading, in memory for those under way only.

use std::collections::{BTreeSet, VecDeque};

use domain::simulation::report::IndexRange;

/// Readings in one word of the window.
const WORD: u64 = 64;

/// What became of readings `0..`: settled up to a point, from there on a bitmap, and the failures.
///
/// A reading is settled once it is acknowledged, failed, or known to be none that is sent. One that
/// is sent much later than it is due is kept apart, so that the bitmap need not reach back to it.
#[derive(Debug, Default)]
pub(crate) struct Acknowledgements {
    /// Everything below is settled; a multiple of [`WORD`].
    base: u64,
    /// A bit for each reading from `base` on, set once it is settled.
    window: VecDeque<u64>,
    acknowledged: u64,
    failed: u64,
    passed_over: u64,
    /// Ascending, and no two touch.
    failures: Vec<IndexRange>,
    /// Readings kept apart that are not settled.
    deferred: BTreeSet<u64>,
}

impl Acknowledgements {
    /// Notes that Kafka has a reading; returns whether that is news.
    pub(crate) fn acknowledge(&mut self, index: u64) -> bool {
        let news = self.settle(index);
        self.acknowledged += u64::from(news);
        news
    }

    /// Notes that Kafka will never have a reading; returns whether that is news.
    pub(crate) fn fail(&mut self, index: u64) -> bool {
        let news = self.settle(index);
        if news {
            self.failed += 1;
            insert(&mut self.failures, index);
        }
        news
    }

    /// Notes that a reading is not to be sent.
    pub(crate) fn pass_over(&mut self, index: u64) {
        self.passed_over += u64::from(self.settle(index));
    }

    /// Keeps a reading apart that is sent much later than it is due.
    pub(crate) fn defer(&mut self, index: u64) {
        if self.clear(index) {
            self.deferred.insert(index);
        }
    }

    /// Settles a reading, wherever it is kept; returns whether that is news.
    fn settle(&mut self, index: u64) -> bool {
        self.clear(index) || self.deferred.remove(&index)
    }

    /// Settles a reading in the window.
    fn clear(&mut self, index: u64) -> bool {
        let Some(ahead) = index.checked_sub(self.base) else {
            return false;
        };
        let position = usize::try_from(ahead / WORD).expect("the window fits into memory");
        if position >= self.window.len() {
            self.window.resize(position + 1, 0);
        }
        let (word, bit) = (&mut self.window[position], 1 << (ahead % WORD));
        if *word & bit != 0 {
            return false;
        }
        *word |= bit;
        while self.window.front() == Some(&u64::MAX) {
            self.window.pop_front();
            self.base += WORD;
        }
        true
    }

    /// Returns how many readings Kafka has.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Returns how many readings Kafka refused for good.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns how many readings are not to be sent.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// Returns a number that no unsettled reading is below; it lags behind by less than 64.
    pub(crate) fn settled_below(&self) -> u64 {
        self.base
    }

    /// Returns which readings below `scheduled` failed or are not settled: ascending, no two
    /// touching.
    pub(crate) fn unacknowledged(&self, scheduled: u64) -> Vec<IndexRange> {
        let mut all = self.unsettled(scheduled);
        all.extend(&self.failures);
        all.extend(self.deferred.iter().map(|index| IndexRange { from: *index, to: index + 1 }));
        all.sort_unstable_by_key(|range| range.from);
        let mut open = Vec::new();
        for range in all {
            push(&mut open, range);
        }
        open
    }

    /// The readings below `scheduled` that are not settled.
    fn unsettled(&self, scheduled: u64) -> Vec<IndexRange> {
        let mut ranges = Vec::new();
        let mut from = self.base;
        for word in &self.window {
            let mut clear = !word;
            while clear != 0 {
                let first = clear.trailing_zeros();
                let length = (clear >> first).trailing_ones();
                let range = IndexRange {
                    from: from + u64::from(first),
                    to: from + u64::from(first + length),
                };
                push_below(&mut ranges, range, scheduled);
                clear &= u64::MAX.checked_shl(first + length).unwrap_or(0);
            }
            from += WORD;
        }
        let rest = IndexRange { from, to: scheduled };
        push_below(&mut ranges, rest, scheduled);
        ranges
    }
}

/// Adds what lies below `end` of a range.
fn push_below(ranges: &mut Vec<IndexRange>, range: IndexRange, end: u64) {
    if range.from < range.to.min(end) {
        let to = range.to.min(end);
        push(ranges, IndexRange { to, ..range });
    }
}

/// Adds a range behind all others.
fn push(ranges: &mut Vec<IndexRange>, range: IndexRange) {
    match ranges.last_mut() {
        Some(last) if last.to == range.from => last.to = range.to,
        _ => ranges.push(range),
    }
}

/// Adds one reading that no range holds yet.
fn insert(ranges: &mut Vec<IndexRange>, index: u64) {
    let position = ranges.partition_point(|range| range.to < index);
    let next = IndexRange { from: index, to: index + 1 };
    match ranges.get_mut(position) {
        Some(range) if range.to == index => range.to = next.to,
        Some(range) if range.from == next.to => range.from = index,
        _ => return ranges.insert(position, next),
    }
    // The reading may have closed the gap to the range behind.
    if position + 1 < ranges.len() && ranges[position].to == ranges[position + 1].from {
        ranges[position].to = ranges.remove(position + 1).to;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Readings that are not acknowledged, the slow way.
    fn ranges_of(model: &BTreeMap<u64, bool>, scheduled: u64) -> Vec<IndexRange> {
        let mut ranges: Vec<IndexRange> = Vec::new();
        for index in (0..scheduled).filter(|index| model.get(index) != Some(&true)) {
            match ranges.last_mut() {
                Some(last) if last.to == index => last.to += 1,
                _ => ranges.push(IndexRange { from: index, to: index + 1 }),
            }
        }
        ranges
    }

    proptest! {
        /// Goal: in any order, however often repeated, each reading counts once; ranges are exact.
        /// Method: a map of first verdicts as the model; indices are drawn again and again, and
        /// some are kept apart first.
        #[test]
        fn every_verdict_is_kept(
            deferred in prop::collection::vec(0_u64..400, 0..50),
            verdicts in prop::collection::vec((0_u64..400, prop::bool::weighted(0.8)), 0..1_500),
            unseen in 0_u64..200,
        ) {
            let mut tracker = Acknowledgements::default();
            for index in &deferred {
                tracker.defer(*index);
            }
            let mut model = BTreeMap::new();
            for (index, acknowledged) in verdicts {
                let news = !model.contains_key(&index);
                model.entry(index).or_insert(acknowledged);
                let told = if acknowledged {
                    tracker.acknowledge(index)
                } else {
                    tracker.fail(index)
                };
                prop_assert_eq!(told, news);
            }
            let known = model.keys().chain(&deferred).max();
            let scheduled = known.map_or(0, |last| last + 1) + unseen;
            let acknowledged = model.values().filter(|acknowledged| **acknowledged).count() as u64;
            prop_assert_eq!(tracker.acknowledged(), acknowledged);
            prop_assert_eq!(tracker.failed(), model.len() as u64 - acknowledged);
            prop_assert_eq!(tracker.unacknowledged(scheduled), ranges_of(&model, scheduled));
            let is_open = |index: &u64| !model.contains_key(index) && !deferred.contains(index);
            let settled = (0..=400).find(is_open).unwrap();
            prop_assert!(tracker.settled_below() <= settled);
            prop_assert!(tracker.settled_below() + WORD > settled);
        }

        #[test]
        fn the_window_holds_no_more_than_what_is_under_way(
            order in Just((0_u64..2_000).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut tracker = Acknowledgements::default();
            // Each block of 2000 readings is settled out of order, then the next follows.
            for block in 0..5 {
                for index in &order {
                    tracker.acknowledge(block * 2_000 + index);
                    prop_assert!(tracker.window.len() <= 2_000 / 64 + 2);
                }
            }
            prop_assert_eq!(tracker.acknowledged(), 10_000);
            prop_assert_eq!(tracker.unacknowledged(10_000), Vec::new());
        }
    }

    #[test]
    fn what_is_not_sent_is_settled_but_not_acknowledged() {
        let mut tracker = Acknowledgements::default();
        for index in 0..128 {
            if index % 4 == 0 {
                assert!(tracker.acknowledge(index));
            } else {
                tracker.pass_over(index);
            }
        }
        assert_eq!((tracker.acknowledged(), tracker.passed_over()), (32, 96));
        assert_eq!(tracker.settled_below(), 128);
        assert_eq!(tracker.unacknowledged(128), Vec::new());
    }

    #[test]
    fn a_reading_behind_the_window_is_no_news() {
        let mut tracker = Acknowledgements::default();
        for index in 0..64 {
            assert!(tracker.acknowledge(index));
        }
        assert!(!tracker.acknowledge(3) && !tracker.fail(3));
        assert_eq!((tracker.acknowledged(), tracker.failed()), (64, 0));
    }
}

//! Which offsets of a partition are durable, and up to where that may be committed; pure.

use std::collections::VecDeque;

/// Offset of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordOffset(pub u64);

/// Offset to read next: what Kafka calls the committed offset. Everything below it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(pub u64);

const WORD_BITS: u64 = 64;

/// Returns a word with the bits of all offsets below this one, in its own word.
fn below(offset: u64) -> u64 {
    (1 << (offset % WORD_BITS)) - 1
}

/// A longer gap between two records is not kept bit by bit.
const GAP_OFFSETS_MAX: u64 = 1 << 16;

/// Tracks one partition during one assignment: one bit per record between the lowest open one and
/// the newest, but for long gaps.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// In the order of their offsets; what lies between two is durable. Only the last may be
    /// drained. Empty before the first record.
    stretches: VecDeque<Stretch>,
}

/// Offsets that follow each other, without a long gap.
#[derive(Clone, Debug)]
struct Stretch {
    /// Bit `i` of word `w` stands for offset `first_word + 64 w + i`; set means durable.
    words: VecDeque<u64>,
    first_word: u64,
    /// Lowest offset that is not durable: everything below it is.
    prefix: u64,
    /// One past the highest offset received.
    received: u64,
}

impl Ledger {
    /// Notes that a record came in; returns false if this assignment has seen it before.
    ///
    /// Offsets that Kafka skips (compaction, transaction markers) count as durable: nothing will
    /// ever come of them.
    pub fn receive(&mut self, RecordOffset(offset): RecordOffset) -> bool {
        match self.stretches.back_mut() {
            Some(last) if offset < last.received => return false,
            // What lies before is done, or not ours to wait for, however much it is.
            Some(last) if last.is_drained() => last.begin(offset),
            Some(last) if offset - last.received <= GAP_OFFSETS_MAX => last.skip_to(offset),
            // After a long outage Kafka may have deleted billions of records.
            _ => self.stretches.push_back(Stretch::beginning(offset)),
        }
        true
    }

    /// Notes that a received record is durable; doing so twice changes nothing.
    pub fn complete(&mut self, RecordOffset(offset): RecordOffset) {
        let Some(place) = self.stretches.iter().position(|stretch| offset < stretch.received)
        else {
            return;
        };
        let stretch = &mut self.stretches[place];
        stretch.complete(offset);
        // The last one stays: it knows what was received.
        if stretch.is_drained() && place + 1 < self.stretches.len() {
            self.stretches.remove(place);
        }
    }

    /// Returns the highest offset that may be committed (I1); `None` before the first record.
    pub fn prefix(&self) -> Option<NextOffset> {
        self.stretches.front().map(|first| NextOffset(first.prefix))
    }

    /// Returns the offset behind the newest record received; `None` before the first record.
    pub fn received(&self) -> Option<NextOffset> {
        self.stretches.back().map(|last| NextOffset(last.received))
    }

    /// Tells whether a record lies below everything that is open. Within an assignment Kafka never
    /// goes back, unless the partition itself began anew.
    pub fn is_behind(&self, RecordOffset(offset): RecordOffset) -> bool {
        self.stretches.front().is_some_and(|first| offset < first.prefix)
    }

    /// Tells whether every received record is durable.
    pub fn is_drained(&self) -> bool {
        self.span() == 0
    }

    /// Returns the number of offsets that are kept one by one, from the lowest open one to the
    /// newest, which bounds the memory used.
    pub fn span(&self) -> u64 {
        self.stretches.iter().map(|stretch| stretch.received - stretch.prefix).sum()
    }
}

impl Stretch {
    fn beginning(offset: u64) -> Self {
        let mut stretch = Self { words: VecDeque::new(), first_word: 0, prefix: 0, received: 0 };
        stretch.begin(offset);
        stretch
    }

    /// Begins anew with a first record.
    fn begin(&mut self, offset: u64) {
        self.first_word = offset - offset % WORD_BITS;
        self.words.clear();
        self.words.push_back(below(offset));
        (self.prefix, self.received) = (offset, offset + 1);
    }

    /// Takes in a record, and marks what lies between it and the one before as durable.
    fn skip_to(&mut self, offset: u64) {
        let position = |offset: u64| {
            usize::try_from((offset - self.first_word) / WORD_BITS).unwrap_or(usize::MAX)
        };
        let (newest, last) = (position(self.received), position(offset));
        if let Some(word) = self.words.get_mut(newest) {
            *word |= !below(self.received);
        }
        if last < self.words.len() {
            self.words[last] &= below(offset);
        } else {
            self.words.resize(last, u64::MAX);
            self.words.push_back(below(offset));
        }
        self.received = offset + 1;
    }

    fn complete(&mut self, offset: u64) {
        if offset < self.prefix {
            return;
        }
        let position = offset - self.first_word;
        let word = usize::try_from(position / WORD_BITS).unwrap_or(usize::MAX);
        self.words[word] |= 1 << (position % WORD_BITS);
        if offset == self.prefix {
            self.advance();
        }
    }

    fn advance(&mut self) {
        while self.words.front() == Some(&u64::MAX) {
            self.words.pop_front();
            self.first_word += WORD_BITS;
        }
        let done = self.words.front().map_or(0, |word| u64::from(word.trailing_ones()));
        self.prefix = (self.first_word + done).min(self.received);
    }

    fn is_drained(&self) -> bool {
        self.prefix == self.received
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Goal: the prefix is exactly the lowest open offset. Method: a set of open offsets as the
        /// model, random gaps between records, completions in any order, some twice, some for
        /// unknown offsets.
        #[test]
        fn the_prefix_is_the_lowest_open_offset(
            start in 0_u64..1_000_000,
            steps in prop::collection::vec(
                (
                    prop_oneof![0_u64..4, 0_u64..300, Just(2 * GAP_OFFSETS_MAX)],
                    any::<prop::sample::Index>(),
                    0_u8..4,
                ),
                1..400,
            ),
        ) {
            let mut ledger = Ledger::default();
            let mut open = BTreeSet::new();
            let mut seen = Vec::new();
            let (mut next, mut longest_gap) = (start, 0);
            for (gap, pick, action) in steps {
                if action < 2 || seen.is_empty() {
                    let offset = next + gap * u64::from(action);
                    longest_gap = longest_gap.max(offset - next);
                    prop_assert!(ledger.receive(RecordOffset(offset)));
                    prop_assert!(!ledger.receive(RecordOffset(offset)), "seen before");
                    open.insert(offset);
                    seen.push(offset);
                    next = offset + 1;
                } else {
                    let offset = seen[pick.index(seen.len())];
                    ledger.complete(RecordOffset(offset));
                    open.remove(&offset);
                    ledger.complete(RecordOffset(next + 5));
                }
                let expected = open.first().copied().unwrap_or(next);
                prop_assert_eq!(ledger.prefix(), Some(NextOffset(expected)));
                prop_assert_eq!(ledger.is_drained(), open.is_empty());
                if longest_gap <= GAP_OFFSETS_MAX {
                    prop_assert_eq!(ledger.span(), next - expected);
                } else {
                    prop_assert!(ledger.span() <= next - expected);
                }
                if let Some(last) = next.checked_sub(1) {
                    let is_behind = |offset| ledger.is_behind(RecordOffset(offset));
                    prop_assert_eq!(is_behind(last), !seen.is_empty() && last < expected);
                    prop_assert!(!is_behind(expected));
                    prop_assert!(expected == 0 || is_behind(expected - 1));
                }
            }
        }
    }

    #[test]
    fn nothing_may_be_committed_before_the_first_record() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.prefix(), None);
        assert!(ledger.is_drained());
        ledger.complete(RecordOffset(3));
        assert_eq!(ledger.prefix(), None);
    }

    /// I6: Kafka deletes what a consumer did not read in time, however much that is.
    #[test]
    fn a_gap_of_any_length_costs_next_to_nothing() {
        let mut ledger = Ledger::default();
        ledger.receive(RecordOffset(7));
        ledger.complete(RecordOffset(7));
        ledger.receive(RecordOffset(1 << 50));
        assert_eq!(ledger.prefix(), Some(NextOffset(1 << 50)));
        let behind = (1 << 50) + 10_000_000_000;
        ledger.receive(RecordOffset(behind));
        assert_eq!(ledger.prefix(), Some(NextOffset(1 << 50)), "one is open below the gap");
        assert_eq!(ledger.span(), 2);
        let words: usize = ledger.stretches.iter().map(|s| s.words.capacity()).sum();
        assert!(8 * words < 1_024, "{words} words");
        ledger.complete(RecordOffset((1 << 50) + 5_000_000_000));
        ledger.complete(RecordOffset(1 << 50));
        assert_eq!(ledger.prefix(), Some(NextOffset(behind)));
        assert_eq!((ledger.span(), ledger.is_drained()), (1, false));
    }

    #[test]
    fn memory_is_given_back() {
        let mut ledger = Ledger::default();
        for offset in 0..1_000_000 {
            ledger.receive(RecordOffset(offset));
            ledger.complete(RecordOffset(offset));
        }
        let [stretch] = ledger.stretches.make_contiguous() else { panic!("one stretch") };
        assert!(stretch.words.len() <= 1 && stretch.words.capacity() < 64);
    }
}

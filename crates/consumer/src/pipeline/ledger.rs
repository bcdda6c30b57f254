//! Which offsets of a partition are durable, and up to where that may be committed; pure.

use std::collections::VecDeque;

/// Offset of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordOffset(pub u64);

/// Offset to read next: what Kafka calls the committed offset. Everything below it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NextOffset(pub u64);

const WORD_BITS: u64 = 64;

/// Tracks one partition during one assignment: one bit per record between the lowest open one and
/// the newest.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Bit `i` of word `w` stands for offset `first_word + 64 w + i`; set means durable.
    words: VecDeque<u64>,
    first_word: u64,
    /// Lowest offset that is not durable: everything below it is.
    prefix: u64,
    /// One past the highest offset received.
    received: u64,
    started: bool,
}

impl Ledger {
    /// Notes that a record came in; returns false if this assignment has seen it before.
    ///
    /// Offsets that Kafka skips (compaction, transaction markers) count as durable: nothing will
    /// ever come of them.
    pub fn receive(&mut self, RecordOffset(offset): RecordOffset) -> bool {
        if !self.started {
            self.started = true;
            self.first_word = offset - offset % WORD_BITS;
            // What lies before the first record is not ours to wait for.
            self.words.push_back((1 << (offset % WORD_BITS)) - 1);
            self.prefix = offset;
            self.received = offset;
        }
        if offset < self.received {
            return false;
        }
        let gap = self.received..offset;
        self.received = offset + 1;
        let words = (offset - self.first_word) / WORD_BITS + 1;
        self.words.resize(usize::try_from(words).unwrap_or(usize::MAX), 0);
        for skipped in gap {
            self.complete(RecordOffset(skipped));
        }
        true
    }

    /// Notes that a received record is durable; doing so twice changes nothing.
    pub fn complete(&mut self, RecordOffset(offset): RecordOffset) {
        if offset < self.prefix || offset >= self.received {
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

    /// Returns the highest offset that may be committed (I1); `None` before the first record.
    pub fn prefix(&self) -> Option<NextOffset> {
        self.started.then_some(NextOffset(self.prefix))
    }

    /// Tells whether a record lies below everything that is open. Within an assignment Kafka never
    /// goes back, unless the partition itself began anew.
    pub fn is_behind(&self, RecordOffset(offset): RecordOffset) -> bool {
        self.started && offset < self.prefix
    }

    /// Tells whether every received record is durable.
    pub fn is_drained(&self) -> bool {
        self.prefix == self.received
    }

    /// Returns the number of offsets between the lowest open one and the newest, which bounds the
    /// memory used.
    pub fn span(&self) -> u64 {
        self.received - self.prefix
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
                (0_u64..4, any::<prop::sample::Index>(), 0_u8..4),
                1..400,
            ),
        ) {
            let mut ledger = Ledger::default();
            let mut open = BTreeSet::new();
            let mut seen = Vec::new();
            let mut next = start;
            for (gap, pick, action) in steps {
                if action < 2 || seen.is_empty() {
                    let offset = next + gap * u64::from(action);
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
                prop_assert_eq!(ledger.span(), next - expected);
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

    #[test]
    fn memory_is_given_back() {
        let mut ledger = Ledger::default();
        for offset in 0..1_000_000 {
            ledger.receive(RecordOffset(offset));
            ledger.complete(RecordOffset(offset));
        }
        assert!(ledger.words.len() <= 1 && ledger.words.capacity() < 64);
    }
}

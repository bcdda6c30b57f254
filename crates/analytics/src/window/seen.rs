//! Which readings of a sensor a window has taken in, so that each counts once.

use std::hash::Hasher;

use rustc_hash::FxHasher;
use smallvec::SmallVec;

/// Sequence numbers by run, as ranges: readings come without gaps, so there are few.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    ranges: SmallVec<[Range; 1]>,
}

/// Sequence numbers of a run, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    /// 64 bits of the run's name: two runs that share them would have to overlap in a window.
    run: u64,
    first: i64,
    last: i64,
}

impl Seen {
    /// Returns the bytes that it takes beside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.ranges.spilled() { self.ranges.capacity() * size_of::<Range>() } else { 0 }
    }

    /// Takes in a reading; returns whether it is new.
    pub(crate) fn insert(&mut self, run: &str, seq: i64) -> bool {
        let run = fingerprint(run);
        // The newest range is the last one touched: nearly every reading extends it.
        if let Some(last) = self.ranges.last_mut()
            && last.run == run
            && last.last.checked_add(1) == Some(seq)
        {
            last.last = seq;
            return true;
        }
        self.insert_anywhere(run, seq)
    }

    #[cold]
    fn insert_anywhere(&mut self, run: u64, seq: i64) -> bool {
        let ranges = &mut self.ranges;
        if ranges.iter().any(|r| r.run == run && (r.first..=r.last).contains(&seq)) {
            return false;
        }
        let before = ranges.iter().position(|r| r.run == run && r.last.checked_add(1) == Some(seq));
        let after = ranges.iter().position(|r| r.run == run && r.first.checked_sub(1) == Some(seq));
        match (before, after) {
            (Some(before), Some(after)) => {
                ranges[before].last = ranges[after].last;
                ranges.remove(after);
            }
            (Some(before), None) => ranges[before].last = seq,
            (None, Some(after)) => ranges[after].first = seq,
            (None, None) => ranges.push(Range { run, first: seq, last: seq }),
        }
        // The one that goes on is the one that ends last.
        if let Some(newest) = (0..ranges.len()).max_by_key(|place| ranges[*place].last) {
            let end = ranges.len() - 1;
            ranges.swap(newest, end);
        }
        true
    }
}

fn fingerprint(run: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(run.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn readings_in_order_are_one_range() {
        let mut seen = Seen::default();
        assert!((100..200).all(|seq| seen.insert("a", seq)));
        assert_eq!(seen.ranges.len(), 1);
        assert!((100..200).all(|seq| !seen.insert("a", seq)));
        assert!(seen.insert("b", 100), "another run");
        assert!(seen.insert("a", i64::MAX) && !seen.insert("a", i64::MAX));
    }

    proptest! {
        #[test]
        fn each_reading_is_new_once(seqs in prop::collection::vec((0..2_u8, 0..40_i64), 0..200)) {
            let (mut seen, mut model) = (Seen::default(), BTreeSet::new());
            for (run, seq) in seqs {
                let name = ["a", "b"][usize::from(run)];
                prop_assert_eq!(seen.insert(name, seq), model.insert((run, seq)));
            }
            prop_assert!(seen.ranges.len() <= model.len());
        }
    }
}

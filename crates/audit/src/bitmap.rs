//! A set of reading numbers: one bit each, and memory only for the stretches that hold any.

use std::ops::Range;

const WORDS_PER_CHUNK: usize = 1_024;
const BITS_PER_CHUNK: u64 = 64 * WORDS_PER_CHUNK as u64;

type Chunk = Box<[u64; WORDS_PER_CHUNK]>;

/// A set of numbers.
#[derive(Debug, Default)]
pub(crate) struct Bitmap {
    chunks: Vec<Option<Chunk>>,
}

impl Bitmap {
    /// Adds a number; returns whether it is new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let chunk = chunk_of(number);
        if chunk >= self.chunks.len() {
            self.chunks.resize_with(chunk + 1, || None);
        }
        let words = self.chunks[chunk].get_or_insert_with(|| Box::new([0; WORDS_PER_CHUNK]));
        let (word, mask) = place_of(number);
        let new = words[word] & mask == 0;
        words[word] |= mask;
        new
    }

    /// Lists the numbers in `range` that the set lacks, ascending.
    pub(crate) fn absent(&self, range: Range<u64>) -> impl Iterator<Item = u64> {
        let mut number = range.start;
        std::iter::from_fn(move || {
            while number < range.end {
                // Bits below `number` are of no interest, so they count as present.
                let absent = !self.word(number) & (u64::MAX << (number % 64));
                if absent != 0 {
                    let found = number / 64 * 64 + u64::from(absent.trailing_zeros());
                    number = found + 1;
                    return (found < range.end).then_some(found);
                }
                number = (number / 64 + 1) * 64;
            }
            None
        })
    }

    /// Counts the numbers in `range` that the set lacks.
    pub(crate) fn count_absent(&self, range: Range<u64>) -> u64 {
        let mut present = 0;
        let mut number = range.start;
        while number < range.end {
            if self.chunk(number).is_none() {
                number = (number / BITS_PER_CHUNK + 1) * BITS_PER_CHUNK;
                continue;
            }
            let next = ((number / 64 + 1) * 64).min(range.end);
            let from = u64::MAX << (number % 64);
            let to = u64::MAX >> (63 - (next - 1) % 64);
            present += u64::from((self.word(number) & from & to).count_ones());
            number = next;
        }
        range.end.saturating_sub(range.start) - present
    }

    fn chunk(&self, number: u64) -> Option<&Chunk> {
        self.chunks.get(chunk_of(number))?.as_ref()
    }

    fn word(&self, number: u64) -> u64 {
        self.chunk(number).map_or(0, |words| words[place_of(number).0])
    }
}

fn chunk_of(number: u64) -> usize {
    usize::try_from(number / BITS_PER_CHUNK).expect("chunks of numbers fit in memory")
}

fn place_of(number: u64) -> (usize, u64) {
    let bit = number % BITS_PER_CHUNK;
    let word = usize::try_from(bit / 64).expect("below the words of a chunk");
    (word, 1 << (bit % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(bitmap: &Bitmap, range: Range<u64>) -> Vec<u64> {
        bitmap.absent(range).collect()
    }

    #[test]
    fn what_was_not_inserted_is_absent() {
        let mut bitmap = Bitmap::default();
        let holes = [0, 63, 64, 65_535, 65_536, 199_999];
        for number in (0..200_000).filter(|number| !holes.contains(number)) {
            assert!(bitmap.insert(number) && !bitmap.insert(number));
        }
        assert_eq!(absent(&bitmap, 0..200_000), holes);
        assert_eq!(bitmap.count_absent(0..200_000), 6);
        for range in [0..0, 1..63, 1..64, 63..65, 64..64, 65_535..65_537, 100..199_999] {
            let listed = absent(&bitmap, range.clone());
            assert!(listed.iter().all(|number| range.contains(number)), "{range:?}");
            assert_eq!(bitmap.count_absent(range.clone()), listed.len() as u64, "{range:?}");
        }
    }

    #[test]
    fn numbers_far_apart_cost_little() {
        let mut bitmap = Bitmap::default();
        bitmap.insert(3_000_000_000);
        assert_eq!(bitmap.chunks.iter().flatten().count(), 1);
        assert_eq!(bitmap.count_absent(0..4_000_000_000), 3_999_999_999);
        assert_eq!(absent(&bitmap, 2_999_999_999..3_000_000_002), [2_999_999_999, 3_000_000_001]);
    }
}

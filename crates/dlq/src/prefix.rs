//! How far a chunk of one partition may be committed, however its records are settled.

/// The records of a chunk, in order, and which of them are settled.
#[derive(Debug)]
pub(crate) struct Prefix {
    offsets: Vec<i64>,
    settled: Vec<bool>,
}

impl Prefix {
    /// Starts with nothing settled; the offsets ascend, with gaps where the topic has some.
    pub(crate) fn new(offsets: impl IntoIterator<Item = i64>) -> Self {
        let offsets: Vec<i64> = offsets.into_iter().collect();
        Self { settled: vec![false; offsets.len()], offsets }
    }

    /// Notes that the record at a position in the chunk needs nothing more.
    pub(crate) fn settle(&mut self, position: usize) {
        self.settled[position] = true;
    }

    /// Returns the offset behind the last record before the first one that is not settled.
    pub(crate) fn committable(&self) -> Option<i64> {
        let settled = self.settled.iter().take_while(|settled| **settled).count();
        settled.checked_sub(1).map(|last| self.offsets[last] + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_settled_without_a_hole_may_be_committed() {
        let mut prefix = Prefix::new([10, 11, 15, 16]);
        assert_eq!(prefix.committable(), None);
        prefix.settle(1);
        assert_eq!(prefix.committable(), None);
        prefix.settle(0);
        assert_eq!(prefix.committable(), Some(12));
        prefix.settle(3);
        assert_eq!(prefix.committable(), Some(12));
        prefix.settle(2);
        assert_eq!(prefix.committable(), Some(17));
        assert_eq!(Prefix::new([]).committable(), None);
    }
}

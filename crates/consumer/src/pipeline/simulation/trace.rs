//! What happened in one simulation: the last events for people, a hash of all for the proof that
//! a seed replays, and a count of each kind for the proof that faults happen at all.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::Hasher;

use rustc_hash::FxHasher;

/// Events shown when a seed fails.
const SHOWN: usize = 60;

/// One event; what the numbers mean depends on its kind.
#[derive(Clone, Copy)]
struct Note {
    at_ms: u64,
    kind: &'static str,
    numbers: [i64; 3],
}

/// Counts of events by kind.
pub(super) type Counts = BTreeMap<&'static str, u64>;

#[derive(Default)]
pub(super) struct Trace {
    last: VecDeque<Note>,
    hasher: FxHasher,
    counts: Counts,
}

impl Trace {
    /// Notes an event: its time, its kind, and who or what it is about.
    pub(super) fn note(&mut self, at_ms: u64, kind: &'static str, numbers: [i64; 3]) {
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(Note { at_ms, kind, numbers });
        self.hasher.write_u64(at_ms);
        self.hasher.write(kind.as_bytes());
        for number in numbers {
            self.hasher.write_i64(number);
        }
        *self.counts.entry(kind).or_default() += 1;
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns a number that differs if any event differs.
    pub(super) fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Note { at_ms, kind, numbers: [first, second, third] } in &self.last {
            writeln!(f, "{at_ms:>7} ms  {kind:<32} {first:>4} {second:>6} {third:>6}")?;
        }
        Ok(())
    }
}

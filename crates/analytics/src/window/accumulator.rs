//! One sensor's readings in one window, as they come.

use domain::aggregate::{Aggregate, Motion, Sample};
use domain::{Reading, SensorKind, Status};

use super::seen::Seen;
use super::sum::ExactSum;

/// What a window has taken in of a sensor. The order of arrival leaves no trace in its aggregate.
#[derive(Clone, Debug)]
pub(crate) struct Accumulator {
    seen: Seen,
    sum: ExactSum,
    squares: ExactSum,
    min: f64,
    max: f64,
    first: Sample,
    last: Sample,
    /// Of motion sensors: twice the offset in the window, in milliseconds, plus the value, in
    /// order.
    moves: Vec<u32>,
    count: u32,
    not_ok: u32,
    /// Readings that came after the window was closed.
    pub(crate) revision: u32,
    /// Whether it holds more than what was written last.
    pub(crate) is_dirty: bool,
}

impl Default for Accumulator {
    fn default() -> Self {
        Self {
            seen: Seen::default(),
            sum: ExactSum::default(),
            squares: ExactSum::default(),
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            first: Sample { ts: i64::MAX, value: f64::INFINITY },
            last: Sample { ts: i64::MIN, value: f64::NEG_INFINITY },
            moves: Vec::new(),
            count: 0,
            not_ok: 0,
            revision: 0,
            is_dirty: false,
        }
    }
}

impl Accumulator {
    /// Returns the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let sums = self.sum.heap_bytes() + self.squares.heap_bytes();
        let moves = self.moves.capacity() * size_of::<u32>();
        size_of::<Self>() + self.seen.heap_bytes() + sums + moves
    }

    /// Takes in a reading of the window that starts at `start_ms`; returns false if it was there
    /// already.
    pub(crate) fn add(&mut self, reading: &Reading<'_>, start_ms: i64) -> bool {
        if !self.seen.insert(&reading.run, reading.seq) {
            return false;
        }
        // Minus zero and zero are one value, of which only one may be seen.
        let value = reading.value + 0.0;
        let sample = Sample { ts: reading.ts, value };
        (self.first, self.last) = (self.first.earlier(sample), self.last.later(sample));
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
        self.count += 1;
        self.not_ok += u32::from(reading.status != Status::Ok);
        self.sum.add(value);
        self.squares.add_product(value, value);
        if reading.kind == SensorKind::Motion {
            let offset_ms = u32::try_from(reading.ts - start_ms).unwrap_or(u32::MAX >> 1);
            self.add_move(2 * offset_ms + u32::from(value > 0.5));
        }
        self.is_dirty = true;
        true
    }

    fn add_move(&mut self, moved: u32) {
        match self.moves.last() {
            Some(last) if *last > moved => {
                let place = self.moves.partition_point(|other| *other <= moved);
                self.moves.insert(place, moved);
            }
            _ => self.moves.push(moved),
        }
    }

    /// Returns what the readings come to; `None` if there are none.
    pub(crate) fn aggregate(&self, kind: SensorKind, size_ms: i64) -> Option<Aggregate> {
        if self.count == 0 {
            return None;
        }
        let count = f64::from(self.count);
        // Rounding cannot make a spread negative, since it is rounded once.
        let stddev = libm::sqrt(self.sum.spread(&self.squares, count)) / count;
        Some(Aggregate {
            count: self.count.into(),
            min: self.min,
            max: self.max,
            mean: self.sum.value() / count,
            stddev,
            first: self.first,
            last: self.last,
            not_ok: self.not_ok.into(),
            motion: (kind == SensorKind::Motion).then(|| self.motion(size_ms)),
        })
    }

    fn motion(&self, size_ms: i64) -> Motion {
        let end = 2 * u32::try_from(size_ms).unwrap_or(u32::MAX >> 1);
        let ends = self.moves.iter().skip(1).chain([&end]);
        let holds = self.moves.iter().zip(ends);
        let active = holds.filter(|(from, _)| *from & 1 == 1).map(|(from, to)| to / 2 - from / 2);
        let changes = self.moves.windows(2).filter(|pair| pair[0] & 1 != pair[1] & 1);
        Motion { active_ms: active.map(u64::from).sum(), transitions: changes.count() as u64 }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn reading(kind: SensorKind, ts: i64, value: f64, seq: i64) -> Reading<'static> {
        Reading {
            sensor_id: Cow::Borrowed("s"),
            site_id: Cow::Borrowed("a"),
            kind,
            ts,
            value,
            unit: Cow::Borrowed(kind.unit()),
            seq,
            run: Cow::Borrowed("r"),
            status: if seq == 0 { Status::Degraded } else { Status::Ok },
            location: domain::reading::Location::default(),
        }
    }

    #[test]
    fn a_window_of_motion_counts_seconds_and_changes() {
        let mut window = Accumulator::default();
        for (seq, (ts, value)) in [(20_000, 1.0), (5_000, 0.0), (50_000, 0.0)].iter().enumerate() {
            let seq = i64::try_from(seq).unwrap();
            assert!(window.add(&reading(SensorKind::Motion, 60_000 + ts, *value, seq), 60_000));
        }
        let aggregate = window.aggregate(SensorKind::Motion, 60_000).unwrap();
        assert_eq!(aggregate.motion, Some(Motion { active_ms: 30_000, transitions: 2 }));
        assert_eq!((aggregate.count, aggregate.not_ok), (3, 1));
        assert_eq!((aggregate.first.ts, aggregate.last.ts), (65_000, 110_000));
        assert_eq!((aggregate.min, aggregate.max), (0.0, 1.0));
    }

    #[test]
    fn a_constant_has_no_spread() {
        let mut window = Accumulator::default();
        (0..42).for_each(|seq| {
            window.add(&reading(SensorKind::Temperature, seq, 21.35, seq), 0);
        });
        let aggregate = window.aggregate(SensorKind::Temperature, 60_000).unwrap();
        assert_eq!((aggregate.mean, aggregate.stddev, aggregate.motion), (21.35, 0.0, None));
    }

    proptest! {
        #[test]
        fn the_order_of_arrival_and_repetitions_leave_no_trace(
            values in prop::collection::vec((0..60_000_i64, 0..2_i32), 1..80),
            order in any::<u64>(),
            kind in prop::sample::select(&SensorKind::ALL[..]),
        ) {
            let readings: Vec<_> = (0..).zip(&values).map(|(seq, (ts, step))| {
                let value = match kind {
                    SensorKind::Motion => f64::from(*step),
                    _ => f64::from(i32::try_from(*ts).unwrap()) * 0.01 - 300.0,
                };
                reading(kind, *ts, value, seq)
            }).collect();
            let mut mixed: Vec<_> = readings.iter().chain(&readings).collect();
            let scatter =
                |seq: i64| (seq.cast_unsigned() ^ order).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            mixed.sort_by_key(|reading| scatter(reading.seq));
            let of = |readings: &[&Reading<'static>]| {
                let mut window = Accumulator::default();
                let new = readings.iter().filter(|reading| window.add(reading, 0)).count();
                (new, window.aggregate(kind, 60_000))
            };
            let in_order: Vec<_> = readings.iter().collect();
            prop_assert_eq!(of(&in_order), of(&mixed));
        }
    }
}

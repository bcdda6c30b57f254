//! Correlated noise at any time alone: random numbers on lattices of several widths, interpolated.
//!
//! A sum of such lattices, each four times as wide as the one before, has the autocorrelation of an
//! Ornstein-Uhlenbeck process within 0.03; the shares of the lattices are fitted to it by
//! non-negative least squares from one minute to five time constants.

use crate::simulation::hash::{GOLDEN, hash, mix};

/// Uniform 16-bit numbers to standard deviation 1.
const UNIFORM: f64 = 1.732_050_807_568_877_2 / 32_768.0;
/// What linear interpolation takes from the variance, 2/3 on average, is given back.
const LINEAR: f64 = UNIFORM * 1.224_744_871_391_589;
/// The same for the quadratic spline, 11/20.
const SMOOTH: f64 = UNIFORM / 0.741_619_848_709_566_3;

/// A lattice's width as a power of two in milliseconds, with the standard deviation of its part.
pub(super) type Octave = (u32, f64);

/// All the lattices of one owner, such as a city's weather.
#[derive(Clone, Copy)]
pub(super) struct Lattice {
    key: u64,
}

/// A time's place on one lattice: the cell and how far inside it, 0 to 1.
struct Place {
    cell: i64,
    inside: f64,
}

impl Lattice {
    pub(super) fn new(seed: u64, stream: u64, owner: u64) -> Self {
        Self { key: hash(seed, stream, owner) }
    }

    #[inline]
    fn place(self, width: u32, ts_ms: i64) -> Place {
        // No two lattices begin at the same time, or all would bend at once.
        let phase = (self.key.rotate_left(width) >> 24).cast_signed();
        let shifted = ts_ms.wrapping_add(phase);
        // Two to the power of minus the width, exactly.
        let step = f64::from_bits(u64::from(1_023 - width) << 52);
        let inside = (shifted & ((1 << width) - 1)) as f64 * step;
        Place { cell: shifted >> width, inside }
    }

    /// Four independent 16-bit numbers that belong to a lattice point.
    #[inline]
    fn point(self, width: u32, cell: i64) -> u64 {
        let number = (cell.cast_unsigned() << 6) | u64::from(width);
        mix(self.key.wrapping_add(number.wrapping_mul(GOLDEN)))
    }

    /// Continuous noise of standard deviation 1; `value` picks from a point's [`lane`]s.
    #[inline]
    pub(super) fn linear(self, width: u32, ts_ms: i64, value: impl Fn(u64) -> f64) -> f64 {
        let Place { cell, inside } = self.place(width, ts_ms);
        let from = value(self.point(width, cell));
        let to = value(self.point(width, cell + 1));
        LINEAR * (from + (to - from) * inside)
    }

    /// Noise with a continuous slope, of standard deviation 1: a quadratic spline.
    #[inline]
    pub(super) fn smooth(self, width: u32, ts_ms: i64, value: impl Fn(u64) -> f64) -> f64 {
        let Place { cell, inside } = self.place(width, ts_ms);
        let rest = 1.0 - inside;
        let from = 0.5 * rest * rest * value(self.point(width, cell));
        let to = 0.5 * inside * inside * value(self.point(width, cell + 2));
        SMOOTH * (from + (0.5 + inside * rest) * value(self.point(width, cell + 1)) + to)
    }

    /// Sums the linear noise of some octaves.
    #[inline]
    pub(super) fn sum(
        self,
        octaves: &[Octave],
        ts_ms: i64,
        value: impl Fn(u64) -> f64 + Copy,
    ) -> f64 {
        octaves.iter().map(|(width, share)| share * self.linear(*width, ts_ms, value)).sum()
    }
}

/// One of the four numbers of a point, as an integer from -32 768.
#[inline]
pub(super) fn lane<const NUMBER: u32>(point: u64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "the lane is what is left")]
    let bits = (point >> (16 * NUMBER)) as u16;
    f64::from(bits.cast_signed())
}

/// One of the four numbers of a word, from -1 to 1.
#[inline]
pub(super) fn fraction<const NUMBER: u32>(word: u64) -> f64 {
    lane::<NUMBER>(word) / 32_768.0
}

/// Nearly normal, of standard deviation 1 and never beyond 3.5: the sum of four uniform numbers.
#[inline]
pub(super) fn normal(word: u64) -> f64 {
    0.5 * UNIFORM * (lane::<0>(word) + lane::<1>(word) + lane::<2>(word) + lane::<3>(word))
}

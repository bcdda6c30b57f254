//! Sums of floating-point numbers without any rounding, so that the order of the terms leaves no
//! trace.

use smallvec::SmallVec;

/// An exact sum, as numbers that do not overlap, the least first (Shewchuk, "Adaptive precision
/// floating-point arithmetic and fast robust geometric predicates", 1997, algorithm 2.9).
///
/// Exact as long as nothing overflows: terms of at most 1e150 in magnitude, and their squares, do
/// not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ExactSum {
    /// Two hold a minute of nearly all sensors, and take no memory of their own.
    parts: SmallVec<[f64; 2]>,
}

impl ExactSum {
    /// Returns the bytes that it takes beside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        if self.parts.spilled() { self.parts.capacity() * size_of::<f64>() } else { 0 }
    }

    /// Adds a term.
    pub(crate) fn add(&mut self, term: f64) {
        let mut carry = term;
        let mut kept = 0;
        for position in 0..self.parts.len() {
            let (sum, error) = two_sum(carry, self.parts[position]);
            if error != 0.0 {
                self.parts[kept] = error;
                kept += 1;
            }
            carry = sum;
        }
        self.parts.truncate(kept);
        if carry != 0.0 || self.parts.is_empty() {
            self.parts.push(carry);
        }
    }

    /// Adds the product of two numbers.
    pub(crate) fn add_product(&mut self, left: f64, right: f64) {
        let product = left * right;
        self.add(product);
        self.add(libm::fma(left, right, -product));
    }

    /// Returns the number nearest to the sum, ties to even.
    pub(crate) fn value(&self) -> f64 {
        let mut parts = self.parts.iter().rev().copied();
        let Some(mut high) = parts.next() else {
            return 0.0;
        };
        while let Some(part) = parts.next() {
            let sum = high + part;
            let rest = part - (sum - high);
            high = sum;
            if rest != 0.0 {
                // Half a unit in the last place, and what is below decides which way: as in
                // Python's `math.fsum`.
                let twice = 2.0 * rest;
                let away = high + twice;
                #[expect(clippy::float_cmp, reason = "exactly half a unit, or not")]
                let is_half = twice == away - high;
                let next = parts.next().unwrap_or(0.0);
                if is_half && ((rest < 0.0 && next < 0.0) || (rest > 0.0 && next > 0.0)) {
                    high = away;
                }
                break;
            }
        }
        high
    }

    /// Returns `count` times the sum of squares less the square of the sum: `count²` times the
    /// variance, rounded once.
    pub(crate) fn spread(&self, squares: &Self, count: f64) -> f64 {
        let mut spread = Self::default();
        for part in &squares.parts {
            spread.add_product(count, *part);
        }
        for left in &self.parts {
            for right in &self.parts {
                spread.add_product(-left, *right);
            }
        }
        spread.value()
    }
}

/// Returns the rounded sum and what the rounding left out (Knuth, TAOCP 2, 4.2.2, theorem B).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    let a_part = sum - b_part;
    (sum, (a - a_part) + (b - b_part))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(terms: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        for term in terms {
            sum.add(*term);
        }
        sum
    }

    fn squares(terms: &[f64]) -> ExactSum {
        let mut squares = ExactSum::default();
        for term in terms {
            squares.add_product(*term, *term);
        }
        squares
    }

    fn bits(terms: &[f64]) -> u64 {
        sum(terms).value().to_bits()
    }

    #[test]
    fn nothing_is_lost_beside_a_large_term() {
        assert_eq!(bits(&[1e100, 1.0, -1e100]), 1.0_f64.to_bits());
        assert_eq!(bits(&[0.1; 10]), 1.0_f64.to_bits());
        assert_eq!(bits(&[]), 0.0_f64.to_bits());
        // Python's own cases of half a unit in the last place.
        assert_eq!(bits(&[1e16, 1.0, 1e-16]), 10_000_000_000_000_002.0_f64.to_bits());
        let tiny = 2f64.powi(-53);
        let terms = [1e16 - 2.0, 1.0 - tiny, -(1e16 - 2.0), -1.0];
        assert_eq!(bits(&terms), (-tiny).to_bits());
    }

    #[test]
    fn the_spread_of_near_equals_is_exact() {
        let terms = [1e9, 1e9 + 1.0, 1e9 + 2.0];
        let spread = sum(&terms).spread(&squares(&terms), 3.0);
        assert_eq!(spread.to_bits(), 6.0_f64.to_bits());
    }

    proptest! {
        #[test]
        fn the_order_leaves_no_trace(
            terms in prop::collection::vec(-1e9..1e9_f64, 1..60),
            by in any::<prop::sample::Index>(),
        ) {
            let spread = |terms: &[f64]| {
                sum(terms).spread(&squares(terms), terms.len() as f64)
            };
            let mut turned = terms.clone();
            turned.rotate_left(by.index(terms.len()));
            let reversed: Vec<f64> = terms.iter().rev().copied().collect();
            for other in [turned, reversed] {
                prop_assert_eq!(sum(&terms).value().to_bits(), sum(&other).value().to_bits());
                prop_assert_eq!(spread(&terms).to_bits(), spread(&other).to_bits());
            }
        }
    }
}

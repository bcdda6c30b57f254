//! Values as sensors send them: decimal, with a fixed count of digits.

/// A decimal number with a fixed count of decimals, exact in JSON and as the `f64` nearest to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i64,
    decimals: u8,
}

impl Decimal {
    /// Rounds half away from zero to `decimals` digits, at most 9.
    pub fn round(value: f64, decimals: u8) -> Self {
        let scaled = libm::round(value * Self::scale(decimals) as f64);
        #[expect(clippy::cast_possible_truncation, reason = "sensor values are far below 2^53")]
        Self { mantissa: scaled as i64, decimals }
    }

    /// Rounds half away from zero to a multiple of `step` units of the last of `decimals` digits.
    pub(super) fn nearest(value: f64, step: i64, decimals: u8) -> Self {
        let steps = libm::round(value * Self::scale(decimals) as f64 / step as f64);
        #[expect(clippy::cast_possible_truncation, reason = "sensor values are far below 2^53")]
        Self { mantissa: steps as i64 * step, decimals }
    }

    #[inline]
    fn scale(decimals: u8) -> i64 {
        const POWERS: [i64; 10] =
            [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];
        POWERS[usize::from(decimals)]
    }

    /// Returns the nearest `f64`: the same that parsing the decimal text gives, because one
    /// division rounds once.
    pub fn to_f64(self) -> f64 {
        self.mantissa as f64 / Self::scale(self.decimals) as f64
    }

    /// The digits before and after the point.
    fn parts(self) -> (u64, u64) {
        let magnitude = self.mantissa.unsigned_abs();
        // Divisions by what is known beforehand are several times faster.
        match self.decimals {
            0 => (magnitude, 0),
            1 => (magnitude / 10, magnitude % 10),
            2 => (magnitude / 100, magnitude % 100),
            4 => (magnitude / 10_000, magnitude % 10_000),
            decimals => {
                let scale = Self::scale(decimals).unsigned_abs();
                (magnitude / scale, magnitude % scale)
            }
        }
    }

    /// Appends the decimal text, with all its decimals.
    pub fn write(self, text: &mut Vec<u8>) {
        if self.mantissa < 0 {
            text.push(b'-');
        }
        let (whole, fraction) = self.parts();
        let mut integer = itoa::Buffer::new();
        text.extend_from_slice(integer.format(whole).as_bytes());
        if self.decimals > 0 {
            text.push(b'.');
            let digits = integer.format(fraction).as_bytes();
            text.resize(text.len() + usize::from(self.decimals) - digits.len(), b'0');
            text.extend_from_slice(digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_decimal_is_its_value() {
        for decimals in 0..=9 {
            for value in [0.0, 0.05, -0.05, 3.0, -33.8688, 151.2093, 1_013.25] {
                let decimal = Decimal::round(value, decimals);
                let mut text = Vec::new();
                decimal.write(&mut text);
                let text = String::from_utf8(text).unwrap();
                let read: f64 = text.parse().unwrap();
                assert!((read - decimal.to_f64()).abs() < f64::EPSILON, "{text}");
                let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
                assert_eq!(digits, usize::from(decimals), "{text}");
            }
        }
    }
}

//! Numbers with a few decimals, exact from the text on: no rate passes through a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A number of thousandths: `3.5` is 3500 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thousandths(pub(crate) u64);

/// A number of millionths: `0.05` is 50 000 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millionths(pub(crate) u32);

/// A text that is no such number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a number with up to {decimals} decimals")]
pub(crate) struct NotDecimal {
    text: String,
    decimals: usize,
}

impl FromStr for Thousandths {
    type Err = NotDecimal;

    fn from_str(text: &str) -> Result<Self, NotDecimal> {
        parse(text, 3).map(Self)
    }
}

impl FromStr for Millionths {
    type Err = NotDecimal;

    fn from_str(text: &str) -> Result<Self, NotDecimal> {
        let not_decimal = || NotDecimal { text: text.to_owned(), decimals: 6 };
        parse(text, 6)?.try_into().map(Self).map_err(|_too_large| not_decimal())
    }
}

fn parse(text: &str, decimals_max: usize) -> Result<u64, NotDecimal> {
    let parsed = || {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(decimals) || decimals.len() > decimals_max {
            return None;
        }
        let fraction: u64 = format!("{decimals:0<decimals_max$}").parse().ok()?;
        let whole: u64 = whole.parse().ok()?;
        let scale = 10_u64.checked_pow(decimals_max.try_into().ok()?)?;
        whole.checked_mul(scale)?.checked_add(fraction)
    };
    parsed().ok_or_else(|| NotDecimal { text: text.to_owned(), decimals: decimals_max })
}

fn show(f: &mut fmt::Formatter<'_>, whole: u64, fraction: u64, decimals: usize) -> fmt::Result {
    if fraction == 0 {
        return write!(f, "{whole}");
    }
    let fraction = format!("{fraction:0decimals$}");
    write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
}

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.0 / 1_000, self.0 % 1_000, 3)
    }
}

impl fmt::Display for Millionths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, u64::from(self.0 / 1_000_000), u64::from(self.0 % 1_000_000), 6)
    }
}

impl<'de> Deserialize<'de> for Thousandths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Millionths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_shown_is_what_is_read(thousandths in 0..=u64::MAX) {
            let shown = Thousandths(thousandths).to_string();
            prop_assert_eq!(shown.parse(), Ok(Thousandths(thousandths)));
        }

        #[test]
        fn millionths_too(millionths in 0..=u32::MAX) {
            let shown = Millionths(millionths).to_string();
            prop_assert_eq!(shown.parse(), Ok(Millionths(millionths)));
        }
    }

    #[test]
    fn decimals_are_exact() {
        for (text, thousandths) in [
            ("3500", 3_500_000),
            ("0.001", 1),
            ("0.1", 100),
            ("16777217.003", 16_777_217_003),
            ("007.50", 7_500),
        ] {
            assert_eq!(text.parse(), Ok(Thousandths(thousandths)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1.0000",
            "abc",
            "1 000",
            "18446744073709551615",
        ] {
            assert!(text.parse::<Thousandths>().is_err(), "{text}");
        }
        for text in ["0.0000001", "4295", "1%"] {
            assert!(text.parse::<Millionths>().is_err(), "{text}");
        }
    }
}

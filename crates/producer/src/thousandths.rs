//! Numbers with up to three decimals, exact from the text on: no rate passes through a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

/// A number of thousandths: `3.5` is 3500 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Thousandths(pub(crate) u64);

/// A text that is no such number.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a number with up to three decimals")]
pub(crate) struct NotThousandths(String);

impl FromStr for Thousandths {
    type Err = NotThousandths;

    fn from_str(text: &str) -> Result<Self, NotThousandths> {
        parse(text).ok_or_else(|| NotThousandths(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Thousandths> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(decimals) || decimals.len() > 3 {
        return None;
    }
    let thousandths: u64 = format!("{decimals:0<3}").parse().ok()?;
    let whole: u64 = whole.parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(thousandths).map(Thousandths)
}

impl fmt::Display for Thousandths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, thousandths) = (self.0 / 1_000, self.0 % 1_000);
        if thousandths == 0 {
            return write!(f, "{whole}");
        }
        let decimals = format!("{thousandths:03}");
        write!(f, "{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl<'de> Deserialize<'de> for Thousandths {
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
    }
}

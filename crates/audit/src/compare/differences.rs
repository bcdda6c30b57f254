//! Collects the columns in which a row differs from its recomputation.

use std::fmt::Display;

/// Where a row differs from its recomputation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// What would have been right.
    pub(crate) expected: String,
    /// What the row holds.
    pub(crate) found: String,
}

impl Mismatch {
    /// Says what would have been right, and what there is.
    pub(crate) fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { expected: expected.into(), found: found.into() }
    }
}

/// Collects the columns that differ.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    expected: Vec<String>,
    found: Vec<String>,
}

impl Differences {
    /// Compares a column that is never null.
    pub(crate) fn compare<T: PartialEq + Display>(
        &mut self,
        column: &str,
        expected: &T,
        found: &T,
    ) {
        if expected != found {
            self.push(column, expected, found);
        }
    }

    /// Compares a column that may be null, which is never right.
    pub(crate) fn compare_cell<T>(&mut self, column: &str, expected: &T, found: Option<T>)
    where
        T: PartialEq + Display,
    {
        match found {
            Some(found) if found == *expected => {}
            Some(found) => self.push(column, expected, &found),
            None => self.push(column, expected, &"null"),
        }
    }

    /// Compares numbers by their bits: no tolerance hides a wrong conversion.
    pub(crate) fn compare_number(&mut self, column: &str, expected: f64, found: Option<f64>) {
        match found {
            Some(found) if found.to_bits() == expected.to_bits() => {}
            Some(found) => self.push(column, &expected, &found),
            None => self.push(column, &expected, &"null"),
        }
    }

    /// Notes that a row which is there for good has so many seconds left.
    pub(crate) fn compare_lifetime(&mut self, left_s: Option<i32>) {
        if let Some(left_s) = left_s {
            self.push("expiry", &"never", &format!("in {left_s} s"));
        }
    }

    /// Adds a difference.
    pub(crate) fn push(&mut self, column: &str, expected: &dyn Display, found: &dyn Display) {
        self.expected.push(format!("{column} {expected}"));
        self.found.push(format!("{column} {found}"));
    }

    /// Returns all differences; `None` if there are none.
    pub(crate) fn mismatch(self) -> Option<Mismatch> {
        (!self.expected.is_empty())
            .then(|| Mismatch { expected: self.expected.join(" "), found: self.found.join(" ") })
    }
}

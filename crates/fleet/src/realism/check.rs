//! One statistic with what the world says it is, and the table of all of them.

use std::fmt::Write;

/// Where a reference value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Hourly weather of Beijing, 2010 to 2014 (Liang et al., 2015; UCI data set 381).
    Beijing,
    /// An office in Mons, Belgium, every minute, in February 2015 (Candanedo and Feldheim, 2016;
    /// UCI data set 357).
    Office,
    /// A consequence of physics or of how sensors are mounted, not of a data set.
    Rule,
}

impl Source {
    /// Returns the name in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Beijing => "Beijing 2010-14",
            Self::Office => "office 2015",
            Self::Rule => "rule",
        }
    }
}

/// A measured statistic beside its reference.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was measured, with its unit.
    pub statistic: String,
    /// Where the reference comes from.
    pub source: Source,
    /// The value in the world.
    pub reference: f64,
    /// How far from it the measured value may be.
    pub tolerance: f64,
    /// The value in the fleet.
    pub measured: f64,
}

impl Check {
    /// Tells whether the fleet is like the world here; what cannot be measured is not.
    pub fn passes(&self) -> bool {
        (self.measured - self.reference).abs() <= self.tolerance
    }
}

/// Collects checks of one source.
pub(super) struct Checks {
    source: Source,
    pub(super) checks: Vec<Check>,
}

impl Checks {
    pub(super) fn new(source: Source) -> Self {
        Self { source, checks: Vec::new() }
    }

    pub(super) fn add(&mut self, statistic: &str, reference: f64, tolerance: f64, measured: f64) {
        self.checks.push(Check {
            statistic: statistic.to_owned(),
            source: self.source,
            reference,
            tolerance,
            measured,
        });
    }
}

/// Returns the table of all checks, whose last line is the verdict.
pub(super) fn table(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.statistic.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    let mut line = |cells: [&str; 6]| {
        let [statistic, reference, source, measured, tolerance, verdict] = cells;
        let _ = writeln!(
            text,
            "{statistic:<width$}  {reference:>9}  {source:<15}  {measured:>9}  {tolerance:>9}  \
             {verdict}"
        );
    };
    line(["statistic", "reference", "source", "measured", "tolerance", ""]);
    for check in checks {
        line([
            &check.statistic,
            &number(check.reference),
            check.source.name(),
            &number(check.measured),
            &format!("±{}", number(check.tolerance)),
            if check.passes() { "pass" } else { "FAIL" },
        ]);
    }
    text + &verdict(checks) + "\n"
}

/// Returns `realism: N of M within tolerance`.
pub(super) fn verdict(checks: &[Check]) -> String {
    let passed = checks.iter().filter(|check| check.passes()).count();
    format!("realism: {passed} of {} within tolerance", checks.len())
}

/// Three significant digits or more, without a tail of zeros.
pub(super) fn number(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        size if size >= 0.1 => 3,
        size if size >= 0.01 => 4,
        _ => 5,
    };
    let text = format!("{value:.decimals$}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if matches!(short, "-0" | "") { "0".to_owned() } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_verdict() {
        let mut checks = Checks::new(Source::Rule);
        checks.add("light in an empty room at night, lx", 0.0, 0.0, 0.0);
        checks.add("smallest correlation", 1.0, 0.05, f64::NAN);
        let text = table(&checks.checks);
        assert!(text.ends_with("realism: 1 of 2 within tolerance\n"), "{text}");
        assert!(text.contains("pass\n") && text.contains("FAIL\n"), "{text}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(1_016.52), "1016.5");
        assert_eq!(number(0.0091), "0.0091");
        assert_eq!(number(-0.320), "-0.32");
        assert_eq!(number(0.0), "0");
    }
}

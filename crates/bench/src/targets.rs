//! The targets: what the figures are held against.

use std::fmt;

use crate::report::Report;
use crate::show::number;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// The median of a measurement: case, variant, metric.
    Median(&'static str, &'static str, &'static str),
    /// That of one variant over that of another: case, variant, other variant, metric.
    Ratio(&'static str, &'static str, &'static str, &'static str),
    /// That of one variant above that of another: case, variant, other variant, metric.
    Difference(&'static str, &'static str, &'static str, &'static str),
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

struct Target {
    what: &'static str,
    figure: Figure,
    bound: Bound,
    unit: &'static str,
}

/// A target and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is measured.
    pub what: &'static str,
    /// What was aimed at.
    pub target: String,
    /// What was measured, if it was.
    pub measured: Option<String>,
    /// Whether the target is met.
    pub is_met: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = self.measured.as_deref().unwrap_or("not measured");
        let Self { what, target, .. } = self;
        write!(f, "{:<12} {what}: {measured}, target {target}", self.word())
    }
}

impl Verdict {
    /// Returns the verdict in a word or two.
    pub fn word(&self) -> &'static str {
        match (&self.measured, self.is_met) {
            (None, _) => "not measured",
            (Some(_), true) => "met",
            (Some(_), false) => "missed",
        }
    }
}

const fn target(what: &'static str, figure: Figure, bound: Bound, unit: &'static str) -> Target {
    Target { what, figure, bound, unit }
}

use Bound::{AtLeast, AtMost};
use Figure::{Difference, Median, Ratio};

const TARGETS: [Target; 17] = [
    target(
        "consumer, as a share of the plain driver's rate with the same batches",
        Ratio("consumer", "consumer", "driver", "rows_per_s"),
        AtLeast(0.85),
        "",
    ),
    target(
        "consumer, times the naive Python consumer's rate",
        Ratio("consumer", "consumer", "python-naive", "rows_per_s"),
        AtLeast(20.0),
        "x",
    ),
    target(
        "consumer, times the grouped Python consumer's rate",
        Ratio("consumer", "consumer", "python-grouped", "rows_per_s"),
        AtLeast(4.0),
        "x",
    ),
    target(
        "consumer, CPU time for a million rows",
        Median("consumer", "consumer", "cpu_s_per_million"),
        AtMost(2.0),
        "s",
    ),
    target(
        "consumer, memory at most",
        Median("consumer", "consumer", "rss_peak_mib"),
        AtMost(128.0),
        "MiB",
    ),
    target(
        "producer, CPU time for a million readings at full speed",
        Median("producer", "producer", "cpu_s_per_million"),
        AtMost(1.6),
        "s",
    ),
    target(
        "producer, error of the rate at 3 500/s",
        Median("pacing", "3500", "rate_error_percent"),
        AtMost(0.1),
        "%",
    ),
    target(
        "producer, error of the rate at 100 000/s",
        Median("pacing", "100000", "rate_error_percent"),
        AtMost(0.1),
        "%",
    ),
    target(
        "producer, most in any 100 ms at 3 500/s, in terms of what is due",
        Median("pacing", "3500", "burst_of_due"),
        AtMost(2.0),
        "x",
    ),
    target(
        "producer, most in any 100 ms at 100 000/s, in terms of what is due",
        Median("pacing", "100000", "burst_of_due"),
        AtMost(2.0),
        "x",
    ),
    target(
        "producer, memory with 1 000 000 sensors above that with 5 000",
        Difference("memory", "1000000-sensors", "5000-sensors", "rss_peak_mib"),
        AtMost(32.0),
        "MiB",
    ),
    target(
        "whole pipeline, highest rate with flat lag: first goal",
        Median("pipeline", "pipeline", "sustained_per_s"),
        AtLeast(60_000.0),
        "readings/s",
    ),
    target(
        "whole pipeline, highest rate with flat lag: second goal",
        Median("pipeline", "pipeline", "sustained_per_s"),
        AtLeast(100_000.0),
        "readings/s",
    ),
    target(
        "due to readable at 3 500/s, p99",
        Median("latency", "3500", "due_to_readable_p99_ms"),
        AtMost(250.0),
        "ms",
    ),
    target(
        "analytics, windows and detectors of a backlog",
        Median("analytics", "backlog", "readings_per_s"),
        AtLeast(100_000.0),
        "readings/s",
    ),
    target(
        "analytics, restart with 5 000 sensors at 3 500/s: until up to date",
        Median("analytics", "restart", "caught_up_s"),
        AtMost(10.0),
        "s",
    ),
    target(
        "`cargo xtask up`, warm build: until the first row can be read",
        Median("start-up", "up", "first_row_s"),
        AtMost(25.0),
        "s",
    ),
];

/// Holds a report against all targets.
pub fn evaluate(report: &Report) -> Vec<Verdict> {
    TARGETS.iter().map(|target| target.judge(report)).collect()
}

impl Target {
    fn judge(&self, report: &Report) -> Verdict {
        let measured = self.figure.of(report);
        let (word, bound, is_met) = match self.bound {
            AtLeast(bound) => (">=", bound, measured.is_some_and(|measured| measured >= bound)),
            AtMost(bound) => ("<=", bound, measured.is_some_and(|measured| measured <= bound)),
        };
        let with_unit = |value: f64| format!("{} {}", number(value), self.unit).trim().to_owned();
        Verdict {
            what: self.what,
            target: format!("{word} {}", with_unit(bound)),
            measured: measured.map(with_unit),
            is_met,
        }
    }
}

impl Figure {
    fn of(self, report: &Report) -> Option<f64> {
        let median = |case, variant, metric| Some(report.summary(case, variant, metric)?.median);
        match self {
            Median(case, variant, metric) => median(case, variant, metric),
            Ratio(case, variant, other, metric) => {
                Some(median(case, variant, metric)? / median(case, other, metric)?)
            }
            Difference(case, variant, other, metric) => {
                Some(median(case, variant, metric)? - median(case, other, metric)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    fn verdict(report: &Report) -> Verdict {
        evaluate(report).remove(0)
    }

    #[test]
    fn a_target_is_met_missed_or_not_measured() {
        let met = verdict(&report(&[90.0, 90.0], &[100.0]));
        assert_eq!((met.word(), met.measured.as_deref()), ("met", Some("0.90")));
        assert_eq!(verdict(&report(&[80.0], &[100.0])).word(), "missed");
        assert_eq!(verdict(&report(&[80.0], &[])).word(), "not measured");
        assert_eq!(met.target, ">= 0.85");
    }
}

//! Two reports side by side: what differs by more than chance, and by more than the machine itself.

use std::fmt;

use crate::report::{CaseReport, Report, VariantReport};
use crate::show;
use crate::statistics::{Ratio, Summary};

/// What two reports of one build differ by on a quiet machine.
const FLOOR_MIN: f64 = 0.05;
/// The same where no control tells how the machine itself has changed.
const FLOOR_BLIND: f64 = 0.10;

/// What says nothing about a build: what was asked for, what another figure says as well, and what
/// the servers took in all cases before.
const NOT_JUDGED: [&str; 6] =
    ["cassandra_rss_peak_mib", "kafka_rss_peak_mib", "lag_end", "target_rate", "wall_s", "watched"];

/// One measurement in both reports.
#[derive(Clone, Debug)]
pub struct Change {
    /// `case variant metric`.
    pub name: String,
    /// It is not of either build: what differs is the machine.
    pub is_control: bool,
    base: Summary,
    other: Summary,
    ratio: Ratio,
    floor: f64,
    higher_is_better: bool,
}

impl Change {
    /// Tells whether the difference is beyond chance and beyond the floor.
    pub fn is_significant(&self) -> bool {
        !self.is_control && self.ratio.is_significant(self.floor)
    }

    /// Tells whether the second report is worse, beyond chance and beyond the floor.
    pub fn is_worse(&self) -> bool {
        self.is_significant() && (self.ratio.value > 1.0) != self.higher_is_better
    }

    fn word(&self) -> &'static str {
        if self.is_control {
            return "control";
        }
        match (self.is_significant(), self.ratio.interval) {
            (false, None) => "one sample",
            (false, Some(_)) => "same",
            (true, _) if self.is_worse() => "WORSE",
            (true, _) => "BETTER",
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
        let interval = match self.ratio.interval {
            Some((low, high)) => format!("[{}, {}]", percent(low), percent(high)),
            None => "[no interval]".into(),
        };
        write!(
            f,
            "{:<10} {:<58} {:>12} -> {:>12}  {:>9} {interval:<22} floor {:.1} %",
            self.word(),
            self.name,
            show::number(self.base.median),
            show::number(self.other.median),
            percent(self.ratio.value),
            self.floor * 100.0
        )
    }
}

/// Compares every measurement that both reports have and that can be a ratio.
pub fn compare(base: &Report, other: &Report) -> Vec<Change> {
    let mut changes = Vec::new();
    for case in &base.cases {
        let Some(other_case) = other.case(&case.name) else { continue };
        for variant in &case.variants {
            let Some(other_variant) = other_case.variant(&variant.name) else { continue };
            let metrics = variant.metrics().into_iter();
            for metric in metrics.filter(|metric| !NOT_JUDGED.contains(metric)) {
                let floor = floor(case, other_case, metric);
                changes.extend(change(case, variant, other_variant, metric, floor));
            }
        }
    }
    changes
}

fn change(
    case: &CaseReport,
    variant: &VariantReport,
    other: &VariantReport,
    metric: &str,
    floor: f64,
) -> Option<Change> {
    let (base, other) = (variant.values(metric), other.values(metric));
    Some(Change {
        name: format!("{} {} {metric}", case.name, variant.name),
        is_control: variant.is_control,
        base: Summary::of(&base)?,
        other: Summary::of(&other)?,
        ratio: Ratio::of(&base, &other)?,
        floor,
        higher_is_better: metric.ends_with("_per_s"),
    })
}

/// Returns the least difference that counts. The controls are the same programs in both reports, so
/// what they differ by, the machine does: nothing smaller can be told from that.
fn floor(case: &CaseReport, other: &CaseReport, metric: &str) -> f64 {
    let differences =
        case.variants.iter().filter(|variant| variant.is_control).filter_map(|variant| {
            let base = variant.values(metric);
            let ratio = Ratio::of(&base, &other.variant(&variant.name)?.values(metric))?;
            Some(ratio.value.ln().abs().exp_m1())
        });
    differences.max_by(f64::total_cmp).map_or(FLOOR_BLIND, |most| most.max(FLOOR_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    fn word(base: &Report, other: &Report) -> &'static str {
        compare(base, other)[0].word()
    }

    #[test]
    fn the_same_build_is_the_same() {
        let base = report(&[80_000.0, 82_000.0, 81_000.0], &[100_000.0, 99_000.0]);
        let again = report(&[81_500.0, 80_500.0, 83_000.0], &[101_000.0, 100_000.0]);
        assert_eq!(word(&base, &again), "same");
        assert_eq!(word(&base, &base), "same");
    }

    #[test]
    fn a_fifth_less_is_worse_and_a_fifth_more_is_better() {
        let base = report(&[80_000.0, 82_000.0, 81_000.0], &[100_000.0, 99_000.0]);
        let slower = report(&[64_500.0, 65_500.0, 64_000.0], &[100_500.0, 98_000.0]);
        assert_eq!(word(&base, &slower), "WORSE");
        assert_eq!(word(&slower, &base), "BETTER");
    }

    #[test]
    fn a_machine_that_changed_as_much_explains_it() {
        let base = report(&[80_000.0, 82_000.0, 81_000.0], &[100_000.0, 99_000.0]);
        let elsewhere = report(&[64_500.0, 65_500.0, 64_000.0], &[75_000.0, 76_000.0]);
        assert_eq!(word(&base, &elsewhere), "same");
        assert_eq!(compare(&base, &elsewhere)[1].word(), "control");
    }

    #[test]
    fn without_an_interval_nothing_is_judged() {
        let (one, half) = (report(&[100.0], &[1.0]), report(&[50.0], &[1.0]));
        assert_eq!(word(&one, &half), "one sample");
    }

    #[test]
    fn what_was_asked_for_is_not_judged() {
        let mut base = report(&[1.0], &[]);
        base.cases[0].variants[0].samples[0].insert("target_rate".into(), 3_500.0);
        let names: Vec<_> = compare(&base, &base).into_iter().map(|change| change.name).collect();
        assert_eq!(names, ["consumer consumer rows_per_s"]);
    }

    #[test]
    fn less_cpu_time_is_better() {
        let metric = "cpu_s_per_million";
        let of = |values: [f64; 3]| {
            let mut report = report(&[], &[]);
            let variant = &mut report.cases[0].variants[0];
            variant.samples = values.map(|value| [(metric.to_owned(), value)].into()).to_vec();
            report
        };
        assert_eq!(word(&of([2.0, 2.02, 2.01]), &of([1.5, 1.52, 1.51])), "BETTER");
        assert_eq!(word(&of([2.0, 2.02, 2.01]), &of([2.4, 2.42, 2.41])), "WORSE");
    }
}

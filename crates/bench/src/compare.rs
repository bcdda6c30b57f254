//! Two reports side by side: what differs by more than chance, and by more than the machine itself.

use std::fmt;

use crate::report::{CaseReport, Report, VariantReport};
use crate::show;
use crate::statistics::{Ratio, Summary};

/// What two reports of one build differ by on a quiet machine.
const FLOOR_MIN: f64 = 0.05;
/// The same where fewer than two controls tell how the machine has changed.
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
    /// Beside the controls, where there are any.
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
            "{:<10} {:<58} {:>12} -> {:>12}  {:>9} {interval:<22}",
            self.word(),
            self.name,
            show::number(self.base.median),
            show::number(self.other.median),
            percent(self.ratio.value),
        )?;
        if self.is_control {
            return Ok(());
        }
        write!(f, " floor {:.1} %", self.floor * 100.0)
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
                changes.extend(change([case, other_case], [variant, other_variant], metric));
            }
        }
    }
    changes
}

fn change(cases: [&CaseReport; 2], variants: [&VariantReport; 2], metric: &str) -> Option<Change> {
    let [base, other] = variants.map(|variant| variant.values(metric));
    let ([case, _], [variant, _]) = (cases, variants);
    let controls = if variant.is_control {
        Controls::default()
    } else {
        Controls::of(cases, metric, [base.len(), other.len()])
    };
    Some(Change {
        name: format!("{} {} {metric}", case.name, variant.name),
        is_control: variant.is_control,
        base: Summary::of(&base)?,
        other: Summary::of(&other)?,
        ratio: controls.ratio(&base, &other)?,
        floor: controls.floor(),
        higher_is_better: metric.ends_with("_per_s"),
    })
}

/// The programs that are the same in both reports, in one case and measurement: what they differ
/// by, the machine does.
#[derive(Default)]
struct Controls {
    /// Samples of the first report and of the second, of each control that took part in every turn.
    samples: Vec<[Vec<f64>; 2]>,
}

impl Controls {
    fn of([case, other]: [&CaseReport; 2], metric: &str, turns: [usize; 2]) -> Self {
        // How much memory a program takes, no machine changes.
        let tells = !metric.ends_with("_mib");
        let controls = case.variants.iter().filter(|variant| variant.is_control && tells);
        let samples = controls.filter_map(|variant| {
            let pair = [variant, other.variant(&variant.name)?];
            let pair = pair.map(|variant| variant.values(metric));
            let can_divide = pair.iter().flatten().all(|value| *value > 0.0);
            (can_divide && pair.each_ref().map(Vec::len) == turns).then_some(pair)
        });
        Self { samples: samples.collect() }
    }

    /// Returns the ratio of two sets of samples, each of them seen beside the controls of the same
    /// turn: so what hits all alike is gone, within a report and between both. Without controls
    /// they are as they are.
    fn ratio(&self, base: &[f64], other: &[f64]) -> Option<Ratio> {
        let beside = |samples: &[f64], report: usize| -> Vec<f64> {
            let turns = samples.iter().enumerate();
            turns
                .map(|(turn, sample)| {
                    let logs = self.samples.iter().map(|control| control[report][turn].ln());
                    sample / mean(logs).unwrap_or(0.0).exp()
                })
                .collect()
        };
        Ratio::of(&beside(base, 0), &beside(other, 1))
    }

    /// Returns the least difference that counts: beyond what the controls disagree by on how the
    /// machine has changed, which for one of them may be another change than for the next.
    fn floor(&self) -> f64 {
        let ratios = self.samples.iter().filter_map(|[base, other]| Ratio::of(base, other));
        let logs: Vec<f64> = ratios.map(|ratio| ratio.value.ln()).collect();
        let (2.., Some(middle)) = (logs.len(), mean(logs.iter().copied())) else {
            return FLOOR_BLIND;
        };
        let apart: Vec<f64> = logs.iter().map(|log| (log - middle).abs()).collect();
        let apart = Summary::of(&apart).map_or(0.0, |apart| apart.median);
        (apart + FLOOR_MIN.ln_1p()).exp_m1()
    }
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = numbers.len();
    (count > 0).then(|| numbers.sum::<f64>() / count as f64)
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
        let base = report(&[80_000.0, 82_000.0, 81_000.0], &[100_000.0, 99_000.0, 101_000.0]);
        let again = report(&[81_500.0, 80_500.0, 83_000.0], &[101_000.0, 100_000.0, 99_500.0]);
        assert_eq!(word(&base, &again), "same");
        assert_eq!(word(&base, &base), "same");
    }

    #[test]
    fn a_fifth_less_is_worse_and_a_fifth_more_is_better() {
        let base = report(&[80_000.0, 82_000.0, 81_000.0], &[100_000.0, 99_000.0, 101_000.0]);
        let slower = report(&[64_500.0, 65_500.0, 64_000.0], &[100_500.0, 98_000.0, 99_000.0]);
        assert_eq!(word(&base, &slower), "WORSE");
        assert_eq!(word(&slower, &base), "BETTER");
    }

    #[test]
    fn a_machine_that_changed_as_much_explains_it() {
        let base = report(&[80_000.0, 82_000.0, 81_000.0], &[100_000.0, 99_000.0, 101_000.0]);
        let elsewhere = report(&[64_500.0, 65_500.0, 64_000.0], &[80_000.0, 81_000.0, 79_500.0]);
        assert_eq!(word(&base, &elsewhere), "same");
        assert_eq!(compare(&base, &elsewhere)[1].word(), "control");
    }

    /// Goal: what the machine does hides nothing. Method: one that is half as fast in some turns,
    /// and in the second report faster throughout by more than the build is slower.
    #[test]
    fn a_build_that_is_slower_is_found_on_a_machine_that_became_faster() {
        let speeds = [1.0, 0.5, 0.9, 0.7];
        let of = |rate: f64, machine: f64, noise: [f64; 4]| -> Vec<f64> {
            let turns = speeds.into_iter().zip(noise);
            turns.map(|(speed, noise)| rate * machine * speed * noise).collect()
        };
        let steady = [1.0, 1.02, 0.99, 1.01];
        let restless = [1.01, 0.98, 1.0, 1.02];
        let base = report(&of(80_000.0, 1.0, steady), &of(100_000.0, 1.0, restless));
        let again = report(&of(80_000.0, 1.4, restless), &of(100_000.0, 1.4, steady));
        assert_eq!(word(&base, &again), "same");
        let slower = report(&of(64_000.0, 1.4, restless), &of(100_000.0, 1.4, steady));
        assert_eq!(word(&base, &slower), "WORSE");
        assert_eq!(word(&slower, &base), "BETTER");
    }

    /// A second control, of whose turns so many are in the report.
    fn with_second_control(mut report: Report, samples: &[f64]) -> Report {
        let mut second = report.cases[0].variants[1].clone();
        second.name = "another".into();
        let sample = |value: &f64| [("rows_per_s".to_owned(), *value)].into();
        second.samples = samples.iter().map(sample).collect();
        report.cases[0].variants.push(second);
        report
    }

    #[test]
    fn what_controls_disagree_by_is_no_difference() {
        let (ours, control) = ([80_000.0, 80_100.0], [100_000.0, 100_100.0]);
        let base = with_second_control(report(&ours, &control), &[50_000.0, 50_050.0]);
        let slower = ours.map(|rate| rate * 0.85);
        let quiet = with_second_control(report(&slower, &control), &[50_000.0, 50_050.0]);
        assert_eq!(word(&base, &quiet), "WORSE");
        // One control saw a machine half as fast again, the other, like us, none of it.
        let torn = with_second_control(report(&ours, &control), &[75_000.0, 75_050.0]);
        assert_eq!(word(&base, &torn), "same");
    }

    #[test]
    fn a_control_that_missed_a_turn_is_left_out() {
        let (ours, control) = ([80_000.0, 40_000.0], [100_000.0, 50_000.0]);
        let base = with_second_control(report(&ours, &control), &[50_000.0]);
        let slower = ours.map(|rate| rate * 0.8);
        let other = with_second_control(report(&slower, &control), &[50_000.0]);
        assert_eq!(word(&base, &other), "WORSE");
    }

    #[test]
    fn without_controls_a_tenth_is_no_difference() {
        let base = report(&[100.0, 100.1, 99.9], &[]);
        assert_eq!(word(&base, &report(&[92.0, 92.1, 91.9], &[])), "same");
        assert_eq!(word(&base, &report(&[88.0, 88.1, 87.9], &[])), "WORSE");
    }

    #[test]
    fn no_machine_changes_how_much_memory_a_program_takes() {
        let of = |ours: [f64; 2], peer: [f64; 2]| {
            let mut report = report(&[], &[]);
            for (variant, values) in report.cases[0].variants.iter_mut().zip([ours, peer]) {
                variant.samples = values.map(|value| [("rss_mib".into(), value)].into()).to_vec();
            }
            report
        };
        let base = of([100.0, 101.0], [300.0, 301.0]);
        assert_eq!(word(&base, &of([130.0, 131.0], [390.0, 391.0])), "WORSE");
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

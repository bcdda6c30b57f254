//! Reports as plain text, for a terminal.

use crate::report::{CaseReport, Report, Sample, VariantReport};
use crate::statistics::Summary;
use crate::targets;

/// One sample on a line.
pub fn sample(sample: &Sample) -> String {
    let parts: Vec<String> =
        sample.iter().map(|(name, value)| format!("{name}={}", number(*value))).collect();
    parts.join(" ")
}

/// A number with three to four digits that matter, in groups of three.
pub fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1_000.0 {
        let digits = format!("{magnitude:.0}");
        let mut text = String::from(if value < 0.0 { "-" } else { "" });
        for (position, digit) in digits.chars().enumerate() {
            if position > 0 && (digits.len() - position).is_multiple_of(3) {
                text.push(' ');
            }
            text.push(digit);
        }
        return text;
    }
    if magnitude >= 100.0 {
        format!("{value:.0}")
    } else if magnitude >= 10.0 {
        format!("{value:.1}")
    } else if magnitude >= 0.1 || value == 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.5}")
    }
}

/// A summary: the median, and the spread if there is one.
pub fn summary(summary: &Summary) -> String {
    let Summary { median, min, max, count } = *summary;
    if count == 1 {
        return number(median);
    }
    format!("{} ({} to {}, {count})", number(median), number(min), number(max))
}

/// A whole report.
pub fn report(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "{}{}, {:.0} s, commit {}\n{} cores of {}, {:.0} GiB, Linux {}, load average {:.2} before \
         the run\n{}, {}, Kafka {}, Cassandra {}\n",
        report.started,
        if report.quick { " (quick: too short for figures)" } else { "" },
        report.wall_s,
        machine.revision,
        machine.cores,
        machine.cpu_model,
        machine.memory_gib,
        machine.kernel,
        machine.load_average,
        machine.rustc,
        machine.java,
        machine.kafka,
        machine.cassandra,
    );
    if let Some(warning) = machine.warning() {
        text += &format!("{warning}\n");
    }
    for case in &report.cases {
        text += &format!("\n{}", case_text(case));
    }
    text += "\ntargets\n";
    for verdict in targets::evaluate(report) {
        text += &format!("  {verdict}\n");
    }
    text
}

fn case_text(case: &CaseReport) -> String {
    let mut text = format!("{}: {} ({:.0} s)\n", case.name, case.about, case.wall_s);
    for variant in &case.variants {
        text += &variant_text(variant);
    }
    for note in &case.notes {
        text += &format!("  note: {note}\n");
    }
    text
}

fn variant_text(variant: &VariantReport) -> String {
    let mut text = format!("  {}: {}\n", variant.name, variant.about);
    for metric in variant.metrics() {
        if let Some(values) = Summary::of(&variant.values(metric)) {
            text += &format!("    {metric:<34} {}\n", summary(&values));
        }
    }
    if let Some(reason) = &variant.skipped {
        text += &format!("    left out: {reason}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report as example;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let expected = [
            (0.0, "0.00"),
            (0.000_31, "0.00031"),
            (0.25, "0.25"),
            (12.34, "12.3"),
            (345.6, "346"),
            (-1_234.5, "-1 234"),
            (1_234_567.0, "1 234 567"),
        ];
        for (value, text) in expected {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_report_shows_medians_with_their_spread_and_what_is_missing() {
        let mut shown = example(&[80_000.0, 82_000.0, 90_000.0], &[100_000.0]);
        shown.cases[0].variants[1].skipped = Some("no wheels".into());
        let text = report(&shown);
        for part in ["82 000 (80 000 to 90 000, 3)", "left out: no wheels", "nothing special"] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}

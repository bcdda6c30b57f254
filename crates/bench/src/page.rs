//! The page `docs/benchmarks.md`: prose from a template, figures from a report.

use crate::report::{CaseReport, Report};
use crate::show;
use crate::statistics::Summary;
use crate::targets;

const TEMPLATE: &str = include_str!("page/template.md");
const SLOT: &str = "<!-- report -->\n";

/// The columns that a case may have: the name of a measurement, and its heading.
const COLUMNS: [(&str, &str); 24] = [
    ("rows_per_s", "rows/s"),
    ("readings_per_s", "readings/s"),
    ("sustained_per_s", "readings/s"),
    ("target_rate", "readings/s"),
    ("first_row_s", "first row, s"),
    ("servers_ready_s", "servers ready, s"),
    ("rate_error_percent", "rate off by, %"),
    ("burst_of_due", "most in 100 ms, x due"),
    ("schedule_lag_p50_ms", "schedule lag p50, ms"),
    ("schedule_lag_p99_ms", "p99, ms"),
    ("schedule_lag_max_ms", "max, ms"),
    ("due_to_readable_p50_ms", "p50, ms"),
    ("due_to_readable_p90_ms", "p90, ms"),
    ("due_to_readable_p99_ms", "p99, ms"),
    ("due_to_readable_max_ms", "max, ms"),
    ("watched", "readings watched"),
    ("cpu_s_per_million", "CPU s per million"),
    ("producer_cpu_s_per_million", "producer CPU s per million"),
    ("consumer_cpu_s_per_million", "consumer CPU s per million"),
    ("kafka_cpu_s_per_million", "Kafka CPU s per million"),
    ("cassandra_cpu_s_per_million", "Cassandra CPU s per million"),
    ("cpu_percent_of_core", "CPU, % of a core"),
    ("rss_peak_mib", "memory at most, MiB"),
    ("consumer_rss_peak_mib", "consumer's memory, MiB"),
];

/// Writes the page.
pub fn render(report: &Report) -> String {
    TEMPLATE.replace(SLOT, &figures(report))
}

fn figures(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "Figures of {}, commit {}, one run of {:.0} minutes on {} cores ({}) and {:.0} GiB that \
         the\nservers, the programs and their peers share: Linux {}, {}, {}, Kafka {}, Cassandra \
         {}.\nThe load average before the run was {:.2}.\n",
        report.started.split('T').next().unwrap_or_default(),
        machine.revision,
        report.wall_s / 60.0,
        machine.cores,
        machine.cpu_model,
        machine.memory_gib,
        machine.kernel,
        machine.java,
        machine.rustc,
        machine.kafka,
        machine.cassandra,
        machine.load_average,
    );
    if report.quick {
        text += "\n**A quick run: too short for figures.**\n";
    }
    if let Some(warning) = machine.warning() {
        text += &format!("\n**{warning}.**\n");
    }
    text += "\n## Targets\n\n| what | target | measured | |\n|---|---|---|---|\n";
    for verdict in targets::evaluate(report) {
        let measured = verdict.measured.as_deref().unwrap_or("-");
        let (what, target) = (verdict.what, &verdict.target);
        text += &format!("| {what} | {target} | {measured} | {} |\n", verdict.word());
    }
    for case in &report.cases {
        text += &format!("\n{}", case_section(case));
    }
    text
}

fn case_section(case: &CaseReport) -> String {
    let mut text = format!("## Case `{}`\n\n{}.\n", case.name, capitalised(&case.about));
    let has_figures = case.variants.iter().any(|variant| !variant.samples.is_empty());
    if has_figures {
        text += &format!("\n{}", if case.name == "micro" { steps(case) } else { table(case) });
    }
    let left_out =
        case.variants.iter().filter_map(|variant| Some((variant, variant.skipped.as_ref()?)));
    for (variant, reason) in left_out {
        // Compilers have a lot to say.
        let reason = reason.lines().next().unwrap_or_default();
        text += &format!("\nLeft out: `{}`, {reason}\n", variant.name);
    }
    if !case.notes.is_empty() {
        text += "\n";
        for note in &case.notes {
            text += &format!("- {note}\n");
        }
    }
    text
}

fn table(case: &CaseReport) -> String {
    let measured =
        |metric: &str| case.variants.iter().any(|variant| variant.metrics().contains(&metric));
    let columns: Vec<_> = COLUMNS.iter().filter(|(metric, _)| measured(metric)).collect();
    let headings: Vec<&str> = columns.iter().map(|(_, heading)| *heading).collect();
    let mut text =
        format!("| | {} |\n|---|{}\n", headings.join(" | "), "---|".repeat(columns.len()));
    for variant in case.variants.iter().filter(|variant| !variant.samples.is_empty()) {
        let cells: Vec<String> =
            columns.iter().map(|(metric, _)| cell(&variant.values(metric))).collect();
        text += &format!("| **{}**: {} | {} |\n", variant.name, variant.about, cells.join(" | "));
    }
    text
}

/// Micro-benchmarks have other names each.
fn steps(case: &CaseReport) -> String {
    let mut text = String::from("| step | ns |\n|---|---|\n");
    for variant in &case.variants {
        for metric in variant.metrics() {
            let step = metric.trim_end_matches("_ns");
            text += &format!("| {} {step} | {} |\n", variant.name, cell(&variant.values(metric)));
        }
    }
    text
}

fn cell(values: &[f64]) -> String {
    let Some(Summary { median, min, max, count }) = Summary::of(values) else {
        return String::new();
    };
    let median = show::number(median);
    if count == 1 {
        return median;
    }
    format!("{median} ({} to {})", show::number(min), show::number(max))
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn the_page_has_a_title_the_targets_and_a_table_for_each_case() {
        let page = render(&report(&[80_000.0, 90_000.0, 85_000.0], &[100_000.0]));
        assert!(page.starts_with("# Benchmarks\n") && !page.contains(SLOT));
        for part in [
            "Figures of 2026-11-21",
            "| consumer, as a share of the plain driver's rate with the same batches | >= 0.85 | \
             0.85 | met |",
            "## Case `consumer`\n\nDrains a topic.",
            "| **consumer**: the consumer | 85 000 (80 000 to 90 000) |",
            "| **driver**: the driver | 100 000 |",
            "- nothing special",
            "not measured",
        ] {
            assert!(page.contains(part), "{part:?} is not in {page}");
        }
        assert!(!page.contains("\n\n\n") && page.ends_with('\n'));
    }

    #[test]
    fn a_page_says_what_is_not_to_be_trusted() {
        let mut shaky = report(&[1.0], &[]);
        shaky.quick = true;
        shaky.machine.load_average = 9.0;
        shaky.cases[0].variants[1].skipped = Some("no compiler\nmore of it".into());
        let page = render(&shaky);
        for part in ["too short for figures", "not quiet", "Left out: `driver`, no compiler\n"] {
            assert!(page.contains(part), "{part:?} is not in {page}");
        }
    }
}

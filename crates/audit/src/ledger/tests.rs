//! I2: the balance is right, and every fault unbalances it.

use domain::simulation::report::{IndexRange, RunState, Shard};
use domain::simulation::{FateCounts, Simulation, TransportSpec};
use serde_json::Value;

use super::*;
use crate::compare::testing::{START_MS, StoredRow, report, stored};
use crate::settings::OutputFormat;
use crate::strangers::UNKNOWN_RUNS_MAX;
use crate::tables::{Key, Outcome};

const NOW_MS: i64 = START_MS + 3_600_000;

fn rows(report: &RunReport) -> Vec<StoredRow> {
    (0..report.scheduled).map(|index| stored(report, index)).collect()
}

/// Audits a table that never expires.
fn audit(reports: &[RunReport], table: &[StoredRow]) -> Summary {
    audit_from(i64::MIN, reports, table, &[])
}

fn audit_from(
    required_from_ms: i64,
    reports: &[RunReport],
    table: &[StoredRow],
    newcomers: &[&str],
) -> Summary {
    let mut ledger = Ledger::new(reports.to_vec(), false, false);
    for row in table {
        ledger.record(&row.row(), NOW_MS);
    }
    let newcomers = newcomers.iter().map(|run| (*run).to_owned()).collect();
    ledger.close(required_from_ms, &newcomers, None, Vec::new(), Duration::from_secs(1))
}

fn lines(summary: &Summary, format: OutputFormat) -> Vec<String> {
    let mut text = Vec::new();
    summary.write(format, &mut text).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

fn verdict(summary: &Summary) -> String {
    lines(summary, OutputFormat::Text).pop().unwrap()
}

#[test]
fn a_table_with_every_row_is_clean() {
    let report = report("a", 1_000);
    let summary = audit(std::slice::from_ref(&report), &rows(&report));
    assert_eq!(
        verdict(&summary),
        "audit: scheduled 1000 acknowledged 1000 stored 1000 missing 0 phantom 0 corrupt 0"
    );
    assert!(summary.is_clean());
}

#[test]
fn a_row_that_is_lost_is_missing() {
    let report = report("a", 1_000);
    let mut table = rows(&report);
    let lost = table.remove(345);
    let summary = audit(&[report], &table);
    assert_eq!(
        verdict(&summary),
        "audit: scheduled 1000 acknowledged 1000 stored 999 missing 1 phantom 0 corrupt 0"
    );
    assert!(!summary.is_clean());
    let Example { sensor_id, seq, .. } = &summary.examples.missing[0];
    assert_eq!((sensor_id, *seq), (&lost.sensor_id, lost.seq));
}

#[test]
fn a_fault_in_another_table_is_one_of_the_audit() {
    let report = report("a", 100);
    let mut clean = audit(std::slice::from_ref(&report), &rows(&report));
    let outcome = || Outcome::new("sites", false, false);
    clean.tables.push(outcome().close(&BTreeSet::new()));
    assert!(clean.is_clean());
    let mut faulty = outcome();
    faulty.add_missing(|| Key::site("site-0007"), "lat 1 lon 2".into());
    clean.tables.push(faulty.close(&BTreeSet::new()));
    assert!(!clean.is_clean());
    let text = lines(&clean, OutputFormat::Text).join("\n");
    let expected = "sites missing: site site-0007: expected lat 1 lon 2, found no row";
    assert!(text.contains(expected), "{text}");
    let json: Value = serde_json::from_str(&lines(&clean, OutputFormat::Json)[0]).unwrap();
    assert_eq!((&json["missing"], &json["tables"][1]["missing"]), (&0.into(), &1.into()));
    assert_eq!(json["tables"][1]["examples"]["missing"][0]["site_id"], "site-0007");
}

#[test]
fn an_empty_table_lacks_everything_and_shows_ten() {
    let summary = audit(&[report("a", 1_000)], &[]);
    assert_eq!(summary.totals.missing, 1_000);
    assert_eq!(summary.examples.missing.len(), EXAMPLES_MAX);
    let text = lines(&summary, OutputFormat::Text).join("\n");
    assert!(text.contains("missing: and 990 more"), "{text}");
}

#[test]
fn a_row_that_is_altered_is_corrupt_and_neither_stored_nor_missing() {
    let report = report("a", 1_000);
    let mut table = rows(&report);
    table[7].value = Some(-273.15);
    let summary = audit(&[report], &table);
    assert_eq!(
        verdict(&summary),
        "audit: scheduled 1000 acknowledged 1000 stored 999 missing 0 phantom 0 corrupt 1"
    );
    assert!(!summary.is_clean());
    assert_eq!(summary.examples.corrupt[0].found, "value -273.15");
}

#[test]
fn a_row_that_is_moved_is_a_phantom_and_its_place_is_missing() {
    let report = report("a", 1_000);
    let mut table = rows(&report);
    table[7].ts_ms += 1;
    let summary = audit(&[report], &table);
    assert_eq!(
        verdict(&summary),
        "audit: scheduled 1000 acknowledged 1000 stored 999 missing 1 phantom 1 corrupt 0"
    );
    assert!(!summary.is_clean());
}

#[test]
fn a_row_of_an_unknown_run_is_foreign_unless_its_report_has_come_since() {
    let known = report("a", 100);
    let mut table = rows(&known);
    table.extend(rows(&report("b", 3)));
    let reports = [known];
    let summary = audit(&reports, &table);
    let Counts { phantom, later, foreign, .. } = summary.totals;
    assert_eq!((phantom, later, foreign), (0, 0, 3));
    assert_eq!(summary.examples.foreign.len(), 3);
    assert!(summary.is_clean());
    assert!(verdict(&summary).ends_with("missing 0 phantom 0 corrupt 0 foreign 3"));
    let summary = audit_from(i64::MIN, &reports, &table, &["a", "b"]);
    assert_eq!((summary.totals.foreign, summary.totals.later), (0, 3));
    assert!(summary.is_clean() && summary.examples.foreign.is_empty());
}

#[test]
fn a_strict_audit_takes_foreign_rows_for_phantoms() {
    let known = report("a", 100);
    let mut ledger = Ledger::new(vec![known.clone()], false, true);
    for row in rows(&known).iter().chain(&rows(&report("b", 3))) {
        ledger.record(&row.row(), NOW_MS);
    }
    let summary = ledger.close(i64::MIN, &BTreeSet::new(), None, Vec::new(), Duration::ZERO);
    assert_eq!((summary.totals.phantom, summary.totals.foreign), (3, 0));
    assert_eq!(summary.examples.phantom.len(), 3);
    assert!(!summary.is_clean());
}

#[test]
fn rows_of_ever_more_unknown_runs_stay_foreign() {
    let known = report("a", 0);
    let mut table = Vec::new();
    for number in 0..UNKNOWN_RUNS_MAX + 5 {
        table.extend(rows(&report(&format!("b{number}"), 1)));
    }
    let summary = audit(&[known], &table);
    assert_eq!(summary.totals.foreign, UNKNOWN_RUNS_MAX as u64 + 5);
    assert_eq!(summary.examples.foreign.len(), EXAMPLES_MAX);
}

/// Identifiers are whatever a stranger sent: a terminal must not obey them.
#[test]
fn identifiers_are_shown_and_not_obeyed() {
    let known = report("a", 100);
    let mut table = rows(&known);
    table[5].sensor_id += "\x1b[2J\n\u{202e}x";
    let text = lines(&audit(&[known], &table), OutputFormat::Text).join("\n");
    assert!(text.contains("\\u{1b}[2J\\u{a}\\u{202e}x"), "{text}");
}

#[test]
fn when_one_run_is_asked_for_the_others_are_left_alone() {
    let (asked, other) = (report("a", 100), report("b", 50));
    let mut ledger = Ledger::new(vec![asked.clone()], true, false);
    for row in rows(&asked).iter().chain(&rows(&other)) {
        ledger.record(&row.row(), NOW_MS);
    }
    let summary = ledger.close(i64::MIN, &BTreeSet::new(), None, Vec::new(), Duration::ZERO);
    assert!(summary.is_clean());
    assert_eq!((summary.totals.stored, summary.ignored, summary.rows), (100, 50, 150));
}

#[test]
fn readings_that_were_not_acknowledged_may_be_there_or_not() {
    let mut report = report("a", 1_000);
    report.unacknowledged = vec![IndexRange { from: 100, to: 110 }];
    let mut table = rows(&report);
    table.drain(103..110);
    let summary = audit(&[report.clone()], &table);
    assert_eq!(
        verdict(&summary),
        "audit: scheduled 1000 acknowledged 990 stored 993 missing 0 phantom 0 corrupt 0"
    );
    assert!(summary.is_clean());
    table.remove(99);
    assert_eq!(audit(&[report], &table).totals.missing, 1);
}

#[test]
fn rows_made_since_the_snapshot_are_counted_apart() {
    let mut snapshot = report("a", 500);
    let table = rows(&report("a", 800));
    snapshot.state = RunState::Running;
    let summary = audit(&[snapshot], &table);
    assert_eq!((summary.totals.stored, summary.totals.later), (500, 300));
    assert!(summary.is_clean());
}

#[test]
fn old_readings_are_not_required_but_compared_where_they_are_found() {
    let report = report("a", 1_000);
    let reports = std::slice::from_ref(&report);
    let mut table = rows(&report).split_off(200);
    // Readings are due every 10 ms, so 300 of them before this.
    let required_from_ms = START_MS + 3_000;
    let summary = audit_from(required_from_ms, reports, &table, &[]);
    assert_eq!(
        verdict(&summary),
        "audit: scheduled 1000 acknowledged 1000 stored 800 missing 0 phantom 0 corrupt 0"
    );
    assert_eq!(summary.totals.expired, 200);
    table[0].unit = None;
    table.remove(100);
    let summary = audit_from(required_from_ms, reports, &table, &[]);
    assert_eq!((summary.totals.corrupt, summary.totals.missing), (1, 1));
    let nothing = audit_from(i64::MAX, reports, &[], &[]);
    assert_eq!(nothing.totals.expired, 1_000);
    assert!(!nothing.is_clean(), "nothing is proved");
    let text = lines(&nothing, OutputFormat::Text);
    assert!(text.iter().any(|line| line.starts_with("nothing is proved")), "{text:?}");
}

#[test]
fn several_runs_are_listed_and_added_up() {
    let (one, two) = (report("a", 100), report("b", 50));
    let mut table = rows(&one);
    table.extend(rows(&two).split_off(1));
    let summary = audit(&[one, two], &table);
    let text = lines(&summary, OutputFormat::Text);
    assert_eq!(
        text[1],
        "run b (complete): scheduled 50 acknowledged 50 stored 49 missing 1 phantom 0 corrupt 0"
    );
    assert_eq!(
        text.last().unwrap(),
        "audit: scheduled 150 acknowledged 150 stored 149 missing 1 phantom 0 corrupt 0"
    );
}

#[test]
fn json_says_the_same_on_one_line() {
    let report = report("a", 100);
    let mut table = rows(&report);
    table.pop();
    let printed = lines(&audit(&[report], &table), OutputFormat::Json);
    assert_eq!(printed.len(), 1);
    let json: Value = serde_json::from_str(&printed[0]).unwrap();
    assert_eq!((&json["scheduled"], &json["stored"]), (&100.into(), &99.into()));
    assert_eq!((&json["missing"], &json["phantom"]), (&1.into(), &0.into()));
    assert_eq!(json["runs"][0]["run"], "a");
    assert_eq!(json["examples"]["missing"][0]["found"], "no row");
}

/// A run with every fault of the transport, and what each of its readings met.
fn faulty_run(scheduled: u64) -> (RunReport, Simulation) {
    let mut report = report("a", scheduled);
    report.manifest.transport = TransportSpec {
        missing_ppm: 20_000,
        late_ppm: 20_000,
        late_max_ms: 10_000,
        out_of_order_ppm: 20_000,
        duplicate_ppm: 20_000,
        offline_ppm: 1_000_000,
        offline_max_ms: 600_000,
        clock_drift_max_ppm: 500,
    };
    let simulation = Simulation::new(report.manifest.clone());
    (report, simulation)
}

#[test]
fn what_was_never_sent_is_not_missing_and_what_came_twice_is_no_phantom() {
    let (report, simulation) = faulty_run(6_000);
    let mut fates = FateCounts::default();
    (0..6_000).for_each(|index| fates.add(&simulation.fate(index)));
    assert!(fates.missing > 0 && fates.late > 0 && fates.out_of_order > 0, "{fates:?}");
    assert!(fates.forwarded > 0 && fates.duplicate > 0, "{fates:?}");
    let sent = (0..6_000).filter(|index| simulation.fate(*index).is_sent());
    let table: Vec<StoredRow> = sent.map(|index| stored(&report, index)).collect();
    let summary = audit(std::slice::from_ref(&report), &table);
    let sent = 6_000 - fates.missing;
    assert_eq!(
        verdict(&summary),
        format!(
            "audit: scheduled 6000 acknowledged {sent} stored {sent} missing 0 phantom 0 corrupt 0"
        )
    );
    assert_eq!(summary.totals.fates, fates);
    let text = lines(&summary, OutputFormat::Text).join("\n");
    assert!(text.contains(&format!("never sent {}", fates.missing)), "{text}");

    let never_sent = (0..6_000).find(|index| !simulation.fate(*index).is_sent()).unwrap();
    let mut table = table;
    table.push(stored(&report, never_sent));
    assert_eq!(audit(&[report], &table).totals.phantom, 1, "a row of a reading never sent");
}

#[test]
fn parts_of_a_run_make_a_whole() {
    let part = |number| RunReport { shard: Shard { number, of: 3 }, ..report("a", 1_000) };
    let reports = [part(0), part(1), part(2)];
    let table = rows(&report("a", 1_000));
    let summary = audit(&reports, &table);
    assert_eq!(
        verdict(&summary),
        "audit: scheduled 1000 acknowledged 1000 stored 1000 missing 0 phantom 0 corrupt 0"
    );
    let text = lines(&summary, OutputFormat::Text).join("\n");
    assert!(text.contains("run a.1-of-3 (complete): scheduled"), "{text}");

    let without_one = audit(&reports[..2], &table);
    assert!(without_one.totals.phantom > 0 && without_one.totals.missing == 0);
    let lost = audit(&reports, &table[1..]);
    assert_eq!((lost.totals.missing, lost.totals.phantom), (1, 0));
}

//! Every verdict can come about, and each column has a say.

use std::collections::BTreeSet;

use domain::simulation::report::IndexRange;

use super::testing::{START_MS, StoredRow, report, stored};
use super::*;

/// What is altered, and how.
type Alteration<'a> = (&'static str, &'a dyn Fn(&mut StoredRow));

const LONG_AFTER_MS: i64 = START_MS + 3_600_000;

fn verdict_of(report: &RunReport, row: &StoredRow) -> Verdict {
    Expectation::new(report.clone()).classify(&row.row(), LONG_AFTER_MS)
}

#[test]
fn a_row_as_the_consumer_writes_it_is_right() {
    let report = report("a", 5_000);
    let mut expectation = Expectation::new(report.clone());
    for index in 0..5_000 {
        let verdict = expectation.classify(&stored(&report, index).row(), LONG_AFTER_MS);
        assert_eq!(verdict, Verdict::Right(index));
    }
}

#[test]
fn a_row_with_any_other_cell_is_corrupt_and_the_column_is_named() {
    let report = report("a", 100);
    let nudge = |number: &mut Option<f64>| *number = number.map(f64::next_up);
    let nudge_time = |time: &mut Option<i64>, by| *time = time.map(|time| time + by);
    let alterations: [Alteration<'_>; 16] = [
        ("value", &|row| nudge(&mut row.value)),
        ("value", &|row| row.value = None),
        ("unit", &|row| row.unit = Some("K".into())),
        ("unit", &|row| row.unit = None),
        ("status", &|row| row.status = Some("OK".into())),
        ("status", &|row| row.status = None),
        ("lat", &|row| nudge(&mut row.lat)),
        ("lat", &|row| row.lat = None),
        ("lon", &|row| nudge(&mut row.lon)),
        ("lon", &|row| row.lon = None),
        ("write timestamp", &|row| nudge_time(&mut row.write_timestamp_us, 1)),
        ("write timestamp", &|row| row.write_timestamp_us = None),
        ("expiry", &|row| nudge_time(&mut row.expiry.found_ms, 61_000)),
        ("expiry", &|row| nudge_time(&mut row.expiry.found_ms, -61_000)),
        ("expiry", &|row| row.expiry.found_ms = None),
        ("expiry", &|row| row.expiry.expected_ms = None),
    ];
    for (column, alter) in alterations {
        let words = column.split(' ').count();
        let mut row = stored(&report, 77);
        alter(&mut row);
        let verdict = verdict_of(&report, &row);
        let Verdict::Corrupt(77, Mismatch { expected, found }) = &verdict else {
            panic!("altered {column}: {verdict:?}");
        };
        for text in [expected, found] {
            assert!(
                text.starts_with(column) && text.split(' ').count() == words + 1,
                "{verdict:?}"
            );
        }
    }
}

#[test]
fn a_zero_with_the_other_sign_is_corrupt() {
    let report = report("a", 100);
    let index = (0..100)
        .find(|index| stored(&report, *index).value == Some(0.0))
        .expect("some room is dark or empty");
    let mut row = stored(&report, index);
    row.value = Some(-0.0);
    assert!(matches!(verdict_of(&report, &row), Verdict::Corrupt(..)));
}

#[test]
fn a_row_that_was_written_while_a_server_stood_still_is_right() {
    let report = report("a", 100);
    let mut row = stored(&report, 77);
    row.expiry.found_ms = row.expiry.expected_ms.map(|expected_ms| expected_ms + 20_000);
    assert_eq!(verdict_of(&report, &row), Verdict::Right(77));
}

#[test]
fn a_row_under_any_other_key_is_a_phantom() {
    let report = report("a", 100);
    let alterations: [Alteration<'_>; 9] = [
        ("site", &|row| row.site_id = "site-0002".into()),
        ("hour", &|row| row.hour_ms += 3_600_000),
        ("ts", &|row| row.ts_ms += 1),
        ("unknown sensor", &|row| {
            row.sensor_id = "site-0000/co2-01".into();
        }),
        ("sensor beyond the fleet", &|row| {
            row.sensor_id = "site-0002/light-03".into();
        }),
        ("other sensor", &|row| {
            row.sensor_id = "site-0000/light-01".into();
        }),
        ("other seq", &|row| row.seq -= 1),
        ("negative seq", &|row| row.seq = -1),
        ("seq that overflows", &|row| row.seq = i64::MAX),
    ];
    for (what, alter) in alterations {
        let mut row = stored(&report, 77);
        alter(&mut row);
        let verdict = verdict_of(&report, &row);
        assert!(matches!(verdict, Verdict::Phantom(_)), "altered {what}: {verdict:?}");
    }
}

#[test]
fn a_run_that_ended_made_no_more_than_it_reported() {
    let report = report("a", 100);
    assert_eq!(verdict_of(&report, &stored(&report, 99)), Verdict::Right(99));
    let beyond = verdict_of(&report, &stored(&report, 100));
    assert!(matches!(beyond, Verdict::Phantom(_)), "{beyond:?}");
}

#[test]
fn a_run_under_way_may_have_made_whatever_is_due_and_nothing_else() {
    let mut report = report("a", 100);
    report.state = RunState::Running;
    let mut expectation = Expectation::new(report.clone());
    // Two seconds into the run 201 readings are due, and 500 more may be on a clock that is ahead.
    let mut at = |index| {
        let row = stored(&report, index);
        expectation.classify(&row.row(), START_MS + 2_000)
    };
    assert_eq!(at(99), Verdict::Right(99));
    assert_eq!(at(100), Verdict::Later);
    assert_eq!(at(700), Verdict::Later);
    assert!(matches!(at(701), Verdict::Phantom(_)));
    let mut altered = stored(&report, 150);
    altered.status = None;
    let verdict = expectation.classify(&altered.row(), START_MS + 2_000);
    assert!(
        matches!(verdict, Verdict::Corrupt(150, _)),
        "later rows are compared too: {verdict:?}"
    );
}

#[test]
fn the_acknowledged_spans_are_what_the_report_says() {
    let gaps =
        [vec![], vec![(0, 5)], vec![(3, 5), (9, 10)], vec![(0, 1), (90, 100)], vec![(0, 100)]];
    for gaps in gaps {
        let mut report = report("a", 100);
        report.unacknowledged = gaps.iter().map(|&(from, to)| IndexRange { from, to }).collect();
        let spans = acknowledged_spans(&report);
        let listed: Vec<u64> = spans.into_iter().flatten().collect();
        let expected: Vec<u64> = (0..200).filter(|index| report.is_acknowledged(*index)).collect();
        assert_eq!(listed, expected, "{gaps:?}");
        let tally = *Expectation::new(report).tally();
        assert_eq!((tally.scheduled, tally.acknowledged), (100, expected.len() as u64));
    }
}

#[test]
fn every_partition_that_a_run_wrote_to_is_known_beforehand() {
    // 100 a second for 60 seconds, half of them before the full hour.
    let report = report("a", 6_000);
    let expectation = Expectation::new(report.clone());
    let known: BTreeSet<_> = expectation.partitions().collect();
    let rows: Vec<StoredRow> = (0..6_000).map(|index| stored(&report, index)).collect();
    let written: BTreeSet<_> = rows.iter().map(|row| (row.site_id.as_str(), row.hour_ms)).collect();
    assert_eq!(known, written);
    assert_eq!(known.len(), 6, "three sites, two hours");
    let unbegun = Expectation::new(RunReport { scheduled: 0, ..report });
    assert_eq!(unbegun.partitions().count(), 0);
}

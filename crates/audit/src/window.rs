//! Which hours of the table are read, and how old a reading may be to be required: rows expire.
//!
//! Cassandra refuses a read that passes too many rows which have expired but are not yet purged.
//! One site's hour is too many already, hence the scan leaves out the hours in which rows expire.

use std::ops::Range;

use domain::hour::{HOUR_MS, hour_start_ms};
use domain::simulation::RunReport;

/// How far clocks may differ and a scan may be late without a reading seeming to be lost.
pub(crate) const MARGIN_MS: i64 = 10 * 60_000;

/// How long the table keeps rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Time from the write of a row to its expiry; 0 keeps rows for good.
    pub(crate) time_to_live_ms: i64,
    /// Time from the expiry of a row until reads pass it for free.
    pub(crate) grace_ms: i64,
}

/// A span of hours to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Start times of the hours, in epoch milliseconds.
    pub(crate) hours_ms: Range<i64>,
    /// Whether readings are required there, so that it has to be read for a verdict.
    pub(crate) required: bool,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The spans of hours; they do not touch each other's hours.
    pub(crate) windows: Vec<Window>,
    required_from_ms: i64,
}

impl Plan {
    /// Decides what to read at `now_ms`, given the runs that may have left expired rows; there may
    /// be `others`, of which nothing is known.
    pub(crate) fn new(retention: Retention, now_ms: i64, runs: &[RunReport], others: bool) -> Self {
        let window = |hours_ms, required| Window { hours_ms, required };
        if retention.time_to_live_ms == 0 {
            return Self {
                windows: vec![window(i64::MIN..i64::MAX, true)],
                required_from_ms: i64::MIN,
            };
        }
        let expiring_ms = now_ms - retention.time_to_live_ms;
        // Only whole hours, so that no required partition holds an expired row.
        let required_from_ms = hour_start_ms(expiring_ms + MARGIN_MS + HOUR_MS - 1);
        let purged_to_ms = hour_start_ms(expiring_ms - retention.grace_ms - HOUR_MS - MARGIN_MS);
        let expiring = purged_to_ms..required_from_ms;
        // Hours that no run wrote to hold no expired rows, only what should not be there.
        let optional_to_ms = if others || runs.iter().any(|run| wrote_within(run, &expiring)) {
            purged_to_ms
        } else {
            required_from_ms
        };
        Self {
            windows: vec![
                window(required_from_ms..i64::MAX, true),
                window(i64::MIN..optional_to_ms, false),
            ],
            required_from_ms,
        }
    }

    /// Returns the hours that are not read, in epoch milliseconds, if there are any.
    pub(crate) fn left_out_ms(&self) -> Option<Range<i64>> {
        let optional = self.windows.iter().find(|window| !window.required)?;
        let left_out = optional.hours_ms.end..self.required_from_ms;
        (!left_out.is_empty()).then_some(left_out)
    }

    /// Returns the least event time, in epoch milliseconds, of the readings that are required of a
    /// scan which ended at `end_ms`.
    pub(crate) fn required_from_ms(&self, retention: Retention, end_ms: i64) -> i64 {
        if retention.time_to_live_ms == 0 {
            return self.required_from_ms;
        }
        // Rows went on expiring while the table was read.
        self.required_from_ms.max(end_ms - retention.time_to_live_ms + MARGIN_MS)
    }
}

fn wrote_within(run: &RunReport, hours_ms: &Range<i64>) -> bool {
    let schedule = &run.manifest.schedule;
    run.scheduled > 0
        && schedule.start_ms < hours_ms.end
        && schedule.event_time_ms(run.scheduled - 1) >= hours_ms.start
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::testing::report;

    const DAY: Retention = Retention { time_to_live_ms: 24 * HOUR_MS, grace_ms: 3 * HOUR_MS };
    const NOW_MS: i64 = 1_000 * HOUR_MS + 30 * 60_000;

    fn run(start_ms: i64) -> RunReport {
        let mut report = report("a", 100);
        report.manifest.schedule.start_ms = start_ms;
        report
    }

    #[test]
    fn without_a_time_to_live_everything_is_read_and_required() {
        let retention = Retention { time_to_live_ms: 0, ..DAY };
        let plan = Plan::new(retention, NOW_MS, &[run(0)], false);
        let hours_ms = i64::MIN..i64::MAX;
        assert_eq!(plan.windows, [Window { hours_ms, required: true }]);
        assert_eq!(plan.required_from_ms(retention, NOW_MS), i64::MIN);
    }

    #[test]
    fn only_hours_without_an_expired_row_are_required() {
        let plan = Plan::new(DAY, NOW_MS, &[], false);
        let required = plan.windows.iter().find(|window| window.required).unwrap();
        assert_eq!(required.hours_ms, 977 * HOUR_MS..i64::MAX);
        assert!(required.hours_ms.start + DAY.time_to_live_ms >= NOW_MS + MARGIN_MS);
        let late_ms = NOW_MS + HOUR_MS;
        assert_eq!(plan.required_from_ms(DAY, NOW_MS), 977 * HOUR_MS);
        assert_eq!(
            plan.required_from_ms(DAY, late_ms),
            late_ms - DAY.time_to_live_ms + MARGIN_MS,
            "a long scan requires less"
        );
    }

    #[test]
    fn hours_with_rows_that_are_expiring_are_left_out() {
        let old = |runs: &[RunReport], others| {
            let plan = Plan::new(DAY, NOW_MS, runs, others);
            let old = plan.windows.iter().find(|window| !window.required).unwrap();
            old.hours_ms.clone()
        };
        let left_out = |runs: &[RunReport]| Plan::new(DAY, NOW_MS, runs, false).left_out_ms();
        let (recent, expiring, ancient) = (run(990 * HOUR_MS), run(975 * HOUR_MS), run(0));
        assert_eq!(left_out(std::slice::from_ref(&recent)), None);
        assert_eq!(left_out(std::slice::from_ref(&expiring)), Some(972 * HOUR_MS..977 * HOUR_MS));
        assert_eq!(old(&[recent.clone(), ancient], false), i64::MIN..977 * HOUR_MS);
        assert_eq!(old(std::slice::from_ref(&recent), true), i64::MIN..972 * HOUR_MS);
        assert_eq!(old(&[recent, expiring], false), i64::MIN..972 * HOUR_MS);
    }
}

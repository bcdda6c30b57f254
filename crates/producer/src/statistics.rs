//! How long things took: percentiles of the latest interval and of the whole run.

use std::fmt;
use std::mem;

use domain::simulation::Schedule;
use domain::simulation::report::DurationSummary;
use hdrhistogram::Histogram;

/// Longest duration that is told apart: a day, in microseconds. Longer ones count as that.
const DURATION_MAX_US: u64 = 24 * 3_600 * 1_000_000;
/// Significant digits of each value.
const DIGITS: u8 = 3;
/// Groups of one batch; all readings of a group count as late as the first.
const GROUPS_MAX: u64 = 16;

/// Durations in microseconds.
pub(crate) struct Durations {
    interval: Histogram<u64>,
    total: Histogram<u64>,
    /// The latest value and how often it came in a row: many come together.
    run: (u64, u64),
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Durations").field("count", &self.total.len()).finish_non_exhaustive()
    }
}

impl Default for Durations {
    fn default() -> Self {
        let empty = || {
            Histogram::new_with_bounds(1, DURATION_MAX_US, DIGITS).expect("the bounds are in order")
        };
        Self { interval: empty(), total: empty(), run: (0, 0) }
    }
}

impl Durations {
    /// Notes one duration.
    pub(crate) fn record(&mut self, duration_us: u64) {
        self.record_many(duration_us, 1);
    }

    fn record_many(&mut self, duration_us: u64, count: u64) {
        if self.run.0 != duration_us {
            self.settle_run();
        }
        self.run = (duration_us, self.run.1 + count);
    }

    fn settle_run(&mut self) {
        let (duration_us, count) = mem::take(&mut self.run);
        if count > 0 {
            self.interval.saturating_record_n(duration_us, count);
        }
    }

    /// Notes how late readings `first..first + count` were, which were handed over at `now_ns`.
    pub(crate) fn record_lateness(
        &mut self,
        schedule: &Schedule,
        first: u64,
        count: u64,
        now_ns: u64,
    ) {
        let group = count.div_ceil(GROUPS_MAX).max(1);
        let mut done = 0;
        while done < count {
            let late_ns = now_ns.saturating_sub(schedule.due_ns(first + done));
            self.record_many(late_ns / 1_000, group.min(count - done));
            done += group;
        }
    }

    /// Ends an interval and returns its percentiles.
    pub(crate) fn end_interval(&mut self) -> DurationSummary {
        self.settle_run();
        let summary = summary(&self.interval);
        self.total.add(&self.interval).expect("both have the same bounds");
        self.interval.reset();
        summary
    }

    /// Returns the percentiles of all intervals that have ended.
    pub(crate) fn total(&self) -> DurationSummary {
        summary(&self.total)
    }
}

fn summary(histogram: &Histogram<u64>) -> DurationSummary {
    let ms = |duration_us: u64| duration_us as f64 / 1_000.0;
    DurationSummary {
        p50_ms: ms(histogram.value_at_quantile(0.5)),
        p99_ms: ms(histogram.value_at_quantile(0.99)),
        p999_ms: ms(histogram.value_at_quantile(0.999)),
        max_ms: ms(histogram.max()),
    }
}

#[cfg(test)]
mod tests {
    use domain::simulation::Rate;

    use super::*;

    #[test]
    fn an_interval_forgets_and_the_total_does_not() {
        let mut durations = Durations::default();
        for _ in 0..99 {
            durations.record(1_000);
        }
        durations.record(500_000);
        let first = durations.end_interval();
        assert!((first.p50_ms - 1.0).abs() < 0.01 && (first.max_ms - 500.0).abs() < 1.0);
        durations.record(2_000);
        assert!(durations.end_interval().max_ms < 3.0);
        assert!(durations.total().max_ms > 499.0);
        assert_eq!(durations.total.len(), 101);
    }

    #[test]
    fn lateness_counts_every_reading_of_a_batch() {
        let schedule = Schedule::constant(0, Rate::per_second_milli(1_000_000).unwrap());
        for count in [1, 2, 15, 16, 17, 100, 255, 256] {
            let mut durations = Durations::default();
            // One reading a millisecond, all handed over when the last one is due.
            durations.record_lateness(&schedule, 5, count, (5 + count - 1) * 1_000_000);
            let summary = durations.end_interval();
            assert_eq!(durations.total.len(), count);
            assert!((summary.max_ms - (count - 1) as f64).abs() <= 0.2, "{summary:?}");
        }
    }
}

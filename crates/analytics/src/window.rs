//! Tumbling windows over one partition of the topic, with a watermark of its own.
//!
//! What becomes of a reading depends on the readings before it in its partition, and on nothing
//! else: neither on time of day nor on where a process began to read. So whoever reads a partition
//! from a [`Bookmark`] on computes what any other computes.

mod accumulator;
mod ahead;
mod bookmark;
mod bucket;
mod outcome;
mod partition;
mod registry;
mod seen;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod slow;
mod speculation;
mod sum;

pub use bookmark::{Bookmark, Counts, TimingChange};
pub use outcome::{Fate, Late, Outcome, Raised, RowKey, SensorState, WindowRow};
pub use partition::{Arrival, Partition};
pub use registry::Known;

/// When windows close, and for how long they may be amended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Size of a window.
    pub window_ms: i64,
    /// Size of the larger window that these are merged into; a multiple.
    pub rollup_ms: i64,
    /// How far the watermark stays behind the latest event time.
    pub out_of_order_ms: i64,
    /// How long after a window was closed a reading may still amend it, in event time.
    pub lateness_ms: i64,
    /// How far after its arrival, and after the latest event time of a partition, the event time
    /// of a reading may lie.
    pub clock_ahead_max_ms: i64,
}

/// Names of the settings that a timing is made of.
pub(crate) const WINDOW_SEC: &str = "ANALYTICS_WINDOW_SEC";
pub(crate) const ROLLUP_SEC: &str = "ANALYTICS_ROLLUP_SEC";
pub(crate) const OUT_OF_ORDER_SEC: &str = "ANALYTICS_OUT_OF_ORDER_SEC";
pub(crate) const ALLOWED_LATENESS_SEC: &str = "ANALYTICS_ALLOWED_LATENESS_SEC";
pub(crate) const CLOCK_AHEAD_MAX_SEC: &str = "ANALYTICS_CLOCK_AHEAD_MAX_SEC";

impl Timing {
    /// As the settings are by default.
    pub const BY_DEFAULT: Self = Self {
        window_ms: 60_000,
        rollup_ms: 3_600_000,
        out_of_order_ms: 5_000,
        lateness_ms: 30_000,
        clock_ahead_max_ms: 30_000,
    };

    /// Returns the settings that it is made of, by name, in milliseconds.
    pub(crate) fn settings(&self) -> [(&'static str, i64); 5] {
        [
            (WINDOW_SEC, self.window_ms),
            (ROLLUP_SEC, self.rollup_ms),
            (OUT_OF_ORDER_SEC, self.out_of_order_ms),
            (ALLOWED_LATENESS_SEC, self.lateness_ms),
            (CLOCK_AHEAD_MAX_SEC, self.clock_ahead_max_ms),
        ]
    }

    /// Returns the start of the window that an event time lies in.
    pub fn window_start_ms(&self, ts_ms: i64) -> i64 {
        ts_ms - ts_ms.rem_euclid(self.window_ms)
    }

    /// Returns the start of the larger window that an event time lies in.
    pub fn rollup_start_ms(&self, ts_ms: i64) -> i64 {
        ts_ms - ts_ms.rem_euclid(self.rollup_ms)
    }

    /// Returns up to where an event time is believed at once, given the latest one.
    pub(crate) fn reach_ms(&self, latest_ms: i64) -> i64 {
        latest_ms.saturating_add(self.clock_ahead_max_ms)
    }

    /// Tells whether a window is closed: the watermark is at or past its end.
    pub(crate) fn is_closed(&self, start_ms: i64, watermark_ms: i64) -> bool {
        start_ms.saturating_add(self.window_ms) <= watermark_ms
    }

    /// Tells whether nothing amends a window any more.
    pub(crate) fn is_final(&self, start_ms: i64, watermark_ms: i64) -> bool {
        start_ms.saturating_add(self.window_ms + self.lateness_ms) <= watermark_ms
    }

    /// Tells whether all windows of a larger one are final.
    pub(crate) fn is_rollup_final(&self, start_ms: i64, watermark_ms: i64) -> bool {
        start_ms.saturating_add(self.rollup_ms + self.lateness_ms) <= watermark_ms
    }
}

/// No sensor measures more; beyond it, sums of squares would overflow.
pub(crate) const VALUE_MAX: f64 = 1e150;

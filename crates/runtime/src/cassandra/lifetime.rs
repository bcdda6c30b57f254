//! When rows expire: counted from their event time, whenever they are written.

use std::time::Duration;

use super::schema::TIME_TO_LIVE_MAX_S;

/// When rows that are written now expire.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    time_to_live_ms: Option<i64>,
    now_ms: i64,
}

impl Lifetime {
    /// Takes how long after its event time a row expires, `None` is never, and the time of the
    /// write in epoch milliseconds.
    pub fn new(time_to_live: Option<Duration>, now_ms: i64) -> Self {
        let time_to_live_ms =
            time_to_live.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        Self { time_to_live_ms, now_ms }
    }

    /// Returns the time to live of a row written now, in seconds, so that it ends when it would
    /// have, had it been written at its event time `ts_ms`, in epoch milliseconds: a replay keeps
    /// no row longer (I3).
    pub fn left_s(self, ts_ms: i64) -> i32 {
        const NEVER: i32 = 0;
        let Some(time_to_live_ms) = self.time_to_live_ms else {
            return NEVER;
        };
        let left_ms = ts_ms.saturating_add(time_to_live_ms) - self.now_ms;
        // It may have expired since it was taken in, and 0 would keep it for good.
        let seconds = (left_ms / 1_000).max(1);
        i32::try_from(seconds).unwrap_or(i32::MAX).min(TIME_TO_LIVE_MAX_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_expires_at_the_same_moment_whenever_it_is_written() {
        const TS_MS: i64 = 1_764_000_000_123;
        const DAY_MS: i64 = 86_400_000;
        let day = Some(Duration::from_hours(24));
        let left_s = |now_ms| Lifetime::new(day, now_ms).left_s(TS_MS);
        assert_eq!(left_s(TS_MS), 86_400);
        assert_eq!(left_s(TS_MS + 3_600_000), 82_800);
        assert_eq!(left_s(TS_MS - 60_000), 86_460, "a clock that is ahead");
        assert_eq!(left_s(TS_MS + DAY_MS), 1, "0 would mean for good");
        assert_eq!(Lifetime::new(None, TS_MS).left_s(TS_MS), 0);
    }
}

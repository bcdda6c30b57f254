//! The time bucket of a Cassandra partition: the UTC hour of a reading, the UTC day of an event.

/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;
/// Milliseconds in a day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// Returns the start of the UTC hour that `ts_ms` lies in, both in epoch milliseconds.
pub fn hour_start_ms(ts_ms: i64) -> i64 {
    ts_ms - ts_ms.rem_euclid(HOUR_MS)
}

/// Returns the start of the UTC day that `ts_ms` lies in, both in epoch milliseconds.
pub fn day_start_ms(ts_ms: i64) -> i64 {
    ts_ms - ts_ms.rem_euclid(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_starts_at_or_before_each_of_its_milliseconds() {
        assert_eq!(hour_start_ms(0), 0);
        assert_eq!(hour_start_ms(HOUR_MS - 1), 0);
        assert_eq!(hour_start_ms(HOUR_MS), HOUR_MS);
        assert_eq!(hour_start_ms(-1), -HOUR_MS);
    }

    #[test]
    fn a_day_starts_at_or_before_each_of_its_milliseconds() {
        assert_eq!(day_start_ms(DAY_MS - 1), 0);
        assert_eq!(day_start_ms(DAY_MS), DAY_MS);
        assert_eq!(day_start_ms(-1), -DAY_MS);
    }
}

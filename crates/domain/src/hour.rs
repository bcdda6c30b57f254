//! The time bucket of a Cassandra partition: the UTC hour of a reading.

/// Milliseconds in an hour.
pub const HOUR_MS: i64 = 3_600_000;

/// Returns the start of the UTC hour that `ts_ms` lies in, both in epoch milliseconds.
pub fn hour_start_ms(ts_ms: i64) -> i64 {
    ts_ms - ts_ms.rem_euclid(HOUR_MS)
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
}

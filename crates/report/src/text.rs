//! How numbers and times look in a report.

use jiff::Timestamp;

/// Most characters of a number.
pub(crate) const NUMBER_CHARS: usize = 7;

/// Writes a time in epoch milliseconds as people read it, in UTC.
pub(crate) fn time(epoch_ms: i64) -> String {
    let time = Timestamp::from_millisecond(epoch_ms);
    time.map_or_else(|_| "-".to_owned(), |time| format!("{time:.0}"))
}

/// Writes hour and minute of a time in epoch milliseconds, in UTC.
pub(crate) fn clock(epoch_ms: i64) -> String {
    time(epoch_ms).chars().skip(11).take(5).collect()
}

/// Writes a number with as many decimals as there is room for, two at most.
pub(crate) fn number(value: f64) -> String {
    let texts = (0..=2).rev().map(|decimals| format!("{value:.decimals$}"));
    let fitting = texts.into_iter().find(|text| text.chars().count() <= NUMBER_CHARS);
    fitting.unwrap_or_else(|| format!("{value:.0e}"))
}

/// Writes a number, or what stands for none.
pub(crate) fn number_if_any(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), number)
}

/// Writes how long something lasted.
pub(crate) fn duration(ms: i64) -> String {
    let minutes = ms / 60_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{} s", ms / 1_000),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes:02}"),
    }
}

/// Writes a count with its noun.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

/// Writes a count that may be only a part.
pub(crate) fn at_least(count: &str, is_complete: bool) -> String {
    let least = if is_complete { "" } else { "more than " };
    format!("{least}{count}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_room() {
        for (value, text) in [
            (21.349, "21.35"),
            (-0.5, "-0.50"),
            (1_013.25, "1013.25"),
            (-1_013.25, "-1013.2"),
            (123_456.7, "123457"),
            (99_999.99, "100000"),
            (-12_345_678.9, "-1e7"),
            (1e300, "1e300"),
        ] {
            let shown = number(value);
            assert_eq!(shown, text);
            assert!(shown.chars().count() <= NUMBER_CHARS);
        }
    }

    #[test]
    fn times_are_utc_and_durations_round_down() {
        assert_eq!(time(1_764_000_000_000), "2025-11-24T16:00:00Z");
        assert_eq!(clock(1_764_000_000_000), "16:00");
        assert_eq!(time(i64::MAX), "-");
        let durations = [59_000, 720_000, 3_900_000].map(duration);
        assert_eq!(durations, ["59 s", "12 min", "1 h 05"]);
    }
}

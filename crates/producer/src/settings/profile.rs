//! How the rate goes over time, as one line of text.

use std::fs;
use std::str::FromStr;

use domain::simulation::Rate;
use domain::simulation::schedule::profile::{PIECE_MAX_NS, RATE_MAX_MILLI};
use domain::simulation::schedule::{Load, NS_PER_MS, Piece, Profile, ProfileError, Then};
use serde::{Deserialize, Deserializer, de};

use crate::decimal::Thousandths;

/// What can be set.
pub(super) const ALLOWED: &str = "constant, ramp:RATE:SEC, steps:RATE@SEC,RATE@SEC,..., \
                                  sine:PERCENT:SEC, burst:RATE:SEC:EVERY_SEC, daily or trace:FILE";

const HOUR_NS: u64 = 3_600_000 * NS_PER_MS;
const DAY_MS: i64 = 86_400_000;
/// Straight pieces of a sine wave: its rate is off by less than 0.13 % of its swing.
const SINE_PIECES: u64 = 64;
/// Load of an office building's day in percent of its mean, at each full hour from midnight: quiet
/// nights, a dent at noon, an evening that fades.
const DAILY_PERCENT: [u64; 24] = [
    35, 30, 25, 20, 25, 35, 55, 90, 130, 160, 170, 175, 165, 170, 175, 170, 160, 145, 120, 100, 85,
    70, 50, 40,
];

/// The shape of a rate over time; rates in thousandths of a reading a second, times in
/// milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The same all the time.
    Constant,
    /// From the target rate to another in a straight line; that one stays.
    Ramp { to_milli: u64, duration_ms: u64 },
    /// Rates, each for its time; the last one stays.
    Steps(Vec<(u64, u64)>),
    /// Around the target rate, up and down by a share of it.
    Sine { percent: u64, period_ms: u64 },
    /// Another rate at the start of each period, the target rate for the rest of it.
    Burst { rate_milli: u64, duration_ms: u64, period_ms: u64 },
    /// The day of an office, with the target rate as its mean, by the hour of day in UTC.
    Daily,
    /// Recorded rates, each from its time on; the last one stays.
    Trace(Vec<(u64, u64)>),
}

/// A text that is no shape.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoShape {
    #[error("`{0}` is not one of {ALLOWED}")]
    Unknown(String),
    #[error("trace `{file}` cannot be read")]
    Unreadable { file: String, source: std::io::Error },
    #[error("trace `{file}`, line {line}: `{text}` is not SECONDS,READINGS_PER_SECOND in order")]
    Line { file: String, line: usize, text: String },
}

impl FromStr for Shape {
    type Err = NoShape;

    fn from_str(text: &str) -> Result<Self, NoShape> {
        let unknown = || NoShape::Unknown(text.to_owned());
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        if name == "trace" && !rest.is_empty() {
            return trace(rest);
        }
        let parts: Vec<&str> = rest.split(':').collect();
        let shape = match (name, parts.as_slice()) {
            ("constant", [""]) => Some(Self::Constant),
            ("daily", [""]) => Some(Self::Daily),
            ("ramp", [rate, duration]) => ramp(rate, duration),
            ("steps", [steps]) => {
                steps.split(',').map(step).collect::<Option<_>>().map(Self::Steps)
            }
            ("sine", [percent, period]) => sine(percent, period),
            ("burst", [rate, duration, period]) => burst(rate, duration, period),
            _ => None,
        };
        shape.ok_or_else(unknown)
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

fn rate_milli(text: &str) -> Option<u64> {
    text.parse().ok().map(|Thousandths(milli)| milli).filter(|milli| *milli <= RATE_MAX_MILLI)
}

fn duration_ms(text: &str) -> Option<u64> {
    let ms = text.parse().ok().map(|Thousandths(ms)| ms);
    ms.filter(|ms| (1..=PIECE_MAX_NS / NS_PER_MS).contains(ms))
}

fn ramp(rate: &str, duration: &str) -> Option<Shape> {
    Some(Shape::Ramp { to_milli: rate_milli(rate)?, duration_ms: duration_ms(duration)? })
}

fn step(text: &str) -> Option<(u64, u64)> {
    let (rate, duration) = text.split_once('@')?;
    Some((rate_milli(rate)?, duration_ms(duration)?))
}

fn sine(percent: &str, period: &str) -> Option<Shape> {
    let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent))?;
    // A piece lasts a nanosecond at least.
    Some(Shape::Sine { percent, period_ms: duration_ms(period)? })
}

fn burst(rate: &str, duration: &str, period: &str) -> Option<Shape> {
    let (duration_ms, period_ms) = (duration_ms(duration)?, duration_ms(period)?);
    (duration_ms < period_ms).then_some(Shape::Burst {
        rate_milli: rate_milli(rate)?,
        duration_ms,
        period_ms,
    })
}

/// Reads a file of lines `seconds,readings_per_second`; the first may be a heading.
fn trace(file: &str) -> Result<Shape, NoShape> {
    let unreadable = |source| NoShape::Unreadable { file: file.to_owned(), source };
    let content = fs::read_to_string(file).map_err(unreadable)?;
    let mut points: Vec<(u64, u64)> = Vec::new();
    for (number, text) in content.lines().map(str::trim).enumerate() {
        let is_heading = number == 0 && !text.starts_with(|c: char| c.is_ascii_digit());
        if text.is_empty() || is_heading {
            continue;
        }
        let point = text.split_once(',').and_then(|(seconds, rate)| {
            let Thousandths(ms) = seconds.trim().parse().ok()?;
            Some((ms, rate_milli(rate.trim())?))
        });
        let earlier_ms = points.last().map(|(ms, _)| *ms);
        let in_order = |(ms, _): &(u64, u64)| earlier_ms.map_or(*ms == 0, |before| before < *ms);
        points.push(point.filter(in_order).ok_or_else(|| NoShape::Line {
            file: file.to_owned(),
            line: number + 1,
            text: text.to_owned(),
        })?);
    }
    if points.is_empty() {
        return Err(NoShape::Line { file: file.to_owned(), line: 1, text: String::new() });
    }
    Ok(Shape::Trace(points))
}

impl Shape {
    /// Makes the load of a run that starts at `start_ms`, with `rate` as its target rate.
    pub(crate) fn load(&self, rate: Rate, start_ms: i64) -> Result<Load, ProfileError> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "up to 1e10")]
        let target_milli = (rate.per_second() * 1_000.0).round() as u64;
        let (pieces, then, offset_ns) = match self {
            Self::Constant => return Ok(Load::Constant(rate)),
            Self::Ramp { to_milli, duration_ms } => {
                let (duration_ns, to_milli) = (duration_ms * NS_PER_MS, *to_milli);
                (vec![Piece { duration_ns, from_milli: target_milli, to_milli }], Then::Hold, 0)
            }
            Self::Steps(steps) => {
                let level =
                    |&(rate_milli, ms): &(u64, u64)| Piece::level(ms * NS_PER_MS, rate_milli);
                (steps.iter().map(level).collect(), Then::Hold, 0)
            }
            Self::Sine { percent, period_ms } => {
                (wave(target_milli, *percent, period_ms * NS_PER_MS), Then::Repeat, 0)
            }
            Self::Burst { rate_milli, duration_ms, period_ms } => {
                let rest_ns = (period_ms - duration_ms) * NS_PER_MS;
                let burst = Piece::level(duration_ms * NS_PER_MS, *rate_milli);
                (vec![burst, Piece::level(rest_ns, target_milli)], Then::Repeat, 0)
            }
            Self::Daily => {
                let of_day_ms = start_ms.rem_euclid(DAY_MS).unsigned_abs();
                (day(target_milli), Then::Repeat, of_day_ms * NS_PER_MS)
            }
            Self::Trace(points) => (levels(points), Then::Hold, 0),
        };
        Profile::new(pieces, then, offset_ns).map(Load::Profile)
    }
}

fn wave(mean_milli: u64, percent: u64, period_ns: u64) -> Vec<Piece> {
    let at = |number: u64| {
        let angle = std::f64::consts::TAU * number as f64 / SINE_PIECES as f64;
        let swing = libm::sin(angle) * percent as f64 / 100.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 2e10"
        )]
        let milli = libm::round(mean_milli as f64 * (1.0 + swing)) as u64;
        milli.min(RATE_MAX_MILLI)
    };
    let end_ns = |number| period_ns * number / SINE_PIECES;
    let piece = |number| Piece {
        duration_ns: end_ns(number + 1) - end_ns(number),
        from_milli: at(number),
        to_milli: at(number + 1),
    };
    (0..SINE_PIECES).map(piece).collect()
}

fn day(mean_milli: u64) -> Vec<Piece> {
    let at = |hour: usize| (mean_milli * DAILY_PERCENT[hour % 24] / 100).min(RATE_MAX_MILLI);
    let piece = |hour| Piece { duration_ns: HOUR_NS, from_milli: at(hour), to_milli: at(hour + 1) };
    (0..24).map(piece).collect()
}

/// Pieces of at most a day between the points; the last rate holds for whatever comes.
fn levels(points: &[(u64, u64)]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for pair in points.windows(2) {
        let [(from_ms, rate_milli), (to_ms, _)] = pair else { continue };
        let mut left_ns = (to_ms - from_ms) * NS_PER_MS;
        while left_ns > 0 {
            let duration_ns = left_ns.min(PIECE_MAX_NS);
            pieces.push(Piece::level(duration_ns, *rate_milli));
            left_ns -= duration_ns;
        }
    }
    let last = points.last().map(|(_, rate_milli)| Piece::level(NS_PER_MS, *rate_milli));
    pieces.extend(last);
    pieces
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use domain::simulation::Schedule;

    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    fn counts(shape: &str, seconds: u64) -> Vec<u64> {
        let rate = Rate::per_second_milli(1_000_000).unwrap();
        let load = shape.parse::<Shape>().unwrap().load(rate, 0).unwrap();
        let schedule = Schedule { load, ..Schedule::constant(0, rate) };
        let upto = |second: u64| match second {
            0 => 0,
            _ => schedule.due_count(second * SECOND_NS - 1),
        };
        (0..seconds).map(|second| upto(second + 1) - upto(second)).collect()
    }

    #[test]
    fn each_shape_gives_the_rates_it_says() {
        assert_eq!(counts("constant", 3), [1_000, 1_000, 1_000]);
        assert_eq!(counts("ramp:3000:2", 4), [1_500, 2_500, 3_000, 3_000]);
        assert_eq!(counts("steps:100@1,0@1,200@1", 5), [100, 1, 199, 200, 200]);
        assert_eq!(counts("burst:5000:1:3", 6), [5_000, 1_000, 1_000, 5_000, 1_000, 1_000]);
        let wave = counts("sine:50:4", 8);
        assert_eq!(wave[..4], wave[4..]);
        // The mean of the upper half of a sine wave is 2 / pi of its height.
        assert!(wave[0].abs_diff(1_318) <= 1 && wave[2].abs_diff(682) <= 1, "{wave:?}");
        assert_eq!(wave[..4].iter().sum::<u64>(), 4_000);
    }

    #[test]
    fn a_day_has_its_hours_and_its_mean() {
        let rate = Rate::per_second_milli(1_000_000).unwrap();
        let load = |start_ms| Shape::Daily.load(rate, start_ms).unwrap();
        assert_eq!(load(0).count_within_ms(86_400_000), 86_400_000);
        let hour = |start_hour: i64| load(start_hour * 3_600_000).count_within_ms(3_600_000);
        assert_eq!(hour(11), 3_600 * 1_700);
        assert_eq!(hour(3), 3_600 * 225);
        assert_eq!(hour(24 + 11), hour(11));
    }

    #[test]
    fn a_trace_is_replayed() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "seconds,readings_per_second\n0, 10\n2,30.5\n\n3,0\n4,7\n").unwrap();
        let shape = format!("trace:{}", file.path().display());
        assert_eq!(counts(&shape, 6), [10, 10, 31, 0, 7, 7]);
    }

    #[test]
    fn a_trace_that_makes_no_sense_is_named_by_its_line() {
        for (content, part) in [
            ("0,10\n0,20\n", "line 2"),
            ("1,10\n", "line 1"),
            ("seconds,rate\n0,1e3\n", "line 2"),
            ("", "line 1"),
        ] {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(content.as_bytes()).unwrap();
            let shape = format!("trace:{}", file.path().display());
            let error = shape.parse::<Shape>().unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(&shape[6..]), "{error}");
        }
        assert!("trace:/no/such/file".parse::<Shape>().is_err());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "ramp",
            "ramp:10",
            "ramp:10:0",
            "ramp:10:86401",
            "sine:0:10",
            "sine:101:10",
            "burst:10:5:5",
            "steps:",
            "steps:10",
            "constant:1",
            "trace:",
            "ramp:10000001:5",
        ] {
            assert!(text.parse::<Shape>().is_err(), "{text}");
        }
    }
}

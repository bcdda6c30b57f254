//! Curves that repeat, from additions and multiplications alone: the same bits on every machine.

use std::f64::consts::TAU;

/// Cosine of an angle in turns, within 1e-9: that of the sine from -90° to 90°.
pub(super) fn cosine(turns: f64) -> f64 {
    let half = if turns < 0.0 { -0.5 } else { 0.5 };
    #[expect(clippy::cast_possible_truncation, reason = "turns are few: years since 1970 or days")]
    let whole = (turns + half) as i64;
    let angle = TAU * (0.25 - (turns - whole as f64).abs());
    let square = angle * angle;
    let mut sum = 0.0;
    for coefficient in SINE {
        sum = coefficient + sum * square;
    }
    angle * sum
}

/// Taylor's series of the sine over the angle, from the highest power on.
const SINE: [f64; 7] = [
    1.0 / 6_227_020_800.0,
    -1.0 / 39_916_800.0,
    1.0 / 362_880.0,
    -1.0 / 5_040.0,
    1.0 / 120.0,
    -1.0 / 6.0,
    1.0,
];

/// Rises from 0 at 0 to 1 at 1 with level ends.
pub(super) fn ease(part: f64) -> f64 {
    let part = part.clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

/// A day's course from -1 at `low_hour` to 1 at `high_hour`, as steep as that takes.
pub(super) fn daily(hour: f64, low_hour: f64, high_hour: f64) -> f64 {
    let since_low = if hour < low_hour { hour + 24.0 - low_hour } else { hour - low_hour };
    let rise = high_hour - low_hour;
    let height = if since_low < rise {
        ease(since_low / rise)
    } else {
        1.0 - ease((since_low - rise) / (24.0 - rise))
    };
    2.0 * height - 1.0
}

//! The value of a sensor at a time: smooth, daily, different from sensor to sensor, and computable
//! alone.

use super::fleet::Fleet;
use super::hash::{hash, smooth, symmetric, unit};
use crate::SensorKind;
use crate::hour::HOUR_MS;
use crate::reading::Status;

const DAY_MS: i64 = 24 * HOUR_MS;
/// How long a sensor keeps a status at least: spells begin at multiples of it, in event time.
pub const STATUS_SPELL_MS: i64 = HOUR_MS / 4;

/// A decimal number with a fixed count of decimals, exact in JSON and as the `f64` nearest to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i64,
    decimals: u8,
}

impl Decimal {
    /// Rounds half away from zero to `decimals` digits, at most 9.
    pub fn round(value: f64, decimals: u8) -> Self {
        let scaled = libm::round(value * Self::scale(decimals) as f64);
        #[expect(clippy::cast_possible_truncation, reason = "sensor values are far below 2^53")]
        Self { mantissa: scaled as i64, decimals }
    }

    fn scale(decimals: u8) -> i64 {
        10_i64.pow(u32::from(decimals))
    }

    /// Returns the nearest `f64`: the same that parsing the decimal text gives, because one
    /// division rounds once.
    pub fn to_f64(self) -> f64 {
        self.mantissa as f64 / Self::scale(self.decimals) as f64
    }

    /// Appends the decimal text, with all its decimals.
    pub fn write(self, text: &mut Vec<u8>) {
        let scale = Self::scale(self.decimals);
        if self.mantissa < 0 {
            text.push(b'-');
        }
        let magnitude = self.mantissa.unsigned_abs();
        let mut integer = itoa::Buffer::new();
        text.extend_from_slice(integer.format(magnitude / scale.unsigned_abs()).as_bytes());
        if self.decimals > 0 {
            text.push(b'.');
            let digits = integer.format(magnitude % scale.unsigned_abs()).as_bytes();
            text.resize(text.len() + usize::from(self.decimals) - digits.len(), b'0');
            text.extend_from_slice(digits);
        }
    }
}

/// What a sensor reports at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The value in the unit of the sensor's kind.
    pub value: Decimal,
    /// The sensor's own verdict.
    pub status: Status,
}

/// Streams of randomness; two quantities never share one.
mod stream {
    pub(super) const OFFSET: u64 = 16;
    pub(super) const SLOW: u64 = 17;
    pub(super) const FAST: u64 = 18;
    pub(super) const WEATHER: u64 = 19;
    pub(super) const OCCUPANCY: u64 = 20;
    pub(super) const PULSE: u64 = 21;
    pub(super) const STATUS: u64 = 22;
    pub(super) const NOISE: u64 = 23;
}

/// Computes reading `seq` of a sensor, due at `ts_ms`.
pub fn measure(seed: u64, fleet: &Fleet, sensor: u64, seq: u64, ts_ms: i64) -> Measurement {
    let site_number = fleet.site_number_of(sensor) as u64;
    let moment = Moment {
        seed,
        sensor,
        site: site_number,
        seq,
        ts_ms,
        local_ms: ts_ms + fleet.site_of(sensor).zone_offset_ms,
    };
    let value = match fleet.kind_of(sensor) {
        SensorKind::Temperature => moment.temperature(),
        SensorKind::Humidity => moment.humidity(),
        SensorKind::Pressure => moment.pressure(),
        SensorKind::Motion => moment.motion(),
        SensorKind::Light => moment.light(),
    };
    Measurement { value, status: status(seed, sensor, ts_ms) }
}

/// Returns how a sensor rates its readings at `ts_ms`. Quarter-hour spells: 0.4 % degraded, 0.1 %
/// faulty.
pub fn status(seed: u64, sensor: u64, ts_ms: i64) -> Status {
    let spell = ts_ms.div_euclid(STATUS_SPELL_MS).cast_unsigned();
    let draw = unit(hash(seed ^ sensor.rotate_left(32), stream::STATUS, spell));
    match draw {
        draw if draw < 0.001 => Status::Fault,
        draw if draw < 0.005 => Status::Degraded,
        _ => Status::Ok,
    }
}

/// Computes the value of a sensor at a time, before it is quantised and clipped, in the unit of its
/// kind.
pub fn raw_value(seed: u64, fleet: &Fleet, sensor: u64, ts_ms: i64) -> f64 {
    measure(seed, fleet, sensor, ts_ms.cast_unsigned(), ts_ms).value.to_f64()
}

/// Brings a value into the range and the resolution of a kind of sensor.
pub fn quantise(kind: SensorKind, value: f64) -> Decimal {
    match kind {
        SensorKind::Temperature => Decimal::round(value.clamp(-40.0, 85.0), 2),
        SensorKind::Humidity => Decimal::round(value.clamp(0.0, 100.0), 1),
        SensorKind::Pressure => Decimal::round(value.clamp(300.0, 1_100.0), 2),
        SensorKind::Motion => Decimal::round(value.clamp(0.0, 1.0), 0),
        SensorKind::Light => Decimal::round(value.max(0.0), 0),
    }
}

/// Returns the standard deviation of a sensor's change within a minute, in the unit of its kind.
pub const fn innovation_sd(kind: SensorKind) -> f64 {
    match kind {
        SensorKind::Temperature => 0.032,
        SensorKind::Humidity => 0.117,
        SensorKind::Pressure => 0.03,
        SensorKind::Motion => 1.0,
        SensorKind::Light => 22.0,
    }
}

/// One sensor at one time.
struct Moment {
    seed: u64,
    sensor: u64,
    site: u64,
    seq: u64,
    ts_ms: i64,
    local_ms: i64,
}

impl Moment {
    /// A constant of the sensor in `[-1, 1)`: no two are calibrated alike.
    fn offset(&self) -> f64 {
        symmetric(hash(self.seed, stream::OFFSET, self.sensor))
    }

    fn smooth(&self, name: u64, owner: u64, period_ms: i64) -> f64 {
        smooth(self.seed ^ owner.rotate_left(32), name, self.ts_ms, period_ms)
    }

    fn noise(&self) -> f64 {
        let own = self.seed ^ self.sensor.rotate_left(32);
        symmetric(hash(own, stream::NOISE, self.seq))
    }

    /// 1 at the given local hour, -1 twelve hours later.
    fn daily(&self, peak_hour: f64) -> f64 {
        let day = self.local_ms.rem_euclid(DAY_MS) as f64 / DAY_MS as f64;
        libm::cos(std::f64::consts::TAU * (day - peak_hour / 24.0))
    }

    /// Whether people are on the site: office hours, in blocks of ten minutes.
    fn occupied(&self) -> bool {
        let hour = self.local_ms.rem_euclid(DAY_MS) / HOUR_MS;
        let likely = if (8..18).contains(&hour) { 0.8 } else { 0.03 };
        let block = self.ts_ms.div_euclid(600_000).cast_unsigned();
        unit(hash(self.seed ^ self.site.rotate_left(32), stream::OCCUPANCY, block)) < likely
    }

    /// Mean 20.9 °C, daily half-range 1.0 °C with its peak at 13 h (Candanedo and Feldheim's
    /// office, 2016).
    fn temperature(&self) -> Decimal {
        let slow = 0.5 * self.smooth(stream::SLOW, self.sensor, 8 * HOUR_MS);
        let value = 20.9 + 0.8 * self.offset() + self.daily(13.0) + slow + 0.02 * self.noise();
        Decimal::round(value, 2)
    }

    /// Around 42 %RH, shared by the site, lower in the afternoon.
    fn humidity(&self) -> Decimal {
        let weather = 9.0 * self.smooth(stream::WEATHER, self.site, 46 * HOUR_MS);
        let drift = self.smooth(stream::SLOW, self.sensor, 4 * HOUR_MS);
        let value = 42.0 + 2.0 * self.offset() + weather - 2.0 * self.daily(14.0) + drift;
        Decimal::round(value + 0.05 * self.noise(), 1)
    }

    /// Around 1 013 hPa with weather that the whole site shares.
    fn pressure(&self) -> Decimal {
        let weather = 9.0 * self.smooth(stream::WEATHER, self.site, 40 * HOUR_MS);
        let fine = 0.4 * self.smooth(stream::FAST, self.site, HOUR_MS);
        let value = 1013.25 + 0.5 * self.offset() + weather + fine + 0.02 * self.noise();
        Decimal::round(value, 2)
    }

    /// Pulses of half a minute while the site is occupied.
    fn motion(&self) -> Decimal {
        let block = self.ts_ms.div_euclid(30_000).cast_unsigned();
        let pulse = unit(hash(self.seed ^ self.sensor.rotate_left(32), stream::PULSE, block));
        Decimal::round(f64::from(u8::from(self.occupied() && pulse < 0.4)), 0)
    }

    /// Lamps while the site is occupied (median 454 lx, the same office), and some daylight.
    fn light(&self) -> Decimal {
        let lamps = if self.occupied() { 430.0 + 40.0 * self.offset() } else { 0.0 };
        let cloud = 0.6 + 0.4 * self.smooth(stream::WEATHER, self.site, 6 * HOUR_MS);
        let daylight = 120.0 * self.daily(12.5).max(0.0) * cloud;
        let value = (lamps + daylight) * (1.0 + 0.01 * self.noise());
        Decimal::round(value.max(0.0), 0)
    }
}

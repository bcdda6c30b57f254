//! What a sensor makes of what it measures: lag, gain, offset and noise, and how it rounds.
//!
//! Figures of the BME280 (Bosch data sheet BST-BME280-DS002): the sensors of a site differ in these
//! only.

use super::calendar::LocalTime;
use super::decimal::Decimal;
use super::indoor::Indoor;
use super::light::{daylight, lamps, sun_elevation_sine};
use super::noise::{fraction, normal};
use super::occupancy::{People, Presence};
use super::stream;
use super::weather::Weather;
use crate::SensorKind;
use crate::simulation::fleet::Fleet;
use crate::simulation::hash::{hash, mix, unit};

/// A motion sensor reports 1 for so long after a movement.
const PULSE_HOLD_MS: i64 = 30_000;

/// One sensor at one time.
struct Moment<'a> {
    seed: u64,
    fleet: &'a Fleet,
    sensor: u64,
    ts_ms: i64,
    /// What the sensor was born with: four numbers.
    nature: u64,
}

/// Returns what a sensor would report if it rounded nothing and had no limits: after lag, gain,
/// offset and noise, in the unit of its kind.
pub fn raw_value(seed: u64, fleet: &Fleet, sensor: u64, ts_ms: i64) -> f64 {
    let nature = hash(seed, stream::SENSOR, sensor);
    let moment = Moment { seed, fleet, sensor, ts_ms, nature };
    match fleet.kind_of(sensor) {
        SensorKind::Temperature => moment.temperature(),
        SensorKind::Humidity => moment.humidity(),
        SensorKind::Pressure => moment.pressure(),
        SensorKind::Motion => moment.motion(),
        SensorKind::Light => moment.light(),
    }
}

/// Rounds and limits a value as the sensor of that kind does.
pub fn quantise(kind: SensorKind, value: f64) -> Decimal {
    match kind {
        // In steps of 0.05 °C three of five readings equal the one a minute before, as measured.
        SensorKind::Temperature => Decimal::nearest(value.clamp(-40.0, 85.0), 5, 2),
        SensorKind::Humidity => Decimal::nearest(value.clamp(0.0, 100.0), 1, 1),
        SensorKind::Pressure => Decimal::nearest(value.clamp(300.0, 1_100.0), 1, 2),
        SensorKind::Motion => Decimal::nearest(value.clamp(0.0, 1.0), 1, 0),
        // The range of the BH1750, since the BME280 sees no light.
        SensorKind::Light => Decimal::nearest(value.clamp(0.0, 54_612.0), 1, 0),
    }
}

/// Returns the standard deviation of the change from one reading to the next a minute later, in the
/// kind's unit: what a sensor's value does of itself.
///
/// Temperature, humidity and light after Candanedo and Feldheim's office (2016), the others as
/// simulated.
pub const fn innovation_sd(kind: SensorKind) -> f64 {
    match kind {
        SensorKind::Temperature => 0.032,
        SensorKind::Humidity => 0.117,
        SensorKind::Pressure => 0.010,
        SensorKind::Motion => 0.33,
        SensorKind::Light => 22.0,
    }
}

impl Moment<'_> {
    fn site_number(&self) -> usize {
        self.fleet.site_number_of(self.sensor)
    }

    /// Noise of standard deviation 1, new every millisecond.
    fn noise(&self) -> f64 {
        let own = mix(self.nature ^ stream::NOISE);
        normal(mix(own ^ self.ts_ms.cast_unsigned()))
    }

    /// The housing answers late, by 10 to 90 s, the later the better it is shielded.
    fn lagged_ms(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "at most 90 s")]
        let lag_ms = (50_000.0 + 40_000.0 * fraction::<2>(self.nature)) as i64;
        self.ts_ms - lag_ms
    }

    /// Offset within ±0.25 °C and gain within 0.5 %, which the sheet's ±0.5 °C allows; noise
    /// 0.005 °C.
    fn temperature(&self) -> f64 {
        let indoor = Indoor::new(self.seed, self.fleet, self.site_number());
        let air = indoor.temperature(self.lagged_ms());
        let gain = 1.0 + 0.005 * fraction::<1>(self.nature);
        25.0 + gain * (air - 25.0) + 0.25 * fraction::<0>(self.nature) + 0.005 * self.noise()
    }

    /// Offset within ±1.5 %RH and gain within 2 %, which the sheet's ±3 %RH allows; noise 0.02 %RH.
    fn humidity(&self) -> f64 {
        let site_number = self.site_number();
        let indoor = Indoor::new(self.seed, self.fleet, site_number);
        let weather = Weather::new(self.seed, self.fleet, site_number);
        let air = indoor.humidity(&weather, self.lagged_ms());
        let gain = 1.0 + 0.02 * fraction::<1>(self.nature);
        gain * air + 1.5 * fraction::<0>(self.nature) + 0.02 * self.noise()
    }

    /// Offset within ±0.5 hPa, which the sheet's ±1 hPa allows; noise 0.002 hPa.
    fn pressure(&self) -> f64 {
        let site_number = self.site_number();
        let weather = Weather::new(self.seed, self.fleet, site_number);
        let share = self.fleet.sites()[site_number].pressure_share;
        share * weather.pressure(self.ts_ms)
            + 0.5 * fraction::<0>(self.nature)
            + 0.002 * self.noise()
    }

    fn presence(&self) -> Presence {
        let site = self.fleet.site_of(self.sensor);
        let people = People::new(self.seed, self.site_number());
        people.presence(LocalTime::new(site, self.ts_ms))
    }

    /// 1 for 30 s after a movement. Half a minute has one with a chance of 22 % to 63 %, as if 0.5
    /// to 2 a minute came at random.
    fn motion(&self) -> f64 {
        if self.presence() != Presence::Occupied {
            return 0.0;
        }
        let chance = 0.425 + 0.205 * fraction::<1>(self.nature);
        let own = mix(self.nature ^ stream::PULSE);
        let moved_at = |cell: i64| {
            let word = mix(own ^ cell.cast_unsigned());
            #[expect(clippy::cast_possible_truncation, reason = "below 30 s")]
            let inside_ms = (PULSE_HOLD_MS as f64 * unit(word << 32)) as i64;
            (unit(word) < chance).then_some(cell * PULSE_HOLD_MS + inside_ms)
        };
        let cell = self.ts_ms.div_euclid(PULSE_HOLD_MS);
        let held = self.ts_ms - PULSE_HOLD_MS..=self.ts_ms;
        let moves = [moved_at(cell - 1), moved_at(cell)];
        f64::from(u8::from(moves.into_iter().flatten().any(|at_ms| held.contains(&at_ms))))
    }

    /// Desks are more or less near a lamp and a window; the ripple is half a percent.
    fn light(&self) -> f64 {
        let site_number = self.site_number();
        let site = &self.fleet.sites()[site_number];
        let elevation_sine = sun_elevation_sine(site, self.ts_ms);
        let lamps = lamps(self.presence(), elevation_sine);
        let daylight = if elevation_sine > 0.0 {
            let weather = Weather::new(self.seed, self.fleet, site_number);
            daylight(elevation_sine, weather.cloud(self.ts_ms))
        } else {
            0.0
        };
        let near_lamp = 1.0 + 0.04 * fraction::<0>(self.nature);
        let near_window = 1.0 + 0.25 * fraction::<1>(self.nature);
        (near_lamp * lamps + near_window * daylight) * (1.0 + 0.005 * self.noise())
    }
}

//! Air inside a site: a heated and cooled office (Candanedo and Feldheim, 2016: 20.9 °C, standard
//! deviation 1.06 °C, half-range of a day 1.0 °C, lowest at 6 h, highest at 13 h).

use super::calendar::{LocalTime, warmth};
use super::noise::{Lattice, Octave, fraction, lane};
use super::occupancy::People;
use super::stream;
use super::wave::daily;
use super::weather::Weather;
use crate::simulation::fleet::{Fleet, Site};
use crate::simulation::hash::hash;

/// Ornstein-Uhlenbeck of 8 h.
const SLOW: [Octave; 6] =
    [(16, 0.0459), (18, 0.0762), (20, 0.1569), (22, 0.3050), (24, 0.6250), (26, 0.6956)];
/// Standard deviation of the slow part in °C: with steps of 0.05 °C the change in a minute is
/// 0.032 °C, as measured.
const SLOW_SD: f64 = 0.40;
/// From week to week, in °C: the heating's own settings and the weather's grip.
const WEEKS: u32 = 29;
const WEEKS_SD: f64 = 0.45;

/// The air that all sensors of a site share.
#[derive(Clone, Copy)]
pub(super) struct Indoor<'a> {
    lattice: Lattice,
    people: People,
    site: &'a Site,
    /// What the thermostat is set to, less the usual, -1 to 1.
    set_point: f64,
}

impl<'a> Indoor<'a> {
    pub(super) fn new(seed: u64, fleet: &'a Fleet, site_number: usize) -> Self {
        Self {
            lattice: Lattice::new(seed, stream::INDOOR, site_number as u64),
            people: People::new(seed, site_number),
            site: &fleet.sites()[site_number],
            set_point: fraction::<0>(hash(seed, stream::INDOOR, site_number as u64)),
        }
    }

    /// Temperature in °C.
    pub(super) fn temperature(&self, ts_ms: i64) -> f64 {
        let time = LocalTime::new(self.site, ts_ms);
        21.05
            + 0.35 * self.set_point
            + 0.5 * warmth(self.site, ts_ms)
            + 0.62 * daily(time.hour(), 6.0, 13.0)
            + 1.10 * self.people.aftermath(time)
            + WEEKS_SD * self.lattice.linear(WEEKS, ts_ms, lane::<1>)
            + SLOW_SD * self.lattice.sum(&SLOW, ts_ms, lane::<0>)
    }

    /// Dew point in °C: the outdoor air's, evened out by air conditioning, and what people breathe.
    pub(super) fn dew_point(&self, weather: &Weather, ts_ms: i64) -> f64 {
        let time = LocalTime::new(self.site, ts_ms);
        let fresh = 0.75 * weather.dew_point_indoor(ts_ms) + 0.5 + self.people.aftermath(time);
        evened_out(fresh)
    }

    /// Relative humidity in %RH.
    pub(super) fn humidity(&self, weather: &Weather, ts_ms: i64) -> f64 {
        relative_humidity(self.temperature(ts_ms), self.dew_point(weather, ts_ms))
    }
}

/// Air conditioning dries what is humid and moistens what is dry; dew points in °C.
fn evened_out(dew_point: f64) -> f64 {
    const HUMID: f64 = 8.0;
    const DRY: f64 = -4.0;
    let within = dew_point.clamp(DRY, HUMID);
    within + 0.4 * (dew_point - within)
}

/// Returns the relative humidity in %RH of air of a temperature and a dew point, both in °C
/// (Magnus' formula with the coefficients of Alduchov and Eskridge, 1996).
pub fn relative_humidity(temperature: f64, dew_point: f64) -> f64 {
    let exponent = |celsius: f64| 17.625 * celsius / (243.04 + celsius);
    100.0 * libm::exp(exponent(dew_point) - exponent(temperature))
}

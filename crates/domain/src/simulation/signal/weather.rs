//! Outdoor weather: what a city shares, and the finer part that each of its sites has to itself.
//!
//! The processes and their figures are fitted to the hourly weather of Beijing, 2010 to 2014 (Liang
//! et al., 2015; UCI data set 381); [`super::super::climate`] scales them to other places.

use super::calendar::{LocalTime, warmth};
use super::noise::{Lattice, Octave, lane};
use super::stream;
use super::wave::cosine;
use crate::simulation::climate::Climate;
use crate::simulation::fleet::{Fleet, Site};

/// The weather outside a site.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outdoor {
    /// Air temperature in °C.
    pub temperature: f64,
    /// Dew point in °C, never above the temperature.
    pub dew_point: f64,
    /// Air pressure at sea level in hPa.
    pub pressure: f64,
    /// Share of the sky that is covered, 0 to 1.
    pub cloud: f64,
}

/// Octaves from two hours on belong to the city, finer ones to the site.
const CITY_WIDTH_MIN: u32 = 23;

/// Ornstein-Uhlenbeck of 78 h (3.1 °C) and of 4 h (1.8 °C), as shares of their sum.
const TEMPERATURE: [Octave; 7] = [
    (16, 0.0393),
    (19, 0.0958),
    (21, 0.1573),
    (23, 0.2800),
    (25, 0.3200),
    (27, 0.4855),
    (29, 0.6537),
];
/// Ornstein-Uhlenbeck of 33.6 h.
const DEW_POINT: [Octave; 7] = [
    (16, 0.0250),
    (19, 0.0610),
    (21, 0.1008),
    (23, 0.1800),
    (25, 0.3800),
    (27, 0.7559),
    (29, 0.4303),
];
/// Ornstein-Uhlenbeck of 46 h: the same air once it is indoors (Candanedo and Feldheim, 2016),
/// where what is shorter than an hour is mixed away.
const DEW_POINT_INDOOR: [Octave; 7] = [
    (16, 0.0120),
    (19, 0.0295),
    (21, 0.0490),
    (23, 0.1500),
    (25, 0.3585),
    (27, 0.7039),
    (29, 0.5749),
];
/// Matérn of smoothness 3/2 and 16.6 h, on the smooth lattice.
const PRESSURE: [Octave; 5] =
    [(23, 0.0403), (25, 0.2249), (26, 0.4561), (27, 0.7810), (28, 0.3604)];
/// From weather fronts to passing clouds.
const CLOUD: [Octave; 4] = [(19, 0.22), (21, 0.28), (23, 0.36), (26, 0.86)];

/// The noise of one site's weather.
#[derive(Clone, Copy)]
pub(super) struct Weather<'a> {
    city: Lattice,
    own: Lattice,
    site: &'a Site,
}

impl<'a> Weather<'a> {
    pub(super) fn new(seed: u64, fleet: &'a Fleet, site_number: usize) -> Self {
        let site = &fleet.sites()[site_number];
        Self {
            city: Lattice::new(seed, stream::CITY_WEATHER, site.city as u64),
            own: Lattice::new(seed, stream::SITE_WEATHER, site_number as u64),
            site,
        }
    }

    fn climate(&self) -> &'static Climate {
        self.site.climate()
    }

    #[inline]
    fn sum(&self, octaves: &[Octave], ts_ms: i64, value: impl Fn(u64) -> f64 + Copy) -> f64 {
        let delayed_ms = ts_ms - self.site.weather_delay_ms;
        let parts = octaves.iter().map(|(width, share)| {
            let owner = if *width < CITY_WIDTH_MIN { self.own } else { self.city };
            share * owner.linear(*width, delayed_ms, value)
        });
        parts.sum()
    }

    /// Temperature in °C: season, day and noise. Clear days have the larger range.
    pub(super) fn temperature(&self, ts_ms: i64) -> f64 {
        let climate = self.climate();
        let hour = LocalTime::new(self.site, ts_ms).hour();
        let range = climate.temperature_diurnal * (1.0 - 0.52 * self.day_cloud(ts_ms));
        climate.temperature_mean
            + climate.temperature_annual * warmth(self.site, ts_ms)
            + range * cosine((hour - 15.1) / 24.0)
            + climate.temperature_sd * self.sum(&TEMPERATURE, ts_ms, temperature_point)
    }

    /// Dew point in °C, before the temperature limits it.
    fn dew_point(&self, ts_ms: i64) -> f64 {
        // The afternoon's mixing dries the air near the ground.
        let hour = LocalTime::new(self.site, ts_ms).hour();
        let range = self.climate().temperature_diurnal / 4.5 * (1.0 - 0.52 * self.day_cloud(ts_ms));
        self.dew_point_expected(ts_ms)
            + range * cosine((hour - 3.1) / 24.0)
            + self.climate().dew_point_sd * self.sum(&DEW_POINT, ts_ms, dew_point_point)
    }

    fn dew_point_expected(&self, ts_ms: i64) -> f64 {
        let climate = self.climate();
        climate.dew_point_mean + climate.dew_point_annual * warmth(self.site, ts_ms)
    }

    /// Dew point in °C of the outdoor air that has found its way in: slower, not yet heated.
    pub(super) fn dew_point_indoor(&self, ts_ms: i64) -> f64 {
        self.dew_point_expected(ts_ms)
            + self.climate().dew_point_sd * self.sum(&DEW_POINT_INDOOR, ts_ms, dew_point_point)
    }

    /// Pressure at sea level in hPa: season, the two tides of the atmosphere, and weather that is
    /// smooth and the whole city's.
    pub(super) fn pressure(&self, ts_ms: i64) -> f64 {
        let climate = self.climate();
        let hour = LocalTime::new(self.site, ts_ms).hour();
        // Heating drives the tide of 24 h; that of 12 h fades from the equator to the poles
        // (Dai and Wang, 1999), 0.81 hPa at Beijing.
        let tide_24 = 1.05 / 4.5 * climate.temperature_diurnal * cosine((hour - 5.6) / 24.0);
        let cosine_squared = self.site.latitude_cosine * self.site.latitude_cosine;
        let tide_12 = 1.38 * cosine_squared * cosine((hour - 10.0) / 12.0);
        let delayed_ms = ts_ms - self.site.weather_delay_ms;
        let parts = PRESSURE
            .iter()
            .map(|(width, share)| share * self.city.smooth(*width, delayed_ms, lane::<0>));
        climate.pressure_mean - climate.pressure_annual * warmth(self.site, ts_ms)
            + tide_24
            + tide_12
            + climate.pressure_sd * parts.sum::<f64>()
    }

    /// Share of the sky that is covered, 0 to 1.
    pub(super) fn cloud(&self, ts_ms: i64) -> f64 {
        let logit = self.climate().cloud_logit + 2.2 * self.sum(&CLOUD, ts_ms, lane::<3>);
        1.0 / (1.0 + libm::exp(-logit))
    }

    /// The slowest part of the clouds, which tells clear days from dull ones.
    fn day_cloud(&self, ts_ms: i64) -> f64 {
        self.city.linear(26, ts_ms - self.site.weather_delay_ms, lane::<3>)
    }

    pub(super) fn outdoor(&self, ts_ms: i64) -> Outdoor {
        let temperature = self.temperature(ts_ms);
        Outdoor {
            temperature,
            dew_point: self.dew_point(ts_ms).min(temperature),
            pressure: self.pressure(ts_ms),
            cloud: self.cloud(ts_ms),
        }
    }
}

/// Lane 0 is the pressure's; what the others borrow from it makes them correlated with it: lows are
/// mild and moist.
fn temperature_point(point: u64) -> f64 {
    -0.85 * lane::<0>(point) - 0.42 * lane::<1>(point) + 0.32 * lane::<2>(point)
}

fn dew_point_point(point: u64) -> f64 {
    -0.49 * lane::<0>(point) + 0.8717 * lane::<1>(point)
}

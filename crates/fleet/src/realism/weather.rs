//! Outdoor weather against five years of hourly weather in Beijing.

use domain::simulation::signal::relative_humidity;

use super::check::{Check, Checks, Source};
use super::signals::{Signals, WEATHER_CITY};
use super::statistics::{
    autocorrelation, correlation, harmonic, maximum, mean, minimum, quantile, residual,
    standard_deviation, step,
};

const HOUR_MS: i64 = 3_600_000;
const DAY_HOURS: usize = 24;
/// Midnight of 2010-01-01 in Beijing.
const START_MS: i64 = 1_262_275_200_000;
const YEAR_DAYS: usize = 365;
const YEAR_HOURS: f64 = 24.0 * YEAR_DAYS as f64;

/// Hourly weather of one site.
pub(super) struct Hours {
    pub(super) temperature: Vec<f64>,
    pub(super) dew_point: Vec<f64>,
    pub(super) pressure: Vec<f64>,
}

impl Hours {
    pub(super) fn new(signals: &impl Signals, years: usize) -> Self {
        let mut hours =
            Self { temperature: Vec::new(), dew_point: Vec::new(), pressure: Vec::new() };
        let Some(site) = signals.sites_in(WEATHER_CITY, 1).first().copied() else {
            return hours;
        };
        for hour in (0..).take(years * YEAR_DAYS * DAY_HOURS) {
            let air = signals.outdoor(site, START_MS + hour * HOUR_MS);
            hours.temperature.push(air.temperature);
            hours.dew_point.push(air.dew_point);
            hours.pressure.push(air.pressure);
        }
        hours
    }
}

/// What season and hour of day leave unexplained.
pub(super) struct Residuals {
    pub(super) temperature: Vec<f64>,
    pub(super) dew_point: Vec<f64>,
    pub(super) pressure: Vec<f64>,
}

impl Residuals {
    pub(super) fn new(hours: &Hours) -> Self {
        Self {
            temperature: residual(&hours.temperature, &[YEAR_HOURS, 24.0]),
            dew_point: residual(&hours.dew_point, &[YEAR_HOURS, 24.0]),
            pressure: residual(&hours.pressure, &[YEAR_HOURS, 24.0, 12.0]),
        }
    }
}

pub(super) fn checks(hours: &Hours, residuals: &Residuals) -> Vec<Check> {
    let mut checks = Checks::new(Source::Beijing);
    temperature(&mut checks, &hours.temperature, &residuals.temperature);
    dew_point(&mut checks, &hours.dew_point, &residuals.dew_point);
    pressure(&mut checks, &hours.pressure, &residuals.pressure);
    together(&mut checks, hours, residuals);
    checks.checks
}

fn temperature(checks: &mut Checks, values: &[f64], residual: &[f64]) {
    let (year, day) = (harmonic(values, YEAR_HOURS), harmonic(values, 24.0));
    checks.add("outdoor temperature: mean, °C", 12.5, 1.0, mean(values));
    checks.add("outdoor temperature: amplitude of the year, °C", 15.8, 1.0, year.amplitude);
    checks.add("outdoor temperature: amplitude of the day, °C", 4.5, 0.5, day.amplitude);
    checks.add("outdoor temperature: hour of the day's peak", 15.1, 0.5, day.peak);
    let half_ranges: Vec<f64> =
        values.chunks(DAY_HOURS).map(|day| (maximum(day) - minimum(day)) / 2.0).collect();
    for (share, reference) in [(0.1, 2.5), (0.5, 5.5), (0.9, 8.5)] {
        let name = format!("outdoor temperature: half-range of a day, quantile {share}, °C");
        checks.add(&name, reference, 0.8, quantile(&half_ranges, share));
    }
    let spread = standard_deviation(residual);
    checks.add("outdoor temperature: residual's deviation, °C", 3.6, 0.4, spread);
    for (lag, reference, tolerance) in
        [(1, 0.944, 0.03), (6, 0.666, 0.08), (24, 0.548, 0.08), (72, 0.296, 0.10)]
    {
        let name = format!("outdoor temperature: autocorrelation after {lag} h");
        checks.add(&name, reference, tolerance, autocorrelation(residual, lag));
    }
}

fn dew_point(checks: &mut Checks, values: &[f64], residual: &[f64]) {
    let year = harmonic(values, YEAR_HOURS);
    checks.add("outdoor dew point: mean, °C", 1.8, 1.2, mean(values));
    checks.add("outdoor dew point: amplitude of the year, °C", 18.6, 1.5, year.amplitude);
    let spread = standard_deviation(residual);
    checks.add("outdoor dew point: residual's deviation, °C", 5.9, 0.7, spread);
    for (lag, reference, tolerance) in [(1, 0.974, 0.02), (6, 0.83, 0.05), (24, 0.485, 0.08)] {
        let name = format!("outdoor dew point: autocorrelation after {lag} h");
        checks.add(&name, reference, tolerance, autocorrelation(residual, lag));
    }
}

fn pressure(checks: &mut Checks, values: &[f64], residual: &[f64]) {
    let year = harmonic(values, YEAR_HOURS);
    let (tide_24, tide_12) = (harmonic(values, 24.0), harmonic(values, 12.0));
    checks.add("pressure: mean, hPa", 1_016.5, 1.0, mean(values));
    checks.add("pressure: amplitude of the year, hPa", 12.2, 1.2, year.amplitude);
    checks.add("pressure: tide of 24 h, hPa", 1.05, 0.3, tide_24.amplitude);
    checks.add("pressure: tide of 12 h, hPa", 0.81, 0.2, tide_12.amplitude);
    checks.add("pressure: hour of the 12 h tide's peak", 10.0, 0.7, tide_12.peak);
    let spread = standard_deviation(residual);
    checks.add("pressure: residual's deviation, hPa", 5.45, 0.6, spread);
    checks.add("pressure: residual's change in 1 h, hPa", 0.44, 0.13, step(residual));
    for (lag, reference, tolerance) in [(6, 0.941, 0.02), (24, 0.576, 0.08)] {
        let name = format!("pressure: autocorrelation after {lag} h");
        checks.add(&name, reference, tolerance, autocorrelation(residual, lag));
    }
}

fn together(checks: &mut Checks, hours: &Hours, residuals: &Residuals) {
    let Residuals { temperature, dew_point, pressure } = residuals;
    let pairs = [
        ("temperature and pressure", -0.32, temperature, pressure),
        ("dew point and pressure", -0.27, dew_point, pressure),
        ("temperature and dew point", 0.10, temperature, dew_point),
    ];
    for (names, reference, a, b) in pairs {
        let name = format!("weather: correlation of {names}");
        checks.add(&name, reference, 0.08, correlation(a, b));
    }
    let humidity: Vec<f64> = hours
        .temperature
        .iter()
        .zip(&hours.dew_point)
        .map(|(temperature, dew_point)| relative_humidity(*temperature, *dew_point))
        .collect();
    let days = hours.temperature.chunks(DAY_HOURS).zip(humidity.chunks(DAY_HOURS));
    let within: Vec<f64> = days.map(|(a, b)| correlation(a, b)).filter(|r| r.is_finite()).collect();
    let name = "weather: correlation of temperature and humidity within a day, median";
    checks.add(name, -0.93, 0.06, quantile(&within, 0.5));
}

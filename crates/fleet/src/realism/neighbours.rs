//! Sensors of one site against each other, and sites of one city: they share the same air.

use domain::SensorKind;

use super::check::{Check, Checks, Source};
use super::signals::{OFFICE_CITY, Signals, WEATHER_CITY};
use super::statistics::correlation;

/// Every quarter of an hour for two weeks from Monday 2015-02-02, midnight in Brussels.
const START_MS: i64 = 1_422_831_600_000;
const STEP_MS: i64 = 900_000;
const STEPS: i64 = 14 * 96;

fn series(value: impl Fn(i64) -> f64) -> Vec<f64> {
    (0..STEPS).map(|step| value(START_MS + step * STEP_MS)).collect()
}

pub(super) fn checks(signals: &impl Signals) -> Vec<Check> {
    let mut checks = Checks::new(Source::Rule);
    let sites = [OFFICE_CITY, WEATHER_CITY].map(|city| signals.sites_in(city, 2));
    for kind in
        [SensorKind::Temperature, SensorKind::Humidity, SensorKind::Pressure, SensorKind::Light]
    {
        let smallest = sites.iter().flatten().map(|site| smallest_in(signals, *site, kind));
        let name = format!("sensors of a site: smallest correlation of {kind}");
        checks.add(&name, 1.0, 0.05, smallest.fold(f64::INFINITY, f64::min));
    }
    for city in &sites {
        if let [one, other] = city[..] {
            let weather = |site| series(|ts_ms| signals.outdoor(site, ts_ms).temperature);
            let name = "sites of a city: correlation of the temperature outside";
            checks.add(name, 1.0, 0.1, correlation(&weather(one), &weather(other)));
        }
    }
    checks.checks
}

/// The smallest correlation between a site's first sensor of a kind and its others.
fn smallest_in(signals: &impl Signals, site: usize, kind: SensorKind) -> f64 {
    let of = |ordinal| {
        let sensor = signals.sensor(site, kind, ordinal);
        series(|ts_ms| signals.reading(sensor, ts_ms))
    };
    let first = of(0);
    (1..5).map(|ordinal| correlation(&first, &of(ordinal))).fold(f64::INFINITY, f64::min)
}

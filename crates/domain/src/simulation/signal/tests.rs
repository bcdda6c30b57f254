//! Values are continuous, and follow the sun, the week and the season.

use super::*;
use crate::SensorKind;
use crate::hour::HOUR_MS;
use crate::simulation::FleetSpec;
use crate::simulation::climate::{BEIJING, CLIMATES};
use crate::simulation::fleet::SENSORS_PER_SITE;

const SEED: u64 = 42;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Monday 2025-11-24, midnight in Greenwich.
const MONDAY_MS: i64 = 1_763_942_400_000;
const SITES: usize = 200;

fn fleet() -> Fleet {
    let sensors = SITES as u64 * SENSORS_PER_SITE;
    Fleet::new(SEED, &FleetSpec { sensors, kinds: SensorKind::ALL.to_vec() })
}

/// The first sensor of a kind on a site.
fn sensor(site: usize, kind: SensorKind) -> u64 {
    site as u64 * SENSORS_PER_SITE + kind as u64
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// Local times of a site, `step_ms` apart, for some days from a Monday.
fn local_times(site: &super::super::fleet::Site, days: i64, step_ms: i64) -> Vec<i64> {
    let start_ms = MONDAY_MS - site.zone_offset_ms;
    (0..days * DAY_MS / step_ms).map(|step| start_ms + step * step_ms).collect()
}

/// Goal: no jumps, not even at midnights, lattice points and weekends. Method: half a minute apart
/// for a week, air changes by no more than a few innovations.
#[test]
fn air_changes_little_in_half_a_minute() {
    let fleet = fleet();
    for site in (0..SITES).step_by(23) {
        for kind in [SensorKind::Temperature, SensorKind::Humidity, SensorKind::Pressure] {
            let times = local_times(&fleet.sites()[site], 7, 30_000);
            let sensor = sensor(site, kind);
            let values: Vec<f64> =
                times.iter().map(|ts_ms| raw_value(SEED, &fleet, sensor, *ts_ms)).collect();
            let largest = values.windows(2).map(|pair| (pair[1] - pair[0]).abs());
            let largest = largest.fold(0.0, f64::max);
            let limit = 6.0 * innovation_sd(kind);
            assert!(largest < limit, "{kind} of site {site} jumps by {largest}");
        }
    }
}

/// Goal: what is said of a minute's change is so. Method: its root mean square over a week, all
/// over the fleet.
#[test]
fn a_reading_changes_in_a_minute_by_its_innovation() {
    let fleet = fleet();
    for kind in SensorKind::ALL {
        let squares = (0..SITES).step_by(5).flat_map(|site| {
            let times = local_times(&fleet.sites()[site], 7, 70 * 60_000);
            let sensor = sensor(site, kind);
            let fleet = &fleet;
            times.into_iter().map(move |ts_ms| {
                let at = |ts_ms| measure(SEED, fleet, sensor, ts_ms).value.to_f64();
                (at(ts_ms + 60_000) - at(ts_ms)).powi(2)
            })
        });
        let ratio = mean(squares).sqrt() / innovation_sd(kind);
        assert!((0.8..1.3).contains(&ratio), "{kind}: {ratio} times as much");
    }
}

#[test]
fn an_empty_site_is_dark_at_night_and_still() {
    let fleet = fleet();
    let (mut dark, mut lit, mut moved) = (0, 0, 0);
    for site in 0..40 {
        let place = &fleet.sites()[site];
        for ts_ms in local_times(place, 7, 30 * 60_000) {
            let occupied = is_occupied(SEED, &fleet, site, ts_ms);
            let light = raw_value(SEED, &fleet, sensor(site, SensorKind::Light), ts_ms);
            let motion = raw_value(SEED, &fleet, sensor(site, SensorKind::Motion), ts_ms);
            if !occupied && sun_elevation_sine(place, ts_ms) <= 0.0 {
                assert!(light.abs() < 1e-9, "{light} lx in an empty room at night");
                dark += 1;
            }
            if occupied {
                assert!(light > 300.0, "people sit in the dark: {light} lx");
                lit += 1;
            }
            assert!(occupied || motion < 0.5, "somebody moves where nobody is");
            moved += i32::from(motion > 0.5);
        }
    }
    assert!(dark > 3_000 && lit > 1_000 && moved > 300, "{dark} {lit} {moved}");
}

#[test]
fn people_work_from_monday_to_friday() {
    let fleet = fleet();
    let share = |days: std::ops::Range<i64>, hours: std::ops::Range<i64>| {
        mean((0..SITES).flat_map(|site| {
            let times = local_times(&fleet.sites()[site], 7, HOUR_MS).into_iter().enumerate();
            let chosen = times.filter(|(hour, _)| {
                let hour = i64::try_from(*hour).unwrap();
                days.contains(&(hour / 24)) && hours.contains(&(hour % 24))
            });
            let occupied = |ts_ms| f64::from(u8::from(is_occupied(SEED, &fleet, site, ts_ms)));
            chosen.map(|(_, ts_ms)| occupied(ts_ms)).collect::<Vec<f64>>()
        }))
    };
    assert!((0.75..0.90).contains(&share(0..5, 9..18)), "office hours {}", share(0..5, 9..18));
    assert!(share(0..5, 0..8) < 0.02, "nights {}", share(0..5, 0..8));
    assert!(share(5..7, 0..24) < 0.02, "weekends {}", share(5..7, 0..24));
}

/// Goal: July is the warm month north of the equator and the cold one south of it, and there are no
/// seasons on it. Method: means of July less those of January.
#[test]
fn seasons_are_reversed_on_the_other_half_of_the_earth() {
    const JANUARY_MS: i64 = 1_735_689_600_000;
    const JULY_MS: i64 = 1_751_328_000_000;
    let fleet = fleet();
    for (city, climate) in CLIMATES.iter().enumerate() {
        let site = fleet.sites().iter().position(|site| site.city == city).unwrap();
        let month =
            |start_ms: i64| {
                mean((0..31 * 8).map(|step| {
                    outdoor(SEED, &fleet, site, start_ms + step * 3 * HOUR_MS).temperature
                }))
            };
        let warmer = month(JULY_MS) - month(JANUARY_MS);
        let expected = 2.0 * climate.temperature_annual * climate.latitude.signum();
        assert!((warmer - expected).abs() < 5.0, "city {city}: July is warmer by {warmer}");
    }
}

#[test]
fn the_sun_rises_in_the_east_and_is_highest_at_noon() {
    let fleet = fleet();
    for site in fleet.sites().iter().take(40) {
        let times = local_times(site, 1, 60_000);
        let sine = |ts_ms: &i64| sun_elevation_sine(site, *ts_ms);
        let noon_ms = times.iter().max_by(|a, b| sine(a).total_cmp(&sine(b))).unwrap();
        let hour = (noon_ms - times[0]) as f64 / HOUR_MS as f64;
        // Singapore keeps the time of a place far to its east.
        assert!((11.2..13.2).contains(&hour), "noon at {hour} h");
        // 24 November: the sun stands 20.6 degrees south of the equator.
        let highest = libm::asin(sine(noon_ms)).to_degrees();
        let expected = 90.0 - (site.latitude.to_f64() + 20.6).abs();
        assert!((highest - expected).abs() < 0.6, "{highest} degrees, not {expected}");
    }
}

#[test]
fn the_dew_point_is_never_above_the_temperature() {
    let fleet = fleet();
    let site = fleet.sites().iter().position(|site| site.city == BEIJING).unwrap();
    for hour in 0..20_000 {
        let air = outdoor(SEED, &fleet, site, MONDAY_MS + hour * HOUR_MS);
        assert!(air.dew_point <= air.temperature && (0.0..=1.0).contains(&air.cloud), "{air:?}");
        assert!((940.0..1_080.0).contains(&air.pressure), "{air:?}");
    }
}

#[test]
fn a_sensor_rounds_and_has_limits() {
    let text = |kind, value| {
        let mut text = Vec::new();
        quantise(kind, value).write(&mut text);
        String::from_utf8(text).unwrap()
    };
    assert_eq!(text(SensorKind::Temperature, 20.93), "20.95");
    assert_eq!(text(SensorKind::Temperature, -273.0), "-40.00");
    assert_eq!(text(SensorKind::Humidity, 101.0), "100.0");
    assert_eq!(text(SensorKind::Humidity, 33.34), "33.3");
    assert_eq!(text(SensorKind::Pressure, 1_013.247), "1013.25");
    assert_eq!(text(SensorKind::Pressure, 0.0), "300.00");
    assert_eq!(text(SensorKind::Motion, 1.0), "1");
    assert_eq!(text(SensorKind::Light, -3.0), "0");
}

#[test]
fn humidity_follows_from_temperature_and_dew_point() {
    assert!((relative_humidity(20.0, 20.0) - 100.0).abs() < 1e-9);
    // Alduchov and Eskridge's saturation pressures: 12.27 hPa at 10 °C of 31.6 hPa at 25 °C.
    assert!((relative_humidity(25.0, 10.0) - 38.8).abs() < 0.3);
}

#[test]
fn the_cosine_is_that_of_libm() {
    for step in -5_000..5_000 {
        let turns = f64::from(step) / 997.0;
        let expected = libm::cos(std::f64::consts::TAU * turns);
        assert!((wave::cosine(turns) - expected).abs() < 1e-9, "at {turns}");
    }
}

/// Goal: a million sensors cost little. Method: the sites are all that a fleet stores.
#[test]
fn a_site_is_small() {
    assert!(size_of::<super::super::fleet::Site>() <= 150);
}

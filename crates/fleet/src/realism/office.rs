//! Rooms and people against an office in Mons, Belgium, that was observed every minute in February.

use domain::SensorKind;
use domain::simulation::signal::sun_elevation_sine;

use super::check::{Check, Checks, Source};
use super::signals::{OFFICE_CITY, Signals};
use super::statistics::{
    correlation, maximum, mean, minimum, profile, quantile, standard_deviation, step, unchanged,
};

const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: usize = 1_440;
const RUN_DAYS: usize = 14;
/// Monday 2015-02-02, midnight in Brussels; each further run is 52 weeks later.
const START_MS: i64 = 1_422_831_600_000;
const RUN_APART_MS: i64 = 364 * 24 * 60 * MINUTE_MS;
/// Office hours of the reference, in minutes since midnight.
const OPEN: std::ops::Range<usize> = 480..1_080;

/// Two weeks of one site, every minute.
pub(super) struct Run {
    temperature: Vec<f64>,
    humidity: Vec<f64>,
    /// From temperature and humidity.
    dew_point: Vec<f64>,
    light: Vec<f64>,
    motion: Vec<f64>,
    occupied: Vec<bool>,
    sun_is_up: Vec<bool>,
}

impl Run {
    fn new(signals: &impl Signals, site: usize, start_ms: i64) -> Self {
        let times = || (0..).take(RUN_DAYS * DAY_MINUTES).map(|k| start_ms + k * MINUTE_MS);
        let of = |kind| {
            let sensor = signals.sensor(site, kind, 0);
            times().map(move |ts_ms| signals.reading(sensor, ts_ms)).collect()
        };
        let place = &signals.fleet().sites()[site];
        let temperature: Vec<f64> = of(SensorKind::Temperature);
        let humidity: Vec<f64> = of(SensorKind::Humidity);
        let air = temperature.iter().zip(&humidity);
        Self {
            dew_point: air.map(|(celsius, percent)| dew_point(*celsius, *percent)).collect(),
            temperature,
            humidity,
            light: of(SensorKind::Light),
            motion: of(SensorKind::Motion),
            occupied: times().map(|ts_ms| signals.is_occupied(site, ts_ms)).collect(),
            sun_is_up: times().map(|ts_ms| sun_elevation_sine(place, ts_ms) > 0.0).collect(),
        }
    }

    /// Two weeks in each of so many winters, each on a site of its own if there are enough.
    pub(super) fn all(signals: &impl Signals, runs: usize) -> Vec<Self> {
        let sites = signals.sites_in(OFFICE_CITY, runs);
        let sites = sites.iter().cycle().take(if sites.is_empty() { 0 } else { runs });
        let starts = (0..).map(|year| START_MS + year * RUN_APART_MS);
        sites.zip(starts).map(|(site, start_ms)| Self::new(signals, *site, start_ms)).collect()
    }

    fn is_open(minute: usize) -> bool {
        minute / DAY_MINUTES % 7 < 5 && OPEN.contains(&(minute % DAY_MINUTES))
    }
}

/// Dew point in °C of air of a temperature in °C and a humidity in %RH: Magnus' formula solved.
fn dew_point(temperature: f64, humidity: f64) -> f64 {
    let exponent =
        17.625 * temperature / (243.04 + temperature) + (humidity.clamp(0.1, 100.0) / 100.0).ln();
    243.04 * exponent / (17.625 - exponent)
}

/// The mean over all runs of a statistic of each.
fn each(runs: &[Run], statistic: impl Fn(&Run) -> f64) -> f64 {
    mean(&runs.iter().map(statistic).collect::<Vec<f64>>())
}

pub(super) fn checks(runs: &[Run]) -> Vec<Check> {
    let mut checks = Checks::new(Source::Office);
    temperature(&mut checks, runs);
    humidity(&mut checks, runs);
    people(&mut checks, runs);
    light(&mut checks, runs);
    let mut checks = checks.checks;
    checks.extend(rules(runs));
    checks
}

fn temperature(checks: &mut Checks, runs: &[Run]) {
    checks.add("room: mean, °C", 20.9, 0.5, each(runs, |run| mean(&run.temperature)));
    let spread = each(runs, |run| standard_deviation(&run.temperature));
    checks.add("room: standard deviation, °C", 1.06, 0.2, spread);
    checks.add("room: lowest, °C", 19.0, 0.7, each(runs, |run| minimum(&run.temperature)));
    checks.add("room: highest, °C", 24.4, 0.9, each(runs, |run| maximum(&run.temperature)));
    let pooled: Vec<f64> = runs.iter().flat_map(|run| run.temperature.iter().copied()).collect();
    let day = profile(&pooled, DAY_MINUTES, 24);
    let hour_of = |value: f64| {
        let hour = day.iter().position(|other| other.to_bits() == value.to_bits());
        hour.map_or(f64::NAN, |hour| hour as f64 + 0.5)
    };
    let (low, high) = (minimum(&day), maximum(&day));
    checks.add("room: half-range of the mean day, °C", 1.0, 0.2, (high - low) / 2.0);
    checks.add("room: hour of the mean day's low", 6.0, 1.5, hour_of(low));
    checks.add("room: hour of the mean day's peak", 13.0, 1.6, hour_of(high));
    let steps = each(runs, |run| step(&run.temperature));
    checks.add("room: change in 1 min, °C", 0.032, 0.005, steps);
    let same = each(runs, |run| unchanged(&run.temperature));
    checks.add("room: readings like the one before", 0.61, 0.06, same);
}

fn humidity(checks: &mut Checks, runs: &[Run]) {
    checks.add("room dew point: mean, °C", 1.3, 1.2, each(runs, |run| mean(&run.dew_point)));
    let spread = each(runs, |run| standard_deviation(&run.dew_point));
    checks.add("room dew point: standard deviation, °C", 2.6, 0.9, spread);
    let steps = each(runs, |run| step(&run.dew_point));
    checks.add("room dew point: change in 1 min, °C", 0.070, 0.015, steps);
    let steps = each(runs, |run| step(&run.humidity));
    checks.add("room humidity: change in 1 min, %RH", 0.117, 0.02, steps);
    let same = each(runs, |run| unchanged(&run.humidity));
    checks.add("room humidity: readings like the one before", 0.39, 0.06, same);
    let with_air = each(runs, |run| correlation(&run.temperature, &run.humidity));
    checks.add("room: correlation of temperature and humidity", -0.16, 0.2, with_air);
    let with_dew = each(runs, |run| correlation(&run.humidity, &run.dew_point));
    checks.add("room: correlation of humidity and dew point", 0.93, 0.05, with_dew);
}

/// Changes of the occupancy from minute to minute, as shares of the minutes that could change.
struct Changes {
    arrivals: f64,
    departures: f64,
}

impl Changes {
    fn new(runs: &[Run], open: bool) -> Self {
        // Minutes by whether somebody is there now and a minute later.
        let mut minutes = [[0_u32; 2]; 2];
        for run in runs {
            for (minute, pair) in run.occupied.windows(2).enumerate() {
                if Run::is_open(minute) == open {
                    minutes[usize::from(pair[0])][usize::from(pair[1])] += 1;
                }
            }
        }
        let share = |[to_vacant, to_occupied]: [u32; 2], changed: u32| {
            f64::from(changed) / f64::from(to_vacant + to_occupied)
        };
        Self {
            arrivals: share(minutes[0], minutes[0][1]),
            departures: share(minutes[1], minutes[1][0]),
        }
    }
}

fn people(checks: &mut Checks, runs: &[Run]) {
    let share = |run: &Run| {
        run.occupied.iter().filter(|occupied| **occupied).count() as f64 / run.occupied.len() as f64
    };
    checks.add("people: share of the time there", 0.23, 0.03, each(runs, share));
    let open = Changes::new(runs, true);
    checks.add("people: arrivals per vacant minute, 8 to 18 h", 0.050, 0.008, open.arrivals);
    let name = "people: departures per occupied minute, 8 to 18 h";
    checks.add(name, 0.0091, 0.0015, open.departures);
    checks.add("people: mean occupied spell, min", 109.0, 18.0, 1.0 / open.departures);
    checks.add("people: mean vacant spell, 8 to 18 h, min", 20.0, 3.5, 1.0 / open.arrivals);
    let closed = Changes::new(runs, false);
    checks.add("people: arrivals per vacant minute, off hours", 0.0006, 0.0002, closed.arrivals);
    let name = "people: departures per occupied minute, off hours";
    checks.add(name, 0.096, 0.03, closed.departures);
}

/// The light of all minutes that `choose` picks.
fn light_when(runs: &[Run], choose: impl Fn(&Run, usize) -> bool) -> Vec<f64> {
    let chosen = runs.iter().flat_map(|run| {
        let minutes = (0..run.light.len()).filter(|minute| choose(run, *minute));
        minutes.map(|minute| run.light[minute]).collect::<Vec<f64>>()
    });
    chosen.collect()
}

fn light(checks: &mut Checks, runs: &[Run]) {
    let occupied = light_when(runs, |run, minute| run.occupied[minute]);
    for (share, reference, tolerance) in
        [(0.05, 419.0, 30.0), (0.5, 454.0, 30.0), (0.95, 733.0, 90.0)]
    {
        let name = format!("light: occupied, quantile {share}, lx");
        checks.add(&name, reference, tolerance, quantile(&occupied, share));
    }
    let empty = light_when(runs, |run, minute| {
        !run.occupied[minute] && OPEN.contains(&(minute % DAY_MINUTES))
    });
    checks.add("light: empty, 8 to 18 h, median, lx", 50.0, 20.0, quantile(&empty, 0.5));
    let steps = each(runs, |run| step(&run.light));
    checks.add("light: change in 1 min, lx", 22.0, 4.0, steps);
}

fn rules(runs: &[Run]) -> Vec<Check> {
    let mut checks = Checks::new(Source::Rule);
    let dark = light_when(runs, |run, minute| !run.occupied[minute] && !run.sun_is_up[minute]);
    checks.add("light: in an empty room at night, highest, lx", 0.0, 0.0, maximum(&dark));
    let moved = |occupied: bool| {
        let of = |run: &Run| {
            let minutes = run.motion.iter().zip(&run.occupied);
            let chosen: Vec<f64> =
                minutes.filter(|(_, there)| **there == occupied).map(|(moved, _)| *moved).collect();
            mean(&chosen)
        };
        each(runs, of)
    };
    checks.add("motion: share of the time with nobody there", 0.0, 0.0, moved(false));
    checks.add("motion: share of the time with somebody there", 0.45, 0.2, moved(true));
    checks.checks
}

//! A day, a week and a year of one site.

use std::ops::Range;

use domain::SensorKind;
use domain::simulation::signal::sun_elevation_sine;

use super::chart::{Chart, Mark, WIDTH, range_of};
use crate::realism::Signals;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Monday 2025-05-12 and 2025-01-01, midnight in Brussels.
const WEEK_START_MS: i64 = 1_747_004_400_000;
const YEAR_START_MS: i64 = 1_735_686_000_000;
const YEAR_DAYS: i64 = 365;
/// A quarter of an hour: what the cells of a year's charts sum up is looked at this often.
const QUARTER_MS: i64 = 15 * MINUTE_MS;

/// Points of one quantity over time.
type Line = Vec<(f64, f64)>;

/// A span of time and how it is drawn.
struct Span<'a, S> {
    signals: &'a S,
    site: usize,
    start_ms: i64,
    step_ms: i64,
    hours: f64,
    marks: Vec<Mark>,
}

impl<S: Signals> Span<'_, S> {
    fn times(&self) -> impl Iterator<Item = (f64, i64)> + use<'_, S> {
        #[expect(clippy::cast_possible_truncation, reason = "hours of a week")]
        let steps = (self.hours * HOUR_MS as f64) as i64 / self.step_ms;
        (0..=steps).map(|step| {
            let since_ms = step * self.step_ms;
            (since_ms as f64 / HOUR_MS as f64, self.start_ms + since_ms)
        })
    }

    fn line(&self, value: impl Fn(i64) -> f64) -> Line {
        self.times().map(|(hour, ts_ms)| (hour, value(ts_ms))).collect()
    }

    fn sensor(&self, kind: SensorKind, ordinal: u64) -> Line {
        let sensor = self.signals.sensor(self.site, kind, ordinal);
        self.line(|ts_ms| self.signals.reading(sensor, ts_ms))
    }

    /// The spans in which something holds.
    fn spans(&self, holds: impl Fn(i64) -> bool) -> Vec<Range<f64>> {
        let mut spans: Vec<Range<f64>> = Vec::new();
        let step = self.step_ms as f64 / HOUR_MS as f64;
        for (hour, _) in self.times().filter(|(_, ts_ms)| holds(*ts_ms)) {
            let end = (hour + step).min(self.hours);
            match spans.last_mut() {
                Some(last) if hour <= last.end + step / 2.0 => last.end = end,
                _ if hour < self.hours => spans.push(hour..end),
                _ => {}
            }
        }
        spans
    }

    fn chart(&self, height: f64, y: Range<f64>, labelled: bool) -> Chart {
        let (signals, site) = (self.signals, self.site);
        let place = &signals.fleet().sites()[site];
        let night = self.spans(|ts_ms| sun_elevation_sine(place, ts_ms) <= 0.0);
        let people = self.spans(|ts_ms| signals.is_occupied(site, ts_ms));
        Chart::new((WIDTH, height), 0.0..self.hours, y)
            .marks(&self.marks, labelled)
            .shade(&night, "night")
            .shade(&people, "people")
    }

    /// All quantities, one below the other.
    fn charts(&self) -> String {
        let outside = self.line(|ts_ms| self.signals.outdoor(self.site, ts_ms).temperature);
        let dew = self.line(|ts_ms| self.signals.outdoor(self.site, ts_ms).dew_point);
        let mut page = self
            .chart(190.0, range_of(values(&outside).chain(values(&dew))), false)
            .grid()
            .title("Outside, °C")
            .legend(&[("temperature", "cold"), ("dew point", "dew")])
            .line(&dew, "dew")
            .line(&outside, "cold")
            .svg();
        let rooms: Vec<Line> =
            (0..5).map(|ordinal| self.sensor(SensorKind::Temperature, ordinal)).collect();
        let mut chart = self
            .chart(150.0, range_of(rooms.iter().flat_map(values)), false)
            .grid()
            .title("Temperature of a room, °C")
            .legend(&[("five sensors", "warm")]);
        for room in &rooms {
            chart = chart.line(room, "warm");
        }
        page += &chart.svg();
        for (kind, title, class) in [
            (SensorKind::Humidity, "Humidity in the rooms, %RH", "wet"),
            (SensorKind::Pressure, "Pressure, hPa", "air"),
            (SensorKind::Light, "Light on a desk, lx", "light"),
        ] {
            let line = self.sensor(kind, 0);
            let range = range_of(values(&line));
            page += &self.chart(130.0, range, false).grid().title(title).line(&line, class).svg();
        }
        let moves = |ordinal: u64| {
            let sensor = self.signals.sensor(self.site, SensorKind::Motion, ordinal);
            self.spans(|ts_ms| self.signals.reading(sensor, ts_ms) > 0.5)
        };
        page + &self
            .chart(64.0, 0.0..1.0, true)
            .shade(&moves(0), "motion")
            .title("Motion")
            .legend(&[("movement", "move"), ("people there", "there"), ("night", "dark")])
            .svg()
    }
}

fn values(line: &Line) -> impl Iterator<Item = f64> + '_ {
    line.iter().map(|(_, value)| *value)
}

/// Wednesday, minute by minute.
pub(super) fn day(signals: &impl Signals, site: usize) -> String {
    let marks = (0..=8).map(|mark| {
        let hour = 3 * mark;
        Mark { at: f64::from(hour), text: format!("{hour} h") }
    });
    let span = Span {
        signals,
        site,
        start_ms: WEEK_START_MS + 2 * 24 * HOUR_MS,
        step_ms: MINUTE_MS / 2,
        hours: 24.0,
        marks: marks.collect(),
    };
    span.charts()
}

/// Monday to Sunday.
pub(super) fn week(signals: &impl Signals, site: usize) -> String {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let marks = (0_u32..).zip(DAYS);
    let marks = marks.map(|(day, name)| Mark { at: f64::from(24 * day), text: name.to_owned() });
    let span = Span {
        signals,
        site,
        start_ms: WEEK_START_MS,
        step_ms: 5 * MINUTE_MS,
        hours: 7.0 * 24.0,
        marks: marks.collect(),
    };
    span.charts()
}

/// The year, as ranges of days, and as a map of days and hours for light and people.
pub(super) fn year(signals: &impl Signals, site: usize) -> String {
    let sensor = |kind| signals.sensor(site, kind, 0);
    let (room, damp, press) = (
        sensor(SensorKind::Temperature),
        sensor(SensorKind::Humidity),
        sensor(SensorKind::Pressure),
    );
    let outside = days(|ts_ms| signals.outdoor(site, ts_ms).temperature);
    let rooms = days(|ts_ms| signals.reading(room, ts_ms));
    let both = outside.iter().chain(&rooms).flat_map(|(_, low, high)| [*low, *high]);
    let mut page = frame(200.0, range_of(both))
        .title("Temperature, °C: lowest to highest of each day")
        .legend(&[("rooms", "warm"), ("outside", "cold")])
        .band(&outside, "cold")
        .band(&rooms, "warm")
        .svg();
    for (sensor, title, class) in [
        (damp, "Humidity in the rooms, %RH: lowest to highest of each day", "wet"),
        (press, "Pressure, hPa: lowest to highest of each day", "air"),
    ] {
        let band = days(|ts_ms| signals.reading(sensor, ts_ms));
        let range = range_of(band.iter().flat_map(|(_, low, high)| [*low, *high]));
        page += &frame(130.0, range).title(title).band(&band, class).svg();
    }
    let light = sensor(SensorKind::Light);
    page += &map(
        "Light on a desk by day and hour",
        &[1.0, 60.0, 200.0, 420.0, 520.0, 650.0],
        "lux",
        |ts_ms| signals.reading(light, ts_ms),
    );
    let motion = sensor(SensorKind::Motion);
    page + &map("Motion by day and hour", &[0.05, 0.2, 0.4, 0.6, 0.8, 0.95], "moves", |ts_ms| {
        // Whether a sensor sees a movement at one moment in three says how busy the hour is.
        let seen = (0..3).filter(|k| signals.reading(motion, ts_ms + k * 5 * MINUTE_MS) > 0.5);
        seen.count() as f64 / 3.0
    })
}

fn months() -> Vec<Mark> {
    const MONTHS: [(&str, i32); 12] = [
        ("Jan", 0),
        ("Feb", 31),
        ("Mar", 59),
        ("Apr", 90),
        ("May", 120),
        ("Jun", 151),
        ("Jul", 181),
        ("Aug", 212),
        ("Sep", 243),
        ("Oct", 273),
        ("Nov", 304),
        ("Dec", 334),
    ];
    let marks = MONTHS.into_iter();
    marks.map(|(name, day)| Mark { at: f64::from(day), text: name.to_owned() }).collect()
}

fn frame(height: f64, y: Range<f64>) -> Chart {
    Chart::new((WIDTH, height), 0.0..YEAR_DAYS as f64, y).marks(&months(), false).grid()
}

/// The range of each day.
fn days(value: impl Fn(i64) -> f64) -> Vec<(f64, f64, f64)> {
    let range = |day: i64| {
        let hours = (0..48).map(|half| YEAR_START_MS + (48 * day + half) * HOUR_MS / 2);
        let (low, high) = hours
            .map(&value)
            .fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        (day as f64 + 0.5, low, high)
    };
    (0..YEAR_DAYS).map(range).collect()
}

/// Means of hours as colours: six levels of a class, the lowest left out.
fn map(title: &str, levels: &[f64; 6], class: &str, value: impl Fn(i64) -> f64) -> String {
    let mut cells: Vec<Vec<(f64, f64)>> = vec![Vec::new(); levels.len()];
    for cell in 0..YEAR_DAYS * 24 {
        let start_ms = YEAR_START_MS + cell * HOUR_MS;
        let sum: f64 = (0..4).map(|quarter| value(start_ms + quarter * QUARTER_MS)).sum();
        let level = levels.iter().filter(|level| sum / 4.0 >= **level).count();
        if let Some(level) = level.checked_sub(1) {
            cells[level].push(((cell / 24) as f64, (cell % 24) as f64));
        }
    }
    let mut chart = Chart::new((WIDTH, 170.0), 0.0..YEAR_DAYS as f64, 0.0..24.0)
        .marks(&months(), true)
        .shade(std::slice::from_ref(&(0.0..YEAR_DAYS as f64)), "dusk");
    for (level, cells) in cells.iter().enumerate() {
        chart = chart.cells(cells, &format!("{class} {class}-{level}"));
    }
    chart.rows(&[6.0, 12.0, 18.0], " h").title(title).svg()
}

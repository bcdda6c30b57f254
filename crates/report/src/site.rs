//! One site: its last hour by kind and sensor, its open alerts, its last day.

use std::collections::BTreeMap;
use std::iter;

use domain::SensorKind;
use domain::hour::{DAY_MS, HOUR_MS, hour_start_ms};
use runtime::text::printable;

use crate::database::Alerts;
use crate::layout::{Cell, Column, Look, table};
use crate::overview::more;
use crate::rows::{Alert, MINUTE_MS, Window, within_site};
use crate::text::{NUMBER_CHARS, clock, counted, duration, number, number_if_any, sparkline, time};

/// Rules that say how unusual a sensor is, as against how high.
const ANOMALY_RULES: [&str; 5] = ["anomaly", "drift", "stuck", "dropout", "silent"];
/// Most lines of the list of anomalies.
const ANOMALIES_MAX: usize = 5;
/// Sites that are named to whoever asked for one that is not known.
const SITES_NAMED: usize = 5;

/// The hour that is shown, in epoch milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from_ms: i64,
    /// Exclusive.
    pub(crate) end_ms: i64,
}

impl Span {
    /// Returns the sixty whole minutes up to a time.
    pub(crate) fn until(end_ms: i64) -> Self {
        let end_ms = end_ms - end_ms.rem_euclid(MINUTE_MS);
        Self { from_ms: end_ms - HOUR_MS, end_ms }
    }

    /// Tells whether a window that starts at `start_ms` belongs to it.
    pub(crate) fn contains(&self, start_ms: i64) -> bool {
        (self.from_ms..self.end_ms).contains(&start_ms)
    }

    /// Returns the hours that hold its windows, by their starts in epoch milliseconds.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = i64> + use<> {
        let (first, last) = (hour_start_ms(self.from_ms), hour_start_ms(self.end_ms - 1));
        iter::successors(Some(first), |hour_ms| Some(hour_ms + HOUR_MS))
            .take_while(move |hour_ms| *hour_ms <= last)
    }

    /// Returns the means of a series, minute by minute.
    fn means(&self, windows: &[&Window]) -> Vec<Option<f64>> {
        let minutes = usize::try_from(HOUR_MS / MINUTE_MS).unwrap_or_default();
        let mut means = vec![None; minutes];
        for window in windows {
            let minute = usize::try_from((window.start_ms - self.from_ms) / MINUTE_MS);
            if let Some(mean) = minute.ok().and_then(|minute| means.get_mut(minute)) {
                *mean = Some(window.mean);
            }
        }
        means
    }
}

/// What there is to say of a site.
#[derive(Clone, Debug)]
pub(crate) struct SiteReport<'a> {
    pub(crate) site_id: &'a str,
    pub(crate) span: Span,
    /// All of them within the span.
    pub(crate) windows: Vec<Window>,
    pub(crate) open: Alerts,
    /// Those of the day that ends with the span, in whatever state.
    pub(crate) day: Alerts,
}

impl SiteReport<'_> {
    /// Renders the report.
    pub(crate) fn render(&self, look: &Look) -> String {
        let site = printable(self.site_id);
        let (from, end) = (time(self.span.from_ms), time(self.span.end_ms));
        let mut text = format!("{site}, {from} to {end}\n\n");
        if self.windows.is_empty() {
            text += &format!(
                "no minute windows of {site} yet: is analytics running? windows are written about \
                 65 s after\ntheir first reading; --at TIME shows the hour before another time\n"
            );
        } else {
            text += &self.hour(look);
            text += "a cell is a minute's mean, between the least and the greatest of its line; a \
                     blank is no reading\n";
        }
        text += "\n";
        text += &self.open(look);
        text += "\n";
        text += &self.history(look);
        text += "\n";
        text += &self.anomalies(look);
        text
    }

    /// Renders a line for each kind, and under it one for each sensor that was read.
    fn hour(&self, look: &Look) -> String {
        let mut series = BTreeMap::<(usize, &str, &str), Vec<&Window>>::new();
        for window in &self.windows {
            let place = SensorKind::ALL.iter().position(|kind| kind.name() == window.kind);
            let place = place.unwrap_or(SensorKind::ALL.len());
            let key = (place, window.kind.as_str(), window.sensor_id.as_str());
            series.entry(key).or_default().push(window);
        }
        let number = |head: &str| Column::right(head, NUMBER_CHARS);
        let columns = [
            Column::left("KIND", 14),
            number("COUNT"),
            number("MIN"),
            number("MEAN"),
            number("MAX"),
            Column::right("NOT OK", 6),
            Column::left(
                format!("{:<55}{}", clock(self.span.from_ms), clock(self.span.end_ms)),
                60,
            ),
        ];
        let has_sensors = self.windows.iter().any(|window| !window.sensor_id.is_empty());
        let mut rows = Vec::new();
        let mut kind_before = None;
        for ((_, kind, sensor_id), windows) in &series {
            if has_sensors && kind_before.is_some_and(|before| before != kind) {
                rows.push(Vec::new());
            }
            kind_before = Some(kind);
            let name = within_site(sensor_id, self.site_id);
            let name = name.map_or_else(|| with_unit(kind), str::to_owned);
            rows.push(line(name, windows, &self.span));
        }
        table(&columns, &rows, look)
    }

    fn open(&self, look: &Look) -> String {
        let Alerts { rows, is_complete } = &self.open;
        if rows.is_empty() {
            return "no open alerts\n".into();
        }
        let least = if *is_complete { "" } else { "more than " };
        let columns = [
            Column::left("STARTED", 20),
            Column::left("SEVERITY", 8),
            Column::left("RULE", 14),
            Column::left("SENSOR", 40),
            Column::right("VALUE", NUMBER_CHARS),
            Column::right("THRESHOLD", 9),
        ];
        let row = |alert: &Alert| {
            let (value, threshold) = measure(alert);
            vec![
                time(alert.started_ms).into(),
                Cell::severity(&alert.severity),
                Cell::from(&alert.rule),
                Cell::from(alert.sensor()),
                value,
                threshold,
            ]
        };
        let listed: Vec<Vec<Cell>> = rows.iter().take(look.lines_max).map(row).collect();
        let head = format!("{least}{}\n", counted(rows.len(), "open alert"));
        head + &table(&columns, &listed, look) + &more(rows.len(), look)
    }

    fn history(&self, look: &Look) -> String {
        let Alerts { rows, is_complete } = &self.day;
        if rows.is_empty() {
            return format!("no alerts in the day up to {}\n", time(self.span.end_ms));
        }
        let mut states = BTreeMap::<&str, usize>::new();
        for alert in rows {
            *states.entry(alert.state.as_str()).or_default() += 1;
        }
        let states: Vec<String> =
            states.iter().map(|(state, count)| format!("{count} {}", printable(state))).collect();
        let least = if *is_complete { "" } else { "more than " };
        let count = counted(rows.len(), "alert");
        let head = format!("last day: {least}{count} ({})\n", states.join(", "));
        let over: Vec<&Alert> = rows.iter().filter(|alert| alert.state != "open").collect();
        if over.is_empty() {
            return head;
        }
        let columns = [
            Column::left("STARTED", 20),
            Column::right("LASTED", 8),
            Column::left("STATE", 9),
            Column::left("SEVERITY", 8),
            Column::left("RULE", 14),
            Column::left("SENSOR", 30),
            Column::right("VALUE", NUMBER_CHARS),
            Column::right("THRESHOLD", 9),
        ];
        let row = |alert: &&Alert| {
            let lasted = alert.cleared_ms.map(|cleared_ms| duration(cleared_ms - alert.started_ms));
            let (value, threshold) = measure(alert);
            vec![
                time(alert.started_ms).into(),
                lasted.unwrap_or_else(|| "-".into()).into(),
                Cell::from(&alert.state),
                Cell::severity(&alert.severity),
                Cell::from(&alert.rule),
                Cell::from(alert.sensor()),
                value,
                threshold,
            ]
        };
        let listed: Vec<Vec<Cell>> = over.iter().take(look.lines_max).map(row).collect();
        head + &table(&columns, &listed, look) + &more(over.len(), look)
    }

    /// Lists what was farthest beyond its threshold, today or since longer.
    fn anomalies(&self, look: &Look) -> String {
        let day_ms = self.span.end_ms - DAY_MS..self.span.end_ms;
        let older = self.open.rows.iter().filter(|alert| !day_ms.contains(&alert.started_ms));
        let mut ranked: Vec<(f64, &Alert)> = self
            .day
            .rows
            .iter()
            .chain(older)
            .filter(|alert| alert.state != "withdrawn")
            .filter(|alert| ANOMALY_RULES.contains(&alert.rule.as_str()))
            .filter_map(|alert| Some((alert.ratio()?, alert)))
            .collect();
        if ranked.is_empty() {
            return "no anomalies\n".into();
        }
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let columns = [
            Column::right("RATIO", NUMBER_CHARS),
            Column::left("RULE", 14),
            Column::left("SENSOR", 36),
            Column::left("STARTED", 20),
            Column::left("STATE", 9),
            Column::right("VALUE", NUMBER_CHARS),
            Column::right("THRESHOLD", 9),
        ];
        let row = |(ratio, alert): &(f64, &Alert)| {
            let (value, threshold) = measure(alert);
            vec![
                number(*ratio).into(),
                Cell::from(&alert.rule),
                Cell::from(alert.sensor()),
                time(alert.started_ms).into(),
                Cell::from(&alert.state),
                value,
                threshold,
            ]
        };
        let listed: Vec<Vec<Cell>> =
            ranked.iter().take(ANOMALIES_MAX.min(look.lines_max)).map(row).collect();
        format!("top anomalies, by value to threshold\n{}", table(&columns, &listed, look))
    }
}

/// Says that a site is not known, and which are.
pub(crate) fn unknown(site_id: &str, sites: &[String]) -> String {
    let site = printable(site_id);
    if sites.is_empty() {
        return format!(
            "no site `{site}`, nor any other yet: are producer and consumer running?\n"
        );
    }
    let named: Vec<String> =
        sites.iter().take(SITES_NAMED).map(|site| printable(site).into_owned()).collect();
    let ellipsis = if sites.len() > named.len() { ", ..." } else { "" };
    let (count, named) = (counted(sites.len(), "site"), named.join(", "));
    let are = if sites.len() == 1 { "is" } else { "are" };
    format!("no site `{site}`; there {are} {count}: {named}{ellipsis}\n")
}

fn measure(alert: &Alert) -> (Cell, Cell) {
    (number_if_any(alert.value).into(), number_if_any(alert.threshold).into())
}

fn with_unit(kind: &str) -> String {
    let unit = kind.parse::<SensorKind>().map_or("", SensorKind::unit);
    format!("{kind} {unit}").trim_end().to_owned()
}

/// Renders the hour of one kind or one sensor.
fn line(name: String, windows: &[&Window], span: &Span) -> Vec<Cell> {
    let count: u64 = windows.iter().map(|window| window.count).sum();
    let not_ok: u64 = windows.iter().map(|window| window.not_ok).sum();
    let all = count as f64;
    let mean = windows.iter().map(|window| window.mean * (window.count as f64 / all)).sum();
    let min = windows.iter().map(|window| window.min).fold(f64::INFINITY, f64::min);
    let max = windows.iter().map(|window| window.max).fold(f64::NEG_INFINITY, f64::max);
    vec![
        name.into(),
        count.to_string().into(),
        number(min).into(),
        number(mean).into(),
        number(max).into(),
        format!("{:.1}%", not_ok as f64 / all * 100.0).into(),
        sparkline(&span.means(windows)).into(),
    ]
}

#[cfg(test)]
mod tests;

//! The last hour of a site: figures and a chart for each kind, and, on request, for each sensor.

use std::collections::BTreeMap;
use std::iter;

use domain::SensorKind;
use domain::hour::{HOUR_MS, hour_start_ms};

use crate::chart::{Scale, least_spans};
use crate::layout::{Cell, Column, Look, prose, table};
use crate::rows::{MINUTE_MS, Sensor, Window, within_site};
use crate::text::{NUMBER_CHARS, clock, counted, number};

/// Cells of a chart: as many of these as there is room for. Each stands for as many whole minutes.
const CELLS: [usize; 5] = [60, 30, 20, 15, 12];
/// Most characters of a sensor's name.
const NAME_CHARS: usize = 40;

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

    /// Returns the means of a series, for each of `cells` equal parts of the hour.
    fn means(&self, windows: &[&Window], cells: usize) -> Vec<Option<f64>> {
        let mut sums = vec![(0.0, 0); cells];
        for window in windows {
            let minute = usize::try_from((window.start_ms - self.from_ms) / MINUTE_MS);
            let cell = minute.ok().map(|minute| minute * cells / CELLS[0]);
            if let Some((sum, count)) = cell.and_then(|cell| sums.get_mut(cell)) {
                *sum += window.mean * window.count as f64;
                *count += window.count;
            }
        }
        sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
    }
}

/// A kind of a site, or one of its sensors, with its windows within the hour.
#[derive(Clone, Debug)]
struct Series<'a> {
    kind: &'a str,
    /// Empty: all sensors of the kind.
    sensor_id: &'a str,
    windows: Vec<&'a Window>,
}

impl Series<'_> {
    fn known_kind(&self) -> Option<SensorKind> {
        self.kind.parse().ok()
    }

    fn unit(&self) -> &'static str {
        self.known_kind().map_or("", SensorKind::unit)
    }

    fn newest(&self) -> Option<&&Window> {
        self.windows.iter().max_by_key(|window| window.start_ms)
    }

    /// Returns the figures that all series have: that of the newest window, those of the hour.
    fn figures(&self) -> Vec<Cell> {
        let count: u64 = self.windows.iter().map(|window| window.count).sum();
        let (Some(newest), 1..) = (self.newest(), count) else {
            return ["-", "-", "-", "-", "0", "-"].map(Cell::from).to_vec();
        };
        let not_ok: u64 = self.windows.iter().map(|window| window.not_ok).sum();
        let all = count as f64;
        let (mut mean, mut min, mut max) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
        for window in &self.windows {
            mean += window.mean * (window.count as f64 / all);
            min = min.min(window.min);
            max = max.max(window.max);
        }
        vec![
            number(newest.mean).into(),
            number(mean).into(),
            number(min).into(),
            number(max).into(),
            count.to_string().into(),
            format!("{:.1}%", not_ok as f64 / all * 100.0).into(),
        ]
    }
}

/// The columns of [`Series::figures`].
fn figure_columns() -> impl Iterator<Item = Column> {
    let number = |head: &str| Column::right(head, NUMBER_CHARS);
    [
        number("LATEST"),
        number("MEAN"),
        number("MIN"),
        number("MAX"),
        number("COUNT"),
        Column::right("NOT OK", 6),
    ]
    .into_iter()
}

/// What there is to say of an hour of a site.
#[derive(Clone, Debug)]
pub(crate) struct Hour<'a> {
    site_id: &'a str,
    span: Span,
    kinds: Vec<Series<'a>>,
    sensors: Vec<Series<'a>>,
}

impl<'a> Hour<'a> {
    /// Sorts windows by kind and sensor; a sensor that is registered has its place without any.
    pub(crate) fn of(
        site_id: &'a str,
        span: Span,
        windows: &'a [Window],
        sensors: &'a [Sensor],
    ) -> Self {
        let mut all = BTreeMap::<(usize, &str, &str), Vec<&Window>>::new();
        for Sensor { kind, sensor_id } in sensors {
            all.entry((place(kind), kind, sensor_id)).or_default();
        }
        for window in windows {
            let (kind, sensor_id) = (window.kind.as_str(), window.sensor_id.as_str());
            all.entry((place(kind), kind, sensor_id)).or_default().push(window);
        }
        let all = all.into_iter();
        let all = all.map(|((_, kind, sensor_id), windows)| Series { kind, sensor_id, windows });
        let (kinds, sensors) = all.partition(|series| series.sensor_id.is_empty());
        Self { site_id, span, kinds, sensors }
    }

    /// Renders the charts, the figures of each kind, and those of each sensor.
    pub(crate) fn render(&self, look: &Look) -> String {
        let mut text = self.charts(look);
        text += "\n";
        text += &self.kinds(look);
        let note = "LATEST is the mean of the newest minute; all else is of the hour, COUNT in \
                    readings";
        text += &prose(note, look);
        if self.sensors.is_empty() {
            return text;
        }
        text += &format!("\n{}\n", counted(self.sensors.len(), "sensor"));
        text += &self.sensors(look);
        text + &prose("AT is the start of the newest minute that has readings", look)
    }

    fn kinds(&self, look: &Look) -> String {
        let columns: Vec<Column> =
            [Column::left("KIND", 14)].into_iter().chain(figure_columns()).collect();
        let mut rows = Vec::new();
        for series in &self.kinds {
            let mut row = vec![Cell::from(format!("{} {}", series.kind, series.unit()).trim_end())];
            row.extend(series.figures());
            rows.push(row);
        }
        table(&columns, &rows, look)
    }

    fn sensors(&self, look: &Look) -> String {
        let names = [
            Column::left("SENSOR", NAME_CHARS),
            Column::left("KIND", 11),
            Column::left("UNIT", 4),
            Column::right("AT", 5),
        ];
        let columns: Vec<Column> = names.into_iter().chain(figure_columns()).collect();
        let mut rows = Vec::new();
        for series in &self.sensors {
            let mut row = vec![
                self.name(series).into(),
                Cell::from(series.kind),
                Cell::from(series.unit()),
                series.newest().map_or_else(|| "-".into(), |newest| clock(newest.start_ms)).into(),
            ];
            row.extend(series.figures());
            rows.push(row);
        }
        table(&columns, &rows, look)
    }

    fn name<'b>(&self, series: &Series<'b>) -> &'b str {
        within_site(series.sensor_id, self.site_id).unwrap_or(series.kind)
    }

    /// Renders a line for each kind and sensor, the sensors under their kind.
    fn charts(&self, look: &Look) -> String {
        let fits = |cells: &usize| {
            let (heads, rows) = self.chart(*cells);
            let text = table(&heads, &rows, look);
            (text.lines().count() == rows.len() + 1).then_some(text)
        };
        let broken = || {
            let cells = CELLS[1];
            let (heads, rows) = self.chart(cells);
            (cells, table(&heads, &rows, look))
        };
        let fitting = CELLS.iter().find_map(|cells| Some((*cells, fits(cells)?)));
        let (cells, text) = fitting.unwrap_or_else(broken);
        let of = match CELLS[0] / cells {
            1 => "a minute".to_owned(),
            minutes => format!("{minutes} minutes"),
        };
        let note = format!(
            "a cell is the mean of {of}, from ▁ to █ of the scale of its line, which is no \
             narrower than {}; a blank is no reading",
            least_spans()
        );
        text + &prose(&note, look)
    }

    fn chart(&self, cells: usize) -> ([Column; 3], Vec<Vec<Cell>>) {
        let (from, end) = (clock(self.span.from_ms), clock(self.span.end_ms));
        let heads = [
            Column::left("MEANS", NAME_CHARS),
            Column::left(format!("{from:<width$}{end}", width = cells - end.len()), cells),
            Column::left("SCALE ▁ TO █", 24),
        ];
        let mut all: Vec<&Series<'_>> = self.kinds.iter().chain(&self.sensors).collect();
        // A stable sort: the kind stays before its sensors.
        all.sort_by_key(|series| (place(series.kind), series.kind));
        let mut rows = Vec::new();
        for series in all {
            let means = self.span.means(&series.windows, cells);
            let scale = Scale::of(series.known_kind(), &means);
            let drawn = scale.map(|scale| scale.draw(&means)).unwrap_or_default();
            let range = scale.map_or_else(|| "-".into(), |scale| scale.range(series.unit()));
            rows.push(vec![self.name(series).into(), drawn.into(), range.into()]);
        }
        (heads, rows)
    }
}

/// Returns the place of a kind among all: that in which a site lists its sensors, strangers last.
fn place(kind: &str) -> usize {
    let place = SensorKind::ALL.iter().position(|known| known.name() == kind);
    place.unwrap_or(SensorKind::ALL.len())
}

#[cfg(test)]
mod tests;

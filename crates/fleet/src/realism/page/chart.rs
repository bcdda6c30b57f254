//! Charts as inline SVG: a frame with axes, and lines, bands and dots inside it.

use std::fmt::Write;
use std::ops::Range;

/// Width of every chart in units of the drawing, which the page scales.
pub(super) const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 26.0;

/// A label under the horizontal axis.
pub(super) struct Mark {
    pub(super) at: f64,
    pub(super) text: String,
}

/// One chart under construction.
pub(super) struct Chart {
    width: f64,
    height: f64,
    bottom: f64,
    x: Range<f64>,
    y: Range<f64>,
    body: String,
}

impl Chart {
    /// Begins a chart of the given size for values in the given ranges.
    pub(super) fn new(size: (f64, f64), x: Range<f64>, y: Range<f64>) -> Self {
        Self { width: size.0, height: size.1, bottom: 8.0, x, y, body: String::new() }
    }

    fn px(&self, x: f64) -> f64 {
        let share = (x - self.x.start) / (self.x.end - self.x.start);
        LEFT + share * (self.width - LEFT - RIGHT)
    }

    fn py(&self, y: f64) -> f64 {
        let share = (y - self.y.start) / (self.y.end - self.y.start);
        self.height - self.bottom - share * (self.height - self.bottom - TOP)
    }

    /// Names the chart at its top left corner.
    pub(super) fn title(mut self, text: &str) -> Self {
        let _ = write!(self.body, r#"<text class="title" x="{LEFT}" y="15">{text}</text>"#);
        self
    }

    /// Names the lines, each in its colour, at the top right corner.
    pub(super) fn legend(mut self, names: &[(&str, &str)]) -> Self {
        let mut spans = String::new();
        for (name, class) in names {
            let _ = write!(spans, r#"<tspan class="{class}" dx="14">{name}</tspan>"#);
        }
        let x = self.width - RIGHT;
        let _ = write!(self.body, r#"<text class="legend" x="{x}" y="15">{spans}</text>"#);
        self
    }

    /// Draws horizontal lines at round values.
    pub(super) fn grid(self) -> Self {
        let values = round_values(&self.y, self.height / 38.0);
        self.rows(&values, "")
    }

    /// Draws horizontal lines at given values and writes them with their unit.
    pub(super) fn rows(mut self, values: &[f64], unit: &str) -> Self {
        let (from, to) = (LEFT, self.width - RIGHT);
        for value in values {
            let (y, text) = (self.py(*value), tidy(*value));
            let (right, base) = (LEFT - 8.0, y + 4.0);
            let _ = write!(
                self.body,
                "<path class='grid' d='M{from} {y:.1}H{to}'/>\
                 <text class='tick y' x='{right}' y='{base:.1}'>{text}{unit}</text>",
            );
        }
        self
    }

    /// Draws vertical lines and, if there is to be an axis, writes their labels below.
    pub(super) fn marks(mut self, marks: &[Mark], labelled: bool) -> Self {
        if labelled {
            self.bottom = 8.0;
            self.height += 16.0;
            self.bottom += 16.0;
        }
        for Mark { at, text } in marks {
            let (x, foot) = (self.px(*at), self.height - self.bottom);
            let _ = write!(self.body, r#"<path class="grid" d="M{x:.1} {TOP}V{foot:.1}"/>"#);
            if labelled {
                let y = foot + 17.0;
                let _ =
                    write!(self.body, r#"<text class="tick x" x="{x:.1}" y="{y}">{text}</text>"#);
            }
        }
        self
    }

    /// Shades spans of the horizontal axis.
    pub(super) fn shade(mut self, spans: &[Range<f64>], class: &str) -> Self {
        let (head, foot) = (TOP, self.height - self.bottom);
        let mut path = String::new();
        for span in spans {
            let (from, to) = (self.px(span.start), self.px(span.end));
            let _ = write!(path, "M{from:.1} {head:.1}H{to:.1}V{foot:.1}H{from:.1}z");
        }
        let _ = write!(self.body, r#"<path class="{class}" d="{path}"/>"#);
        self
    }

    /// Draws a line through points.
    pub(super) fn line(mut self, points: &[(f64, f64)], class: &str) -> Self {
        let path = self.path(points.iter().copied());
        let _ = write!(self.body, r#"<path class="line {class}" d="M{path}"/>"#);
        self
    }

    /// Fills the room between two values at each place.
    pub(super) fn band(mut self, points: &[(f64, f64, f64)], class: &str) -> Self {
        let upper = self.path(points.iter().map(|(x, _, high)| (*x, *high)));
        let lower = self.path(points.iter().rev().map(|(x, low, _)| (*x, *low)));
        let _ = write!(self.body, r#"<path class="band {class}" d="M{upper}L{lower}z"/>"#);
        self
    }

    /// Draws a dot with a bar as long as a tolerance.
    pub(super) fn reference(mut self, at: f64, value: f64, tolerance: f64) -> Self {
        let (x, y) = (self.px(at), self.py(value));
        let (head, foot) = (self.py(value + tolerance), self.py(value - tolerance));
        let _ = write!(
            self.body,
            "<path class='bar' d='M{x:.1} {head:.1}V{foot:.1}'/>\
             <circle class='dot' cx='{x:.1}' cy='{y:.1}' r='4.5'/>",
        );
        self
    }

    /// Draws cells, one unit wide and high, all of one class.
    pub(super) fn cells(mut self, cells: &[(f64, f64)], class: &str) -> Self {
        let mut path = String::new();
        let (wide, high) = (self.px(1.0) - self.px(0.0), self.py(0.0) - self.py(1.0));
        for (x, y) in cells {
            let (left, head) = (self.px(*x), self.py(*y + 1.0));
            let _ = write!(path, "M{left:.1} {head:.1}h{wide:.2}v{high:.2}h-{wide:.2}z");
        }
        let _ = write!(self.body, r#"<path class="{class}" d="{path}"/>"#);
        self
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let places = points.map(|(x, y)| format!("{:.1} {:.1}", self.px(x), self.py(y)));
        places.collect::<Vec<String>>().join("L")
    }

    /// Ends the chart.
    pub(super) fn svg(self) -> String {
        format!(r#"<svg viewBox="0 0 {} {}">{}</svg>"#, self.width, self.height, self.body)
    }
}

/// The range of values with a little room around it.
pub(super) fn range_of(values: impl Iterator<Item = f64>) -> Range<f64> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    let room = 0.06 * (high - low).max(0.1);
    low - room..high + room
}

/// Some round values in a range, about `count` of them.
fn round_values(range: &Range<f64>, count: f64) -> Vec<f64> {
    let rough = (range.end - range.start) / count;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let mut values = Vec::new();
    let mut value = (range.start / step).ceil() * step;
    while value <= range.end && values.len() < 20 {
        values.push(value);
        value += step;
    }
    values
}

fn tidy(value: f64) -> String {
    let text = format!("{:.2}", value + 0.0);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".to_owned() } else { short.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_an_axis_are_round() {
        assert_eq!(round_values(&(1_003.2..1_021.7), 4.0), [1_005.0, 1_010.0, 1_015.0, 1_020.0]);
        assert_eq!(round_values(&(-0.02..1.0), 4.0), [0.0, 0.5, 1.0]);
        assert_eq!(tidy(-5.0), "−5");
    }
}

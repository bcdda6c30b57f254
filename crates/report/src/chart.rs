//! A series over an hour as a line of cells, on a scale that keeps small changes small.

use domain::SensorKind;

use crate::text::number;

/// The cells, from the bottom of the scale to its top.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The cell of a series that does not change; the middle of a scale lies within it.
const LEVEL: usize = 3;

/// The values at the lowest and at the highest cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    bottom: f64,
    top: f64,
}

impl Scale {
    /// Returns the scale of a series: from its least to its greatest value, and at least as much as
    /// counts as a change of its kind. A series without values has none.
    pub(crate) fn of(kind: Option<SensorKind>, values: &[Option<f64>]) -> Option<Self> {
        let (mut least, mut greatest) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.iter().flatten().filter(|value| value.is_finite()) {
            least = least.min(*value);
            greatest = greatest.max(*value);
        }
        if least > greatest {
            return None;
        }
        let own = Self { bottom: least, top: greatest };
        Some(kind.map_or(own, |kind| own.widened(span_min(kind), limits(kind))))
    }

    /// Returns a scale of at least `span`, around this one and within the limits of its kind.
    fn widened(self, span: f64, (lowest, highest): (f64, f64)) -> Self {
        if self.top - self.bottom >= span {
            return self;
        }
        let middle = f64::midpoint(self.bottom, self.top);
        // Were the middle between two cells, noise would show as steps.
        let bottom = middle - span * LEVEL as f64 / (BLOCKS.len() - 1) as f64;
        if bottom < lowest && self.bottom >= lowest {
            return Self { bottom: lowest, top: lowest + span };
        }
        if bottom + span > highest && self.top <= highest {
            return Self { bottom: highest - span, top: highest };
        }
        Self { bottom, top: bottom + span }
    }

    /// Draws a series, one cell for each value; a gap is a blank.
    pub(crate) fn draw(self, values: &[Option<f64>]) -> String {
        values.iter().map(|value| self.cell(*value)).collect()
    }

    fn cell(self, value: Option<f64>) -> char {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            return ' ';
        };
        // Divided first, so that the widest range does not overflow.
        let share = (value / 2.0 - self.bottom / 2.0) / (self.top / 2.0 - self.bottom / 2.0);
        let height = share * (BLOCKS.len() - 1) as f64;
        let block = BLOCKS.iter().zip(0_u32..).find(|(_, n)| height < f64::from(*n) + 0.5);
        block.map_or(BLOCKS[LEVEL], |(block, _)| *block)
    }

    /// Writes the values at the lowest and the highest cell.
    pub(crate) fn range(self, unit: &str) -> String {
        format!("{} to {} {unit}", number(self.bottom), number(self.top)).trim_end().to_owned()
    }
}

/// Returns the least span of a scale: an hour in which a kind changes by much less is a calm one.
fn span_min(kind: SensorKind) -> f64 {
    match kind {
        // Sensors differ by half a degree, and people begin to notice one. The weather moves the
        // pressure by about 1 hPa an hour, a front by more than two.
        SensorKind::Temperature | SensorKind::Pressure => 2.0,
        // Hygrometers are off by 3 %RH.
        SensorKind::Humidity => 5.0,
        // The share of the time in which somebody moves, from none to all.
        SensorKind::Motion => 1.0,
        // A tenth of the 500 lx that EN 12464-1 asks of an office desk.
        SensorKind::Light => 50.0,
    }
}

/// Returns between which values a kind can be.
fn limits(kind: SensorKind) -> (f64, f64) {
    match kind {
        SensorKind::Temperature | SensorKind::Pressure => (f64::NEG_INFINITY, f64::INFINITY),
        SensorKind::Humidity => (0.0, 100.0),
        SensorKind::Motion => (0.0, 1.0),
        SensorKind::Light => (0.0, f64::INFINITY),
    }
}

/// Writes the least spans of all kinds.
pub(crate) fn least_spans() -> String {
    let spans = SensorKind::ALL.map(|kind| match kind {
        SensorKind::Motion => "0 to 1 of motion".to_owned(),
        _ => format!("{} {}", span_min(kind), kind.unit()),
    });
    spans.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(kind: Option<SensorKind>, values: &[Option<f64>]) -> String {
        Scale::of(kind, values).map_or_else(|| "none".into(), |scale| scale.draw(values))
    }

    fn range(kind: SensorKind, values: &[f64]) -> String {
        let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
        Scale::of(Some(kind), &values).unwrap().range(kind.unit())
    }

    #[test]
    fn a_wide_series_reaches_from_the_lowest_to_the_highest_cell() {
        let rising: Vec<Option<f64>> = (0..8).map(|n| Some(f64::from(n))).collect();
        assert_eq!(drawn(Some(SensorKind::Temperature), &rising), "▁▂▃▄▅▆▇█");
        assert_eq!(drawn(None, &[Some(-1.0), Some(0.2), Some(1.0)]), "▁▅█");
        assert_eq!(drawn(None, &[Some(f64::MIN), Some(f64::MAX)]), "▁█");
        assert_eq!(range(SensorKind::Temperature, &[19.0, 24.5]), "19.00 to 24.50 °C");
    }

    #[test]
    fn noise_looks_flat() {
        for (kind, level, noise) in [
            (SensorKind::Temperature, 21.0, 0.1),
            (SensorKind::Humidity, 45.0, 0.3),
            (SensorKind::Pressure, 1_013.25, 0.1),
            (SensorKind::Light, 320.0, 3.0),
        ] {
            let values: Vec<Option<f64>> =
                (0..12).map(|n| Some(level + noise * f64::from(n % 3 - 1))).collect();
            assert_eq!(drawn(Some(kind), &values), "▄".repeat(12), "{kind}");
        }
        assert_eq!(drawn(None, &[Some(21.5); 4]), "▄▄▄▄");
        assert_eq!(drawn(Some(SensorKind::Temperature), &[None, Some(0.0)]), " ▄");
    }

    #[test]
    fn half_the_least_span_is_half_the_height() {
        let step = [Some(21.0), Some(21.0), Some(22.0), Some(22.0)];
        assert_eq!(drawn(Some(SensorKind::Temperature), &step), "▂▂▆▆");
        assert_eq!(range(SensorKind::Temperature, &[21.0, 22.0]), "20.64 to 22.64 °C");
    }

    #[test]
    fn a_scale_keeps_to_what_its_kind_can_be() {
        let motion = [Some(0.0), Some(0.1), Some(0.5), Some(1.0)];
        assert_eq!(drawn(Some(SensorKind::Motion), &motion), "▁▂▅█");
        assert_eq!(range(SensorKind::Motion, &[0.1, 0.2]), "0.00 to 1.00 0/1");
        assert_eq!(range(SensorKind::Humidity, &[99.0, 99.5]), "95.00 to 100.00 %RH");
        assert_eq!(drawn(Some(SensorKind::Light), &[Some(0.0), Some(0.2)]), "▁▁", "night is dark");
        assert_eq!(range(SensorKind::Light, &[0.0, 0.2]), "0.00 to 50.00 lx");
        assert_eq!(range(SensorKind::Motion, &[-0.5]), "-0.93 to 0.07 0/1", "of strangers");
    }

    #[test]
    fn a_gap_is_a_blank_and_no_value_is_no_scale() {
        let gaps = [None, Some(1.0), None, None, Some(20.0), None];
        assert_eq!(drawn(Some(SensorKind::Temperature), &gaps), " ▁  █ ");
        assert_eq!(drawn(None, &[Some(f64::NAN), Some(1.0), Some(2.0)]), " ▁█");
        assert_eq!(drawn(Some(SensorKind::Light), &[None, Some(f64::NAN)]), "none");
        assert_eq!(drawn(None, &[]), "none");
    }

    #[test]
    fn the_least_spans_have_units() {
        assert_eq!(least_spans(), "2 °C, 5 %RH, 2 hPa, 0 to 1 of motion, 50 lx");
    }
}

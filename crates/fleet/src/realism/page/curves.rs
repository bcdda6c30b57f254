//! Autocorrelation curves and correlations beside their references.

use super::chart::{Chart, Mark, WIDTH};
use crate::realism::check::{Check, number};
use crate::realism::statistics::autocorrelation;
use crate::realism::weather::Residuals;

const LAGS_MAX: usize = 96;

/// How long outdoor weather remembers itself.
pub(super) fn memory(residuals: &Residuals, checks: &[Check]) -> String {
    let curves = [
        ("outdoor temperature", &residuals.temperature, "cold"),
        ("outdoor dew point", &residuals.dew_point, "dew"),
        ("pressure", &residuals.pressure, "air"),
    ];
    let draw = |(name, values, class): (&str, &Vec<f64>, &str)| {
        let points: Vec<(f64, f64)> =
            (0..=LAGS_MAX).map(|lag| (lag as f64, autocorrelation(values, lag))).collect();
        let marks =
            (0..=4).map(|day| Mark { at: f64::from(24 * day), text: format!("{} h", 24 * day) });
        let size = (WIDTH / 3.0 - 8.0, 230.0);
        let mut chart = Chart::new(size, 0.0..LAGS_MAX as f64, -0.1..1.05)
            .marks(&marks.collect::<Vec<Mark>>(), true)
            .grid()
            .title(name)
            .line(&points, class);
        for check in checks {
            if let Some(lag) = lag_of(check, name) {
                chart = chart.reference(lag, check.reference, check.tolerance);
            }
        }
        chart.svg()
    };
    format!(r#"<div class="row">{}</div>"#, curves.map(draw).concat())
}

/// The lag of a check of the autocorrelation of a quantity, in hours.
fn lag_of(check: &Check, quantity: &str) -> Option<f64> {
    let rest = check.statistic.strip_prefix(quantity)?;
    rest.strip_prefix(": autocorrelation after ")?.strip_suffix(" h")?.parse().ok()
}

/// Measured correlations beside their references, one line each.
pub(super) fn correlations(checks: &[Check]) -> String {
    let chosen: Vec<&Check> =
        checks.iter().filter(|check| check.statistic.contains("correlation of")).collect();
    let rows = chosen.iter().map(|check| {
        let share = |value: f64| 50.0 * (value.clamp(-1.0, 1.0) + 1.0);
        let (from, to) =
            (share(check.reference - check.tolerance), share(check.reference + check.tolerance));
        format!(
            "<tr><td>{}</td><td class='scale'><i class='zero'></i>\
             <i class='span' style='left:{from:.1}%;width:{:.1}%'></i>\
             <i class='pin' style='left:{:.1}%'></i></td>\
             <td class='n'>{}</td><td class='n soft'>{}</td></tr>",
            check.statistic,
            to - from,
            share(check.measured),
            number(check.measured),
            number(check.reference),
        )
    });
    format!(
        "<table class='pins'><tr><th></th>\
         <th class='ends'><span>−1</span><span>0</span><span>1</span></th>\
         <th class='n'>measured</th><th class='n'>reference</th></tr>{}</table>",
        rows.collect::<String>(),
    )
}

//! The comparison as one HTML page that needs nothing else: charts, curves and the table.

mod chart;
mod curves;
mod days;

use super::check::{Check, number, verdict};
use super::signals::{OFFICE_CITY, Signals};
use super::weather::Residuals;

const STYLE: &str = include_str!("page/style.css");

/// Returns the page.
pub(super) fn render(
    signals: &impl Signals,
    seed: u64,
    residuals: &Residuals,
    checks: &[Check],
) -> String {
    let Some(site) = signals.sites_in(OFFICE_CITY, 1).first().copied() else {
        return String::new();
    };
    let id = &signals.fleet().sites()[site].id;
    let verdict = verdict(checks);
    let good = checks.iter().all(Check::passes);
    let class = if good { "good" } else { "bad" };
    let sections = [
        section(
            "A day",
            "Wednesday 14 May 2025, every half minute. Five thermometers share one room's air and \
             differ by lag, gain, offset and noise; lamps follow people, daylight follows sun and \
             clouds.",
            &days::day(signals, site),
        ),
        section(
            "A week",
            "Monday to Sunday. The heating, the lamps and the motion sensors know the weekend; the \
             weather does not.",
            &days::week(signals, site),
        ),
        section(
            "A year",
            "Seasons outside, an even climate inside; lamps in the mornings and afternoons of \
             winter, and two days a week of rest.",
            &days::year(signals, site),
        ),
        section(
            "Memory",
            "Autocorrelation of outdoor weather without season and hour. Dots: five years of \
             hourly weather in Beijing, with the tolerance.",
            &curves::memory(residuals, checks),
        ),
        section(
            "Together",
            "Correlations: a dark line where the fleet is, a pale bar where the reference and its \
             tolerance are.",
            &curves::correlations(checks),
        ),
        section(
            "Every statistic",
            "Reference values are from data sets that are open to all: hourly weather of Beijing, \
             2010 to 2014 (Liang et al., 2015; UCI data set 381), and an office in Mons, Belgium, \
             every minute in February 2015 (Candanedo and Feldheim, 2016; UCI data set 357).",
            &table(checks),
        ),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta \
         name=\"viewport\" content=\"width=device-width\"><title>Realism of the simulated \
         fleet</title><style>{STYLE}</style></head><body><header><h1>Is the simulated fleet like \
         the world?</h1><p>Sensors of {id} near Brussels, seed {seed}. Every value is a function \
         of seed, sensor and time: nothing was recorded.</p><p class=\"verdict \
         {class}\">{verdict}</p></header>{}</body></html>\n",
        sections.concat(),
    )
}

fn section(title: &str, text: &str, body: &str) -> String {
    format!("<section><h2>{title}</h2><p>{text}</p>{body}</section>")
}

fn table(checks: &[Check]) -> String {
    let rows = checks.iter().map(|check| {
        let (class, mark) = if check.passes() { ("good", "pass") } else { ("bad", "FAIL") };
        format!(
            "<tr><td>{}</td><td class='n'>{}</td><td class='n'>± {}</td>\
             <td class='n'><b>{}</b></td>\
             <td class='soft'>{}</td><td class='{class}'>{mark}</td></tr>",
            check.statistic,
            number(check.reference),
            number(check.tolerance),
            number(check.measured),
            check.source.name(),
        )
    });
    format!(
        "<table><tr><th>statistic</th><th class='n'>reference</th><th class='n'>tolerance</th>\
         <th class='n'>measured</th><th>source</th><th></th></tr>{}</table>",
        rows.collect::<String>(),
    )
}

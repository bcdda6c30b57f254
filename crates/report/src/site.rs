//! One site: its last hour by kind and sensor, its open alerts, its last day.

use std::collections::BTreeMap;

use domain::hour::DAY_MS;
use runtime::text::printable;

use crate::alerts::{Field, count_open, list};
use crate::database::Alerts;
use crate::hour::{Hour, Span};
use crate::layout::{Look, prose};
use crate::rows::{Alert, Sensor, Window};
use crate::text::{at_least, counted, time};

/// Rules that say how unusual a sensor is, as against how high.
const ANOMALY_RULES: [&str; 5] = ["anomaly", "drift", "stuck", "dropout", "silent"];
/// Most lines of the list of anomalies.
const ANOMALIES_MAX: usize = 5;
/// Sites that are named to whoever asked for one that is not known.
const SITES_NAMED: usize = 5;

/// What there is to say of a site.
#[derive(Clone, Debug)]
pub(crate) struct SiteReport<'a> {
    pub(crate) site_id: &'a str,
    pub(crate) span: Span,
    /// All of them within the span.
    pub(crate) windows: Vec<Window>,
    /// The registered sensors, where each of them is to be shown.
    pub(crate) sensors: Vec<Sensor>,
    pub(crate) open: Alerts,
    /// Those of the day that ends with the span, in whatever state.
    pub(crate) day: Alerts,
}

impl SiteReport<'_> {
    /// Renders the report.
    pub(crate) fn render(&self, look: &Look) -> String {
        let site = printable(self.site_id);
        let (from, end) = (time(self.span.from_ms), time(self.span.end_ms));
        let mut text = prose(&format!("{site}, {from} to {end}"), look) + "\n";
        if self.windows.is_empty() {
            let note = format!(
                "no minute windows of {site} yet: is analytics running? windows are written about \
                 65 s after their first reading; --at TIME shows the hour before another time"
            );
            text += &prose(&note, look);
        } else {
            text += &Hour::of(self.site_id, self.span, &self.windows, &self.sensors).render(look);
        }
        text += "\n";
        text += &self.open(look);
        text += "\n";
        text += &self.history(look);
        text += "\n";
        text += &self.anomalies(look);
        text
    }

    fn open(&self, look: &Look) -> String {
        use Field::{Rule, Sensor, Severity, Started, Threshold, Unit, Value};
        let Alerts { rows, is_complete } = &self.open;
        if rows.is_empty() {
            return "no open alerts\n".into();
        }
        let fields = [Started, Severity, Rule, Sensor, Value, Threshold, Unit];
        let rows: Vec<&Alert> = rows.iter().collect();
        let head = format!("{}\n", count_open(rows.len(), *is_complete));
        head + &list(&fields, &rows, look)
    }

    fn history(&self, look: &Look) -> String {
        use Field::{Lasted, Rule, Sensor, Severity, Started, State, Threshold, Unit, Value};
        let Alerts { rows, is_complete } = &self.day;
        if rows.is_empty() {
            return prose(&format!("no alerts in the day up to {}", time(self.span.end_ms)), look);
        }
        let mut states = BTreeMap::<&str, usize>::new();
        for alert in rows {
            *states.entry(alert.state.as_str()).or_default() += 1;
        }
        let states: Vec<String> =
            states.iter().map(|(state, count)| format!("{count} {}", printable(state))).collect();
        let count = at_least(&counted(rows.len(), "alert"), *is_complete);
        let head = prose(&format!("last day: {count} ({})", states.join(", ")), look);
        let over: Vec<&Alert> = rows.iter().filter(|alert| alert.state != "open").collect();
        if over.is_empty() {
            return head;
        }
        let fields = [Started, Lasted, State, Severity, Rule, Sensor, Value, Threshold, Unit];
        head + &list(&fields, &over, look)
    }

    /// Lists what was farthest beyond its threshold, today or since longer.
    fn anomalies(&self, look: &Look) -> String {
        use Field::{Ratio, Rule, Sensor, Started, State, Threshold, Unit, Value};
        let day_ms = self.span.end_ms - DAY_MS..self.span.end_ms;
        let older = self.open.rows.iter().filter(|alert| !day_ms.contains(&alert.started_ms));
        let mut ranked = Vec::new();
        for alert in self.day.rows.iter().chain(older) {
            let is_anomaly = ANOMALY_RULES.contains(&alert.rule.as_str());
            if let Some(ratio) = alert.ratio()
                && is_anomaly
                && alert.state != "withdrawn"
            {
                ranked.push((ratio, alert));
            }
        }
        if ranked.is_empty() {
            return "no anomalies\n".into();
        }
        ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let most = ANOMALIES_MAX.min(look.lines_max);
        let top: Vec<&Alert> = ranked.iter().take(most).map(|(_, alert)| *alert).collect();
        let fields = [Ratio, Rule, Sensor, Started, State, Value, Threshold, Unit];
        format!("top anomalies, by value to threshold\n{}", list(&fields, &top, look))
    }
}

/// Says that a site is not known, and which are.
pub(crate) fn unknown(site_id: &str, sites: &[String], look: &Look) -> String {
    let site = printable(site_id);
    if sites.is_empty() {
        let text = "nor any other yet: are producer and consumer running?";
        return prose(&format!("no site `{site}`, {text}"), look);
    }
    let named: Vec<String> =
        sites.iter().take(SITES_NAMED).map(|site| printable(site).into_owned()).collect();
    let ellipsis = if sites.len() > named.len() { ", ..." } else { "" };
    let (count, named) = (counted(sites.len(), "site"), named.join(", "));
    let are = if sites.len() == 1 { "is" } else { "are" };
    prose(&format!("no site `{site}`; there {are} {count}: {named}{ellipsis}"), look)
}

#[cfg(test)]
mod tests;

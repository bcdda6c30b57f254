//! The fleet at a glance: how many alerts are open, and which are the newest.

use std::collections::{BTreeMap, BTreeSet};

use crate::database::Alerts;
use crate::layout::{Cell, Column, Look, table};
use crate::rows::Alert;
use crate::text::{counted, number_if_any, time};

/// The severities that a column is kept for, the worst first.
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];

/// What there is to say of the fleet.
#[derive(Clone, Debug)]
pub(crate) struct Overview {
    /// When it was read, in epoch milliseconds.
    pub(crate) now_ms: i64,
    pub(crate) open: Alerts,
    /// Whether there is any alert, in whatever state.
    pub(crate) has_alerts: bool,
}

impl Overview {
    /// Renders the overview.
    pub(crate) fn render(&self, look: &Look) -> String {
        let now = time(self.now_ms);
        let Alerts { rows: open, is_complete } = &self.open;
        if !self.has_alerts {
            return format!(
                "fleet at {now}: no alerts yet, so all is well or analytics is not running:\n\
                 `report --site SITE` shows whether it writes windows\n"
            );
        }
        if open.is_empty() {
            return format!(
                "fleet at {now}: no open alerts; `report --site SITE` shows those of a site's last \
                 day\n"
            );
        }
        let sites: BTreeSet<&str> = open.iter().map(|alert| alert.site_id.as_str()).collect();
        let least = if *is_complete { "" } else { "more than " };
        let mut text = format!(
            "fleet at {now}: {least}{} at {}\n\n",
            counted(open.len(), "open alert"),
            counted(sites.len(), "site")
        );
        text += &counts(open, look);
        text += "\nnewest open alerts\n";
        text += &open_alerts(open, look);
        text
    }
}

/// Counts alerts by rule and severity.
fn counts(alerts: &[Alert], look: &Look) -> String {
    let mut severities = SEVERITIES.to_vec();
    let mut rules = BTreeMap::<&str, BTreeMap<&str, usize>>::new();
    for Alert { rule, severity, .. } in alerts {
        if !severities.contains(&severity.as_str()) {
            severities.push(severity);
        }
        *rules.entry(rule).or_default().entry(severity).or_default() += 1;
    }
    let mut columns = vec![Column::left("RULE", 24)];
    columns.extend(severities.iter().map(|severity| Column::right(severity.to_uppercase(), 10)));
    columns.push(Column::right("ALL", 10));
    let line = |name: &str, count: &dyn Fn(&str) -> usize| {
        let counts = severities.iter().map(|severity| count(severity));
        let all: usize = counts.clone().sum();
        let cells = counts.chain([all]).map(|count| Cell::from(count.to_string()));
        [Cell::from(name)].into_iter().chain(cells).collect::<Vec<Cell>>()
    };
    let of_rule = |rule: &str, severity: &str| -> usize {
        rules.get(rule).and_then(|counts| counts.get(severity)).copied().unwrap_or(0)
    };
    let mut rows: Vec<Vec<Cell>> =
        rules.keys().map(|rule| line(rule, &|severity| of_rule(rule, severity))).collect();
    rows.push(line("all", &|severity| rules.keys().map(|rule| of_rule(rule, severity)).sum()));
    table(&columns, &rows, look)
}

/// Lists open alerts, the newest first, as many as may be.
fn open_alerts(alerts: &[Alert], look: &Look) -> String {
    let columns = [
        Column::left("STARTED", 20),
        Column::left("SEVERITY", 8),
        Column::left("RULE", 14),
        Column::left("SITE", 20),
        Column::left("SENSOR", 24),
        Column::right("VALUE", 10),
        Column::right("THRESHOLD", 10),
    ];
    let row = |alert: &Alert| {
        vec![
            time(alert.started_ms).into(),
            Cell::severity(&alert.severity),
            Cell::from(&alert.rule),
            Cell::from(&alert.site_id),
            Cell::from(alert.sensor()),
            number_if_any(alert.value).into(),
            number_if_any(alert.threshold).into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = alerts.iter().take(look.lines_max).map(row).collect();
    table(&columns, &rows, look) + &more(alerts.len(), look)
}

/// Says how many lines were left out.
pub(crate) fn more(count: usize, look: &Look) -> String {
    match count.saturating_sub(look.lines_max) {
        0 => String::new(),
        left_out => format!("and {left_out} more; --lines {count} shows them\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_764_000_000_000;
    const LOOK: Look = Look { lines_max: 2, has_colours: false };

    fn alert(minute: i64, site: u32, severity: &str, rule: &str) -> Alert {
        Alert {
            site_id: format!("site-{site:04}"),
            sensor_id: format!("site-{site:04}/temperature-03"),
            started_ms: NOW_MS - minute * 60_000,
            severity: severity.into(),
            rule: rule.into(),
            value: Some(41.25),
            threshold: Some(35.0),
            ..Alert::default()
        }
    }

    #[test]
    fn alerts_are_counted_and_the_newest_listed() {
        let rows = vec![
            alert(5, 42, "critical", "threshold"),
            alert(7, 7, "warning", "drift"),
            alert(9, 7, "warning", "threshold"),
        ];
        let open = Alerts { rows, is_complete: true };
        let expected = "\
fleet at 2025-11-24T16:00:00Z: 3 open alerts at 2 sites

RULE       CRITICAL  WARNING  INFO  ALL
drift             0        1     0    1
threshold         1        1     0    2
all               1        2     0    3

newest open alerts
STARTED               SEVERITY  RULE       SITE       SENSOR          VALUE  THRESHOLD
2025-11-24T15:55:00Z  critical  threshold  site-0042  temperature-03  41.25      35.00
2025-11-24T15:53:00Z  warning   drift      site-0007  temperature-03  41.25      35.00
and 1 more; --lines 3 shows them
";
        assert_eq!(Overview { now_ms: NOW_MS, open, has_alerts: true }.render(&LOOK), expected);
    }

    #[test]
    fn a_severity_of_a_later_build_is_counted_too() {
        let rows = vec![alert(5, 42, "fatal", "threshold")];
        let open = Alerts { rows, is_complete: false };
        let text = Overview { now_ms: NOW_MS, open, has_alerts: true }.render(&LOOK);
        assert!(text.contains("more than 1 open alert at 1 site\n"), "{text}");
        assert!(text.contains("RULE       CRITICAL  WARNING  INFO  FATAL  ALL\n"), "{text}");
        assert!(text.contains("threshold         0        0     0      1    1\n"), "{text}");
    }

    #[test]
    fn no_alert_fits_into_more_than_120_characters() {
        let long = "x".repeat(128);
        let alert = Alert {
            site_id: long.clone(),
            sensor_id: long.clone(),
            severity: long.clone(),
            rule: long,
            value: Some(-1e300),
            ..Alert::default()
        };
        let open = Alerts { rows: vec![alert], is_complete: true };
        let text = Overview { now_ms: NOW_MS, open, has_alerts: true }.render(&LOOK);
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }

    #[test]
    fn where_nothing_is_open_that_is_said() {
        let overview = Overview { now_ms: NOW_MS, open: Alerts::default(), has_alerts: true };
        assert!(overview.render(&LOOK).contains(": no open alerts; "));
        let overview = Overview { has_alerts: false, ..overview };
        assert!(overview.render(&LOOK).contains(": no alerts yet, so all is well or "));
    }
}

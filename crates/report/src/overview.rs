//! The fleet at a glance: how much there is of it, how many alerts are open, and the newest ones.

use std::collections::{BTreeMap, BTreeSet};

use crate::alerts::{Field, by_severity, list, severities};
use crate::database::{Alerts, Count};
use crate::layout::{Cell, Column, Look, prose, table};
use crate::rows::{Alert, MINUTE_MS};
use crate::text::{at_least, duration, time};

/// The newest minute window of the sites that were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    /// Its start, in epoch milliseconds; `None` where the last two hours have none.
    pub(crate) start_ms: Option<i64>,
    /// Sites that were asked.
    pub(crate) asked: usize,
}

/// What there is to say of the fleet.
#[derive(Clone, Debug)]
pub(crate) struct Overview {
    /// When it was read, in epoch milliseconds.
    pub(crate) now_ms: i64,
    pub(crate) sites: Count,
    pub(crate) sensors: Count,
    pub(crate) newest: Newest,
    pub(crate) open: Alerts,
}

impl Overview {
    /// Renders the overview.
    pub(crate) fn render(&self, look: &Look) -> String {
        use Field::{Rule, Sensor, Severity, Site, Started, Threshold, Unit, Value};
        let mut text = format!("fleet at {}\n\n", time(self.now_ms));
        text += &self.counts(look);
        let open = &self.open.rows;
        if open.is_empty() {
            let note = "no open alerts; --site SITE shows those of a site's last day";
            return text + "\n" + &prose(note, look);
        }
        text += "\n";
        text += &by_rule(open, look);
        text += "\nnewest open alerts\n";
        let fields = [Started, Severity, Rule, Site, Sensor, Value, Threshold, Unit];
        text + &list(&fields, &open.iter().collect::<Vec<_>>(), look)
    }

    /// Says how much there is of everything, and how new it is.
    fn counts(&self, look: &Look) -> String {
        let count = |count: Count| at_least(&count.rows.to_string(), count.is_complete);
        let Alerts { rows, is_complete } = &self.open;
        let alarmed: BTreeSet<&str> = rows.iter().map(|alert| alert.site_id.as_str()).collect();
        let mut sites = count(self.sites);
        if !alarmed.is_empty() {
            sites += &format!(", {} with open alerts", alarmed.len());
        }
        let mut text = prose(&format!("sites          {sites}"), look);
        text += &prose(&format!("sensors        {}", count(self.sensors)), look);
        text += &prose(&format!("newest window  {}", self.newest_window()), look);
        let mut alerts = at_least(&rows.len().to_string(), *is_complete);
        if !rows.is_empty() {
            alerts += &format!(": {}", by_severity(rows));
        }
        text + &prose(&format!("open alerts    {alerts}"), look)
    }

    fn newest_window(&self) -> String {
        let Newest { start_ms, asked } = self.newest;
        let mut of = String::new();
        if asked < self.sites.rows {
            of = format!(", of {asked} sites that were asked");
        }
        let Some(start_ms) = start_ms else {
            return format!("none in the last two hours{of}: is analytics running?");
        };
        let end_ms = start_ms + MINUTE_MS;
        let age = duration((self.now_ms - end_ms).max(0));
        format!("ends {}, {age} ago{of}", time(end_ms))
    }
}

/// Counts alerts by rule and severity.
fn by_rule(alerts: &[Alert], look: &Look) -> String {
    let severities = severities(alerts);
    let mut rules = BTreeMap::<&str, BTreeMap<&str, usize>>::new();
    for Alert { rule, severity, .. } in alerts {
        *rules.entry(rule).or_default().entry(severity).or_default() += 1;
    }
    let mut columns = vec![Column::left("RULE", 24)];
    columns.extend(severities.iter().map(|severity| Column::right(severity.to_uppercase(), 10)));
    columns.push(Column::right("ALL", 10));
    let mut rows = Vec::new();
    for (rule, counts) in &rules {
        let mut row = vec![Cell::from(rule)];
        let counts = || severities.iter().map(|severity| counts.get(severity).copied());
        row.extend(counts().map(|count| Cell::from(count.unwrap_or(0).to_string())));
        row.push(counts().flatten().sum::<usize>().to_string().into());
        rows.push(row);
    }
    let mut all = vec![Cell::from("all")];
    for severity in &severities {
        let count = alerts.iter().filter(|alert| alert.severity == *severity).count();
        all.push(count.to_string().into());
    }
    all.push(alerts.len().to_string().into());
    rows.push(all);
    table(&columns, &rows, look)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_764_000_000_000;
    const LOOK: Look = Look { lines_max: 2, columns: 120, has_colours: false };

    fn overview(rows: Vec<Alert>) -> Overview {
        let count = |rows| Count { rows, is_complete: true };
        Overview {
            now_ms: NOW_MS,
            sites: count(200),
            sensors: count(5_000),
            newest: Newest { start_ms: Some(NOW_MS - 2 * MINUTE_MS), asked: 200 },
            open: Alerts { rows, is_complete: true },
        }
    }

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
        let expected = "\
fleet at 2025-11-24T16:00:00Z

sites          200, 2 with open alerts
sensors        5000
newest window  ends 2025-11-24T15:59:00Z, 1 min ago
open alerts    3: 1 critical, 2 warning, 0 info

RULE       CRITICAL  WARNING  INFO  ALL
drift             0        1     0    1
threshold         1        1     0    2
all               1        2     0    3

newest open alerts
STARTED               SEVERITY  RULE       SITE       SENSOR          VALUE  THRESHOLD  UNIT
2025-11-24T15:55:00Z  critical  threshold  site-0042  temperature-03  41.25      35.00  of rule
2025-11-24T15:53:00Z  warning   drift      site-0007  temperature-03  41.25      35.00  tolerance
and 1 more; --lines 3 shows them
of rule: in what the rule measures, see infra/analytics/rules.toml
";
        assert_eq!(overview(rows).render(&LOOK), expected);
    }

    #[test]
    fn a_severity_of_a_later_build_is_counted_too() {
        let open = Alerts { rows: vec![alert(5, 42, "fatal", "threshold")], is_complete: false };
        let text = Overview { open, ..overview(Vec::new()) }.render(&LOOK);
        let alerts = "more than 1: 0 critical, 0 warning, 0 info, 1 fatal\n";
        assert!(text.contains(&format!("open alerts    {alerts}")), "{text}");
        assert!(text.contains("RULE       CRITICAL  WARNING  INFO  FATAL  ALL\n"), "{text}");
        assert!(text.contains("threshold         0        0     0      1    1\n"), "{text}");
    }

    #[test]
    fn no_line_is_wider_than_there_is_room() {
        let long = "x".repeat(128);
        let alert = Alert {
            site_id: long.clone(),
            sensor_id: long.clone(),
            severity: long.clone(),
            rule: long,
            value: Some(-1e300),
            ..Alert::default()
        };
        let overview = overview(vec![alert]);
        for columns in [40, 60, 120] {
            let text = overview.render(&Look { columns, ..LOOK });
            // A word that strangers chose is not broken: of tables each cell is cut.
            let cut = text.lines().filter(|line| !line.contains(&"x".repeat(128)));
            for line in cut {
                assert!(line.chars().count() <= columns, "{columns}: {text}");
            }
        }
    }

    #[test]
    fn where_nothing_is_there_is_a_word_for_it() {
        let newest = Newest { start_ms: None, asked: 20 };
        let text = Overview { newest, ..overview(Vec::new()) }.render(&LOOK);
        let expected = "\
fleet at 2025-11-24T16:00:00Z

sites          200
sensors        5000
newest window  none in the last two hours, of 20 sites that were asked: is analytics running?
open alerts    0

no open alerts; --site SITE shows those of a site's last day
";
        assert_eq!(text, expected);
    }
}

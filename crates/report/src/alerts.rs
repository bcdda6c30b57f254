//! Lists of alerts, with what a person wants to know of each in columns.

use crate::layout::{Cell, Column, Look, prose, table};
use crate::rows::Alert;
use crate::text::{NUMBER_CHARS, counted, duration, number_if_any, time};

/// The severities that alerts have, the worst first.
const SEVERITIES: [&str; 3] = ["critical", "warning", "info"];
/// What stands for the unit of a rule from a file: an alert does not say what its rule measures.
const OF_RULE: &str = "of rule";

/// What a column of a list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Ratio,
    Started,
    Lasted,
    State,
    Severity,
    Rule,
    Site,
    Sensor,
    Value,
    Threshold,
    Unit,
}

impl Field {
    fn column(self) -> Column {
        match self {
            Self::Ratio => Column::right("RATIO", NUMBER_CHARS),
            Self::Started => Column::left("STARTED", 20),
            Self::Lasted => Column::right("LASTED", 8),
            Self::State => Column::left("STATE", 9),
            Self::Severity => Column::left("SEVERITY", 8),
            Self::Rule => Column::left("RULE", 24),
            Self::Site => Column::left("SITE", 20),
            Self::Sensor => Column::left("SENSOR", 30),
            Self::Value => Column::right("VALUE", NUMBER_CHARS),
            Self::Threshold => Column::right("THRESHOLD", 9),
            Self::Unit => Column::left("UNIT", 9),
        }
    }

    fn cell(self, alert: &Alert) -> Cell {
        match self {
            Self::Ratio => number_if_any(alert.ratio()).into(),
            Self::Started => time(alert.started_ms).into(),
            Self::Lasted => {
                let lasted = alert.cleared_ms.map(|cleared_ms| cleared_ms - alert.started_ms);
                lasted.map_or_else(|| "-".into(), duration).into()
            }
            Self::State => Cell::from(&alert.state),
            Self::Severity => Cell::severity(&alert.severity),
            Self::Rule => Cell::from(&alert.rule),
            Self::Site => Cell::from(&alert.site_id),
            Self::Sensor => Cell::from(alert.sensor()),
            Self::Value => number_if_any(alert.value).into(),
            Self::Threshold => number_if_any(alert.threshold).into(),
            Self::Unit => unit(&alert.rule).into(),
        }
    }
}

/// Lists as many alerts as may be, and says how many were left out.
pub(crate) fn list(fields: &[Field], alerts: &[&Alert], look: &Look) -> String {
    let columns: Vec<Column> = fields.iter().map(|field| field.column()).collect();
    let listed = &alerts[..alerts.len().min(look.lines_max)];
    let row = |alert: &&Alert| fields.iter().map(|field| field.cell(alert)).collect();
    let rows: Vec<Vec<Cell>> = listed.iter().map(row).collect();
    let mut text = table(&columns, &rows, look);
    if alerts.len() > listed.len() {
        let (left_out, count) = (alerts.len() - listed.len(), alerts.len());
        text += &format!("and {left_out} more; --lines {count} shows them\n");
    }
    if fields.contains(&Field::Unit) && listed.iter().any(|alert| unit(&alert.rule) == OF_RULE) {
        let note = format!("{OF_RULE}: in what the rule measures, see infra/analytics/rules.toml");
        text += &prose(&note, look);
    }
    text
}

/// Returns what the levels of a detector count, as `infra/analytics/rules.toml` says it.
fn unit(rule: &str) -> &'static str {
    match rule {
        // Standard deviations.
        "anomaly" | "noise" => "σ",
        "stuck" => "-ln odds",
        "dropout" => "readings",
        // The sensor's usual longest gap.
        "silent" => "gaps",
        // What the kind may be off by.
        "drift" => "tolerance",
        _ => OF_RULE,
    }
}

/// Returns the severities of alerts, the worst first, with those of later builds behind.
pub(crate) fn severities<'a>(alerts: &'a [Alert]) -> Vec<&'a str> {
    let mut severities: Vec<&'a str> = SEVERITIES.to_vec();
    for Alert { severity, .. } in alerts {
        if !severities.contains(&severity.as_str()) {
            severities.push(severity);
        }
    }
    severities
}

/// Counts alerts by severity, in words.
pub(crate) fn by_severity(alerts: &[Alert]) -> String {
    let mut counts = Vec::new();
    for severity in severities(alerts) {
        let count = alerts.iter().filter(|alert| alert.severity == severity).count();
        counts.push(format!("{count} {}", runtime::text::printable(severity)));
    }
    counts.join(", ")
}

/// Counts open alerts, which may be only a part of all.
pub(crate) fn count_open(count: usize, is_complete: bool) -> String {
    crate::text::at_least(&counted(count, "open alert"), is_complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_units_and_a_rule_says_where_its_own_is() {
        let look = Look { lines_max: 2, columns: 120, has_colours: false };
        let alert = |rule: &str| Alert { rule: rule.into(), value: Some(5.0), ..Alert::default() };
        let alerts = [alert("noise"), alert("drift"), alert("too-hot")];
        let fields = [Field::Rule, Field::Value, Field::Unit];
        let text = list(&fields, &alerts.iter().collect::<Vec<_>>(), &look);
        let expected = "\
RULE   VALUE  UNIT
noise   5.00  σ
drift   5.00  tolerance
and 1 more; --lines 3 shows them
";
        assert_eq!(text, expected);
        let text = list(&fields, &[&alerts[2]], &look);
        let note = "of rule: in what the rule measures, see infra/analytics/rules.toml\n";
        assert!(text.ends_with(note), "{text}");
    }

    #[test]
    fn severities_of_a_later_build_are_counted_behind() {
        let alert = |severity: &str| Alert { severity: severity.into(), ..Alert::default() };
        let alerts = ["warning", "fatal", "warning"].map(alert);
        assert_eq!(by_severity(&alerts), "0 critical, 2 warning, 0 info, 1 fatal");
        assert_eq!(by_severity(&[]), "0 critical, 0 warning, 0 info");
    }
}

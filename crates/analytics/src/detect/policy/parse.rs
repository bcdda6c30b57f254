//! The text of a policy, checked field by field.

use domain::SensorKind;
use domain::alert::Severity;
use toml::{Table, Value};

use super::{DETECTORS, Detector, Detectors, Measure, Policy, PolicyError, Problem, Rule};

/// A name is stored with each episode.
const NAME_BYTES_MAX: usize = 24;
const WINDOWS_MAX: i64 = 10_080;

pub(super) fn policy(text: &str) -> Result<Policy, PolicyError> {
    let mut problems = Problems(Vec::new());
    let table: Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let allowed = "TOML".to_owned();
            let value = error.to_string().trim().to_owned();
            return Err(PolicyError(vec![Problem { place: "file".into(), value, allowed }]));
        }
    };
    let mut file = Fields { place: String::new(), table, problems: &mut problems };
    let rules = file.take("rules").unwrap_or(Value::Array(Vec::new()));
    let detectors = file.take("detectors");
    file.finish();
    let rules = parse_rules(rules, &mut problems);
    let detectors = parse_detectors(detectors, &mut problems);
    check_names(&rules, &mut problems);
    match (problems.0.is_empty(), detectors) {
        (true, Some(detectors)) => {
            let rules = rules.into_iter().map(|(_, rule)| rule).collect();
            Ok(Policy { rules, detectors })
        }
        _ => Err(PolicyError(problems.0)),
    }
}

/// Returns a value as a problem shows it.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(switch) => switch.to_string(),
        other => format!("({})", other.type_str()),
    }
}

struct Problems(Vec<Problem>);

impl Problems {
    fn add(
        &mut self,
        place: impl Into<String>,
        value: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        let (place, value, allowed) = (place.into(), value.into(), allowed.into());
        self.0.push(Problem { place, value, allowed });
    }
}

/// A table whose keys are taken one by one, so that what remains is unknown.
struct Fields<'a> {
    /// With a dot at its end, if it is not empty.
    place: String,
    table: Table,
    problems: &'a mut Problems,
}

impl Fields<'_> {
    fn take(&mut self, key: &str) -> Option<Value> {
        self.table.remove(key)
    }

    fn report(&mut self, key: &str, value: impl Into<String>, allowed: impl Into<String>) {
        self.problems.add(format!("{}{key}", self.place), value, allowed);
    }

    fn required(&mut self, key: &str, allowed: &str) -> Option<Value> {
        let value = self.take(key);
        if value.is_none() {
            self.report(key, "(missing)", allowed);
        }
        value
    }

    fn text(&mut self, key: &str, allowed: &str) -> Option<String> {
        match self.required(key, allowed)? {
            Value::String(text) => Some(text),
            other => {
                self.report(key, show(&other), allowed);
                None
            }
        }
    }

    /// One of a few names.
    fn choice<T: Copy>(&mut self, key: &str, all: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        let allowed = format!("one of {}", names.join(", "));
        let text = self.text(key, &allowed)?;
        let found = all.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            self.report(key, text, allowed);
        }
        found.map(|(_, value)| *value)
    }

    fn number(&mut self, key: &str) -> Option<f64> {
        const ALLOWED: &str = "a finite number";
        let value = self.required(key, ALLOWED)?;
        let number = match &value {
            Value::Float(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        };
        let number = number.filter(|number| number.is_finite());
        if number.is_none() {
            self.report(key, show(&value), ALLOWED);
        }
        number
    }

    fn windows(&mut self, key: &str) -> Option<u32> {
        let allowed = format!("a whole number from 1 to {WINDOWS_MAX}");
        let value = self.required(key, &allowed)?;
        let number = value.as_integer().filter(|number| (1..=WINDOWS_MAX).contains(number));
        if number.is_none() {
            self.report(key, show(&value), allowed);
        }
        number.and_then(|number| u32::try_from(number).ok())
    }

    fn switch(&mut self, key: &str, default: Option<bool>) -> Option<bool> {
        const ALLOWED: &str = "true or false";
        let value = match (self.take(key), default) {
            (None, Some(default)) => return Some(default),
            (None, None) => {
                self.report(key, "(missing)", ALLOWED);
                return None;
            }
            (Some(value), _) => value,
        };
        if value.as_bool().is_none() {
            self.report(key, show(&value), ALLOWED);
        }
        value.as_bool()
    }

    fn severity(&mut self) -> Option<Severity> {
        let all = [Severity::Info, Severity::Warning, Severity::Critical];
        self.choice("severity", &all.map(|severity| (severity.name(), severity)))
    }

    /// Reports the keys that nobody asked for.
    fn finish(mut self) {
        let unknown: Vec<String> = self.table.keys().cloned().collect();
        for key in unknown {
            self.report(&key, "an unknown key", "no such key");
        }
    }
}

fn parse_rules(value: Value, problems: &mut Problems) -> Vec<(usize, Rule)> {
    let Value::Array(entries) = value else {
        problems.add("rules", show(&value), "tables that begin with [[rules]]");
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let place = format!("rules[{index}].");
        let Value::Table(table) = entry else {
            problems.add(format!("rules[{index}]"), show(&entry), "a table");
            continue;
        };
        rules.extend(parse_rule(Fields { place, table, problems }).map(|rule| (index, rule)));
    }
    rules
}

fn parse_rule(mut fields: Fields<'_>) -> Option<Rule> {
    let name = parse_name(&mut fields);
    let kinds = SensorKind::ALL.map(|kind| (kind.name(), Some(kind)));
    let kind = fields.choice("kind", &[&kinds[..], &[(ANY, None)]].concat());
    let measure = fields.choice("measure", &Measure::ALL.map(|all| (all.name(), all)));
    let (fire, clear) = (fields.number("fire"), fields.number("clear"));
    let (for_windows, hold_windows) =
        (fields.windows("for_windows"), fields.windows("hold_windows"));
    let severity = fields.severity();
    let occupied = fields.switch("occupied", Some(false));
    let site = match fields.take("site") {
        None => Some(None),
        Some(Value::String(site)) if !site.is_empty() => Some(Some(site)),
        Some(other) => {
            fields.report("site", show(&other), "the id of a site, such as \"site-0042\"");
            None
        }
    };
    if let (Some(kind), Some(measure)) = (kind, measure)
        && !measure.is_of(kind)
    {
        let allowed = format!("a measure that {} has", kind_name(kind));
        fields.report("measure", measure.name(), allowed);
    }
    #[expect(clippy::float_cmp, reason = "levels are the same only if they are written the same")]
    if let (Some(fire), Some(clear)) = (fire, clear)
        && fire == clear
    {
        fields.report("clear", clear.to_string(), "a level apart from `fire`, on the side of calm");
    }
    fields.finish();
    Some(Rule {
        name: name?,
        kind: kind?,
        site: site?,
        measure: measure?,
        fire: fire?,
        clear: clear?,
        for_windows: for_windows?,
        hold_windows: hold_windows?,
        severity: severity?,
        occupied: occupied?,
    })
}

/// The word for all kinds.
const ANY: &str = "any";

fn kind_name(kind: Option<SensorKind>) -> &'static str {
    kind.map_or(ANY, SensorKind::name)
}

fn parse_name(fields: &mut Fields<'_>) -> Option<String> {
    const ALLOWED: &str = "1 to 24 of a-z, 0-9 and -, and no detector's name";
    let name = fields.text("name", ALLOWED)?;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_good = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(is_plain)
        && !DETECTORS.contains(&name.as_str());
    if !is_good {
        fields.report("name", &name, ALLOWED);
    }
    is_good.then_some(name)
}

/// Finds names that stand for two rules, and overrides of nothing.
fn check_names(rules: &[(usize, Rule)], problems: &mut Problems) {
    for (position, (index, rule)) in rules.iter().enumerate() {
        let same = |other: &Rule| other.name == rule.name && other.site == rule.site;
        if rules[..position].iter().any(|(_, other)| same(other)) {
            let allowed = "a name that no other rule of the same site has";
            problems.add(format!("rules[{index}].name"), &rule.name, allowed);
        }
        let Some(site) = &rule.site else { continue };
        let general =
            rules.iter().find(|(_, other)| other.name == rule.name && other.site.is_none());
        match general {
            None => {
                let allowed = format!("the name of a rule of all sites, which {site} overrides");
                problems.add(format!("rules[{index}].name"), &rule.name, allowed);
            }
            Some((_, general)) => check_override(*index, rule, general, problems),
        }
    }
}

fn check_override(index: usize, rule: &Rule, general: &Rule, problems: &mut Problems) {
    if rule.kind != general.kind {
        let allowed = format!("{}, as the rule that it overrides", kind_name(general.kind));
        problems.add(format!("rules[{index}].kind"), kind_name(rule.kind), allowed);
    }
    let looks_up = |rule: &Rule| rule.fire > rule.clear;
    if rule.measure == general.measure && looks_up(rule) != looks_up(general) {
        let side = if looks_up(general) { "below" } else { "above" };
        let allowed = format!("a level {side} `fire`, as in the rule that it overrides");
        problems.add(format!("rules[{index}].clear"), rule.clear.to_string(), allowed);
    }
}

fn parse_detectors(value: Option<Value>, problems: &mut Problems) -> Option<Detectors> {
    let table = match value {
        Some(Value::Table(table)) => table,
        other => {
            let value = other.map_or_else(|| "(missing)".to_owned(), |other| show(&other));
            problems.add("detectors", value, "a table for each detector");
            return None;
        }
    };
    let mut fields = Fields { place: "detectors.".to_owned(), table, problems };
    let tables = DETECTORS.map(|name| (name, fields.required(name, "a table")));
    fields.finish();
    let [anomaly, noise, stuck, dropout, silent, drift] =
        tables.map(|(name, value)| match value? {
            Value::Table(table) => parse_detector(
                name,
                Fields { place: format!("detectors.{name}."), table, problems },
            ),
            other => {
                problems.add(format!("detectors.{name}"), show(&other), "a table");
                None
            }
        });
    Some(Detectors {
        anomaly: anomaly?,
        noise: noise?,
        stuck: stuck?,
        dropout: dropout?,
        silent: silent?,
        drift: drift?,
    })
}

fn parse_detector(name: &'static str, mut fields: Fields<'_>) -> Option<Detector> {
    let enabled = fields.switch("enabled", None);
    let severity = fields.severity();
    let (fire, clear) = (fields.number("fire"), fields.number("clear"));
    let hold_windows = fields.windows("hold_windows");
    if let Some(fire) = fire
        && fire <= 0.0
    {
        fields.report("fire", fire.to_string(), "a number above 0");
    }
    if let (Some(fire), Some(clear)) = (fire, clear)
        && !(0.0..fire).contains(&clear)
    {
        fields.report("clear", clear.to_string(), "a number from 0 to below `fire`");
    }
    fields.finish();
    Some(Detector {
        name,
        enabled: enabled?,
        severity: severity?,
        fire: fire?,
        clear: clear?,
        hold_windows: hold_windows?,
    })
}

//! The policy of the repository, and what is refused.

use super::*;

fn problems(text: &str) -> Vec<String> {
    let PolicyError(problems) = Policy::parse(text).unwrap_err();
    problems.into_iter().map(|problem| format!("{}: {}", problem.place, problem.value)).collect()
}

fn with(rules: &str) -> String {
    let detectors = BUILT_IN.split_once("[detectors.anomaly]").unwrap().1;
    format!("{rules}\n[detectors.anomaly]{detectors}")
}

const RULE: &str = r#"
[[rules]]
name = "warm"
kind = "temperature"
measure = "mean"
fire = 26.0
clear = 25
for_windows = 5
hold_windows = 3
severity = "info"
"#;

#[test]
fn the_policy_of_the_repository_is_valid() {
    let policy = Policy::built_in();
    for kind in SensorKind::ALL {
        let names: Vec<&str> =
            policy.rules_of(kind, "site-0001").map(|rule| rule.name.as_str()).collect();
        assert_eq!(names.len(), 2, "one of its own, and one of all: {names:?}");
        assert_eq!(names[1], "unwell");
    }
    assert!(policy.detectors().anomaly.enabled && policy.detectors().drift.enabled);
}

#[test]
fn a_site_has_its_own_levels() {
    let own = RULE.replace("fire = 26.0", "fire = 30.0\nsite = \"site-0007\"");
    let policy = Policy::parse(&with(&format!("{RULE}{own}"))).unwrap();
    let fire = |site| {
        let rules: Vec<f64> =
            policy.rules_of(SensorKind::Temperature, site).map(|rule| rule.fire).collect();
        rules
    };
    assert_eq!((fire("site-0007"), fire("site-0001")), (vec![30.0], vec![26.0]));
}

#[test]
fn every_mistake_is_named_at_once() {
    let text = with(
        r#"
surprise = 1
[[rules]]
name = "Too hot"
kind = "heat"
measure = "average"
fire = "hot"
clear = nan
for_windows = 0
hold_windows = -1
severity = "fatal"
occupied = 1
colour = "red"
"#,
    );
    let found = problems(&text);
    let places = [
        "surprise",
        "name",
        "kind",
        "measure",
        "fire",
        "clear",
        "for_windows",
        "hold_windows",
        "severity",
        "occupied",
        "colour",
    ];
    for place in places {
        let full = if place == "surprise" { place.into() } else { format!("rules[0].{place}") };
        assert!(found.iter().any(|problem| problem.starts_with(&full)), "{place}: {found:?}");
    }
    assert_eq!(found.len(), places.len(), "{found:?}");
}

#[test]
fn rules_that_contradict_one_another_are_refused() {
    let twice = with(&format!("{RULE}{RULE}"));
    assert_eq!(problems(&twice), ["rules[1].name: warm"]);
    let no_gap = with(&RULE.replace("clear = 25", "clear = 26"));
    assert_eq!(problems(&no_gap), ["rules[0].clear: 26"]);
    let of_nothing = with(&format!("{RULE}site = \"site-0001\"\n"));
    assert_eq!(problems(&of_nothing), ["rules[0].name: warm"]);
    let other_side =
        RULE.replace("clear = 25", "clear = 29").replace("severity", "site = \"s\"\nseverity");
    assert_eq!(problems(&with(&format!("{RULE}{other_side}"))), ["rules[1].clear: 29"]);
    let other_kind =
        RULE.replace("temperature", "light").replace("severity", "site = \"s\"\nseverity");
    assert_eq!(problems(&with(&format!("{RULE}{other_kind}"))), ["rules[1].kind: light"]);
    let not_of_kind = with(&RULE.replace("\"mean\"", "\"transitions\""));
    assert_eq!(problems(&not_of_kind), ["rules[0].measure: transitions"]);
    let a_detector = with(&RULE.replace("\"warm\"", "\"stuck\""));
    assert_eq!(problems(&a_detector), ["rules[0].name: stuck"]);
}

#[test]
fn detectors_are_checked_as_well() {
    let text = BUILT_IN
        .replace("[detectors.noise]\nenabled = true", "[detectors.noise]\nenabled = 1")
        .replace("[detectors.drift]", "[detectors.drifting]")
        .replace("fire = 9.0\nclear = 1.0", "fire = 9.0\nclear = 9.5");
    let found = problems(&text);
    for place in ["detectors.noise.enabled", "detectors.drift: (missing)", "detectors.stuck.clear"]
    {
        assert!(found.iter().any(|problem| problem.starts_with(place)), "{place}: {found:?}");
    }
    assert!(found.iter().any(|problem| problem.starts_with("detectors.drifting")), "{found:?}");
    assert_eq!(problems("rules = 3").len(), 2);
    assert!(problems("[[rules").first().unwrap().starts_with("file"));
}

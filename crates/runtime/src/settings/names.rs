//! Names of variables beside those of the settings: the ones that stand for a setting, and the ones
//! that are probably meant to.

use std::collections::BTreeSet;

/// What other pipelines call a setting of ours, and our name for it.
const ALIASES: [(&str, &str); 4] = [
    ("IOT_NUM_DEVICES", "IOT_NUM_SENSORS"),
    ("IOT_DEVICE_TYPES", "IOT_SENSOR_KINDS"),
    ("IOT_INTERVAL", "IOT_DATA_INTERVAL_SEC"),
    ("KAFKA_PARTITIONS", "KAFKA_NUM_PARTITIONS"),
];

/// Beginnings of names, of which a flag does without.
const GROUPS: [&str; 10] = [
    "PRODUCER_",
    "CONSUMER_",
    "ANALYTICS_",
    "AUDIT_",
    "DLQ_",
    "FLEET_",
    "REPORT_",
    "IOT_",
    "KAFKA_",
    "CASSANDRA_",
];
/// The group of the fleet, which one program alone has whole.
const FLEET_GROUP: &str = "IOT_";

/// Most edits between a mistyped name and the one that was meant.
const TYPO_EDITS_MAX: usize = 2;

/// Returns the flag of a variable: the name without the group that the process makes clear, in
/// kebab case.
pub(super) fn flag(name: &str) -> String {
    let own = group_of(name).and_then(|group| name.strip_prefix(group));
    own.unwrap_or(name).to_lowercase().replace('_', "-")
}

fn group_of(name: &str) -> Option<&'static str> {
    GROUPS.into_iter().find(|group| name.starts_with(group))
}

/// Returns the other names of a setting.
pub(super) fn aliases(name: &str) -> impl Iterator<Item = &'static str> {
    ALIASES.into_iter().filter(move |(_, setting)| *setting == name).map(|(alias, _)| alias)
}

/// Returns the setting that a variable stands for: itself, unless it is another name of one.
pub fn setting_of(name: &str) -> &str {
    let meant = ALIASES.iter().find(|(alias, _)| *alias == name);
    meant.map_or(name, |(_, setting)| setting)
}

/// Says that a variable is read in place of the setting's own.
pub fn alias_hint(alias: &str, setting: &str) -> String {
    format!("{alias} is taken for {setting}, the setting's own name")
}

/// Says of each variable that looks like a setting of the program but is none which one is nearest.
///
/// `known` are the names of all its settings. Whatever begins with the program's own name, or with
/// that of the fleet if the program simulates it, is looked at; of other groups, such as `KAFKA_`
/// whose names the servers' own tools have too, only what is nearly one of its settings.
pub(super) fn unknown_names<'a>(
    program: &str,
    known: &BTreeSet<&str>,
    given: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let own = program.to_uppercase() + "_";
    let mut hints = Vec::new();
    for name in given {
        let Some(group) = group_of(name) else {
            continue;
        };
        let is_read = known.iter().any(|setting| setting.starts_with(group));
        if !is_read || known.contains(setting_of(name)) {
            continue;
        }
        let Some(nearest) = nearest(name, known) else {
            continue;
        };
        if group == own || group == FLEET_GROUP || is_near(name, nearest) {
            hints.push(format!("{name} is no setting: the nearest is {nearest}"));
        }
    }
    hints
}

fn nearest<'a>(name: &str, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    let likeness = |setting: &&&str| strsim::jaro_winkler(name, setting);
    known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).copied()
}

/// Tells whether one name is a slip of the other, or the other without its last words.
fn is_near(name: &str, setting: &str) -> bool {
    let begins = |whole: &str, part: &str| {
        whole.strip_prefix(part).is_some_and(|rest| rest.starts_with('_'))
    };
    strsim::osa_distance(name, setting) <= TYPO_EDITS_MAX
        || begins(name, setting)
        || begins(setting, name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The settings of each program, as its reference lists them.
    fn programs() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        let page = include_str!("../../../../docs/configuration.md");
        let mut programs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut program = "";
        for line in page.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                program = heading;
            } else if let Some((name, _)) = line.strip_prefix("| `").and_then(|l| l.split_once('`'))
            {
                programs.entry(program).or_default().insert(name);
            }
        }
        programs
    }

    fn hints(program: &str, given: &[&str]) -> Vec<String> {
        let given: Vec<String> = given.iter().map(ToString::to_string).collect();
        unknown_names(program, &programs()[program], given.iter())
    }

    #[test]
    fn no_program_wonders_about_the_settings_of_another() {
        let programs = programs();
        assert!(programs.len() >= 7, "{programs:?}");
        let all: BTreeSet<&str> = programs.values().flatten().copied().collect();
        for (alias, setting) in ALIASES {
            assert!(all.contains(setting) && !all.contains(alias), "{alias} for {setting}");
        }
        let given: Vec<&str> = all.into_iter().chain(ALIASES.map(|(alias, _)| alias)).collect();
        for program in programs.keys() {
            assert_eq!(hints(program, &given), Vec::<String>::new(), "{program}");
        }
    }

    #[test]
    fn a_mistyped_name_is_told_with_the_nearest() {
        for (program, given, nearest) in [
            ("producer", "IOT_NUM_SENSOR", "IOT_NUM_SENSORS"),
            ("producer", "IOT_ANOMALY_PROB", "IOT_ANOMALY_PROBABILITY"),
            ("producer", "PRODUCER_RATE_TARGET", "PRODUCER_TARGET_RATE"),
            ("consumer", "KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
            ("consumer", "KAFKA_TOPIC", "KAFKA_TOPIC_NAME"),
            ("consumer", "KAFKA_CONSUMER_GROUP", "KAFKA_CONSUMER_GROUP_ID"),
            ("analytics", "CASSANDRA_CONTACT_POINT", "CASSANDRA_CONTACT_POINTS"),
        ] {
            let expected = format!("{given} is no setting: the nearest is {nearest}");
            assert_eq!(hints(program, &[given]), [expected]);
        }
    }

    #[test]
    fn what_others_call_theirs_is_left_alone() {
        let given = [
            "KAFKA_HOME",
            "KAFKA_HEAP_OPTS",
            "KAFKA_OPTS",
            "KAFKA_LOG_DIRS",
            "CASSANDRA_HOME",
            "CASSANDRA_CONF",
            "CASSANDRA_SEEDS",
            "PATH",
            "IOTA",
        ];
        for program in programs().keys() {
            assert_eq!(hints(program, &given), Vec::<String>::new(), "{program}");
        }
        assert_eq!(hints("consumer", &["IOT_NUM_SENSOR"]), Vec::<String>::new());
    }

    #[test]
    fn a_flag_does_without_the_group() {
        for (name, expected) in [
            ("IOT_NUM_SENSORS", "num-sensors"),
            ("IOT_INTERVAL", "interval"),
            ("PRODUCER_TARGET_RATE", "target-rate"),
            ("LOG_LEVEL", "log-level"),
        ] {
            assert_eq!(flag(name), expected);
        }
    }
}

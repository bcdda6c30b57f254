//! A bad value is named with what is allowed, all of them at once; flags win over the environment.

use std::ffi::OsString;

use super::*;

const PARTITIONS: Setting = Setting {
    name: "KAFKA_NUM_PARTITIONS",
    default: "12",
    unit: "partitions",
    meaning: "Partitions of the topic",
};
const SERVERS: Setting = Setting {
    name: "KAFKA_BOOTSTRAP_SERVERS",
    default: "localhost:9092",
    unit: "",
    meaning: "Brokers to start from",
};
const SEED: Setting =
    Setting { name: "PRODUCER_SEED", default: "", unit: "", meaning: "Seed of all randomness" };

type Values = (u32, Vec<String>, Option<u64>);

fn read(reader: &mut Reader) -> Values {
    (
        reader.number(PARTITIONS, 1..=10_000),
        reader.addresses(SERVERS),
        reader.number_if_set(SEED, 0..=u64::MAX),
    )
}

fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn invoke(environment: &[(&str, &str)], arguments: &[&str]) -> Invocation {
    let arguments = ["program"].iter().chain(arguments).map(OsString::from);
    invocation(&Face::new("program", "tests", read), given(environment), arguments)
}

/// A program with two actions, of which one has a switch.
fn act(environment: &[(&str, &str)], arguments: &[&str]) -> Invocation {
    let count = |reader: &mut Reader| reader.number(PARTITIONS, 1..=10_000);
    let clear = |reader: &mut Reader| (count(reader), reader.switch("DLQ_DRY_RUN", "Only say so"));
    let actions = vec![Face::new("count", "counts", count), Face::new("clear", "clears", clear)];
    let program = Face { name: "program", about: "tests", settings: Vec::new(), actions };
    let arguments = ["program"].iter().chain(arguments).map(OsString::from);
    invocation(&program, given(environment), arguments)
}

#[test]
fn a_program_may_have_a_default_of_its_own() {
    for (environment, partitions) in [(&[][..], 3), (&[("KAFKA_NUM_PARTITIONS", "5")], 5)] {
        let mut reader = Reader::new(given(environment));
        reader.set_default("KAFKA_NUM_PARTITIONS", "3");
        assert_eq!(read(&mut reader).0, partitions);
        assert_eq!(reader.described()[0].setting.default, "3", "as help and reference say");
    }
}

#[test]
fn defaults_apply_where_nothing_is_given_or_the_variable_is_empty() {
    for environment in [&[][..], &[("KAFKA_NUM_PARTITIONS", ""), ("PRODUCER_SEED", " ")]] {
        let mut reader = Reader::new(given(environment));
        assert_eq!(read(&mut reader), (12, vec!["localhost:9092".to_owned()], None));
        assert!(reader.problems().is_empty());
    }
}

#[test]
fn every_bad_value_is_named_at_once() {
    let mut reader = Reader::new(given(&[
        ("KAFKA_NUM_PARTITIONS", "-1"),
        ("KAFKA_BOOTSTRAP_SERVERS", "localhost"),
        ("PRODUCER_SEED", "abc"),
    ]));
    read(&mut reader);
    let text = Problems(reader.problems()).to_string();
    assert!(text.contains("KAFKA_NUM_PARTITIONS=`-1`: allowed is 1 to 10000"), "{text}");
    assert!(text.contains("KAFKA_BOOTSTRAP_SERVERS=`localhost`"), "{text}");
    assert!(text.contains("PRODUCER_SEED=`abc`"), "{text}");
}

#[test]
fn a_flag_wins_over_the_environment() {
    let environment = [("KAFKA_NUM_PARTITIONS", "6"), ("PRODUCER_SEED", "1")];
    let invocation = invoke(&environment, &["--num-partitions", "3"]);
    let Invocation::Run { action: None, values } = invocation else {
        panic!("the process is to run");
    };
    assert_eq!(read(&mut Reader::new(values)).0, 3);
}

#[test]
fn help_lists_every_setting_with_default_unit_and_meaning() {
    let Invocation::Print(help) = invoke(&[], &["--help"]) else { panic!("help was asked for") };
    for part in ["--num-partitions", "KAFKA_NUM_PARTITIONS", "default 12", "[partitions]"] {
        assert!(help.contains(part), "{part} is missing in\n{help}");
    }
}

#[test]
fn the_reference_has_a_row_for_every_setting() {
    let Invocation::Print(table) = invoke(&[], &["settings"]) else {
        panic!("the reference was asked for")
    };
    let rows: Vec<&str> = table.lines().skip(2).collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(
        rows[0].starts_with("| `KAFKA_NUM_PARTITIONS` | `--num-partitions` | `12` |"),
        "{table}"
    );
}

#[test]
fn an_unknown_flag_is_misuse() {
    assert!(matches!(invoke(&[], &["--no-such-flag"]), Invocation::Misuse(_)));
    assert!(matches!(invoke(&[], &["healthcheck"]), Invocation::Healthcheck(_)));
}

#[test]
fn an_action_has_settings_of_its_own() {
    for (arguments, expected) in [
        (&["clear", "--num-partitions", "3"][..], [Some("3"), None]),
        (&["clear", "--dry-run", "--num-partitions", "3"], [Some("3"), Some("true")]),
        (&["clear", "--dry-run", "false"], [Some("6"), Some("false")]),
    ] {
        let invocation = act(&[("KAFKA_NUM_PARTITIONS", "6")], arguments);
        let Invocation::Run { action: Some(1), values } = invocation else {
            panic!("{arguments:?} is to run");
        };
        let found = ["KAFKA_NUM_PARTITIONS", "DLQ_DRY_RUN"].map(|name| values.get(name));
        assert_eq!(found.map(|value| value.map(String::as_str)), expected, "{arguments:?}");
    }
    assert!(matches!(act(&[], &["count", "--dry-run"]), Invocation::Misuse(_)));
}

#[test]
fn a_program_with_actions_needs_one() {
    let Invocation::Misuse(help) = act(&[], &[]) else { panic!("an action is missing") };
    assert!(help.contains("count") && help.contains("clears"), "{help}");
    assert!(matches!(act(&[], &["burn"]), Invocation::Misuse(_)));
    let Invocation::Print(table) = act(&[], &["settings"]) else { panic!("the reference") };
    assert_eq!(table.lines().count(), 2 + 2, "{table}");
}

#[test]
fn a_service_does_other_things_on_request() {
    let clear = Face::new("clear", "clears", |reader| reader.number(PARTITIONS, 1..=10_000));
    let service = Face { actions: vec![clear], ..Face::new("service", "tests", read) };
    let invoke = |arguments: &[&str]| {
        let arguments = ["service"].iter().chain(arguments).map(OsString::from);
        invocation(&service, given(&[]), arguments)
    };
    assert!(matches!(invoke(&[]), Invocation::Run { action: None, .. }));
    assert!(matches!(invoke(&["clear"]), Invocation::Run { action: Some(0), .. }));
    assert!(matches!(invoke(&["healthcheck"]), Invocation::Healthcheck(_)));
    assert!(matches!(invoke(&["check"]), Invocation::Check(_)));
    assert!(matches!(invoke(&["--nonsense"]), Invocation::Misuse(_)));
}

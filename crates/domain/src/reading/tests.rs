//! The contract accepts what any careful producer writes and names what is wrong with the rest.

use super::*;
use crate::contract::{ID_BYTES_MAX, RECORD_BYTES_MAX, TS_RANGE_MS};
use crate::dead_letter::Reason;

const GOOD: &str = r#"{"sensor_id":"site-0042/temperature-07","site_id":"site-0042",
    "kind":"temperature","ts":1764000000000,"value":21.37,"unit":"°C","seq":17,
    "run":"20261121T013321-9f3a","status":"ok","location":{"lat":52.52,"lon":13.405}}"#;

fn error_of(record: &str) -> String {
    Reading::decode(record.as_bytes()).expect_err("the record breaks the contract").to_string()
}

#[test]
fn a_reading_is_decoded_whole() {
    let reading = Reading::decode(GOOD.as_bytes()).unwrap();
    assert_eq!(reading.sensor_id, "site-0042/temperature-07");
    assert_eq!(reading.kind, SensorKind::Temperature);
    assert_eq!((reading.ts, reading.seq), (1_764_000_000_000, 17));
    assert!((reading.value - 21.37).abs() < f64::EPSILON);
    assert_eq!(reading.status, Status::Ok);
    assert!(matches!(reading.sensor_id, Cow::Borrowed(_)), "plain text is not copied");
}

#[test]
fn field_order_spaces_escapes_and_unknown_fields_do_not_matter() {
    let record = r#" { "location": {"lon": -0.5, "lat": 51}, "status":"degraded", "extra": [1],
        "run":"r", "seq": 0, "unit":"\u00b0C", "value": 20, "ts":1764000000000,
        "kind":"temperature", "site_id":"a", "sensor_id":"a/1" }"#;
    let reading = Reading::decode(record.as_bytes()).unwrap();
    assert_eq!(reading.unit, "°C");
    assert_eq!(reading.status, Status::Degraded);
}

#[test]
fn what_breaks_the_contract_is_named() {
    let cases = [
        ("\"seq\":17", "\"seq\":-1", "`seq` is -1, allowed is 0 or more"),
        ("\"seq\":17,", "", "missing field `seq`"),
        ("21.37", "\"21.37\"", "invalid type: string"),
        ("21.37", "NaN", "not a JSON reading"),
        ("21.37", "1e999", "not a JSON reading"),
        ("temperature\",", "co2\",", "unknown variant `co2`"),
        ("°C", "°F", "`unit` is \"°F\", allowed is `°C`"),
        ("1764000000000", "1764000000", "`ts` is 1764000000, allowed is epoch milliseconds"),
        ("\"site-0042\"", "\"\"", "`site_id` is \"\", allowed is 1 to 128 bytes"),
        ("52.52", "152.52", "`location.lat` is 152.52"),
        ("\"ok\"", "\"fine\"", "unknown variant `fine`"),
        ("}}", "}", "EOF"),
    ];
    for (from, to, expected) in cases {
        let record = GOOD.replacen(from, to, 1);
        assert_ne!(record, GOOD, "the case {from} changes the record");
        let error = error_of(&record);
        assert!(error.contains(expected), "{record}\ngave: {error}\nexpected: {expected}");
    }
}

#[test]
fn a_dead_letter_is_told_the_reason() {
    let large = format!("{GOOD}{}", " ".repeat(RECORD_BYTES_MAX));
    let cases = [
        (GOOD.replacen("\"seq\":17,", "", 1), Reason::Malformed),
        (GOOD.replacen("\"ok\"", "\"fine\"", 1), Reason::Malformed),
        (GOOD.replacen("temperature\",", "co2\",", 1), Reason::UnknownKind),
        (GOOD.replacen("\"seq\":17", "\"seq\":-1", 1), Reason::ImpossibleValue),
        (GOOD.replacen("1764000000000", "1764000000", 1), Reason::TimestampOutOfBounds),
        (large, Reason::TooLarge),
    ];
    for (record, expected) in cases {
        let error = Reading::decode(record.as_bytes()).expect_err("the record is none");
        assert_eq!(error.reason(), expected, "{error}");
    }
}

#[test]
fn motion_is_zero_or_one() {
    let record = GOOD.replace("\"temperature\"", "\"motion\"").replace("°C", "0/1");
    assert!(error_of(&record).contains("0 or 1 for motion"));
    assert!(Reading::decode(record.replace("21.37", "1").as_bytes()).is_ok());
}

#[test]
fn an_oversize_record_is_refused_before_it_is_parsed() {
    let record = format!("{GOOD}{}", " ".repeat(RECORD_BYTES_MAX));
    assert!(error_of(&record).contains("more than 4096"));
}

/// The published schema and the code name the same fields, kinds, units and limits.
#[test]
fn the_published_schema_says_what_the_code_accepts() {
    let schema = include_str!("../../../../docs/reading.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let texts = |list: &serde_json::Value| -> Vec<String> {
        let texts = list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned());
        texts.collect()
    };
    let properties = &schema["properties"];
    let good: serde_json::Value = serde_json::from_str(GOOD).unwrap();
    let mut required = texts(&schema["required"]);
    required.sort();
    assert!(good.as_object().unwrap().keys().eq(&required), "{required:?}");
    for field in required {
        let record = GOOD.replacen(&format!("\"{field}\":"), "\"absent\":", 1);
        assert!(Reading::decode(record.as_bytes()).is_err(), "{field} is required");
        assert!(properties[&field].is_object(), "{field} is described");
    }
    let kinds = SensorKind::ALL.map(|kind| kind.name().to_owned());
    assert_eq!(texts(&properties["kind"]["enum"]), kinds);
    let units = SensorKind::ALL.map(|kind| kind.unit().to_owned());
    assert_eq!(texts(&properties["unit"]["enum"]), units);
    for (kind, branch) in SensorKind::ALL.iter().zip(schema["oneOf"].as_array().unwrap()) {
        assert_eq!(branch["properties"]["kind"]["const"], kind.name());
        assert_eq!(branch["properties"]["unit"]["const"], kind.unit());
    }
    let statuses = Status::ALL.map(|s| s.name().to_owned());
    assert_eq!(texts(&properties["status"]["enum"]), statuses);
    assert_eq!(properties["ts"]["minimum"], TS_RANGE_MS.start);
    assert_eq!(properties["ts"]["exclusiveMaximum"], TS_RANGE_MS.end);
    for id in ["sensor_id", "site_id", "run"] {
        assert_eq!(properties[id]["maxLength"], ID_BYTES_MAX);
    }
}

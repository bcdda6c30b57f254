//! The contract accepts what any careful producer writes and names what is wrong with the rest.

use super::*;
use crate::contract::{ID_BYTES_MAX, RECORD_BYTES_MAX, SEQ_MAX, TS_RANGE_MS};
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
    let plain = GOOD.replace("\n    ", "");
    let reading = Reading::decode(plain.as_bytes()).unwrap();
    assert!(matches!(reading.sensor_id, Cow::Borrowed(_)), "of the plain form nothing is copied");
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
        ("\"seq\":17", "\"seq\":-1", "`seq` is -1, wanted a whole number from 0"),
        ("\"seq\":17", "\"seq\":17.5", "`seq` is 17.5, wanted a whole number"),
        ("\"seq\":17,", "", "missing `seq`"),
        ("21.37", "\"21.37\"", "`value` is \"21.37\", wanted a number such as 21.5"),
        ("21.37", "null", "`value` is null, wanted a number"),
        ("21.37", "NaN", "NaN or Infinity"),
        ("21.37", "1e999", "a number beyond those of a double"),
        ("temperature\",", "co2\",", "`kind` is \"co2\", wanted one of temperature, humidity"),
        ("°C", "°F", "`unit` is \"°F\", wanted one of °C"),
        ("1764000000000", "1764000000", "`ts` is 1764000000, wanted epoch milliseconds such as"),
        (
            "1764000000000",
            "\"2025-11-05T12:00:00Z\"",
            "`ts` is \"2025-11-05T12:00:00Z\", wanted epoch milliseconds such as 1764000000000",
        ),
        ("\"site-0042\"", "\"\"", "`site_id` is \"\", wanted text of 1 to 128 bytes"),
        ("52.52", "152.52", "`location.lat` is 152.52, wanted degrees from -90 to 90"),
        ("{\"lat\":52.52,\"lon\":13.405}", "[13.4,52.5]", "`location` is an array: [13.4,52.5]"),
        ("\"lat\":52.52,", "", "missing `location.lat`"),
        ("\"ok\"", "\"OK\"", "`status` is \"OK\", wanted one of ok, degraded, fault"),
        ("}}", "}", "ends in the middle of JSON"),
        ("{\"sensor_id\"", "\u{feff}{\"sensor_id\"", "byte order mark"),
        ("\"ok\"", "\"\\ud800\"", "not JSON from byte"),
    ];
    for (from, to, expected) in cases {
        let record = GOOD.replacen(from, to, 1);
        assert_ne!(record, GOOD, "the case {from} changes the record");
        let error = error_of(&record);
        assert!(error.contains(expected), "{record}\ngave: {error}\nexpected: {expected}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let foreign = r#"{"device":"sensor-01","timestamp":"2025-11-05T12:00:00Z","humidity":40.2}"#;
    let error = error_of(foreign);
    for name in ["sensor_id", "site_id", "kind", "ts", "value", "unit", "seq", "run", "status"] {
        assert!(error.contains(&format!("`{name}`")), "{name} in {error}");
    }
    assert!(error.contains("is `timestamp` meant as `ts`?"), "{error}");
    assert!(error.contains("is `device` meant as `sensor_id`?"), "{error}");
    let two = GOOD.replacen("21.37", "[]", 1).replacen("\"ok\"", "7", 1);
    let error = error_of(&two);
    assert!(error.contains("`value` is an array") && error.contains("`status` is 7"), "{error}");
}

#[test]
fn what_is_no_json_object_is_named_for_what_it_looks_like() {
    let cases: [(&[u8], &str); 14] = [
        (b"", "empty"),
        (b"21.5,temperature,ok,site-1", "CSV"),
        (b"<reading/>", "XML"),
        (b"[1,2]", "array"),
        (b"{'sensor_id': 'a'}", "single quotes"),
        (b"\"{\\\"ts\\\":1}\"", "encoded twice"),
        (b"{\"ts\":1}\n{\"ts\":2}", "several JSON objects"),
        (b"\x00\x00\x00\x00\x07abc", "schema registry"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"\xff\xfe{\x00", "UTF-16"),
        (b"{\"a\":\"\xc3\x28\"}", "byte 6 is not UTF-8"),
        (b"{\"value\": NaN}", "NaN"),
        (b"42", "number"),
        (b"hello", "not JSON from byte 0"),
    ];
    for (record, expected) in cases {
        let error = Reading::decode(record).expect_err("it is no reading");
        assert_eq!(error.reason(), Reason::Malformed);
        assert!(error.to_string().contains(expected), "{error}, expected {expected}");
    }
    assert!(ContractError::tombstone().to_string().contains("tombstone"));
}

/// Details go to headers, logs and terminals: on one line, bounded, and without control characters.
#[test]
fn a_detail_quotes_nothing_that_a_terminal_obeys() {
    let evil = "\\u001b[2J\\u202e\u{202e}\u{7f}\\n".to_owned() + &"x".repeat(3_000);
    for field in ["kind", "unit", "status", "ts"] {
        let from = match field {
            "kind" => "\"temperature\"",
            "unit" => "\"°C\"",
            "status" => "\"ok\"",
            _ => "1764000000000",
        };
        let error = error_of(&GOOD.replacen(from, &format!("\"{evil}\""), 1));
        assert!(error.len() < 400, "{} bytes", error.len());
        let is_harmless = |c: char| !c.is_control() && c != '\u{202e}';
        assert!(error.chars().all(is_harmless), "{error:?}");
    }
}

#[test]
fn a_dead_letter_is_told_the_reason() {
    let large = format!("{GOOD}{}", " ".repeat(RECORD_BYTES_MAX));
    let cases = [
        (GOOD.replacen("\"seq\":17,", "", 1), Reason::Malformed),
        (GOOD.replacen("\"ok\"", "\"OK\"", 1), Reason::ImpossibleValue),
        (GOOD.replacen("\"ok\"", "1", 1), Reason::Malformed),
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

/// Whole numbers are whole however they are written, as for JSON Schema.
#[test]
fn whole_numbers_may_have_a_point_or_an_exponent() {
    let plain = Reading::decode(GOOD.as_bytes()).unwrap();
    for (ts, seq) in
        [("1764000000000.0", "17.0"), ("1.764e12", "1.7e1"), ("1764000000000", "170E-1")]
    {
        let record = GOOD.replacen("1764000000000", ts, 1).replacen(":17,", &format!(":{seq},"), 1);
        assert_eq!(Reading::decode(record.as_bytes()).unwrap(), plain, "{record}");
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
    assert_eq!(properties["seq"]["maximum"], SEQ_MAX);
}

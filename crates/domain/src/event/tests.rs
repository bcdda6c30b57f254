//! What is an event is decoded whole, what is none is named, and what is encoded is decoded.

use proptest::prelude::*;

use super::*;
use crate::contract::{ID_BYTES_MAX, RECORD_BYTES_MAX, SEQ_MAX, TS_RANGE_MS};
use crate::dead_letter::Reason;

const GOOD: &str = r#"{"sensor_id":"site-0042/temperature-07","site_id":"site-0042",
    "event":"battery","ts":1764000000000,"seq":17,"run":"20261121T013321-9f3a","detail":"80"}"#;

#[test]
fn an_event_is_decoded_whole() {
    let event = Event::decode(GOOD.as_bytes()).unwrap();
    assert_eq!(event.sensor_id, "site-0042/temperature-07");
    assert_eq!((event.ts, event.seq), (1_764_000_000_000, 17));
    assert_eq!((event.event, &*event.detail), (EventKind::Battery, "80"));
}

#[test]
fn what_breaks_the_contract_is_named_with_its_reason() {
    let long = format!("\"{}\"", "x".repeat(DETAIL_BYTES_MAX + 1));
    let cases = [
        ("\"seq\":17", "\"seq\":-1", "`seq` is -1", Reason::ImpossibleValue),
        ("\"seq\":17,", "", "missing `seq`", Reason::Malformed),
        ("battery", "explosion", "`event` is \"explosion\"", Reason::UnknownKind),
        ("1764000000000", "1764000000", "`ts` is 1764000000", Reason::TimestampOutOfBounds),
        ("\"site-0042\"", "\"\"", "`site_id` is \"\"", Reason::ImpossibleValue),
        (
            "\"80\"",
            &long,
            "`detail` is text of 257 bytes, wanted text of at most",
            Reason::ImpossibleValue,
        ),
        ("\"80\"", "80", "`detail` is 80, wanted text", Reason::Malformed),
        ("\"80\"", "null", "`detail` is null, wanted text", Reason::Malformed),
        ("\"80\"}", "\"80\"", "ends in the middle of JSON", Reason::Malformed),
    ];
    for (from, to, expected, reason) in cases {
        let record = GOOD.replacen(from, to, 1);
        assert_ne!(record, GOOD, "the case {from} changes the record");
        let error = Event::decode(record.as_bytes()).expect_err("the record breaks the contract");
        assert!(error.to_string().contains(expected), "{record}\ngave: {error}");
        assert_eq!(error.reason(), reason, "{error}");
    }
    let large = format!("{GOOD}{}", " ".repeat(RECORD_BYTES_MAX));
    let error = Event::decode(large.as_bytes()).expect_err("the record is too large");
    assert_eq!(error.reason(), Reason::TooLarge);
}

#[test]
fn a_reading_is_no_event() {
    let reading = GOOD.replacen("\"event\":\"battery\"", "\"kind\":\"light\",\"value\":1", 1);
    let error = Event::decode(reading.as_bytes()).expect_err("it says nothing of an event");
    assert!(error.to_string().contains("missing `event`"), "{error}");
}

#[test]
fn an_event_without_a_detail_has_an_empty_one() {
    let record = GOOD.replacen(",\"detail\":\"80\"", "", 1);
    assert_eq!(Event::decode(record.as_bytes()).unwrap().detail, "");
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_again(
        sensor_id in ".{1,30}",
        site_id in ".{1,30}",
        kind in prop::sample::select(EventKind::ALL.to_vec()),
        ts in TS_RANGE_MS,
        seq in 0..=SEQ_MAX,
        detail in ".{0,60}",
    ) {
        let [sensor_id, site_id, detail] = [sensor_id, site_id, detail].map(Cow::Owned);
        let run = Cow::Borrowed("r");
        let event = Event { sensor_id, site_id, event: kind, ts, seq, run, detail };
        let mut record = b"before".to_vec();
        event.encode(&mut record);
        prop_assert_eq!(Event::decode(&record[6..]).unwrap(), event);
    }
}

/// The published schema and the code name the same fields, kinds and limits.
#[test]
fn the_published_schema_says_what_the_code_accepts() {
    let schema = include_str!("../../../../docs/event.schema.json");
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
    let properties = &schema["properties"];
    for field in schema["required"].as_array().unwrap() {
        let field = field.as_str().unwrap();
        let record = GOOD.replacen(&format!("\"{field}\":"), "\"absent\":", 1);
        assert!(Event::decode(record.as_bytes()).is_err(), "{field} is required");
    }
    let good: serde_json::Value = serde_json::from_str(GOOD).unwrap();
    for field in good.as_object().unwrap().keys() {
        assert!(properties[field].is_object(), "{field} is described");
    }
    let kinds: Vec<_> = properties["event"]["enum"].as_array().unwrap().iter().collect();
    assert_eq!(kinds, EventKind::ALL.map(EventKind::name));
    assert_eq!(properties["ts"]["minimum"], TS_RANGE_MS.start);
    assert_eq!(properties["ts"]["exclusiveMaximum"], TS_RANGE_MS.end);
    for id in ["sensor_id", "site_id", "run"] {
        assert_eq!(properties[id]["maxLength"], ID_BYTES_MAX);
    }
    assert_eq!(properties["detail"]["maxLength"], DETAIL_BYTES_MAX);
    assert_eq!(properties["seq"]["maximum"], SEQ_MAX);
}

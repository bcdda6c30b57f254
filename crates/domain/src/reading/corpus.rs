//! The published schemas and the decoders are asked about the same records, thousands of them, and
//! have to agree on each.
//!
//! `CONTRACT_SEED` and `CONTRACT_RECORDS` choose others and more.

use std::env;

use jsonschema::Validator;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use super::{Reading, plain};
use crate::Event;
use crate::contract::RECORD_BYTES_MAX;

/// What is put in place of a field's value: JSON, and some that is not.
const VALUES: [&str; 64] = [
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "-0",
    "-0.0",
    "0.0",
    "1.0",
    "7",
    "7.0",
    "7.5",
    "1e0",
    "1E+0",
    "10e-1",
    "1e3",
    "-1e3",
    "1e400",
    "-1e400",
    "1e-400",
    "01",
    "1.",
    ".5",
    "+1",
    "0x1",
    "NaN",
    "Infinity",
    "1764000000000",
    "1764000000000.0",
    "1.764e12",
    "1764000000000.5",
    "946684799999",
    "946684800000",
    "4102444799999",
    "4102444800000",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993.0",
    "9.3e18",
    "9223372036854775807",
    "18446744073709551616",
    "90",
    "90.0000001",
    "-180",
    "180.1",
    "\"\"",
    "\"x\"",
    "\"1\"",
    "\"ok\"",
    "\"OK\"",
    "\"fault\"",
    "\"temperature\"",
    "\"motion\"",
    "\"\\u00b0C\"",
    "\"0/1\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"\\x\"",
    "[]",
    "[1,2]",
    "{}",
    "{\"lat\":1,\"lon\":2}",
    "{\"lat\":1}",
];
/// Bytes that are put in, or in place of others.
const BYTES: [u8; 16] = *b"{}[]\",:\\0.e- \xc3\xff\x00";

/// A record as pairs of names and values, both as they stand in JSON.
type Draft = Vec<(String, String)>;

fn draft(pairs: &[(&str, &str)]) -> Draft {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn good_reading(random: &mut SmallRng) -> Draft {
    let kinds = [("temperature", "°C"), ("humidity", "%RH"), ("motion", "0/1"), ("light", "lx")];
    let (kind, unit) = kinds[random.random_range(0..kinds.len())];
    let value = if kind == "motion" { "1" } else { "21.37" };
    draft(&[
        ("sensor_id", "\"site-1/x\""),
        ("site_id", "\"site-1\""),
        ("kind", &format!("\"{kind}\"")),
        ("ts", "1764000000000"),
        ("value", value),
        ("unit", &format!("\"{unit}\"")),
        ("seq", "17"),
        ("run", "\"r\""),
        ("status", "\"ok\""),
        ("location", "{\"lat\":52.5,\"lon\":13.4}"),
    ])
}

fn good_event(_: &mut SmallRng) -> Draft {
    draft(&[
        ("sensor_id", "\"site-1/x\""),
        ("site_id", "\"site-1\""),
        ("event", "\"battery\""),
        ("ts", "1764000000000"),
        ("seq", "17"),
        ("run", "\"r\""),
        ("detail", "\"80\""),
    ])
}

fn value(random: &mut SmallRng) -> String {
    match random.random_range(0..20) {
        // At and beyond the limits of bytes, in characters of one and of two.
        0 => format!("\"{}\"", "x".repeat(random.random_range(127..131))),
        1 => format!("\"{}\"", "é".repeat(random.random_range(63..67))),
        2 => format!("\"{}\"", "é".repeat(random.random_range(127..131))),
        3 => format!("{}{}", "[".repeat(200), "]".repeat(200)),
        4 => format!("{}{}", "[".repeat(50), "]".repeat(50)),
        _ => (*VALUES.choose(random).expect("there are some")).to_owned(),
    }
}

/// Changes a good record a little, mostly so that it is still JSON.
fn mutate(mut draft: Draft, random: &mut SmallRng) -> Vec<u8> {
    for _ in 0..random.random_range(0..3) {
        let place = random.random_range(0..draft.len());
        match random.random_range(0..6) {
            0 => drop(draft.remove(place)),
            1 => draft.push(("extra".into(), value(random))),
            2 => draft.push((draft[place].0.clone(), value(random))),
            3 => {
                let other = random.random_range(0..draft.len());
                draft.swap(place, other);
            }
            _ => draft[place].1 = value(random),
        }
        if draft.is_empty() {
            break;
        }
    }
    let space = if random.random_bool(0.7) { "" } else { " " };
    let fields: Vec<String> =
        draft.iter().map(|(name, value)| format!("\"{name}\":{space}{value}")).collect();
    let mut record = format!("{{{}}}", fields.join(",")).into_bytes();
    if random.random_bool(0.3) {
        let place = random.random_range(0..record.len());
        let byte = BYTES[random.random_range(0..BYTES.len())];
        match random.random_range(0..3) {
            0 => record.insert(place, byte),
            1 => record[place] = byte,
            _ => drop(record.remove(place)),
        }
    }
    if random.random_bool(0.01) {
        record.resize(RECORD_BYTES_MAX + random.random_range(0..3), b' ');
    }
    record
}

/// The judge that goes by the published schema: a validator, and the limits in bytes, which JSON
/// Schema can only state as an annotation (`x-maxBytes`).
struct Schema {
    validator: Validator,
    properties: Value,
}

impl Schema {
    fn new(text: &str) -> Self {
        let schema: Value = serde_json::from_str(text).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        Self { validator, properties: schema["properties"].clone() }
    }

    fn accepts(&self, record: &[u8]) -> bool {
        if record.len() > RECORD_BYTES_MAX {
            return false;
        }
        let Ok(value) = serde_json::from_slice::<Value>(record) else { return false };
        let is_within = |(name, property): (&String, &Value)| {
            let bytes_max = property["x-maxBytes"].as_u64().unwrap_or(u64::MAX);
            value[name].as_str().is_none_or(|text| text.len() as u64 <= bytes_max)
        };
        let mut properties = self.properties.as_object().unwrap().iter();
        self.validator.is_valid(&value) && properties.all(is_within)
    }
}

fn number_from(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn the_schemas_and_the_decoders_agree_on_every_record() {
    let seed = number_from("CONTRACT_SEED", 1);
    let count = number_from("CONTRACT_RECORDS", 20_000);
    let mut random = SmallRng::seed_from_u64(seed);
    let readings = Schema::new(include_str!("../../../../docs/reading.schema.json"));
    let events = Schema::new(include_str!("../../../../docs/event.schema.json"));
    let (mut accepted, mut fast) = (0, 0);
    for number in 0..count {
        let draft = good_reading(&mut random);
        let record = mutate(draft, &mut random);
        let text = String::from_utf8_lossy(&record);
        let context = format!("CONTRACT_SEED={seed}, record {number}: {text}");
        let any = (record.len() <= RECORD_BYTES_MAX).then(|| Reading::decode_any(&record).ok());
        let any = any.flatten();
        assert_eq!(readings.accepts(&record), any.is_some(), "schema and decoder, {context}");
        let decoded = Reading::decode(&record);
        assert_eq!(decoded.as_ref().ok(), any.as_ref(), "both decoders, {context}");
        if let (Some(any), Ok(decoded)) = (&any, &decoded) {
            assert_eq!(any.value.to_bits(), decoded.value.to_bits(), "{context}");
        }
        accepted += usize::from(any.is_some());
        fast += usize::from(plain::read(&record).is_some());

        let draft = good_event(&mut random);
        let record = mutate(draft, &mut random);
        let text = String::from_utf8_lossy(&record);
        let decoded = Event::decode(&record);
        let context = format!("CONTRACT_SEED={seed}, event {number}: {text}: {decoded:?}");
        assert_eq!(events.accepts(&record), decoded.is_ok(), "{context}");
    }
    // A corpus that is all good or all bad would show nothing.
    let share = accepted as f64 / count as f64;
    assert!((0.3..0.8).contains(&share), "{accepted} of {count} are readings");
    assert!(fast > accepted / 4, "{fast} of {accepted} are in the plain form");
}

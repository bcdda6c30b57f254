//! Says what a record looks like that is not a JSON object.

use serde_json::Value;

/// Characters shown around the place where JSON ends to be such.
const SHOWN_CHARS: usize = 20;

/// Describes bytes that are not UTF-8 from some place on.
pub(super) fn of_bytes(record: &[u8], valid_up_to: usize) -> String {
    if let Some(known) = by_first_bytes(record) {
        return known.into();
    }
    format!("byte {valid_up_to} is not UTF-8")
}

fn by_first_bytes(record: &[u8]) -> Option<&'static str> {
    let known = match record {
        [0x1f, 0x8b, ..] => "the value is compressed with gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "the value is compressed with zstd",
        [0x04, 0x22, 0x4d, 0x18, ..] => "the value is compressed with lz4",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the value is UTF-16, not UTF-8",
        [b'O', b'b', b'j', 1, ..] => "the value is an Avro file",
        [0, _, _, _, _, ..] => {
            "the value begins with a zero byte and a schema id, as serializers with a schema \
             registry write it (Avro, Protobuf or JSON Schema)"
        }
        _ => return None,
    };
    Some(known)
}

/// Describes JSON that is something else than an object.
pub(super) fn of_value(value: &Value) -> String {
    let what = match value {
        Value::Array(_) => "the value is a JSON array, each object wants a record of its own",
        Value::String(text) if text.trim_start().starts_with('{') => {
            "the value is a JSON string that holds JSON: it was encoded twice"
        }
        Value::String(_) => "the value is a JSON string",
        Value::Number(_) => "the value is a number",
        Value::Bool(_) => "the value is true or false",
        Value::Null | Value::Object(_) => "the value is null",
    };
    what.into()
}

/// Describes text that is not JSON.
pub(super) fn of_text(text: &str, error: &serde_json::Error) -> String {
    if text.is_empty() {
        return "the value is empty".into();
    }
    if let Some(known) = by_first_bytes(text.as_bytes()) {
        return known.into();
    }
    let trimmed = text.trim_start();
    let known = if text.starts_with('\u{feff}') {
        "the value begins with a byte order mark"
    } else if trimmed.starts_with('<') {
        "the value looks like XML"
    } else if trimmed.starts_with("{'") {
        "the value has single quotes, as Python prints a dict"
    } else if !trimmed.starts_with(['{', '[', '"']) && trimmed.matches(',').count() >= 2 {
        "the value looks like a line of CSV"
    } else if has_no_number(trimmed) {
        "the value holds NaN or Infinity, which JSON does not have"
    } else if error.to_string().contains("number out of range") {
        "the value holds a number beyond those of a double"
    } else if error.to_string().contains("recursion limit") {
        "the value is nested more than 127 levels deep"
    } else if error.to_string().contains("trailing characters") && is_lines_of_objects(text) {
        "the value holds several JSON objects, each wants a record of its own"
    } else if error.is_eof() {
        "the value ends in the middle of JSON"
    } else {
        return format!("the value is not JSON from {}", shown(text, error));
    };
    known.into()
}

/// Tells whether a field's value begins like one of the numbers that JSON leaves out.
fn has_no_number(text: &str) -> bool {
    let compact: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    [":NaN", ":nan", ":Infinity", ":-Infinity", ":inf"].iter().any(|word| compact.contains(word))
}

fn is_lines_of_objects(text: &str) -> bool {
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    objects.next().is_some_and(|first| first.is_ok_and(|first| first.is_object()))
        && objects.next().is_some_and(|second| second.is_ok_and(|second| second.is_object()))
}

/// Shows the place of an error.
fn shown(text: &str, error: &serde_json::Error) -> String {
    let mut lines = text.split_inclusive('\n');
    let before: usize = lines.by_ref().take(error.line().saturating_sub(1)).map(str::len).sum();
    let place = text.floor_char_boundary(before + error.column().saturating_sub(1));
    let rest: String = text[place..].chars().take(SHOWN_CHARS).collect();
    format!("byte {place} on: {rest:?}")
}

//! Takes the fields of a record one by one and gathers everything that is wrong with them.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::{ContractError, DETAIL_BYTES_MAX, ID_BYTES_MAX, SEQ_MAX, TS_RANGE_MS};
use crate::dead_letter::Reason;

/// Most characters of a value that a detail quotes.
const QUOTED_CHARS_MAX: usize = 64;
/// Whole numbers that a double holds exactly lie below this.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
/// Names that other pipelines give to fields of ours.
const FOREIGN_NAMES: [(&str, &[&str]); 4] = [
    ("ts", &["timestamp", "time", "event_time", "datetime", "date"]),
    ("sensor_id", &["device_id", "deviceId", "device", "sensorId", "sensor", "id"]),
    ("site_id", &["building", "building_id", "room", "location_id"]),
    ("value", &["temperature", "humidity", "pressure", "reading", "temp"]),
];

/// The fields of one object, and what is wrong with them so far.
pub(crate) struct Fields<'a> {
    object: &'a Map<String, Value>,
    /// Put before the names of fields: `location.`.
    path: &'static str,
    missing: Vec<String>,
    problems: Vec<(Reason, String)>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(object: &'a Map<String, Value>) -> Self {
        Self { object, path: "", missing: Vec::new(), problems: Vec::new() }
    }

    /// Returns a field; notes that it is missing.
    fn get(&mut self, name: &str) -> Option<&'a Value> {
        let value = self.object.get(name);
        if value.is_none() {
            self.missing.push(format!("{}{name}", self.path));
        }
        value
    }

    /// Notes that a field has a value that it cannot have.
    pub(crate) fn refuse(&mut self, reason: Reason, name: &str, found: &str, wanted: &dyn Display) {
        let problem = format!("`{}{name}` is {found}, wanted {wanted}", self.path);
        self.problems.push((reason, problem));
    }

    fn refuse_type(&mut self, name: &str, value: &Value, wanted: &dyn Display) {
        self.refuse(Reason::Malformed, name, &quote(value), wanted);
    }

    fn any_text(&mut self, name: &str, value: &'a Value, wanted: &dyn Display) -> &'a str {
        match value {
            Value::String(text) => text,
            other => {
                self.refuse_type(name, other, wanted);
                ""
            }
        }
    }

    /// Takes `sensor_id`, `site_id` or `run`.
    pub(crate) fn id(&mut self, name: &str) -> &'a str {
        let Some(value) = self.get(name) else { return "" };
        let wanted = format!("text of 1 to {ID_BYTES_MAX} bytes");
        let id = self.any_text(name, value, &wanted);
        if value.is_string() && (id.is_empty() || id.len() > ID_BYTES_MAX) {
            self.refuse(Reason::ImpossibleValue, name, &quote(value), &wanted);
        }
        id
    }

    /// Takes a text that may be absent and has a greatest size.
    pub(crate) fn text_up_to(&mut self, name: &str, bytes_max: usize) -> &'a str {
        let Some(value) = self.object.get(name) else { return "" };
        let wanted = format!("text of at most {bytes_max} bytes");
        let text = self.any_text(name, value, &wanted);
        if text.len() > bytes_max {
            let found = format!("text of {} bytes", text.len());
            self.refuse(Reason::ImpossibleValue, name, &found, &wanted);
        }
        text
    }

    /// Takes one of several names; a name that is none of them is refused for the reason given.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        name: &str,
        known: &[T],
        name_of: impl Fn(T) -> &'static str,
        reason: Reason,
    ) -> Option<T> {
        let value = self.get(name)?;
        let names: Vec<&str> = known.iter().map(|known| name_of(*known)).collect();
        let wanted = format!("one of {}", names.join(", "));
        let text = self.any_text(name, value, &wanted);
        let found = known.iter().copied().find(|known| name_of(*known) == text);
        if found.is_none() && value.is_string() {
            self.refuse(reason, name, &quote(value), &wanted);
        }
        found
    }

    /// Takes `ts`, in epoch milliseconds.
    pub(crate) fn ts(&mut self) -> i64 {
        let Some(value) = self.get("ts") else { return 0 };
        let wanted = "epoch milliseconds such as 1764000000000, from 2000 up to 2100";
        match whole(value) {
            Some(ts) if TS_RANGE_MS.contains(&ts) => return ts,
            Some(_) => {
                self.refuse(Reason::TimestampOutOfBounds, "ts", &quote(value), &wanted);
            }
            None => self.refuse_type("ts", value, &wanted),
        }
        0
    }

    /// Takes `seq`.
    pub(crate) fn seq(&mut self) -> i64 {
        let Some(value) = self.get("seq") else { return 0 };
        let wanted = format!("a whole number from 0 to {SEQ_MAX}");
        match whole(value) {
            Some(seq) if (0..=SEQ_MAX).contains(&seq) => return seq,
            Some(_) => self.refuse(Reason::ImpossibleValue, "seq", &quote(value), &wanted),
            None if is_whole(value) => {
                self.refuse(Reason::ImpossibleValue, "seq", &quote(value), &wanted);
            }
            None => self.refuse_type("seq", value, &wanted),
        }
        0
    }

    /// Takes a number.
    pub(crate) fn number(&mut self, name: &str, wanted: &dyn Display) -> Option<f64> {
        let value = self.get(name)?;
        let number = value.as_f64();
        if number.is_none() {
            self.refuse_type(name, value, wanted);
        }
        number
    }

    /// Takes a number within a range.
    pub(crate) fn degrees(&mut self, name: &str, max: f64) -> f64 {
        let wanted = format!("degrees from -{max} to {max}");
        let Some(degrees) = self.number(name, &wanted) else { return 0.0 };
        if !(-max..=max).contains(&degrees) {
            let found = degrees.to_string();
            self.refuse(Reason::ImpossibleValue, name, &found, &wanted);
        }
        degrees
    }

    /// Takes the fields of an object that is itself a field.
    pub(crate) fn within<T>(
        &mut self,
        name: &'static str,
        path: &'static str,
        wanted: &dyn Display,
        take: impl FnOnce(&mut Fields<'_>) -> T,
    ) -> Option<T> {
        match self.get(name)? {
            Value::Object(object) => {
                let mut inner = Fields { path, ..Fields::new(object) };
                let taken = take(&mut inner);
                self.missing.append(&mut inner.missing);
                self.problems.append(&mut inner.problems);
                Some(taken)
            }
            other => {
                self.refuse_type(name, other, wanted);
                None
            }
        }
    }

    /// Returns everything that is wrong.
    pub(crate) fn finish(self) -> Result<(), ContractError> {
        let mut texts = Vec::new();
        if !self.missing.is_empty() {
            let names: Vec<String> = self.missing.iter().map(|name| format!("`{name}`")).collect();
            texts.push(format!("missing {}{}", names.join(", "), self.hints()));
        }
        texts.extend(self.problems.iter().map(|(_, text)| text.clone()));
        if texts.is_empty() {
            return Ok(());
        }
        let has = |reason| self.problems.iter().any(|(other, _)| *other == reason);
        let reason = if !self.missing.is_empty() || has(Reason::Malformed) {
            Reason::Malformed
        } else if has(Reason::UnknownKind) {
            Reason::UnknownKind
        } else if has(Reason::TimestampOutOfBounds) {
            Reason::TimestampOutOfBounds
        } else {
            Reason::ImpossibleValue
        };
        let mut detail = texts.join("; ");
        if detail.len() > DETAIL_BYTES_MAX {
            detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
            detail += " ...";
        }
        Err(ContractError::Fields { reason, detail })
    }

    /// Names fields that may be what is missing under another name.
    fn hints(&self) -> String {
        let mut hints = String::new();
        for (ours, others) in FOREIGN_NAMES {
            let is_missing = self.missing.iter().any(|missing| missing == ours);
            let found = others.iter().find(|other| self.object.contains_key(**other));
            if let (true, Some(other)) = (is_missing, found) {
                hints += &format!(", is `{other}` meant as `{ours}`?");
            }
        }
        hints
    }
}

/// Returns a number that is whole, however it is written: `7`, `7.0` and `0.7e1` are the same.
fn whole(value: &Value) -> Option<i64> {
    if let Some(whole) = value.as_i64() {
        return Some(whole);
    }
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < EXACT_MAX);
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
    number.map(|number| number as i64)
}

/// Tells whether a number is whole, also where that is not exact any more.
fn is_whole(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// Shows a value as it would stand in JSON, on one line and not too long.
fn quote(value: &Value) -> String {
    let what = match value {
        Value::Array(_) => "an array: ",
        Value::Object(_) => "an object: ",
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => "",
    };
    let text = value.to_string();
    let mut quoted = String::from(what);
    for (count, character) in text.chars().enumerate() {
        if count == QUOTED_CHARS_MAX {
            quoted += &format!("... ({} bytes)", text.len());
            break;
        }
        // JSON leaves marks of direction as they are.
        match character {
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{7f}'..='\u{9f}' => quoted.extend(character.escape_unicode()),
            other => quoted.push(other),
        }
    }
    quoted
}

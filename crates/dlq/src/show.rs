//! Shows all of one dead letter.

use std::io::{self, Write};
use std::process::ExitCode;

use runtime::Shutdown;
use runtime::text::printable;
use serde_json::{Map, Value, json};

use crate::error::DlqError;
use crate::letter::Letter;
use crate::record::Record;
use crate::settings::{OutputFormat, ShowSettings};
use crate::text::{hex, text_or_dump, text_or_hex, time};
use crate::topic::DeadLetters;

/// Shows the dead letter at a place, whether it waits or not.
pub(crate) fn show(
    settings: &ShowSettings,
    shutdown: &Shutdown,
    output: &mut impl Write,
) -> Result<ExitCode, DlqError> {
    let record = find(settings, shutdown)?;
    match settings.common.format {
        OutputFormat::Text => write_text(&record, output)?,
        OutputFormat::Json => writeln!(output, "{}", to_json(&record))?,
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn find(settings: &ShowSettings, shutdown: &Shutdown) -> Result<Record, DlqError> {
    let (partition, offset) = (settings.partition, settings.offset);
    let dead_letters = DeadLetters::open(&settings.common, shutdown)?;
    let extents = dead_letters.extents()?;
    let nothing = |found: String| {
        let topic = settings.common.topic.clone();
        DlqError::NoSuchLetter { topic, partition, offset, found }
    };
    let extent = extents.iter().find(|extent| extent.partition == partition);
    let extent = extent.ok_or_else(|| nothing(format!("it has {} partitions", extents.len())))?;
    if extent.low >= extent.high {
        return Err(nothing("the partition is empty".into()));
    }
    if !(extent.low..extent.high).contains(&offset) {
        return Err(nothing(format!("offsets go from {} to {}", extent.low, extent.high - 1)));
    }
    let record = dead_letters.records(partition, offset, offset + 1)?.next()?;
    record.ok_or_else(|| nothing("the offset is a gap".into()))
}

fn write_text(record: &Record, output: &mut impl Write) -> io::Result<()> {
    let Record { partition, offset, .. } = record;
    writeln!(output, "dead letter {partition}/{offset}")?;
    let mut field =
        |name: &str, value: &str| writeln!(output, "{name:10} {}", printable(value).trim_end());
    match Letter::read(record) {
        Ok(letter) => {
            let Letter { topic, partition, offset, .. } = &letter;
            field("origin", &format!("{topic}[{partition}]@{offset}"))?;
            field("sent at", &time(letter.timestamp_ms))?;
            field("reason", letter.reason.name())?;
            field("detail", letter.detail.as_deref().unwrap_or("-"))?;
            field("attempts", &letter.attempts.to_string())?;
            field("given up", letter.service.as_deref().unwrap_or("-"))?;
        }
        Err(damage) => field("unreadable", &damage.to_string())?,
    }
    field("time", &time(record.timestamp_ms))?;
    field("key", &record.key.as_deref().map_or_else(|| "none".into(), text_or_hex))?;
    for header in &record.headers {
        let value = header.value.as_deref().map_or_else(|| "none".into(), text_or_hex);
        field("header", &format!("{}: {value}", header.name))?;
    }
    match &record.value {
        None => writeln!(output, "no value"),
        Some(value) => {
            writeln!(output, "value of {} bytes:\n{}", value.len(), text_or_dump(value))
        }
    }
}

fn to_json(record: &Record) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Value| object.insert(name.to_owned(), value);
    set("partition", record.partition.into());
    set("offset", record.offset.into());
    set("timestamp_ms", record.timestamp_ms.into());
    set("key", bytes(record.key.as_deref()));
    let headers = record.headers.iter();
    let headers = headers.map(|h| json!({ "name": h.name, "value": bytes(h.value.as_deref()) }));
    set("headers", headers.collect());
    set("value", bytes(record.value.as_deref()));
    object.into()
}

/// Text is a string, nothing is null, and what is no text is an object with its hex digits.
fn bytes(bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "hex": hex(bytes) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::letter;

    fn text_of(record: &Record) -> String {
        let mut output = Vec::new();
        write_text(record, &mut output).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn everything_is_shown() {
        let text = text_of(&letter());
        for line in [
            "dead letter 3/17",
            "origin     sensor-readings[3]@1234",
            "reason     malformed",
            "key        plant",
            "header     schema-version: 1",
            "header     dlq-attempts: 2",
            "value of 8 bytes:",
            "not json",
        ] {
            assert!(text.lines().any(|found| found == line), "`{line}` is missing in\n{text}");
        }
    }

    #[test]
    fn what_is_no_dead_letter_is_shown_as_it_is() {
        let record = Record { value: Some(vec![0xff, 0x41]), ..Record::default() };
        let text = text_of(&record);
        assert!(text.contains("unreadable header dlq-topic is missing"), "{text}");
        assert!(text.contains("00000000  ff 41 "), "{text}");
        assert_eq!(to_json(&record)["value"], json!({ "hex": "ff41" }));
        assert_eq!(to_json(&record)["key"], Value::Null);
    }
}

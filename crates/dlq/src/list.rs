//! Lists dead letters, one a line, and counts them by reason.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use runtime::Shutdown;
use serde::Serialize;
use tracing::info;

use crate::error::DlqError;
use crate::letter::Letter;
use crate::record::Record;
use crate::settings::{ListSettings, OutputFormat};
use crate::text::{shorten, time};
use crate::topic::DeadLetters;

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Entry {
    partition: i32,
    offset: i64,
    /// Whether no redrive has passed it.
    waiting: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_offset: Option<i64>,
    /// Name of the reason; `unreadable` for what is no dead letter.
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp_ms: Option<i64>,
    detail: String,
}

impl Entry {
    fn new(record: &Record, waiting_from: i64) -> Self {
        let entry = Self {
            partition: record.partition,
            offset: record.offset,
            waiting: record.offset >= waiting_from,
            origin_topic: None,
            origin_partition: None,
            origin_offset: None,
            reason: "unreadable",
            attempts: None,
            timestamp_ms: record.timestamp_ms,
            detail: String::new(),
        };
        match Letter::read(record) {
            Ok(letter) => Self {
                origin_topic: Some(letter.topic),
                origin_partition: Some(letter.partition),
                origin_offset: Some(letter.offset),
                reason: letter.reason.name(),
                attempts: Some(letter.attempts),
                detail: letter.detail.unwrap_or_default(),
                ..entry
            },
            Err(damage) => Self { detail: damage.to_string(), ..entry },
        }
    }

    fn write(&self, format: OutputFormat, output: &mut impl Write) -> io::Result<()> {
        match format {
            OutputFormat::Text => writeln!(output, "{}", self.line()),
            OutputFormat::Json => {
                serde_json::to_writer(&mut *output, self)?;
                writeln!(output)
            }
        }
    }

    fn line(&self) -> String {
        let origin = match (&self.origin_topic, self.origin_partition, self.origin_offset) {
            (Some(topic), Some(partition), Some(offset)) => {
                format!("{}[{partition}]@{offset}", shorten(topic))
            }
            _ => "-".to_owned(),
        };
        let line = format!(
            "{:>9} {:>8} {:7} {:30} {:23} {:>8} {:24} {}",
            self.partition,
            self.offset,
            if self.waiting { "waiting" } else { "done" },
            origin,
            self.reason,
            self.attempts.map_or_else(|| "-".to_owned(), |attempts| attempts.to_string()),
            time(self.timestamp_ms),
            shorten(&self.detail)
        );
        line.trim_end().to_owned()
    }

    fn head() -> String {
        format!(
            "{:>9} {:>8} {:7} {:30} {:23} {:>8} {:24} {}",
            "PARTITION", "OFFSET", "STATE", "ORIGIN", "REASON", "ATTEMPTS", "TIME", "DETAIL"
        )
    }
}

/// How many there are of each reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    reasons: BTreeMap<&'static str, u64>,
    listed: u64,
    waiting: u64,
}

impl Counts {
    fn add(&mut self, entry: &Entry) {
        *self.reasons.entry(entry.reason).or_default() += 1;
        self.listed += 1;
        self.waiting += u64::from(entry.waiting);
    }

    /// Returns the last line of the list.
    fn line(&self, all: bool) -> String {
        let Self { listed, waiting, .. } = self;
        let head = if all {
            format!("dead letters: {listed} in all, {waiting} waiting")
        } else {
            format!("dead letters: {waiting} waiting")
        };
        let mut reasons: Vec<_> = self.reasons.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let reasons: Vec<String> =
            reasons.into_iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        if reasons.is_empty() { head } else { format!("{head}: {}", reasons.join(", ")) }
    }
}

/// Lists the dead letters that wait, or all, in the order of partitions and offsets.
pub(crate) fn list(
    settings: &ListSettings,
    shutdown: &Shutdown,
    output: &mut impl Write,
) -> Result<ExitCode, DlqError> {
    let format = settings.common.format;
    let dead_letters = DeadLetters::open(&settings.common, shutdown)?;
    let mut counts = Counts::default();
    let lines_max = settings.limit.unwrap_or(u64::MAX);
    for extent in dead_letters.extents()? {
        let waiting_from = extent.waiting_from();
        let from = if settings.all { extent.low } else { waiting_from };
        let mut records = dead_letters.records(extent.partition, from, extent.high)?;
        while let Some(record) = records.next()? {
            let entry = Entry::new(&record, waiting_from);
            if counts.listed == 0 && format == OutputFormat::Text {
                writeln!(output, "{}", Entry::head())?;
            }
            if counts.listed < lines_max {
                entry.write(format, output)?;
            }
            counts.add(&entry);
        }
    }
    let more = counts.listed.saturating_sub(lines_max);
    match format {
        OutputFormat::Text => {
            if more > 0 {
                writeln!(output, "... and {more} more")?;
            }
            writeln!(output, "{}", counts.line(settings.all))?;
        }
        // Every line of the output is a dead letter.
        OutputFormat::Json => info!("{}", counts.line(settings.all)),
    }
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::testing::letter;

    #[test]
    fn a_line_says_where_it_is_where_it_came_from_and_why() {
        let line = Entry::new(&letter(), 17).line();
        let words: Vec<&str> = line.split_whitespace().collect();
        let place = ["3", "17", "waiting", "sensor-readings[3]@1234", "malformed", "2"];
        assert_eq!(words[..6], place);
        assert_eq!(words[6..].join(" "), "2025-11-24T16:00:00.000Z no JSON: expected ident");
    }

    #[test]
    fn what_is_no_dead_letter_is_listed_too() {
        let record = Record { partition: 1, offset: 2, ..Record::default() };
        let entry = Entry::new(&record, 3);
        assert_eq!((entry.reason, entry.waiting), ("unreadable", false));
        assert!(entry.line().ends_with("header dlq-topic is missing"), "{}", entry.line());
        let json = serde_json::to_value(&entry).unwrap();
        assert_eq!(json["reason"], "unreadable");
        assert!(json.get("origin_topic").is_none(), "{json}");
    }

    #[test]
    fn the_last_line_counts_by_reason() {
        let mut counts = Counts::default();
        assert_eq!(counts.line(false), "dead letters: 0 waiting");
        for _ in 0..2 {
            counts.add(&Entry::new(&letter(), 17));
        }
        counts.add(&Entry::new(&Record::default(), 0));
        assert_eq!(counts.line(false), "dead letters: 3 waiting: malformed 2, unreadable 1");
        counts.add(&Entry::new(&letter(), 18));
        let all = "dead letters: 4 in all, 3 waiting: malformed 3, unreadable 1";
        assert_eq!(counts.line(true), all);
    }
}

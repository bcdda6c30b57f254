//! Logs: readable lines for people, JSON for machines, on standard error so that results own
//! standard output; on request also in files, a day each.

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use serde::Deserialize;
use tracing::Subscriber;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::settings::{Reader, Setting};
use crate::text::is_unprintable;

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line.
    Text,
    /// One JSON object.
    Json,
}

/// Settings of the log.
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    filter: String,
    format: LogFormat,
    files: Option<LogFiles>,
}

/// Where log files go.
#[derive(Clone, Debug)]
struct LogFiles {
    folder: PathBuf,
    days_max: usize,
}

impl TelemetrySettings {
    /// Reads `ENVIRONMENT` and the settings whose defaults it decides about.
    pub fn read(reader: &mut Reader) -> Self {
        let environment = reader.text_if_set(Setting::plain(
            "ENVIRONMENT",
            "",
            "`production` makes json the default of LOG_FORMAT, and `logs` that of LOG_DIR",
        ));
        let is_production = environment.is_some_and(|name| name.eq_ignore_ascii_case("production"));
        let filter = reader.text(Setting {
            name: "LOG_LEVEL",
            default: "info,scylla=warn",
            unit: "",
            meaning: "Least level to log, also per module: `info,consumer=debug`",
        });
        let filter = usual_names(&filter).unwrap_or_else(|| {
            let allowed = "off, error, warn, info, debug, trace, or a list of module=level";
            reader.refuse("LOG_LEVEL", &filter, allowed);
            "info".into()
        });
        let format: Option<LogFormat> = reader.choice_if_set(
            Setting::plain("LOG_FORMAT", "", "Form of log lines; not set: text"),
            "text or json",
        );
        let usual = if is_production { LogFormat::Json } else { LogFormat::Text };
        Self { filter, format: format.unwrap_or(usual), files: read_files(reader, is_production) }
    }
}

fn read_files(reader: &mut Reader, is_production: bool) -> Option<LogFiles> {
    let folder = reader.text_if_set(Setting::plain(
        "LOG_DIR",
        "",
        "Folder that also gets the log, as JSON, a file a day; `none` for no files",
    ));
    let days_max = reader.number(
        Setting {
            name: "LOG_DAYS_MAX",
            default: "7",
            unit: "days",
            meaning: "Days of which log files are kept",
        },
        2..=10_000,
    );
    let folder = match folder.as_deref() {
        Some("none") => return None,
        None if !is_production => return None,
        folder => folder.unwrap_or("logs").into(),
    };
    Some(LogFiles { folder, days_max })
}

/// Returns a filter in which levels have the names that the subscriber knows, in any case and also
/// as syslog and Python name them; `None` if one is not a level. The subscriber itself would take a
/// mistyped level for the name of a module, and log nothing.
fn usual_names(filter: &str) -> Option<String> {
    let mut directives = Vec::new();
    for directive in filter.split(',') {
        let (module, level) = match directive.trim().rsplit_once('=') {
            Some((module, level)) => (Some(module), level),
            None => (None, directive.trim()),
        };
        let level = match level.to_ascii_lowercase().as_str() {
            "off" => "off",
            "error" | "critical" | "fatal" => "error",
            "warn" | "warning" => "warn",
            "info" | "notice" => "info",
            "debug" => "debug",
            "trace" => "trace",
            _ => return None,
        };
        directives.push(module.map_or(level.to_owned(), |module| format!("{module}={level}")));
    }
    let filter = directives.join(",");
    EnvFilter::try_new(&filter).is_ok().then_some(filter)
}

/// A folder that takes no log files.
#[derive(Debug, thiserror::Error)]
#[error("LOG_DIR=`{}`: allowed is a folder that can be written to, or none", .folder.display())]
pub(crate) struct LogFilesError {
    folder: PathBuf,
    source: InitError,
}

/// Installs the subscriber; called once, from the process shell.
pub(crate) fn init(process: &str, settings: &TelemetrySettings) -> Result<(), LogFilesError> {
    let files = match &settings.files {
        None => None,
        Some(files) => {
            let output = files.open(process)?;
            Some(json_layer(Lines { output, escape: Escape::Json }))
        }
    };
    let filter = EnvFilter::new(&settings.filter);
    let base = tracing_subscriber::registry().with(filter).with(files);
    match settings.format {
        LogFormat::Text => {
            let coloured = is_coloured();
            let lines = Lines { output: io::stderr, escape: Escape::Text { coloured } };
            let text = fmt::layer().with_target(false).with_ansi(coloured).with_writer(lines);
            base.with(text).init();
        }
        LogFormat::Json => {
            let lines = Lines { output: io::stderr, escape: Escape::Json };
            base.with(json_layer(lines)).init();
        }
    }
    Ok(())
}

fn json_layer<S, M>(lines: Lines<M>) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    M: for<'a> MakeWriter<'a> + 'static,
{
    fmt::layer().with_target(false).json().flatten_event(true).with_writer(lines)
}

impl LogFiles {
    /// Opens today's file of a process, `sensorium-consumer.2026-01-31.log`; several processes of
    /// one name share it, since each line is appended as a whole. Of the files whose names begin
    /// and end like that, old ones are deleted.
    fn open(&self, process: &str) -> Result<RollingFileAppender, LogFilesError> {
        // The library would make it as well, but complain first that it cannot be read. What keeps
        // it from being made is told by the library.
        let _made = fs::create_dir_all(&self.folder);
        RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(format!("sensorium-{process}"))
            .filename_suffix("log")
            .max_log_files(self.days_max)
            .build(&self.folder)
            .map_err(|source| LogFilesError { folder: self.folder.clone(), source })
    }
}

/// Makes each line of the log a [`Line`].
struct Lines<M> {
    output: M,
    escape: Escape,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Lines<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Line { output: self.output.make_writer(), escape: self.escape }
    }
}

/// How a line shows what a terminal would obey.
#[derive(Clone, Copy, Debug)]
enum Escape {
    /// As `\u{1b}`; where lines are coloured, the formatter's own colours stay.
    Text { coloured: bool },
    /// As JSON does.
    Json,
}

/// Writes one line of the log, whatever strangers have put into it: identifiers from records, what
/// servers say. In one place, so that no call site can forget.
struct Line<W> {
    output: W,
    escape: Escape,
}

impl<W: Write> Write for Line<W> {
    /// The formatter hands a line over as a whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        let mut shown = String::with_capacity(text.len());
        let mut rest = body;
        while let Some(place) = rest.find(is_unprintable) {
            shown.push_str(&rest[..place]);
            rest = &rest[place..];
            let colour = match self.escape {
                Escape::Text { coloured: true } => colour_code(rest),
                Escape::Text { coloured: false } | Escape::Json => None,
            };
            if let Some(code) = colour {
                shown.push_str(code);
                rest = &rest[code.len()..];
                continue;
            }
            let character = rest.chars().next().unwrap_or_default();
            match self.escape {
                Escape::Text { .. } => shown.extend(character.escape_unicode()),
                // All of them are in the basic plane, and stand in a string.
                Escape::Json => shown += &format!("\\u{:04x}", u32::from(character)),
            }
            rest = &rest[character.len_utf8()..];
        }
        shown.push_str(rest);
        shown.push_str(&text[body.len()..]);
        self.output.write_all(shown.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Returns the code at the start of a text that sets a colour, as the formatter writes it.
fn colour_code(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    let is_colour = parameters[end..].starts_with('m');
    is_colour.then(|| &text[..="\x1b[".len() + end])
}

/// Tells whether standard error takes colours: a terminal that knows them, unless `NO_COLOR`
/// (no-color.org) is set.
pub fn is_coloured() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    obeys_escape_codes() && !is_set("NO_COLOR")
}

/// Tells whether standard error is a terminal that obeys escape codes; `TERM=dumb` names one that
/// does not.
pub fn obeys_escape_codes() -> bool {
    io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_their_usual_names_and_a_typo_hides_nothing() {
        for (given, expected) in [
            ("WARNING", "warn"),
            ("Critical", "error"),
            ("info,scylla=warn", "info,scylla=warn"),
            ("INFO, consumer=DEBUG", "info,consumer=debug"),
        ] {
            assert_eq!(usual_names(given).as_deref(), Some(expected));
        }
        for typo in ["WARNNG", "verbose", "info,consumer", "consumer=loud", "=", ""] {
            assert_eq!(usual_names(typo), None, "{typo}");
        }
    }

    fn read(given: &[(&str, &str)]) -> TelemetrySettings {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut reader = Reader::new(given.collect());
        let settings = TelemetrySettings::read(&mut reader);
        assert!(reader.problems().is_empty(), "{:?}", reader.problems());
        settings
    }

    #[test]
    fn production_logs_json_to_files_unless_told_otherwise() {
        let kind = |given: &[(&str, &str)]| {
            let settings = read(given);
            (settings.format, settings.files.map(|files| files.folder.display().to_string()))
        };
        let production = ("ENVIRONMENT", "production");
        assert_eq!(kind(&[]), (LogFormat::Text, None));
        assert_eq!(kind(&[("ENVIRONMENT", "staging")]), (LogFormat::Text, None));
        assert_eq!(kind(&[production]), (LogFormat::Json, Some("logs".into())));
        assert_eq!(kind(&[("ENVIRONMENT", "PRODUCTION")]), kind(&[production]));
        let text = kind(&[production, ("LOG_FORMAT", "text"), ("LOG_DIR", "/var/log/iot")]);
        assert_eq!(text, (LogFormat::Text, Some("/var/log/iot".into())));
        assert_eq!(kind(&[production, ("LOG_DIR", "none")]), (LogFormat::Json, None));
        assert_eq!(kind(&[("LOG_DIR", "here")]), (LogFormat::Text, Some("here".into())));
    }

    const EVIL: &str = "id=\x1b[2J\x1b]0;t\x07\n2026 ERROR forged\u{202e}\u{85}\u{feff}";

    fn written(text: &str, escape: Escape) -> String {
        let mut output = Vec::new();
        Line { output: &mut output, escape }.write_all(text.as_bytes()).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        for coloured in [false, true] {
            let line = written(&format!("WARN {EVIL}\n"), Escape::Text { coloured });
            assert_eq!(line.matches(is_unprintable).count(), 1, "{line:?}");
            assert!(line.ends_with('\n'), "{line:?}");
        }
    }

    #[test]
    fn the_colours_of_the_formatter_stay() {
        let line = "\x1b[2m12:00\x1b[0m \x1b[33mWARN\x1b[0m a\n";
        assert_eq!(written(line, Escape::Text { coloured: true }), line);
        assert!(!written(line, Escape::Text { coloured: false }).contains('\x1b'));
    }

    #[test]
    fn json_stays_json() {
        let object = serde_json::json!({ "message": EVIL }).to_string() + "\n";
        let line = written(&object, Escape::Json);
        assert_eq!(line.matches(is_unprintable).count(), 1, "{line:?}");
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back["message"], EVIL);
    }
}

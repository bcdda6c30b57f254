//! Logs: readable lines for people, JSON for machines, on standard error so that results own
//! standard output.

use std::env;
use std::io::{self, IsTerminal, Write};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

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
}

impl TelemetrySettings {
    /// Reads `LOG_LEVEL` and `LOG_FORMAT`.
    pub fn read(reader: &mut Reader) -> Self {
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
        let format = reader.choice(
            Setting { name: "LOG_FORMAT", default: "text", unit: "", meaning: "Form of log lines" },
            "text or json",
        );
        Self { filter, format }
    }
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

/// Installs the subscriber; called once, from the process shell.
pub(crate) fn init(settings: &TelemetrySettings) {
    let filter = EnvFilter::new(&settings.filter);
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    match settings.format {
        LogFormat::Text => {
            let coloured = is_coloured();
            let line = move || Line { output: io::stderr(), escape: Escape::Text { coloured } };
            base.with_ansi(coloured).with_writer(line).init();
        }
        LogFormat::Json => {
            let line = || Line { output: io::stderr(), escape: Escape::Json };
            base.json().flatten_event(true).with_writer(line).init();
        }
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

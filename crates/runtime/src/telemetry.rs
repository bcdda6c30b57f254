//! Logs: readable lines for people, JSON for machines, on standard error so that results own
//! standard output.

use std::env;
use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use crate::settings::{Reader, Setting};

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
        if EnvFilter::try_new(&filter).is_err() {
            let allowed = "error, warn, info, debug, trace, or a list of module=level";
            reader.refuse("LOG_LEVEL", &filter, allowed);
        }
        let format = reader.choice(
            Setting { name: "LOG_FORMAT", default: "text", unit: "", meaning: "Form of log lines" },
            "text or json",
        );
        Self { filter, format }
    }
}

/// Installs the subscriber; called once, from the process shell.
pub(crate) fn init(settings: &TelemetrySettings) {
    let filter = EnvFilter::new(&settings.filter);
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(io::stderr);
    match settings.format {
        LogFormat::Text => base.with_ansi(is_coloured()).init(),
        LogFormat::Json => base.json().flatten_event(true).init(),
    }
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

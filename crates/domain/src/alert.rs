//! The contract of the alert topic: what an alert says of an episode, from when it opened until it
//! is cleared.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::SensorKind;

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look today.
    Warning,
    /// Worth a call now.
    Critical,
}

impl Severity {
    /// Returns the name used in files, JSON and CQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for Severity {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let all = [Self::Info, Self::Warning, Self::Critical];
        let found = all.into_iter().find(|severity| severity.name() == name);
        found.ok_or_else(|| UnknownName { what: "severity", name: name.to_owned() })
    }
}

/// What has become of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// It lasts.
    Open,
    /// It is over.
    Cleared,
    /// It was said of an unfinished window, and what came later shows that there was none.
    Withdrawn,
}

impl AlertState {
    /// Returns the name used in JSON and CQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Cleared => "cleared",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for AlertState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AlertState {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let all = [Self::Open, Self::Cleared, Self::Withdrawn];
        let found = all.into_iter().find(|state| state.name() == name);
        found.ok_or_else(|| UnknownName { what: "state", name: name.to_owned() })
    }
}

/// A name that no state or severity of an alert has.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no {what} of an alert")]
pub struct UnknownName {
    /// State or severity.
    pub what: &'static str,
    /// The name.
    pub name: String,
}

/// One episode of one rule on one sensor, as it stands in a record of the alert topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The same for the same episode, whoever computes it and however often.
    pub alert_id: String,
    /// The building.
    pub site_id: String,
    /// The sensor.
    pub sensor_id: String,
    /// What the sensor measures.
    pub kind: SensorKind,
    /// Name of the rule or the detector.
    pub rule: String,
    /// How urgent it is.
    pub severity: Severity,
    /// What has become of it.
    pub state: AlertState,
    /// Start of the first window of the episode, in epoch milliseconds.
    pub started_at: i64,
    /// End of the window with which the alert was raised, in epoch milliseconds.
    pub opened_at: i64,
    /// End of the window with which it was cleared, in epoch milliseconds.
    pub cleared_at: Option<i64>,
    /// What raised it, in the rule's measure.
    pub value: f64,
    /// The level that it passed.
    pub threshold: f64,
    /// Whether this is said of an unfinished window, so that it may be taken back.
    #[serde(default)]
    pub provisional: bool,
}

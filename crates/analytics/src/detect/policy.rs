//! Which rules and detectors there are, read from TOML: every mistake in it is found at once.

mod parse;

use domain::SensorKind;
use domain::alert::Severity;

/// The rules in force unless a file takes their place.
const BUILT_IN: &str = include_str!("../../../../infra/analytics/rules.toml");

/// What of a window a rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Arithmetic mean of the values.
    Mean,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Greatest less least value.
    Range,
    /// Standard deviation.
    Stddev,
    /// Share of the readings whose status is not `ok`.
    NotOkShare,
    /// Share of the window at 1; of motion only.
    ActiveShare,
    /// Changes between 0 and 1; of motion only.
    Transitions,
    /// Mean less the sensor's slow average.
    Departure,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 9] = [
        Self::Mean,
        Self::Min,
        Self::Max,
        Self::Range,
        Self::Stddev,
        Self::NotOkShare,
        Self::ActiveShare,
        Self::Transitions,
        Self::Departure,
    ];

    /// Returns the name used in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::Range => "range",
            Self::Stddev => "stddev",
            Self::NotOkShare => "not_ok_share",
            Self::ActiveShare => "active_share",
            Self::Transitions => "transitions",
            Self::Departure => "departure",
        }
    }

    /// Tells whether windows of a kind of sensor have it, or those of any.
    const fn is_of(self, kind: Option<SensorKind>) -> bool {
        match self {
            Self::ActiveShare | Self::Transitions => matches!(kind, Some(SensorKind::Motion)),
            _ => true,
        }
    }
}

/// A threshold for one kind of sensor, or for all.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Unique, but for entries of other sites.
    pub name: String,
    /// The sensors it is for; `None` is any.
    pub kind: Option<SensorKind>,
    /// The only site it is for; it takes the place of the rule of the same name there.
    pub site: Option<String>,
    /// What it looks at.
    pub measure: Measure,
    /// Level that starts an episode; it looks up where this is above `clear`, else down.
    pub fire: f64,
    /// Level that ends it.
    pub clear: f64,
    /// Windows until it is raised, at least 1.
    pub for_windows: u32,
    /// Windows of calm until it is cleared, at least 1.
    pub hold_windows: u32,
    /// How urgent it is.
    pub severity: Severity,
    /// Counts only windows in which somebody moves on the site.
    pub occupied: bool,
}

/// One detector's switch and levels; what they count is said in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detector {
    /// Its name, which its alerts carry as their rule.
    pub name: &'static str,
    /// Whether it is on.
    pub enabled: bool,
    /// How urgent its alerts are.
    pub severity: Severity,
    /// Level that opens an alert.
    pub fire: f64,
    /// Level at which calm begins.
    pub clear: f64,
    /// Windows of calm until it is cleared, at least 1.
    pub hold_windows: u32,
}

/// Names of the detectors, in the order of the fields of [`Detectors`].
pub(super) const DETECTORS: [&str; 6] = ["anomaly", "noise", "stuck", "dropout", "silent", "drift"];

/// The detectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detectors {
    /// The mean is off.
    pub anomaly: Detector,
    /// The range is too large.
    pub noise: Detector,
    /// Nothing changes.
    pub stuck: Detector,
    /// The low end of the range.
    pub dropout: Detector,
    /// No readings.
    pub silent: Detector,
    /// Off by more from day to day.
    pub drift: Detector,
}

/// The rules and detectors in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    rules: Vec<Rule>,
    detectors: Detectors,
}

/// One mistake in a policy's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is, such as `rules[2].fire`.
    pub place: String,
    /// What stands there.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

/// A policy that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(.0))]
pub struct PolicyError(pub Vec<Problem>);

fn describe(problems: &[Problem]) -> String {
    let lines = problems.iter().map(|Problem { place, value, allowed }| {
        format!("{place}: `{value}` is not allowed: use {allowed}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Policy {
    /// Returns the policy that is compiled in, `infra/analytics/rules.toml`.
    ///
    /// # Panics
    ///
    /// Never: a test reads the same text.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("the policy of the repository is valid")
    }

    /// Reads a policy.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        parse::policy(text)
    }

    /// Returns the detectors.
    pub fn detectors(&self) -> &Detectors {
        &self.detectors
    }

    /// Returns the rules of a kind on a site: those of the site in the place of the general ones.
    pub fn rules_of<'a>(
        &'a self,
        kind: SensorKind,
        site_id: &'a str,
    ) -> impl Iterator<Item = &'a Rule> + Clone {
        let is_of_site = move |rule: &Rule| rule.site.as_deref() == Some(site_id);
        self.rules.iter().filter(move |rule| {
            let overridden =
                || self.rules.iter().any(|other| other.name == rule.name && is_of_site(other));
            let is_of_kind = rule.kind.is_none_or(|own| own == kind);
            is_of_kind && (is_of_site(rule) || (rule.site.is_none() && !overridden()))
        })
    }
}

#[cfg(test)]
mod tests;

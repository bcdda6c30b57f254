//! Settings from environment variables and flags: typed, documented, and every bad one named in one
//! go.
//!
//! A process describes its settings once, as calls of [`Reader`]. The same calls give the values,
//! `--help`, and the reference page: there is no second list to keep in step.

mod cli;
mod names;
mod reference;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::text::printable;

pub use cli::{Face, Invocation, invocation};
pub use names::{alias_hint, setting_of};

/// One setting: its name in the environment and what a person needs to know about it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name of the environment variable.
    pub name: &'static str,
    /// The value where none is given; empty stands for "not set".
    pub default: &'static str,
    /// Unit of the value; empty where it has none.
    pub unit: &'static str,
    /// What it does, one line.
    pub meaning: &'static str,
}

impl Setting {
    /// Makes a setting without a unit.
    pub const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default, unit: "", meaning }
    }

    /// Returns the flag: the name without the group that the process makes clear, in kebab case.
    pub fn flag(&self) -> String {
        names::flag(self.name)
    }

    /// Returns the flags that stand for the same.
    pub fn other_flags(&self) -> impl Iterator<Item = String> {
        names::aliases(self.name).map(names::flag)
    }
}

/// A setting with what it accepts.
#[derive(Clone, Debug)]
pub struct Described {
    /// The setting.
    pub setting: Setting,
    /// The accepted values, in words.
    pub allowed: String,
    /// Whether the flag alone stands for `true`.
    pub is_switch: bool,
}

/// A value that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}=`{}`: allowed is {allowed}", printable(.value))]
pub struct Problem {
    /// Name of the environment variable.
    pub name: String,
    /// The value at fault.
    pub value: String,
    /// What would have been accepted.
    pub allowed: String,
}

/// Hands out settings and remembers what was asked for, what was given and what was wrong.
#[derive(Debug, Default)]
pub struct Reader {
    given: BTreeMap<String, String>,
    defaults: BTreeMap<&'static str, &'static str>,
    described: Vec<Described>,
    effective: Vec<(&'static str, String)>,
    hints: Vec<String>,
    problems: Vec<Problem>,
}

impl Reader {
    /// Starts from the given values, by environment name.
    pub fn new(given: BTreeMap<String, String>) -> Self {
        Self { given, ..Self::default() }
    }

    /// Gives a setting that is read later another default, which suits this program better.
    pub fn set_default(&mut self, name: &'static str, default: &'static str) {
        self.defaults.insert(name, default);
    }

    /// Reads a number within a range.
    ///
    /// # Panics
    ///
    /// Panics if the default is refused by the setting's own rule, which is a bug that any test run
    /// finds.
    pub fn number<T>(&mut self, setting: Setting, range: RangeInclusive<T>) -> T
    where
        T: DeserializeOwned + PartialOrd + Display,
    {
        let allowed = format!("{} to {}", range.start(), range.end());
        self.read(setting, allowed, |value| range.contains(value))
    }

    /// Reads a number that may be left out.
    pub fn number_if_set<T>(&mut self, setting: Setting, range: RangeInclusive<T>) -> Option<T>
    where
        T: DeserializeOwned + PartialOrd + Display,
    {
        let allowed = format!("{} to {}, or nothing", range.start(), range.end());
        self.read_if_set(setting, allowed, |value| range.contains(value))
    }

    /// Reads a text that is not empty.
    pub fn text(&mut self, setting: Setting) -> String {
        self.read(setting, "any text but none".into(), |value: &String| !value.is_empty())
    }

    /// Reads a text that may be left out.
    pub fn text_if_set(&mut self, setting: Setting) -> Option<String> {
        self.read_if_set(setting, "any text, or nothing".into(), |_: &String| true)
    }

    /// Reads a comma-separated list of `host:port`.
    pub fn addresses(&mut self, setting: Setting) -> Vec<String> {
        let allowed = "a comma-separated list of host:port".into();
        self.read(setting, allowed, |list: &Vec<String>| {
            !list.is_empty() && list.iter().all(|address| is_address(address))
        })
    }

    /// Reads a value whose type says what is allowed, such as an enum.
    pub fn choice<T: DeserializeOwned>(&mut self, setting: Setting, allowed: &str) -> T {
        self.read(setting, allowed.into(), |_| true)
    }

    /// Reads such a value that may be left out.
    pub fn choice_if_set<T: DeserializeOwned>(
        &mut self,
        setting: Setting,
        allowed: &str,
    ) -> Option<T> {
        self.read_if_set(setting, format!("{allowed}, or nothing"), |_| true)
    }

    /// Reads what is off unless it is switched on.
    pub fn switch(&mut self, name: &'static str, meaning: &'static str) -> bool {
        let setting = Setting { name, default: "false", unit: "", meaning };
        let on = self.choice(setting, "true or false");
        if let Some(described) = self.described.last_mut() {
            described.is_switch = true;
        }
        on
    }

    /// Reads a comma-separated list of such values, at least one.
    pub fn choices<T: DeserializeOwned>(&mut self, setting: Setting, allowed: &str) -> Vec<T> {
        let allowed = format!("a comma-separated list of {allowed}");
        self.read(setting, allowed, |list: &Vec<T>| !list.is_empty())
    }

    /// Refuses a value that is right by itself but not together with others.
    pub fn refuse(&mut self, name: &str, value: impl Display, allowed: impl Into<String>) {
        let (name, value) = (self.name_given(name).to_owned(), value.to_string());
        self.problems.push(Problem { name, value, allowed: allowed.into() });
    }

    fn read<T: DeserializeOwned>(
        &mut self,
        setting: Setting,
        allowed: String,
        accepts: impl Fn(&T) -> bool,
    ) -> T {
        let value = self.value_of(setting, &allowed);
        parse(&value).filter(&accepts).unwrap_or_else(|| {
            self.refuse(setting.name, &value, allowed);
            // The value stands in until all problems are known; it is never used.
            parse(setting.default).expect("a default follows its own rule")
        })
    }

    fn read_if_set<T: DeserializeOwned>(
        &mut self,
        setting: Setting,
        allowed: String,
        accepts: impl Fn(&T) -> bool,
    ) -> Option<T> {
        let value = self.value_of(setting, &allowed);
        if value.is_empty() {
            return None;
        }
        let parsed = parse(&value).filter(accepts);
        if parsed.is_none() {
            self.refuse(setting.name, &value, allowed);
        }
        parsed
    }

    /// Tells whether a value was given, so that the default does not count.
    pub fn is_given(&self, setting: Setting) -> bool {
        self.given_value(setting).is_some()
    }

    fn given_value(&self, setting: Setting) -> Option<&str> {
        self.value_under(self.name_given(setting.name))
    }

    /// Returns the name under which a setting is given: its own, unless only another one is.
    fn name_given<'a>(&self, name: &'a str) -> &'a str {
        if self.value_under(name).is_some() {
            return name;
        }
        names::aliases(name).find(|alias| self.value_under(alias).is_some()).unwrap_or(name)
    }

    fn value_under(&self, name: &str) -> Option<&str> {
        let given = self.given.get(name).map(|value| value.trim());
        // An empty variable counts as not set: that is how a compose file passes nothing on.
        given.filter(|value| !value.is_empty())
    }

    fn value_of(&mut self, setting: Setting, allowed: &str) -> String {
        let default = self.defaults.get(setting.name).copied().unwrap_or(setting.default);
        let setting = Setting { default, ..setting };
        let value = self.given_value(setting).unwrap_or(setting.default).to_owned();
        self.look_at_aliases(setting.name, &value);
        let allowed = allowed.to_owned();
        self.described.push(Described { setting, allowed, is_switch: false });
        self.effective.push((setting.name, value.clone()));
        value
    }

    fn look_at_aliases(&mut self, name: &str, value: &str) {
        let read = self.name_given(name);
        for alias in names::aliases(name) {
            match self.value_under(alias) {
                Some(_) if alias == read => self.hints.push(alias_hint(alias, name)),
                Some(other) if other != value => {
                    self.hints.push(format!("{alias} is ignored: {read} is given"));
                }
                _ => {}
            }
        }
    }

    /// Returns what is to be said about the names of the values.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Returns every setting that was read.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// Returns the name and value of every setting, for the log.
    pub fn effective(&self) -> &[(&'static str, String)] {
        &self.effective
    }

    /// Returns everything that was refused.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

/// Parses one value through envy, one variable at a time, so that its name is never lost.
fn parse<T: DeserializeOwned>(value: &str) -> Option<T> {
    #[derive(Deserialize)]
    struct One<T> {
        value: T,
    }
    envy::from_iter([("value".to_owned(), value.to_owned())]).ok().map(|One { value }| value)
}

fn is_address(address: &str) -> bool {
    address.rsplit_once(':').is_some_and(|(host, port)| {
        !host.trim().is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

/// All problems, one a line.
#[derive(Debug)]
pub struct Problems<'a>(pub &'a [Problem]);

impl Display for Problems<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.0 {
            writeln!(f, "  {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

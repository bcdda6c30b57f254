//! The data contract of the topic of events: what happens to a sensor, as against what it measures
//! (docs/data-contract.md).

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::contract::{self, ContractError, Fields};
use crate::dead_letter::Reason;

/// Most bytes in `detail`.
pub const DETAIL_BYTES_MAX: usize = 256;

/// What happened to a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// It is heard of: for the first time in a run, or again.
    Online,
    /// It is not heard of any more.
    Offline,
    /// Its values are not to be trusted from now on.
    Fault,
    /// They are again.
    Recovered,
    /// Somebody serviced it.
    Maintenance,
    /// Its battery has another charge, in percent in `detail`.
    Battery,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Online,
        Self::Offline,
        Self::Fault,
        Self::Recovered,
        Self::Maintenance,
        Self::Battery,
    ];

    /// Returns the name used in JSON and CQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Fault => "fault",
            Self::Recovered => "recovered",
            Self::Maintenance => "maintenance",
            Self::Battery => "battery",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One event as it stands in a Kafka record; text is borrowed from the record where JSON allows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event<'a> {
    /// The sensor, unique over all sites: `site-0042/temperature-07`.
    pub sensor_id: Cow<'a, str>,
    /// The building, which is also the record's key: `site-0042`.
    pub site_id: Cow<'a, str>,
    /// What happened.
    pub event: EventKind,
    /// Event time in epoch milliseconds.
    pub ts: i64,
    /// Number of the event, per sensor and run: from 0, ascending with `ts`, with gaps.
    pub seq: i64,
    /// The producer run that made it.
    pub run: Cow<'a, str>,
    /// More about it, for people; may be empty or absent.
    pub detail: Cow<'a, str>,
}

impl<'a> Event<'a> {
    /// Decodes and checks one record value.
    pub fn decode(record: &'a [u8]) -> Result<Self, ContractError> {
        contract::check_size(record)?;
        let object = contract::object(record)?;
        let mut fields = Fields::new(&object);
        let [sensor_id, site_id, run] = ["sensor_id", "site_id", "run"].map(|id| fields.id(id));
        let event = fields.one_of("event", &EventKind::ALL, EventKind::name, Reason::UnknownKind);
        let (ts, seq) = (fields.ts(), fields.seq());
        let detail = fields.text_up_to("detail", DETAIL_BYTES_MAX);
        let text = |text: &str| Cow::Owned(text.to_owned());
        let event = Self {
            sensor_id: text(sensor_id),
            site_id: text(site_id),
            event: event.unwrap_or(EventKind::Online),
            ts,
            seq,
            run: text(run),
            detail: text(detail),
        };
        // What was put in for what is missing is never seen.
        fields.finish()?;
        Ok(event)
    }

    /// Appends the JSON of the event, about 150 bytes, to `record`.
    ///
    /// # Panics
    ///
    /// Never: text and numbers are JSON, and a vector takes every byte.
    pub fn encode(&self, record: &mut Vec<u8>) {
        serde_json::to_writer(record, self).expect("text and numbers are JSON");
    }
}

#[cfg(test)]
mod tests;

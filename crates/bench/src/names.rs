//! Topics, groups and keyspaces that no other turn uses, and the settings that name them.

use std::collections::BTreeMap;
use std::fmt::Display;

/// What only the consuming side uses.
const SINK: [&str; 7] = [
    "CASSANDRA_KEYSPACE",
    "KAFKA_CONSUMER_GROUP_ID",
    "KAFKA_DLQ_TOPIC_NAME",
    "ANALYTICS_GROUP_ID",
    "KAFKA_AGGREGATES_TOPIC_NAME",
    "KAFKA_ALERTS_TOPIC_NAME",
    "KAFKA_LATE_TOPIC_NAME",
];
/// The topics.
const TOPICS: [&str; 6] = [
    "KAFKA_TOPIC_NAME",
    "KAFKA_EVENTS_TOPIC_NAME",
    "KAFKA_DLQ_TOPIC_NAME",
    "KAFKA_AGGREGATES_TOPIC_NAME",
    "KAFKA_ALERTS_TOPIC_NAME",
    "KAFKA_LATE_TOPIC_NAME",
];

/// The environment of the released programs.
#[derive(Clone, Debug)]
pub struct Names(BTreeMap<&'static str, String>);

impl Names {
    /// Makes the names of turn `number` on these servers, with reports in `reports`.
    pub(crate) fn new(
        number: u32,
        bootstrap_servers: String,
        contact_points: String,
        reports: &str,
    ) -> Self {
        Self(BTreeMap::from([
            ("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers),
            ("KAFKA_TOPIC_NAME", format!("bench-readings-{number}")),
            ("KAFKA_EVENTS_TOPIC_NAME", format!("bench-events-{number}")),
            ("KAFKA_DLQ_TOPIC_NAME", format!("bench-dlq-{number}")),
            ("KAFKA_CONSUMER_GROUP_ID", format!("bench-group-{number}")),
            ("KAFKA_AGGREGATES_TOPIC_NAME", format!("bench-aggregates-{number}")),
            ("KAFKA_ALERTS_TOPIC_NAME", format!("bench-alerts-{number}")),
            ("KAFKA_LATE_TOPIC_NAME", format!("bench-late-{number}")),
            ("ANALYTICS_GROUP_ID", format!("bench-analytics-{number}")),
            ("CASSANDRA_CONTACT_POINTS", contact_points),
            ("CASSANDRA_KEYSPACE", format!("bench_{number}")),
            ("PRODUCER_REPORT_DIR", format!("{reports}/{number}")),
            ("PRODUCER_PROGRESS_INTERVAL_SEC", "1".into()),
            ("CONSUMER_PROGRESS_INTERVAL_SEC", "1".into()),
            ("ANALYTICS_PROGRESS_INTERVAL_SEC", "1".into()),
        ]))
    }

    /// Changes a setting.
    pub fn set(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.0.insert(name, value.to_string());
        self
    }

    /// Returns the names that only the consuming side has from another turn: topics stay.
    #[must_use]
    pub fn with_sink_of(&self, other: &Self) -> Self {
        let mut names = self.clone();
        for name in SINK {
            names.set(name, other.get(name));
        }
        names
    }

    /// Returns a setting; empty if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns the topic of the readings.
    pub fn topic(&self) -> &str {
        self.get("KAFKA_TOPIC_NAME")
    }

    /// Returns all topics; not each of them need exist.
    pub fn topics(&self) -> [&str; TOPICS.len()] {
        TOPICS.map(|name| self.get(name))
    }

    /// Returns the keyspace.
    pub fn keyspace(&self) -> &str {
        self.get("CASSANDRA_KEYSPACE")
    }

    /// Returns all settings.
    pub fn settings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

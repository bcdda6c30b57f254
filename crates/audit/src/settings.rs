//! The settings of the audit.

use std::path::PathBuf;
use std::time::Duration;

use runtime::cassandra::{CassandraSettings, ConsistencyLevel};
use runtime::kafka::{KafkaSettings, read_events_topic};
use runtime::{Reader, Setting};
use serde::Deserialize;

/// How the verdict is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Lines for people; the last one is the verdict.
    Text,
    /// One JSON object on one line.
    Json,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct AuditSettings {
    /// Where Kafka is.
    pub kafka: KafkaSettings,
    /// Where Cassandra is.
    pub cassandra: CassandraSettings,
    /// The topic of the events.
    pub events_topic: String,
    /// The consumer group that fills the tables.
    pub group_id: String,
    /// How many replicas have to answer a read.
    pub consistency: ConsistencyLevel,
    /// Folder with one report for each run.
    pub report_dir: PathBuf,
    /// The only run to audit.
    pub run: Option<String>,
    /// Whether rows of runs without a report are phantoms.
    pub strict: bool,
    /// How the verdict is printed.
    pub format: OutputFormat,
    /// Whether to wait until the consumers have stored what was in the topics.
    pub settle: bool,
    /// Longest such wait.
    pub settle_timeout: Duration,
}

impl AuditSettings {
    /// Reads all settings of the audit.
    pub fn read(reader: &mut Reader) -> Self {
        let report_dir =
            reader.text(Setting::plain("AUDIT_REPORT_DIR", "runs", "Folder of the run reports"));
        let run = reader.text_if_set(Setting::plain(
            "AUDIT_RUN",
            "",
            "The only run to audit; rows of other runs are left alone",
        ));
        let format =
            Setting::plain("AUDIT_FORMAT", "text", "Form of the verdict on standard output");
        let settle = Setting::plain(
            "AUDIT_SETTLE",
            "true",
            "Wait until the consumers have stored what was in the topics at the start",
        );
        let settle_timeout = Setting {
            unit: "s",
            ..Setting::plain(
                "AUDIT_SETTLE_TIMEOUT_SEC",
                "60",
                "Longest such wait without progress; then audits all the same",
            )
        };
        let consistency = Setting::plain(
            "CASSANDRA_READ_CONSISTENCY",
            "LOCAL_QUORUM",
            "Replicas that have to answer a read",
        );
        Self {
            report_dir: report_dir.into(),
            run,
            strict: reader.switch(
                "AUDIT_STRICT",
                "Whether rows of runs that have no report are phantoms, not foreign readings",
            ),
            format: reader.choice(format, "text or json"),
            settle: reader.choice(settle, "true or false"),
            settle_timeout: Duration::from_secs(reader.number(settle_timeout, 1..=86_400)),
            kafka: KafkaSettings::read(reader),
            events_topic: read_events_topic(reader),
            group_id: reader.text(Setting::plain(
                "KAFKA_CONSUMER_GROUP_ID",
                "sensorium-consumer",
                "Consumer group of the readings; `-events` is added for the events",
            )),
            cassandra: CassandraSettings::read(reader),
            consistency: reader.choice(consistency, ConsistencyLevel::ALLOWED),
        }
    }
}

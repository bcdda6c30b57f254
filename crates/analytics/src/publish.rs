//! The topics that the service writes: aggregates, alerts, and readings that came too late.

use domain::Alert;
use domain::aggregate::WindowRecord;
use domain::contract::{SCHEMA_VERSION, SCHEMA_VERSION_HEADER};
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use runtime::kafka::{self, durable_producer};

use crate::error::AnalyticsError;
use crate::settings::{ServiceSettings, Topics};
use crate::window::WindowRow;

/// What every header about a late reading itself begins with; the others are the record's own.
const HEADER_PREFIX: &str = "late-";

/// A reading that no window takes, as it is put on a topic of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LateReading {
    pub(crate) partition: i32,
    pub(crate) offset: u64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<kafka::Header>,
    /// `late` or `clock-ahead`.
    pub(crate) reason: &'static str,
    /// Start of its window, in epoch milliseconds.
    pub(crate) window_start_ms: i64,
    /// How late it came, or how far ahead its clock is, in milliseconds.
    pub(crate) by_ms: i64,
}

/// The Kafka client that writes.
pub(crate) struct Publisher {
    producer: FutureProducer,
    topics: Topics,
    readings_topic: String,
}

impl Publisher {
    /// Makes the client; the brokers need not answer yet.
    pub(crate) fn new(settings: &ServiceSettings) -> Result<Self, KafkaError> {
        let servers = &settings.kafka.bootstrap_servers;
        let producer = durable_producer(servers, "sensorium-analytics-out")
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .create()?;
        let (topics, readings_topic) = (settings.topics.clone(), settings.kafka.topic.clone());
        Ok(Self { producer, topics, readings_topic })
    }

    /// Publishes a window, keyed by its site.
    pub(crate) async fn aggregate(
        &self,
        row: &WindowRow,
        window_ms: i64,
    ) -> Result<(), AnalyticsError> {
        let key = &row.key;
        let record = WindowRecord {
            site_id: key.site_id.clone(),
            kind: key.kind,
            sensor_id: Some(key.sensor_id.clone()).filter(|id| !id.is_empty()),
            window_start: key.window_start_ms,
            window_end: key.window_start_ms.saturating_add(window_ms),
            revision: row.revision,
            aggregate: row.aggregate,
        };
        let value = json(&record);
        let headers = OwnedHeaders::new().insert(schema_version());
        self.send(&self.topics.aggregates, Some(key.site_id.as_bytes()), &value, headers).await
    }

    /// Publishes an alert, keyed by its id.
    pub(crate) async fn alert(&self, alert: &Alert) -> Result<(), AnalyticsError> {
        let headers = OwnedHeaders::new().insert(schema_version());
        let key = Some(alert.alert_id.as_bytes());
        self.send(&self.topics.alerts, key, &json(alert), headers).await
    }

    /// Publishes a late reading as it came, and says which window it is too late for.
    pub(crate) async fn late(&self, late: &LateReading) -> Result<(), AnalyticsError> {
        let own = late.headers.iter().filter(|(name, _)| !name.starts_with(HEADER_PREFIX));
        let headers = own.fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_ref() })
        });
        let said = [
            ("late-reason", late.reason.to_owned()),
            ("late-window-start-ms", late.window_start_ms.to_string()),
            ("late-by-ms", late.by_ms.to_string()),
            ("late-topic", self.readings_topic.clone()),
            ("late-partition", late.partition.to_string()),
            ("late-offset", late.offset.to_string()),
        ];
        let headers = said.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        self.send(&self.topics.late, late.key.as_deref(), &late.value, headers).await
    }

    async fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: &[u8],
        headers: OwnedHeaders,
    ) -> Result<(), AnalyticsError> {
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).payload(value).headers(headers);
        if let Some(key) = key {
            record = record.key(key);
        }
        let sent = self.producer.send(record, Timeout::Never).await;
        let refused = |(source, _)| AnalyticsError::Topic { topic: topic.to_owned(), source };
        sent.map(drop).map_err(refused)
    }
}

fn schema_version() -> Header<'static, &'static str> {
    Header { key: SCHEMA_VERSION_HEADER, value: Some(SCHEMA_VERSION) }
}

fn json(record: &impl serde::Serialize) -> Vec<u8> {
    // Text and finite numbers are JSON.
    serde_json::to_vec(record).unwrap_or_default()
}

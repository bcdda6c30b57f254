//! The settings with which readings are handed to Kafka.

use rdkafka::ClientConfig;
use runtime::{Reader, Setting};
use serde::Deserialize;

/// Codec of the batches: all that Kafka knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Compression {
    const ALLOWED: &str = "none, gzip, snappy, lz4 or zstd";

    /// Returns the name that librdkafka knows it by.
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// Who must have a reading before it counts as acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Acks {
    /// All replicas that are in sync.
    #[serde(rename = "all", alias = "-1")]
    All,
    /// The leader alone.
    #[serde(rename = "1")]
    Leader,
}

impl Acks {
    const ALLOWED: &str = "all or 1";
}

/// How readings are handed to Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientSettings {
    acks: Acks,
    retries_max: u32,
    batch_bytes: u32,
    linger_ms: u32,
    compression: Compression,
    queue_readings_max: u32,
}

impl ClientSettings {
    /// Reads them.
    pub(super) fn read(reader: &mut Reader) -> Self {
        const ACKS: Setting = Setting {
            name: "PRODUCER_ACKS",
            default: "all",
            unit: "",
            meaning: "Replicas that must have a reading before it is acknowledged: all in sync, or \
                      1, the leader alone, with which it can be lost and come twice",
        };
        const RETRIES: Setting = Setting {
            name: "PRODUCER_RETRIES_MAX",
            default: "2147483647",
            unit: "retries",
            meaning: "Attempts to send a batch again before its readings count as failed; by \
                      default an outage of any length is waited out",
        };
        const BATCH: Setting = Setting {
            name: "PRODUCER_BATCH_BYTES",
            default: "1000000",
            unit: "bytes",
            meaning: "Most bytes of readings in one batch, before compression",
        };
        const LINGER: Setting = Setting {
            name: "PRODUCER_LINGER_MS",
            default: "5",
            unit: "ms",
            meaning: "How long readings are gathered into one batch",
        };
        const COMPRESSION: Setting = Setting {
            name: "PRODUCER_COMPRESSION",
            default: "lz4",
            unit: "",
            meaning: "Codec of the batches",
        };
        const QUEUE_MAX: Setting = Setting {
            name: "PRODUCER_QUEUE_READINGS_MAX",
            default: "100000",
            unit: "readings",
            meaning: "Most readings sent but not acknowledged; beyond it readings are late",
        };
        Self {
            acks: reader.choice(ACKS, Acks::ALLOWED),
            retries_max: reader.number(RETRIES, 1..=2_147_483_647),
            batch_bytes: reader.number(BATCH, 1_024..=100_000_000),
            linger_ms: reader.number(LINGER, 0..=1_000),
            compression: reader.choice(COMPRESSION, Compression::ALLOWED),
            queue_readings_max: reader.number(QUEUE_MAX, 1_000..=10_000_000),
        }
    }

    /// Applies them to the configuration of a durable producer.
    pub(crate) fn apply(&self, config: &mut ClientConfig) {
        if self.acks == Acks::Leader {
            // Kafka tells repeated batches from new ones only for those who wait for all replicas.
            config.set("enable.idempotence", "false").set("acks", "1");
        }
        config
            .set("message.send.max.retries", self.retries_max.to_string())
            .set("batch.size", self.batch_bytes.to_string())
            .set("linger.ms", self.linger_ms.to_string())
            .set("compression.type", self.compression.name())
            .set("queue.buffering.max.messages", self.queue_readings_max.to_string())
            // 1 KiB a reading is several times its size: the count is the limit.
            .set("queue.buffering.max.kbytes", self.queue_readings_max.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use runtime::kafka::durable_producer;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let mut reader = Reader::new(pairs.collect());
        let mut config = durable_producer("localhost:9092", "test");
        ClientSettings::read(&mut reader).apply(&mut config);
        assert!(reader.problems().is_empty());
        config.config_map().iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn readings_are_durable_unless_the_leader_alone_is_asked_for() {
        let safe = config(&[]);
        assert_eq!((&*safe["acks"], &*safe["enable.idempotence"]), ("all", "true"));
        let fast = config(&[("PRODUCER_ACKS", "1"), ("PRODUCER_RETRIES_MAX", "3")]);
        assert_eq!((&*fast["acks"], &*fast["enable.idempotence"]), ("1", "false"));
        assert_eq!(fast["message.send.max.retries"], "3");
        assert_eq!(config(&[("PRODUCER_BATCH_BYTES", "16384")])["batch.size"], "16384");
    }

    #[test]
    fn no_reading_goes_unacknowledged() {
        let mut reader = Reader::new([("PRODUCER_ACKS".into(), "0".into())].into());
        ClientSettings::read(&mut reader);
        assert_eq!(reader.problems().len(), 1, "the audit would have nothing to go by");
    }
}

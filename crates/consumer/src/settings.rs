//! The consumer's settings.

use std::time::Duration;

use runtime::cassandra::{CassandraSettings, ConsistencyLevel};
use runtime::kafka::KafkaSettings;
use runtime::kafka::member::{OffsetReset, read_session_timeout_ms};
use runtime::settings::{Reader, Setting};

use crate::pipeline::Limits;

/// How the consumer takes part in its group.
#[derive(Clone, Debug)]
pub(crate) struct GroupSettings {
    pub(crate) id: String,
    pub(crate) offset_reset: OffsetReset,
    pub(crate) session_timeout_ms: u32,
    pub(crate) fetch_queue_kib: u32,
}

/// Everything the consumer can be told.
#[derive(Clone, Debug)]
pub struct ConsumerSettings {
    pub(crate) kafka: KafkaSettings,
    pub(crate) events_topic: String,
    pub(crate) dead_letter_topic: String,
    pub(crate) cassandra: CassandraSettings,
    pub(crate) group: GroupSettings,
    pub(crate) consistency: ConsistencyLevel,
    pub(crate) latest_consistency: ConsistencyLevel,
    pub(crate) limits: Limits,
    pub(crate) progress_interval: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) shutdown_grace: Duration,
}

/// Events are rare: their share of the memory that readings may take.
const EVENTS_SHARE: u32 = 10;

impl ConsumerSettings {
    /// Returns what the part of the process that stores events goes by: its own topic, its own
    /// group, and a tenth of the memory.
    pub(crate) fn of_events(&self) -> Self {
        let mut settings = self.clone();
        settings.kafka.topic.clone_from(&self.events_topic);
        settings.group.id += "-events";
        settings.group.fetch_queue_kib /= EVENTS_SHARE;
        settings.limits.rows_buffered_max /= EVENTS_SHARE as usize;
        settings
    }

    /// Reads all settings.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            kafka: KafkaSettings::read(reader),
            events_topic: runtime::kafka::read_events_topic(reader),
            dead_letter_topic: runtime::kafka::read_dead_letter_topic(reader),
            group: read_group(reader),
            cassandra: CassandraSettings::read(reader),
            consistency: ConsistencyLevel::read(reader),
            latest_consistency: reader.choice(
                Setting {
                    name: "CASSANDRA_LATEST_CONSISTENCY",
                    default: "LOCAL_QUORUM",
                    unit: "",
                    meaning: "The same for the tables latest, sensors and sites",
                },
                ConsistencyLevel::ALLOWED,
            ),
            limits: read_limits(reader),
            progress_interval: seconds(
                reader,
                "CONSUMER_PROGRESS_INTERVAL_SEC",
                "5",
                "Time between two progress lines",
            ),
            drain_timeout: seconds(
                reader,
                "CONSUMER_DRAIN_TIMEOUT_SEC",
                "5",
                "Longest wait for writes under way when partitions are taken away",
            ),
            shutdown_grace: seconds(
                reader,
                "CONSUMER_SHUTDOWN_GRACE_SEC",
                "8",
                "Longest wait for writes under way when the process is asked to stop",
            ),
        }
    }
}

fn read_group(reader: &mut Reader) -> GroupSettings {
    GroupSettings {
        id: reader.text(Setting {
            name: "KAFKA_CONSUMER_GROUP_ID",
            default: "sensorium-consumer",
            unit: "",
            meaning: "Consumer group of the readings; `-events` is added for the events",
        }),
        offset_reset: reader.choice(
            Setting {
                name: "KAFKA_AUTO_OFFSET_RESET",
                default: "earliest",
                unit: "",
                meaning: "Where a group without a committed offset starts",
            },
            "earliest or latest",
        ),
        session_timeout_ms: read_session_timeout_ms(reader),
        fetch_queue_kib: reader.number(
            Setting {
                name: "KAFKA_FETCH_QUEUE_KIB",
                default: "4096",
                unit: "KiB",
                meaning: "Readings fetched ahead, in memory; events: a tenth",
            },
            1_024..=2_097_151,
        ),
    }
}

fn read_limits(reader: &mut Reader) -> Limits {
    Limits {
        batch_rows_max: reader.number(
            Setting {
                name: "CONSUMER_BATCH_ROWS_MAX",
                default: "200",
                unit: "rows",
                meaning: "Rows at which a batch is written",
            },
            1..=1_000,
        ),
        batch_bytes_max: reader.number(
            Setting {
                name: "CONSUMER_BATCH_BYTES_MAX",
                default: "65536",
                unit: "bytes",
                meaning: "Bytes at which a batch is written",
            },
            1_024..=8_388_608,
        ),
        batch_age_max: Duration::from_millis(reader.number(
            Setting {
                name: "CONSUMER_BATCH_AGE_MAX_MS",
                default: "100",
                unit: "ms",
                meaning: "Age of its oldest row at which a batch is written",
            },
            1..=60_000,
        )),
        writes_in_flight_max: reader.number(
            Setting {
                name: "CONSUMER_WRITES_IN_FLIGHT_MAX",
                default: "16",
                unit: "batches",
                meaning: "Batches that Cassandra works on at once",
            },
            1..=1_000,
        ),
        rows_buffered_max: reader.number(
            Setting {
                name: "CONSUMER_ROWS_BUFFERED_MAX",
                default: "50000",
                unit: "rows",
                meaning: "Readings in memory, or KiB of them, at which no more are taken in; \
                          events: a tenth. An eighth of it is a backlog",
            },
            1_000..=10_000_000,
        ),
        commit_interval: Duration::from_millis(reader.number(
            Setting {
                name: "CONSUMER_COMMIT_INTERVAL_MS",
                default: "1000",
                unit: "ms",
                meaning: "Time between two commits; the table latest is updated before each, in \
                          a backlog before each fifth",
            },
            10..=60_000,
        )),
        clock_ahead_max: Duration::from_secs(reader.number(
            Setting {
                name: "CONSUMER_CLOCK_AHEAD_MAX_SEC",
                default: "3600",
                unit: "s",
                meaning: "How far in the future an event time may lie before it is a dead letter",
            },
            0..=315_360_000,
        )),
    }
}

fn seconds(
    reader: &mut Reader,
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Duration {
    Duration::from_secs(reader.number(Setting { name, default, unit: "s", meaning }, 1..=3_600))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn events_have_a_topic_and_a_group_of_their_own_and_a_tenth_of_the_memory() {
        let settings = ConsumerSettings::read(&mut Reader::new(BTreeMap::new()));
        let events = settings.of_events();
        assert_eq!(events.kafka.topic, "sensor-events");
        assert_eq!(events.group.id, "sensorium-consumer-events");
        assert_eq!(10 * events.limits.rows_buffered_max, settings.limits.rows_buffered_max);
        assert_eq!(events.group.fetch_queue_kib, settings.group.fetch_queue_kib / 10);
        assert_eq!(events.kafka.bootstrap_servers, settings.kafka.bootstrap_servers);
    }
}

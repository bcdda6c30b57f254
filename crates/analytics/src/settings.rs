//! The settings of the service.

use std::path::PathBuf;
use std::time::Duration;

use runtime::cassandra::{CassandraSettings, ConsistencyLevel};
use runtime::kafka::member::read_session_timeout_ms;
use runtime::kafka::{KafkaSettings, read_topic};
use runtime::settings::{Reader, Setting};

use crate::detect::Policy;
use crate::window::{self, Timing};

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Task {
    /// Compute windows and alerts until asked to stop.
    Serve(Box<ServiceSettings>),
    /// Say how good the detectors are.
    Score(ScoreSettings),
}

/// What the detectors are held against.
#[derive(Clone, Debug)]
pub struct ScoreSettings {
    /// A copy of the Numenta Anomaly Benchmark; `None` is the simulator.
    pub nab: Option<PathBuf>,
    /// First seed of the simulated runs.
    pub seed: u64,
    /// Simulated runs.
    pub runs: u32,
}

impl Task {
    /// Reads the settings of the service.
    pub fn read_service(reader: &mut Reader) -> Self {
        Self::Serve(Box::new(ServiceSettings::read(reader)))
    }

    /// Reads the settings of `score`.
    pub fn read_score(reader: &mut Reader) -> Self {
        Self::Score(ScoreSettings {
            nab: reader
                .text_if_set(Setting::plain(
                    "ANALYTICS_NAB",
                    "",
                    "Folder of the Numenta Anomaly Benchmark: its series are scored, and the \
                     results written for its own scorer; not set: simulated faults",
                ))
                .map(PathBuf::from),
            seed: reader.number(
                Setting::plain("ANALYTICS_SCORE_SEED", "9301", "First seed of the simulated runs"),
                0..=u64::MAX,
            ),
            runs: reader.number(
                Setting {
                    unit: "runs",
                    ..Setting::plain("ANALYTICS_SCORE_RUNS", "8", "Simulated runs of three days")
                },
                1..=1_000,
            ),
        })
    }
}

/// Names of the topics that are written.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    pub(crate) aggregates: String,
    pub(crate) alerts: String,
    pub(crate) late: String,
}

/// Everything the service can be told.
#[derive(Clone, Debug)]
pub struct ServiceSettings {
    pub(crate) kafka: KafkaSettings,
    pub(crate) topics: Topics,
    pub(crate) cassandra: CassandraSettings,
    pub(crate) consistency: ConsistencyLevel,
    pub(crate) group_id: String,
    pub(crate) session_timeout_ms: u32,
    pub(crate) timing: Timing,
    pub(crate) idle_timeout: Duration,
    pub(crate) flush_interval: Duration,
    pub(crate) rows_waiting_max: usize,
    pub(crate) progress_interval: Duration,
    pub(crate) shutdown_grace: Duration,
    pub(crate) policy: Policy,
}

const WINDOW: Setting = Setting {
    name: window::WINDOW_SEC,
    default: "60",
    unit: "s",
    meaning: "Size of a window, written to aggregates_1m; it divides an hour",
};
const ROLLUP: Setting = Setting {
    name: window::ROLLUP_SEC,
    default: "3600",
    unit: "s",
    meaning: "Size of the windows that these are merged into, written to aggregates_1h; a \
              multiple that divides a day",
};

impl ServiceSettings {
    /// Reads all settings.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            kafka: KafkaSettings::read(reader),
            topics: read_topics(reader),
            cassandra: CassandraSettings::read(reader),
            consistency: ConsistencyLevel::read(reader),
            group_id: reader.text(Setting::plain(
                "ANALYTICS_GROUP_ID",
                "sensorium-analytics",
                "Consumer group of the analytics",
            )),
            session_timeout_ms: read_session_timeout_ms(reader),
            timing: read_timing(reader),
            idle_timeout: seconds(
                reader,
                "ANALYTICS_IDLE_TIMEOUT_SEC",
                "30",
                "Silence of a partition, by the clock, after which its open windows are written",
            ),
            flush_interval: Duration::from_millis(reader.number(
                Setting {
                    name: "ANALYTICS_FLUSH_INTERVAL_MS",
                    default: "500",
                    unit: "ms",
                    meaning: "Time between two writes of what windows and detectors have to say",
                },
                10..=60_000,
            )),
            rows_waiting_max: reader.number(
                Setting {
                    name: "ANALYTICS_ROWS_WAITING_MAX",
                    default: "50000",
                    unit: "rows",
                    meaning: "Rows and late readings in memory at which no more is taken in",
                },
                1_000..=10_000_000,
            ),
            progress_interval: seconds(
                reader,
                "ANALYTICS_PROGRESS_INTERVAL_SEC",
                "5",
                "Time between two progress lines",
            ),
            shutdown_grace: seconds(
                reader,
                "ANALYTICS_SHUTDOWN_GRACE_SEC",
                "8",
                "Longest wait for writes under way when the process is asked to stop",
            ),
            policy: read_policy(reader),
        }
    }
}

fn read_topics(reader: &mut Reader) -> Topics {
    Topics {
        aggregates: read_topic(
            reader,
            Setting::plain(
                "KAFKA_AGGREGATES_TOPIC_NAME",
                "sensor-aggregates",
                "Topic of the aggregates: what the readings of a window come to",
            ),
        ),
        alerts: read_topic(
            reader,
            Setting::plain("KAFKA_ALERTS_TOPIC_NAME", "sensor-alerts", "Topic of the alerts"),
        ),
        late: read_topic(
            reader,
            Setting::plain(
                "KAFKA_LATE_TOPIC_NAME",
                "sensor-readings-late",
                "Topic of the readings that came too late for their window",
            ),
        ),
    }
}

fn read_timing(reader: &mut Reader) -> Timing {
    let window_s: i64 = reader.number(WINDOW, 1..=3_600);
    let rollup_s: i64 = reader.number(ROLLUP, 1..=86_400);
    if 3_600 % window_s != 0 {
        reader.refuse(WINDOW.name, window_s, "a divisor of 3600");
    }
    if rollup_s % window_s != 0 || 86_400 % rollup_s != 0 {
        let allowed = format!("a multiple of {} ({window_s}) that divides 86400", WINDOW.name);
        reader.refuse(ROLLUP.name, rollup_s, allowed);
    }
    let mut milliseconds = |name, default, meaning| {
        let setting = Setting { name, default, unit: "s", meaning };
        let seconds: i64 = reader.number(setting, 0..=86_400);
        seconds * 1_000
    };
    Timing {
        window_ms: window_s * 1_000,
        rollup_ms: rollup_s * 1_000,
        out_of_order_ms: milliseconds(
            window::OUT_OF_ORDER_SEC,
            "5",
            "How far the watermark stays behind the latest event time of a partition",
        ),
        lateness_ms: milliseconds(
            window::ALLOWED_LATENESS_SEC,
            "30",
            "How long after a window was closed a reading amends it, in event time",
        ),
        clock_ahead_max_ms: milliseconds(
            window::CLOCK_AHEAD_MAX_SEC,
            "30",
            "How far after its arrival the event time of a reading may lie, and how far after all \
             others' it moves the watermark at once; not above the allowed lateness, or one wrong \
             clock makes all others late",
        ),
    }
}

fn read_policy(reader: &mut Reader) -> Policy {
    const RULES: Setting = Setting::plain(
        "ANALYTICS_RULES_FILE",
        "",
        "Rules and detectors, such as infra/analytics/rules.toml; not set: those of that file",
    );
    let Some(path) = reader.text_if_set(RULES) else {
        return Policy::built_in();
    };
    let parsed = std::fs::read_to_string(&path)
        .map_err(|error| error.to_string())
        .and_then(|text| Policy::parse(&text).map_err(|error| error.to_string()));
    parsed.unwrap_or_else(|problems| {
        reader.refuse(RULES.name, path, format!("a file of valid rules: {problems}"));
        Policy::built_in()
    })
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
    use super::*;

    fn problems(given: &[(&str, &str)]) -> Vec<String> {
        let given = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut reader = Reader::new(given);
        ServiceSettings::read(&mut reader);
        reader.problems().iter().map(|problem| problem.name.clone()).collect()
    }

    #[test]
    fn windows_fit_into_hours_and_hours_into_days() {
        assert_eq!(problems(&[]), Vec::<String>::new());
        assert_eq!(problems(&[("ANALYTICS_WINDOW_SEC", "10")]), Vec::<String>::new());
        assert_eq!(
            problems(&[("ANALYTICS_WINDOW_SEC", "7"), ("ANALYTICS_ROLLUP_SEC", "300")]),
            ["ANALYTICS_WINDOW_SEC", "ANALYTICS_ROLLUP_SEC"]
        );
    }

    #[test]
    fn the_timing_by_default_is_that_of_the_settings() {
        assert_eq!(read_timing(&mut Reader::new([].into())), Timing::BY_DEFAULT);
    }

    #[test]
    fn a_topic_that_kafka_would_refuse_is_refused() {
        for name in ["a b", "ünï", "..", "a/b", &"a".repeat(250)] {
            let given = ["KAFKA_TOPIC_NAME", "KAFKA_LATE_TOPIC_NAME"].map(|topic| (topic, name));
            assert_eq!(problems(&given), given.map(|(topic, _)| topic), "{name}");
        }
        assert_eq!(problems(&[("KAFKA_TOPIC_NAME", "a.B_c-1")]), Vec::<String>::new());
    }

    #[test]
    fn a_file_of_rules_that_is_not_there_is_refused() {
        assert_eq!(problems(&[("ANALYTICS_RULES_FILE", "/no/such")]), ["ANALYTICS_RULES_FILE"]);
    }
}

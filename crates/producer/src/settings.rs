//! The producer's settings: the fleet, its schedule, and how readings are handed to Kafka.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use domain::SensorKind;
use domain::simulation::{FleetSpec, Rate, Schedule};
use runtime::kafka::KafkaSettings;
use runtime::{Reader, Setting};

use crate::thousandths::Thousandths;

/// Most readings a second that can be asked for.
const RATE_MAX: u64 = 10_000_000;

const TARGET_RATE: Setting = Setting {
    name: "PRODUCER_TARGET_RATE",
    default: "3500",
    unit: "readings/s",
    meaning: "Readings of the whole fleet a second, up to three decimals",
};
const INTERVAL: Setting = Setting {
    name: "IOT_DATA_INTERVAL_SEC",
    default: "",
    unit: "s",
    meaning: "Time between two readings of one sensor, up to three decimals; instead of a rate",
};
const READINGS: Setting = Setting {
    name: "PRODUCER_READINGS",
    default: "",
    unit: "readings",
    meaning: "Ends the run after so many readings; not set runs until it is stopped",
};
const FOR: Setting = Setting {
    name: "PRODUCER_FOR_SEC",
    default: "",
    unit: "s",
    meaning: "Ends the run after so long, up to three decimals; instead of a number of readings",
};

/// Everything a run is made from.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// Where the readings go.
    pub kafka: KafkaSettings,
    /// Which sensors there are.
    pub fleet: FleetSpec,
    /// Readings of the whole fleet per time.
    pub rate: Rate,
    /// Number of readings; `None` runs until it is stopped.
    pub readings_max: Option<u64>,
    /// Seed of all randomness.
    pub seed: u64,
    /// How long the client gathers readings before it sends a batch.
    pub linger_ms: u64,
    /// Most readings handed over but not acknowledged.
    pub queue_readings_max: u32,
    /// Folder of the run reports.
    pub report_dir: PathBuf,
    /// Time between two lines of progress, and between two reports of a running run.
    pub progress_interval: Duration,
    /// How long a stopped run waits for acknowledgements.
    pub shutdown_grace: Duration,
}

impl ProducerSettings {
    /// Reads all settings of the producer.
    pub fn read(reader: &mut Reader) -> Self {
        let kafka = KafkaSettings::read(reader);
        let fleet = read_fleet(reader);
        let rate = read_rate(reader, fleet.sensors);
        Self {
            kafka,
            rate,
            readings_max: read_readings_max(reader, rate),
            fleet,
            seed: reader.number(
                Setting {
                    name: "PRODUCER_SEED",
                    default: "42",
                    unit: "",
                    meaning: "Seed of the fleet and its values: the same seed, the same readings",
                },
                0..=u64::MAX,
            ),
            linger_ms: reader.number(
                Setting {
                    name: "PRODUCER_LINGER_MS",
                    default: "5",
                    unit: "ms",
                    meaning: "How long readings are gathered into one batch",
                },
                0..=1_000,
            ),
            queue_readings_max: reader.number(
                Setting {
                    name: "PRODUCER_QUEUE_READINGS_MAX",
                    default: "100000",
                    unit: "readings",
                    meaning: "Most readings sent but not acknowledged; beyond it readings are late",
                },
                1_000..=10_000_000,
            ),
            report_dir: PathBuf::from(reader.text(Setting {
                name: "PRODUCER_REPORT_DIR",
                default: "runs",
                unit: "",
                meaning: "Folder that gets a report of each run, <run>.json",
            })),
            progress_interval: read_seconds(
                reader,
                Setting {
                    name: "PRODUCER_PROGRESS_INTERVAL_SEC",
                    default: "5",
                    unit: "s",
                    meaning: "Time between two progress lines, each with a fresh report file",
                },
            ),
            shutdown_grace: read_seconds(
                reader,
                Setting {
                    name: "PRODUCER_SHUTDOWN_GRACE_SEC",
                    default: "8",
                    unit: "s",
                    meaning: "Longest wait for acknowledgements after a signal to stop",
                },
            ),
        }
    }
}

fn read_seconds(reader: &mut Reader, setting: Setting) -> Duration {
    Duration::from_secs(reader.number(setting, 1..=3_600))
}

fn read_fleet(reader: &mut Reader) -> FleetSpec {
    const KINDS: Setting = Setting {
        name: "IOT_SENSOR_KINDS",
        default: "temperature,humidity,pressure,motion,light",
        unit: "",
        meaning: "Kinds of sensors, in the order in which a site lists them",
    };
    let sensors = reader.number(
        Setting {
            name: "IOT_NUM_SENSORS",
            default: "5000",
            unit: "sensors",
            meaning: "Sensors of the fleet, 25 a site",
        },
        1..=10_000_000,
    );
    let names = "temperature, humidity, pressure, motion and light";
    let kinds: Vec<SensorKind> = reader.choices(KINDS, names);
    if kinds.iter().collect::<BTreeSet<_>>().len() < kinds.len() {
        let given: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        let allowed = format!("a comma-separated list of {names}, each at most once");
        reader.refuse(KINDS.name, given.join(","), allowed);
    }
    FleetSpec { sensors, kinds }
}

/// A rate can be given for the fleet or, as an interval, for each sensor.
fn read_rate(reader: &mut Reader, sensors: u64) -> Rate {
    const MS_PER_SECOND: u64 = 1_000;
    const NS_PER_MS: u64 = 1_000_000;
    let rate_is_given = reader.is_given(TARGET_RATE);
    let rate = reader.number(TARGET_RATE, Thousandths(1)..=Thousandths(RATE_MAX * MS_PER_SECOND));
    let whole = Rate::per_second_milli(rate.0).expect("the range starts above 0");
    let range = Thousandths(1)..=Thousandths(1_000_000 * MS_PER_SECOND);
    let Some(interval) = reader.number_if_set(INTERVAL, range) else {
        return whole;
    };
    if rate_is_given {
        let allowed = format!("one of {} and {}, not both", TARGET_RATE.name, INTERVAL.name);
        reader.refuse(TARGET_RATE.name, rate, &allowed);
        reader.refuse(INTERVAL.name, interval, &allowed);
    }
    let interval_ms = interval.0;
    let shortest = Thousandths((sensors * MS_PER_SECOND).div_ceil(RATE_MAX));
    if interval < shortest {
        let allowed = format!("{shortest} or more for {sensors} sensors: {RATE_MAX} readings/s");
        reader.refuse(INTERVAL.name, interval, allowed);
    }
    Rate::new(sensors, interval_ms * NS_PER_MS).expect("both ranges start above 0")
}

fn read_readings_max(reader: &mut Reader, rate: Rate) -> Option<u64> {
    let readings = reader.number_if_set(READINGS, 1..=1_000_000_000_000_000);
    let duration = reader.number_if_set(FOR, Thousandths(1)..=Thousandths(1_000_000_000_000));
    if let (Some(readings), Some(duration)) = (readings, duration) {
        let allowed = format!("one of {} and {}, not both", READINGS.name, FOR.name);
        reader.refuse(READINGS.name, readings, &allowed);
        reader.refuse(FOR.name, duration, &allowed);
    }
    readings.or_else(|| duration.map(|Thousandths(ms)| Schedule::count_within_ms(rate, ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[(&str, &str)]) -> (ProducerSettings, Vec<String>) {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut reader = Reader::new(given.collect());
        let settings = ProducerSettings::read(&mut reader);
        let problems = reader.problems().iter().map(ToString::to_string);
        (settings, problems.collect())
    }

    #[test]
    fn the_defaults_are_the_documented_ones() {
        let (settings, problems) = read(&[]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(Some(settings.rate), Rate::per_second_milli(3_500_000));
        assert_eq!(settings.readings_max, None);
        assert_eq!(settings.fleet.sensors, 5_000);
        assert_eq!(settings.fleet.kinds, SensorKind::ALL);
    }

    #[test]
    fn an_interval_is_a_rate() {
        let given = [("IOT_DATA_INTERVAL_SEC", "0.3"), ("IOT_NUM_SENSORS", "1000")];
        let (settings, problems) = read(&given);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(Some(settings.rate), Rate::new(10_000, 3_000_000_000));
    }

    #[test]
    fn an_empty_rate_leaves_room_for_an_interval() {
        let given = [("IOT_DATA_INTERVAL_SEC", "1"), ("PRODUCER_TARGET_RATE", "")];
        let (settings, problems) = read(&given);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(Some(settings.rate), Rate::per_second_milli(5_000_000));
    }

    #[test]
    fn a_duration_is_a_number_of_readings() {
        assert_eq!(read(&[("PRODUCER_FOR_SEC", "60")]).0.readings_max, Some(210_000));
        assert_eq!(read(&[("PRODUCER_FOR_SEC", "0.001")]).0.readings_max, Some(4));
    }

    #[test]
    fn settings_that_exclude_each_other_are_both_named() {
        for pair in [
            [("PRODUCER_TARGET_RATE", "10"), ("IOT_DATA_INTERVAL_SEC", "2")],
            [("PRODUCER_READINGS", "10"), ("PRODUCER_FOR_SEC", "2")],
        ] {
            let (_, problems) = read(&pair);
            assert_eq!(problems.len(), 2, "{problems:?}");
            for ((name, value), problem) in pair.iter().zip(problems) {
                assert!(problem.starts_with(&format!("{name}=`{value}`")), "{problem}");
            }
        }
    }

    #[test]
    fn an_interval_too_short_for_the_fleet_is_refused() {
        let given = [("IOT_DATA_INTERVAL_SEC", "0.9"), ("IOT_NUM_SENSORS", "10000000")];
        let (_, problems) = read(&given);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].contains("1 or more"), "{problems:?}");
    }

    #[test]
    fn a_kind_is_given_once() {
        let (settings, problems) = read(&[("IOT_SENSOR_KINDS", "light,motion")]);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(settings.fleet.kinds, [SensorKind::Light, SensorKind::Motion]);
        for bad in ["light,light", "light,co2", "Light", ","] {
            let (_, problems) = read(&[("IOT_SENSOR_KINDS", bad)]);
            assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
        }
    }
}

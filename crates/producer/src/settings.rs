//! The producer's settings: the fleet, its schedule, and how readings are handed to Kafka.

pub(crate) mod client;
mod faults;
mod profile;
mod share;

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use domain::SensorKind;
use domain::contract::TS_RANGE_MS;
use domain::simulation::report::Shard;
use domain::simulation::schedule::NS_PER_MS;
use domain::simulation::{
    AnomalySpec, FleetSpec, Load, Rate, RunManifest, Schedule, TransportSpec,
};
use jiff::Timestamp;
use runtime::kafka::{KafkaSettings, read_events_topic};
use runtime::text::with_causes;
use runtime::{Reader, Setting};
use serde::Deserialize;

use crate::decimal::Thousandths;
use crate::pace::CatchUp;
use crate::settings::client::ClientSettings;
use crate::settings::profile::Shape;

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

const PHASE: Setting = Setting {
    name: "PRODUCER_PHASE",
    default: "spread",
    unit: "",
    meaning: "When sensors report within an interval: evenly spread or all at once",
};
const CATCH_UP: Setting = Setting {
    name: "PRODUCER_CATCH_UP",
    default: "bounded:1.5",
    unit: "",
    meaning: "How fast overdue readings are sent, in terms of the schedule",
};
const SEED: Setting = Setting {
    name: "PRODUCER_SEED",
    default: "42",
    unit: "",
    meaning: "Seed of the fleet and its values: the same seed, the same readings",
};
const REPORT_DIR: Setting = Setting {
    name: "PRODUCER_REPORT_DIR",
    default: "runs",
    unit: "",
    meaning: "Folder that gets a report of each run, <run>.json",
};
const PROGRESS_INTERVAL: Setting = Setting {
    name: "PRODUCER_PROGRESS_INTERVAL_SEC",
    default: "5",
    unit: "s",
    meaning: "Time between two progress lines, each with a fresh report file",
};
const SHUTDOWN_GRACE: Setting = Setting {
    name: "PRODUCER_SHUTDOWN_GRACE_SEC",
    default: "8",
    unit: "s",
    meaning: "Longest wait for acknowledgements after a signal to stop",
};

/// How the sensors of a fleet share an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// One after the other, evenly.
    Spread,
    /// All at once, at its start.
    Together,
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Until it is stopped.
    Endless,
    /// So many readings.
    Readings(u64),
    /// What is due in so many milliseconds.
    Milliseconds(u64),
}

/// What can be shown without Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// So many readings, as they would be sent.
    Readings(u64),
    /// The fleet and its schedule in words and sizes.
    Description,
}

/// Everything a run is made from.
#[derive(Clone, Debug)]
pub struct ProducerSettings {
    /// Where the readings go.
    pub kafka: KafkaSettings,
    /// Topic of the events.
    pub events_topic: String,
    /// Which sensors there are.
    pub fleet: FleetSpec,
    /// Readings of the whole fleet per time.
    pub rate: Rate,
    pub(crate) shape: Shape,
    /// Where in an interval each sensor reports.
    pub phase: Phase,
    /// How long the run is.
    pub length: Length,
    /// Event time of the first reading, in epoch milliseconds; `None` starts now.
    pub start_ms: Option<i64>,
    pub(crate) catch_up: CatchUp,
    /// Id of the run; `None` makes one.
    pub run: Option<String>,
    /// The part of the fleet that is simulated here.
    pub shard: Shard,
    /// How much of it is anomalous.
    pub anomalies: AnomalySpec,
    /// What happens to readings on their way.
    pub transport: TransportSpec,
    /// What to show instead of sending anything.
    pub show: Option<Show>,
    /// Seed of all randomness.
    pub seed: u64,
    pub(crate) client: ClientSettings,
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
        let shape = read_shape(reader, rate);
        let start = read_start(reader);
        let run = share::read_run(reader);
        let shard = share::read_shard(reader, run.as_deref(), start);
        Self {
            events_topic: read_events_topic(reader),
            kafka,
            rate,
            shape,
            phase: reader.choice(PHASE, "spread or together"),
            length: read_length(reader),
            start_ms: start.map(Timestamp::as_millisecond),
            catch_up: reader.choice(CATCH_UP, CatchUp::ALLOWED),
            run,
            shard,
            anomalies: faults::read_anomalies(reader),
            transport: faults::read_transport(reader),
            show: read_show(reader),
            fleet,
            seed: reader.number(SEED, 0..=u64::MAX),
            client: ClientSettings::read(reader),
            report_dir: PathBuf::from(reader.text(REPORT_DIR)),
            progress_interval: read_seconds(reader, PROGRESS_INTERVAL),
            shutdown_grace: read_seconds(reader, SHUTDOWN_GRACE),
        }
    }

    /// Makes the manifest of a run.
    pub(crate) fn manifest(&self, run: String, start_ms: i64) -> RunManifest {
        // The settings were refused if the shape made no load at some start.
        let load = self.shape.load(self.rate, start_ms).unwrap_or(Load::Constant(self.rate));
        let readings_max = match self.length {
            Length::Endless => None,
            Length::Readings(readings) => Some(readings),
            Length::Milliseconds(ms) => Some(load.count_within_ms(ms)),
        };
        let together = match self.phase {
            Phase::Spread => NonZeroU64::MIN,
            Phase::Together => NonZeroU64::new(self.fleet.sensors).unwrap_or(NonZeroU64::MIN),
        };
        RunManifest {
            run,
            seed: self.seed,
            fleet: self.fleet.clone(),
            schedule: Schedule { start_ms, load, together, readings_max },
            anomalies: self.anomalies,
            transport: self.transport.clone(),
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

fn read_shape(reader: &mut Reader, rate: Rate) -> Shape {
    const SHAPE: Setting = Setting {
        name: "PRODUCER_PROFILE",
        default: "constant",
        unit: "",
        meaning: "How the rate goes over time",
    };
    let given: String = reader.choice(SHAPE, profile::ALLOWED);
    let shape = given.parse::<Shape>().map_err(|error| with_causes(&error));
    let made = shape.and_then(|shape| {
        let load = shape.load(rate, 0);
        load.map(|_| shape).map_err(|error| format!("a profile, but {error}"))
    });
    made.unwrap_or_else(|why| {
        reader.refuse(SHAPE.name, &given, format!("{}; {why}", profile::ALLOWED));
        Shape::Constant
    })
}

fn read_start(reader: &mut Reader) -> Option<Timestamp> {
    const START: Setting = Setting {
        name: "PRODUCER_START",
        default: "",
        unit: "",
        meaning: "Event time of the first reading, 2026-01-31T00:00:00Z; not set starts now",
    };
    const ALLOWED: &str = "an RFC 3339 time from 2000 to 2100, in whole milliseconds";
    let given: Option<String> = reader.choice_if_set(START, ALLOWED);
    let given = given?;
    let start = given.parse::<Timestamp>().ok().filter(|start| {
        TS_RANGE_MS.contains(&start.as_millisecond()) && start.subsec_nanosecond() % 1_000_000 == 0
    });
    if start.is_none() {
        reader.refuse(START.name, given, ALLOWED);
    }
    start
}

fn read_length(reader: &mut Reader) -> Length {
    let readings = reader.number_if_set(READINGS, 1..=1_000_000_000_000_000);
    let duration = reader.number_if_set(FOR, Thousandths(1)..=Thousandths(1_000_000_000_000));
    match (readings, duration) {
        (None, None) => Length::Endless,
        (Some(readings), None) => Length::Readings(readings),
        (None, Some(Thousandths(ms))) => Length::Milliseconds(ms),
        (Some(readings), Some(duration)) => {
            let allowed = format!("one of {} and {}, not both", READINGS.name, FOR.name);
            reader.refuse(READINGS.name, readings, &allowed);
            reader.refuse(FOR.name, duration, &allowed);
            Length::Endless
        }
    }
}

fn read_show(reader: &mut Reader) -> Option<Show> {
    let print = Setting {
        name: "PRODUCER_PRINT",
        default: "",
        unit: "readings",
        meaning: "Print so many readings and end, without Kafka",
    };
    let readings = reader.number_if_set(print, 1..=u64::MAX).map(Show::Readings);
    let describe = reader.switch(
        "PRODUCER_DESCRIBE",
        "Describe the fleet and its schedule in words and sizes and end, without Kafka",
    );
    readings.or(describe.then_some(Show::Description))
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
        assert_eq!(settings.length, Length::Endless);
        assert_eq!(settings.catch_up.to_string(), "bounded:1.5");
        assert!(settings.shard.is_whole() && settings.transport.is_perfect());
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
        let readings = |given| {
            let manifest = read(given).0.manifest("test".into(), 0);
            manifest.schedule.readings_max
        };
        assert_eq!(readings(&[("PRODUCER_FOR_SEC", "60")]), Some(210_000));
        assert_eq!(readings(&[("PRODUCER_FOR_SEC", "0.001")]), Some(4));
        let shaped = [("PRODUCER_FOR_SEC", "10"), ("PRODUCER_PROFILE", "ramp:0:10")];
        assert_eq!(readings(&shaped), Some(17_500), "half of it: the rate falls to nothing");
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

    #[test]
    fn a_shape_that_cannot_be_followed_is_refused() {
        for bad in ["sinus", "steps:0@10", "trace:/no/such/file"] {
            let (_, problems) = read(&[("PRODUCER_PROFILE", bad)]);
            assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
            assert!(problems[0].starts_with(&format!("PRODUCER_PROFILE=`{bad}`")), "{problems:?}");
        }
    }

    #[test]
    fn a_start_is_a_time() {
        let (settings, problems) = read(&[("PRODUCER_START", "2026-11-21T00:00:00.5Z")]);
        assert_eq!((settings.start_ms, problems.len()), (Some(1_795_219_200_500), 0));
        for bad in ["yesterday", "1999-01-01T00:00:00Z", "2026-11-21T00:00:00.0005Z", "0"] {
            let (_, problems) = read(&[("PRODUCER_START", bad)]);
            assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
        }
    }

    #[test]
    fn faults_are_shares() {
        let given = [("IOT_LATE_PROBABILITY", "0.05"), ("IOT_LATE_MAX_SEC", "10")];
        let (settings, problems) = read(&given);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!((settings.transport.late_ppm, settings.transport.late_max_ms), (50_000, 10_000));
        let (_, problems) = read(&[("IOT_MISSING_PROBABILITY", "1.5")]);
        assert_eq!(problems, ["IOT_MISSING_PROBABILITY=`1.5`: allowed is 0 to 1"]);
    }
}

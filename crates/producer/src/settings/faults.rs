//! The settings of what goes wrong: with sensors, and with readings on their way.

use domain::simulation::transport::{CLOCK_DRIFT_MAX_PPM, LATE_MAX_MS, OFFLINE_MAX_MS};
use domain::simulation::{AnomalySpec, TransportSpec};
use runtime::{Reader, Setting};

use crate::decimal::Millionths;

const MS_PER_SECOND: u64 = 1_000;

/// Reads how often sensors are wrong.
pub(super) fn read_anomalies(reader: &mut Reader) -> AnomalySpec {
    let setting = Setting {
        name: "IOT_ANOMALY_PROBABILITY",
        default: "0.05",
        unit: "",
        meaning: "Probability that an anomaly starts on a sensor within an hour",
    };
    let Millionths(probability_ppm) = reader.number(setting, Millionths(0)..=Millionths(1_000_000));
    AnomalySpec { probability_ppm }
}

/// Reads how often each fault of the transport occurs.
pub(super) fn read_transport(reader: &mut Reader) -> TransportSpec {
    TransportSpec {
        missing_ppm: probability(
            reader,
            "IOT_MISSING_PROBABILITY",
            "Share of readings that are never sent",
        ),
        late_ppm: probability(reader, "IOT_LATE_PROBABILITY", "Share of readings sent late"),
        late_max_ms: seconds(
            reader,
            "IOT_LATE_MAX_SEC",
            "30",
            "Longest delay of a late reading; the shortest is 1 s",
            2..=LATE_MAX_MS / MS_PER_SECOND,
        ),
        out_of_order_ppm: probability(
            reader,
            "IOT_OUT_OF_ORDER_PROBABILITY",
            "Share of readings that one to three later ones of the sensor overtake",
        ),
        duplicate_ppm: probability(
            reader,
            "IOT_DUPLICATE_PROBABILITY",
            "Share of readings that are sent twice, up to 5 s apart",
        ),
        offline_ppm: probability(
            reader,
            "IOT_OFFLINE_PROBABILITY",
            "Share of a sensor's hours in which it is offline once, and sends its readings later",
        ),
        offline_max_ms: seconds(
            reader,
            "IOT_OFFLINE_MAX_SEC",
            "120",
            "Longest time that a sensor is offline; the shortest is 10 s",
            11..=OFFLINE_MAX_MS / MS_PER_SECOND,
        ),
        clock_drift_max_ppm: reader.number(
            Setting {
                name: "IOT_CLOCK_DRIFT_MAX_PPM",
                default: "0",
                unit: "ppm",
                meaning: "Highest drift of a sensor's clock, which is set right every six hours",
            },
            0..=CLOCK_DRIFT_MAX_PPM,
        ),
    }
}

/// Reads a share, up to six decimals, in millionths.
fn probability(reader: &mut Reader, name: &'static str, meaning: &'static str) -> u32 {
    let setting = Setting { name, default: "0", unit: "", meaning };
    reader.number(setting, Millionths(0)..=Millionths(1_000_000)).0
}

fn seconds(
    reader: &mut Reader,
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
    range: std::ops::RangeInclusive<u64>,
) -> u64 {
    MS_PER_SECOND * reader.number(Setting { name, default, unit: "s", meaning }, range)
}

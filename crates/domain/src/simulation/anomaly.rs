//! Anomalies with ground truth: what goes wrong on which sensor, from when to when and how far, as
//! a pure function.
//!
//! A sensor's time is cut into cells, the UTC hours. In each cell one anomaly starts with the
//! probability of the [`AnomalySpec`], at a uniform moment of it. A site draws once more for each
//! kind of sensor, with a [`SITE_SHARE`]th of that probability, and what comes of it befalls all
//! sensors of the kind at once. No anomaly outlasts [`DURATION_MAX_MS`], so that only the cell of a
//! reading and the one before it matter.
//!
//! Where two overlap, the one that started first keeps going, and the later one shows only in what
//! is left of it; of two that start in the same millisecond the site-wide one counts as the first.
//!
//! None of the flaws of Wu and Keogh ("Current time series anomaly detection benchmarks are
//! flawed", 2021) is built in. Anomalies are not trivial: they are of 2 to 10 standard deviations
//! of what a sensor changes by within a minute. They are rare: at a probability of 0.05, at most
//! 0.5 % of the sensor time. Labels are exact to the reading, and starts are uniform, so that the
//! end of a run is no likelier place than any other.

mod effect;
mod event;
mod truth;

use serde::{Deserialize, Serialize};

pub use self::event::{DURATION_MAX_MS, SITE_SHARE};
pub use self::truth::Anomaly;
pub(super) use self::{effect::value, event::Event};
use crate::SensorKind;

/// How many anomalies there are; the default is none.
///
/// For one seed, a higher probability adds anomalies and leaves those of a lower one as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnomalySpec {
    /// Probability that an anomaly of its own starts on a sensor within an hour, in millionths; a
    /// million and more is certainty.
    pub probability_ppm: u32,
}

impl AnomalySpec {
    /// Takes a probability from 0 to 1, rounded to millionths.
    pub fn of_probability(probability: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the clamped product is from 0 to a million"
        )]
        Self { probability_ppm: libm::round(probability.clamp(0.0, 1.0) * 1e6) as u32 }
    }
}

/// What goes wrong (kinds of Ni et al., "Sensor network data fault types", 2009).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// For some seconds the value is off by a constant.
    Spike,
    /// The value stays what it was at the start; a motion sensor stays at 1.
    Stuck,
    /// The error grows linearly from nothing, until the sensor is right again at once.
    Drift,
    /// The sensor is wrong by a constant, from one reading to the next.
    Offset,
    /// Each reading has an error of its own; a motion sensor flickers, and light only adds.
    NoiseBurst,
    /// The probe has lost contact: the value is the low end of the sensor's range.
    Dropout,
    /// What is measured goes to another level, stays and comes back, both within a tenth of the
    /// time.
    LevelShift,
    /// The right value of another hour: what the sensor would have said 6 to 18 hours before.
    Contextual,
    /// A motion sensor says 1 for 0 and 0 for 1.
    Inverted,
}

impl AnomalyKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Spike,
        Self::Stuck,
        Self::Drift,
        Self::Offset,
        Self::NoiseBurst,
        Self::Dropout,
        Self::LevelShift,
        Self::Contextual,
        Self::Inverted,
    ];

    /// Returns the kinds that a sensor can have, all equally likely.
    ///
    /// A motion sensor knows 0 and 1 only, so that no error of its value can be small.
    pub const fn of_sensor(kind: SensorKind) -> &'static [Self] {
        match kind {
            SensorKind::Temperature
            | SensorKind::Humidity
            | SensorKind::Pressure
            | SensorKind::Light => &[
                Self::Spike,
                Self::Stuck,
                Self::Drift,
                Self::Offset,
                Self::NoiseBurst,
                Self::Dropout,
                Self::LevelShift,
                Self::Contextual,
            ],
            SensorKind::Motion => {
                &[Self::Stuck, Self::NoiseBurst, Self::Dropout, Self::Contextual, Self::Inverted]
            }
        }
    }

    /// Returns the name used in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spike => "spike",
            Self::Stuck => "stuck",
            Self::Drift => "drift",
            Self::Offset => "offset",
            Self::NoiseBurst => "noise_burst",
            Self::Dropout => "dropout",
            Self::LevelShift => "level_shift",
            Self::Contextual => "contextual",
            Self::Inverted => "inverted",
        }
    }

    /// Tells whether an anomaly of this kind on such a sensor has a drawn magnitude.
    const fn has_magnitude(self, sensor: SensorKind) -> bool {
        match self {
            Self::Spike | Self::Drift | Self::Offset | Self::NoiseBurst | Self::LevelShift => {
                !matches!(sensor, SensorKind::Motion)
            }
            Self::Stuck | Self::Dropout | Self::Contextual | Self::Inverted => false,
        }
    }
}

#[cfg(test)]
mod tests;

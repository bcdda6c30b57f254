//! What happens to readings on their way: lost, late, overtaken, held back, doubled, or stamped by
//! a clock that drifts; all of it can be recomputed.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::hash::{hash, own, symmetric, unit};
use super::schedule::Schedule;
use crate::hour::{HOUR_MS, hour_start_ms};

/// Shortest time that a sensor is offline.
const OFFLINE_MIN_MS: u64 = 10_000;
/// Longest time that a sensor can be offline, so that a spell fits into its hour.
pub const OFFLINE_MAX_MS: u64 = 600_000;
/// Shortest delay of a late reading.
const LATE_MIN_MS: u64 = 1_000;
/// Longest delay of a late reading.
pub const LATE_MAX_MS: u64 = 600_000;
/// Longest time after a reading at which its copy is sent.
const COPY_DELAY_MAX_MS: u64 = 5_000;
/// Most readings of a sensor that overtake one.
const OVERTAKEN_BY_MAX: u64 = 3;
/// How many times faster than it was measured a backlog is sent.
const UPLINK_SPEED: i64 = 10;
/// Time between two corrections of a sensor's clock.
const CLOCK_SYNC_MS: i64 = 6 * HOUR_MS;
/// Highest drift of a clock, in millionths: 11 s in the time between two corrections.
pub const CLOCK_DRIFT_MAX_PPM: u32 = 500;

const MILLION: f64 = 1_000_000.0;

/// Streams of randomness, apart from those of the values.
mod stream {
    pub(super) const MISSING: u64 = 96;
    pub(super) const LATE: u64 = 97;
    pub(super) const LATE_DELAY: u64 = 98;
    pub(super) const OVERTAKEN: u64 = 99;
    pub(super) const OVERTAKEN_BY: u64 = 100;
    pub(super) const COPY: u64 = 101;
    pub(super) const COPY_DELAY: u64 = 102;
    pub(super) const OFFLINE: u64 = 103;
    pub(super) const OFFLINE_LENGTH: u64 = 104;
    pub(super) const OFFLINE_START: u64 = 105;
    pub(super) const DRIFT: u64 = 106;
    pub(super) const SYNC_PHASE: u64 = 107;
}

/// How often each fault occurs; by default none does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransportSpec {
    /// Readings that are never sent, in a million.
    pub missing_ppm: u32,
    /// Readings that are sent late, in a million.
    pub late_ppm: u32,
    /// Longest delay of a late reading, in milliseconds, at most [`LATE_MAX_MS`].
    pub late_max_ms: u64,
    /// Readings that one to three later ones of the sensor overtake, in a million.
    pub out_of_order_ppm: u32,
    /// Readings that are sent twice, in a million.
    pub duplicate_ppm: u32,
    /// Hours of a sensor in which it is offline once, in a million: it stores what it measures,
    /// and sends it when it is back.
    pub offline_ppm: u32,
    /// Longest time offline, in milliseconds, at most [`OFFLINE_MAX_MS`].
    pub offline_max_ms: u64,
    /// Highest drift of a sensor's clock, in millionths, at most [`CLOCK_DRIFT_MAX_PPM`].
    pub clock_drift_max_ppm: u32,
}

impl TransportSpec {
    /// Tells whether no fault ever occurs.
    pub fn is_perfect(&self) -> bool {
        let Self { missing_ppm, late_ppm, out_of_order_ppm, duplicate_ppm, offline_ppm, .. } = self;
        missing_ppm + late_ppm + out_of_order_ppm + duplicate_ppm + offline_ppm == 0
            && self.clock_drift_max_ppm == 0
    }

    /// Returns how far a time stamp can be off, in milliseconds.
    pub fn skew_max_ms(&self) -> i64 {
        let drifted_ms = i64::from(self.clock_drift_max_ppm) * CLOCK_SYNC_MS / 1_000_000;
        drifted_ms + i64::from(self.clock_drift_max_ppm > 0)
    }
}

/// Why a reading does not simply arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// It is never sent.
    Missing,
    /// It was stored while the sensor was offline, and sent afterwards.
    Forwarded,
    /// It is sent late.
    Late,
    /// Later readings of the sensor are sent before it.
    OutOfOrder,
}

impl Fault {
    /// Every fault, in the order of precedence: a reading has at most one.
    pub const ALL: [Self; 4] = [Self::Missing, Self::Forwarded, Self::Late, Self::OutOfOrder];

    /// Returns the name used in reports and truth files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Forwarded => "forwarded",
            Self::Late => "late",
            Self::OutOfOrder => "out_of_order",
        }
    }
}

/// What becomes of one reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// What goes wrong with it.
    pub fault: Option<Fault>,
    /// Time from its being due to its being sent, in milliseconds; 0 for one that is never sent.
    pub delay_ms: u64,
    /// Time from its being due to its being sent once more.
    pub copy_delay_ms: Option<u64>,
}

impl Fate {
    /// Tells whether the reading is sent at all.
    pub fn is_sent(&self) -> bool {
        self.fault != Some(Fault::Missing)
    }
}

/// How many readings met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FateCounts {
    /// Never sent.
    pub missing: u64,
    /// Stored while the sensor was offline, and sent afterwards.
    pub forwarded: u64,
    /// Sent late.
    pub late: u64,
    /// Overtaken by later readings.
    pub out_of_order: u64,
    /// Sent twice; among them are late ones and so on.
    pub duplicate: u64,
}

impl FateCounts {
    /// Counts one reading.
    pub fn add(&mut self, fate: &Fate) {
        match fate.fault {
            Some(Fault::Missing) => self.missing += 1,
            Some(Fault::Forwarded) => self.forwarded += 1,
            Some(Fault::Late) => self.late += 1,
            Some(Fault::OutOfOrder) => self.out_of_order += 1,
            None => {}
        }
        self.duplicate += u64::from(fate.copy_delay_ms.is_some());
    }

    /// Adds those of another part.
    pub fn merge(&mut self, other: &Self) {
        self.missing += other.missing;
        self.forwarded += other.forwarded;
        self.late += other.late;
        self.out_of_order += other.out_of_order;
        self.duplicate += other.duplicate;
    }
}

/// A reading as the transport sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parcel {
    pub(super) sensor: u64,
    pub(super) seq: u64,
    /// Number of the reading in the run.
    pub(super) index: u64,
    pub(super) due_ms: i64,
}

/// Decides what becomes of a reading; `sensors` is the size of the fleet.
pub(super) fn fate(
    seed: u64,
    spec: &TransportSpec,
    schedule: &Schedule,
    sensors: u64,
    parcel: Parcel,
) -> Fate {
    let draw = |stream| unit(hash(own(seed, parcel.sensor), stream, parcel.seq));
    let happens = |stream, ppm: u32| ppm > 0 && draw(stream) * MILLION < f64::from(ppm);
    if happens(stream::MISSING, spec.missing_ppm) {
        return Fate { fault: Some(Fault::Missing), ..Fate::default() };
    }
    let spell = offline_spell(seed, spec, parcel.sensor, hour_start_ms(parcel.due_ms));
    let spell = spell.filter(|spell| spell.contains(&parcel.due_ms));
    let (fault, delay_ms) = if let Some(spell) = spell {
        (Some(Fault::Forwarded), forwarding_delay_ms(&spell, parcel.due_ms))
    } else if happens(stream::LATE, spec.late_ppm) {
        let range = LATE_MIN_MS..spec.late_max_ms.max(LATE_MIN_MS + 1);
        (Some(Fault::Late), pick(draw(stream::LATE_DELAY), range))
    } else if happens(stream::OVERTAKEN, spec.out_of_order_ppm) {
        let by = pick(draw(stream::OVERTAKEN_BY), 1..OVERTAKEN_BY_MAX + 1);
        let successor = parcel.index.saturating_add(by.saturating_mul(sensors));
        let overtaken_ms = schedule.event_time_ms(successor).saturating_sub(parcel.due_ms);
        (Some(Fault::OutOfOrder), overtaken_ms.unsigned_abs() + 1)
    } else {
        (None, 0)
    };
    let copy_delay_ms = happens(stream::COPY, spec.duplicate_ppm)
        .then(|| delay_ms + pick(draw(stream::COPY_DELAY), 0..COPY_DELAY_MAX_MS));
    Fate { fault, delay_ms, copy_delay_ms }
}

/// Returns when a sensor is offline in the hour that starts at `hour_ms`, in epoch milliseconds.
pub fn offline_spell(
    seed: u64,
    spec: &TransportSpec,
    sensor: u64,
    hour_ms: i64,
) -> Option<Range<i64>> {
    if spec.offline_ppm == 0 {
        return None;
    }
    let draw = |stream| unit(hash(own(seed, sensor), stream, hour_ms.cast_unsigned()));
    if draw(stream::OFFLINE) * MILLION >= f64::from(spec.offline_ppm) {
        return None;
    }
    let lengths = OFFLINE_MIN_MS..spec.offline_max_ms.max(OFFLINE_MIN_MS + 1);
    let length_ms = pick(draw(stream::OFFLINE_LENGTH), lengths);
    // It ends within its hour, so that no two touch.
    let latest_ms = HOUR_MS.unsigned_abs() - length_ms;
    let start_ms = hour_ms.saturating_add_unsigned(pick(draw(stream::OFFLINE_START), 0..latest_ms));
    Some(start_ms..start_ms.saturating_add_unsigned(length_ms))
}

/// What was stored first is sent first, while new readings are sent as they come.
fn forwarding_delay_ms(spell: &Range<i64>, due_ms: i64) -> u64 {
    let sent_ms = spell.end + (due_ms - spell.start) / UPLINK_SPEED;
    (sent_ms - due_ms).unsigned_abs()
}

/// Returns how far a sensor's clock is ahead at a time, in milliseconds: it drifts steadily, and is
/// corrected every six hours.
pub(super) fn clock_skew_ms(seed: u64, spec: &TransportSpec, sensor: u64, time_ms: i64) -> i64 {
    if spec.clock_drift_max_ppm == 0 {
        return 0;
    }
    let own = own(seed, sensor);
    let drift = symmetric(hash(own, stream::DRIFT, 0)) * f64::from(spec.clock_drift_max_ppm);
    let draw = unit(hash(own, stream::SYNC_PHASE, 0));
    let phase_ms = pick(draw, 0..CLOCK_SYNC_MS.unsigned_abs());
    let since_sync_ms = time_ms.saturating_add_unsigned(phase_ms).rem_euclid(CLOCK_SYNC_MS);
    #[expect(clippy::cast_possible_truncation, reason = "below a minute")]
    let skew_ms = libm::round(drift * since_sync_ms as f64 / MILLION) as i64;
    skew_ms
}

/// Maps a draw to a number of the range.
fn pick(draw: f64, range: Range<u64>) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
    let above = (draw * (range.end - range.start) as f64) as u64;
    range.start + above
}

#[cfg(test)]
mod tests;

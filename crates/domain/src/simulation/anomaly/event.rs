//! Where and when anomalies are: drawn per sensor and hour, and per site, kind and hour.

use std::ops::Range;

use super::super::fleet::Fleet;
use super::super::hash::{hash, unit};
use super::super::signal;
use super::{AnomalyKind, AnomalySpec};
use crate::SensorKind;
use crate::hour::HOUR_MS;

/// A site draws for each kind of sensor with one in so many of a sensor's own probability: at 0.05
/// an hour, one in a thousand hours.
pub const SITE_SHARE: u64 = 50;

/// No anomaly takes longer.
pub const DURATION_MAX_MS: i64 = 12 * MINUTE_MS;

const MINUTE_MS: i64 = 60_000;
const MILLION: u64 = 1_000_000;
/// Range of magnitudes, in innovation standard deviations.
pub(super) const MAGNITUDE_SD: Range<f64> = 2.0..10.0;
/// Bits for the hour in the position of a draw; enough for any hour of the next millennium.
const CELL_BITS: u32 = 24;
/// Keeps what a site draws apart from what a sensor draws.
const SITE_BIT: u64 = 1 << 63;

/// Streams of randomness; no other quantity of the simulation uses these.
pub(super) mod stream {
    const ANOMALY: u64 = 0x616e_6f6d_0000;
    pub(super) const CHANCE: u64 = ANOMALY;
    pub(super) const MOMENT: u64 = ANOMALY + 1;
    pub(super) const KIND: u64 = ANOMALY + 2;
    pub(super) const DURATION: u64 = ANOMALY + 3;
    pub(super) const MAGNITUDE: u64 = ANOMALY + 4;
    pub(super) const CONTEXT: u64 = ANOMALY + 5;
    pub(super) const ID: u64 = ANOMALY + 6;
    pub(in super::super) const NOISE: u64 = ANOMALY + 7;
}

/// One anomaly as it was drawn, before any other that overlaps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) struct Event {
    /// Names it among all events of a seed.
    pub(super) id: u64,
    pub(super) kind: AnomalyKind,
    pub(super) site_wide: bool,
    pub(super) start_ms: i64,
    /// Exclusive.
    pub(super) end_ms: i64,
    /// In innovation standard deviations; 0 where the kind has none.
    pub(super) magnitude: f64,
    /// The same in the sensor's unit, with its sign.
    pub(super) amount: f64,
    /// How much earlier the value is of, where it is of another hour.
    pub(super) context_ms: i64,
}

impl Event {
    /// Returns the anomaly that a sensor is under, if any.
    pub(in super::super) fn at(
        seed: u64,
        spec: AnomalySpec,
        fleet: &Fleet,
        sensor: u64,
        ts_ms: i64,
    ) -> Option<Self> {
        if spec.probability_ppm == 0 {
            return None;
        }
        let cell = ts_ms.div_euclid(HOUR_MS);
        let sources = Source::both(seed, fleet, sensor);
        // Nothing of the hour before lasts until here, for most of an hour.
        let previous_matters = ts_ms - cell * HOUR_MS < DURATION_MAX_MS;
        let may_be = |cell| sources.iter().any(|source| source.may_last(spec, cell, ts_ms));
        if may_be(cell) || (previous_matters && may_be(cell - 1)) {
            return Self::first_of(&sources, spec, cell, ts_ms);
        }
        None
    }

    // Rare, and kept out of the way of readings without an anomaly.
    #[cold]
    fn first_of(sources: &[Source; 2], spec: AnomalySpec, cell: i64, ts_ms: i64) -> Option<Self> {
        [cell - 1, cell]
            .into_iter()
            .flat_map(|cell| sources.each_ref().map(|source| source.draw(spec, cell)))
            .flatten()
            .filter(|event| (event.start_ms..event.end_ms).contains(&ts_ms))
            // The first of equals, which is the site's.
            .min_by_key(|event| event.start_ms)
    }

    /// Returns what starts on a sensor in an hour, the first to start first.
    pub(super) fn of_cell(
        seed: u64,
        spec: AnomalySpec,
        fleet: &Fleet,
        sensor: u64,
        cell: i64,
    ) -> [Option<Self>; 2] {
        let mut events = Source::both(seed, fleet, sensor).map(|source| source.draw(spec, cell));
        if let [Some(site), Some(own)] = events
            && own.start_ms < site.start_ms
        {
            events.reverse();
        }
        events
    }
}

/// Something that draws an event an hour: a sensor, or a site for one kind of sensor.
struct Source {
    seed: u64,
    /// Who draws. Only this and the hour differ between the draws for one reading, so that they
    /// share half of each hash.
    owner: u64,
    sensor_kind: SensorKind,
    site_wide: bool,
}

impl Source {
    /// The site comes first, because it wins a tie.
    fn both(seed: u64, fleet: &Fleet, sensor: u64) -> [Self; 2] {
        let sensor_kind = fleet.kind_of(sensor);
        let group = fleet.site_number_of(sensor) as u64 * 8 + sensor_kind as u64;
        let group = SITE_BIT | (group << CELL_BITS);
        [
            Self { seed, owner: group, sensor_kind, site_wide: true },
            Self { seed, owner: sensor << CELL_BITS, sensor_kind, site_wide: false },
        ]
    }

    fn word(&self, stream: u64, cell: i64) -> u64 {
        hash(self.seed, stream, self.owner ^ cell.cast_unsigned())
    }

    fn starts(&self, spec: AnomalySpec, cell: i64) -> bool {
        let chances = if self.site_wide { MILLION * SITE_SHARE } else { MILLION };
        below(self.word(stream::CHANCE, cell), chances) < u64::from(spec.probability_ppm)
    }

    fn start_ms(&self, cell: i64) -> i64 {
        cell * HOUR_MS + between(self.word(stream::MOMENT, cell), &(0..HOUR_MS))
    }

    /// Tells cheaply whether what starts in an hour can be there at a time.
    fn may_last(&self, spec: AnomalySpec, cell: i64, ts_ms: i64) -> bool {
        self.starts(spec, cell) && {
            let start_ms = self.start_ms(cell);
            (start_ms..start_ms + DURATION_MAX_MS).contains(&ts_ms)
        }
    }

    fn draw(&self, spec: AnomalySpec, cell: i64) -> Option<Event> {
        self.starts(spec, cell).then(|| self.event(cell))
    }

    fn event(&self, cell: i64) -> Event {
        let word = |stream| self.word(stream, cell);
        let kinds = AnomalyKind::of_sensor(self.sensor_kind);
        let kind = kinds[usize::try_from(below(word(stream::KIND), kinds.len() as u64))
            .expect("below the number of kinds")];
        let durations_ms = durations_ms(kind);
        let start_ms = self.start_ms(cell);
        let draw = word(stream::MAGNITUDE);
        let magnitude = if kind.has_magnitude(self.sensor_kind) {
            MAGNITUDE_SD.start + unit(draw) * (MAGNITUDE_SD.end - MAGNITUDE_SD.start)
        } else {
            0.0
        };
        // The sign is a bit that the magnitude leaves unused. Less than no light cannot be seen,
        // so that light only rises; and noise has both signs anyway.
        let one_sided = self.sensor_kind == SensorKind::Light || kind == AnomalyKind::NoiseBurst;
        let sign = if one_sided || draw & 1 == 0 { 1.0 } else { -1.0 };
        Event {
            id: word(stream::ID),
            kind,
            site_wide: self.site_wide,
            start_ms,
            end_ms: start_ms + between(word(stream::DURATION), &durations_ms),
            magnitude,
            amount: sign * magnitude * signal::innovation_sd(self.sensor_kind),
            context_ms: between(word(stream::CONTEXT), &(6 * HOUR_MS..18 * HOUR_MS)),
        }
    }
}

/// Range of the duration of a kind, uniform; the mean over the kinds of any sensor is below 5
/// minutes.
pub(super) const fn durations_ms(kind: AnomalyKind) -> Range<i64> {
    match kind {
        AnomalyKind::Spike => 2_000..10_000,
        AnomalyKind::Dropout => MINUTE_MS..5 * MINUTE_MS,
        AnomalyKind::Offset | AnomalyKind::NoiseBurst | AnomalyKind::Inverted => {
            MINUTE_MS..7 * MINUTE_MS
        }
        AnomalyKind::Stuck | AnomalyKind::Contextual => 2 * MINUTE_MS..10 * MINUTE_MS,
        AnomalyKind::Drift | AnomalyKind::LevelShift => 4 * MINUTE_MS..DURATION_MAX_MS,
    }
}

/// Maps a hash to `0..count`, evenly but for one part in 2^64 / `count`.
fn below(hash: u64, count: u64) -> u64 {
    ((u128::from(hash) * u128::from(count)) >> 64) as u64
}

fn between(hash: u64, range: &Range<i64>) -> i64 {
    range.start.saturating_add_unsigned(below(hash, range.end.abs_diff(range.start)))
}

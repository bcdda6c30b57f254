//! The write timestamp of a row, in epoch microseconds: a function of the record alone, so that of
//! several versions of a row Cassandra keeps one whole, whoever writes them in whatever order
//! (docs/data-contract.md#which-version-of-a-row-stays).
//!
//! Cassandra merges cell by cell. Of two cells with the same timestamp it keeps the one that
//! expires later, which depends on when it was written, then the one with the greater bytes. So
//! versions with different cells need different timestamps, or may differ in one cell only.

use crate::event::EventKind;
use crate::reading::Location;
use crate::{SensorKind, Status};

const US_PER_MS: i64 = 1_000;
/// Where event time is part of the key, the timestamp may run ahead of it by up to a second: enough
/// numbers to tell versions apart, too little to matter for the time windows of compaction.
const SPREAD_US: u64 = 1_000_000;
/// Versions of a reading that differ in kind or status never share a number.
const READING_RANKS: u64 = (SensorKind::ALL.len() * Status::ALL.len()) as u64;
const READING_SLOTS: u64 = SPREAD_US / READING_RANKS;
/// Versions of an event that differ in what happened never share a number.
const EVENT_SLOTS: u64 = SPREAD_US / EventKind::ALL.len() as u64;
/// Of `latest`, an older reading must never win: the numbers of a millisecond have to do.
const LATEST_SLOTS: u64 = 1_000 / Status::ALL.len() as u64;

/// Returns the write timestamp of a row of `readings`, and of the location of its site in it.
pub fn reading_us(
    ts_ms: i64,
    kind: SensorKind,
    status: Status,
    value: f64,
    location: Location,
) -> i64 {
    let mut hash = Hash::default();
    for number in [value, location.lat, location.lon] {
        hash.add(&number.to_be_bytes());
    }
    let rank = kind as u64 * Status::ALL.len() as u64 + status as u64;
    at(ts_ms, rank * READING_SLOTS + hash.0 % READING_SLOTS)
}

/// Returns the write timestamp of a row of `events`.
pub fn event_us(ts_ms: i64, event: EventKind, detail: &str) -> i64 {
    let mut hash = Hash::default();
    hash.add(detail.as_bytes());
    at(ts_ms, event as u64 * EVENT_SLOTS + hash.0 % EVENT_SLOTS)
}

/// Returns the write timestamp of a row of `latest`.
///
/// Within a millisecond, readings of one run with numbers less than 333 apart never share one, so
/// that where two do they differ in `value` only; those of two runs do in one case of 333.
pub fn latest_us(ts_ms: i64, kind: SensorKind, status: Status, run: &str, seq: i64) -> i64 {
    let mut hash = Hash::default();
    hash.add(run.as_bytes());
    hash.add(kind.name().as_bytes());
    let slot = (hash.0 % LATEST_SLOTS + seq.unsigned_abs() % LATEST_SLOTS) % LATEST_SLOTS;
    at(ts_ms, slot * Status::ALL.len() as u64 + status as u64)
}

/// Returns the write timestamp of a row of `sensors`.
pub fn sensor_us(ts_ms: i64, kind: SensorKind) -> i64 {
    at(ts_ms, kind as u64)
}

/// Returns the write timestamp of a row of `sites`.
pub fn site_us(ts_ms: i64, location: Location) -> i64 {
    let mut hash = Hash::default();
    for number in [location.lat, location.lon] {
        hash.add(&number.to_be_bytes());
    }
    at(ts_ms, hash.0 % US_PER_MS.unsigned_abs())
}

fn at(ts_ms: i64, fraction_us: u64) -> i64 {
    ts_ms.saturating_mul(US_PER_MS).saturating_add_unsigned(fraction_us)
}

/// FNV-1a with 64 bits (draft-eastlake-fnv): short, and the same in every language.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const TS_MS: i64 = 1_764_000_000_000;
    const PLACE: Location = Location { lat: 52.5181, lon: 13.4093 };

    fn reading(value: f64, status: Status) -> i64 {
        reading_us(TS_MS, SensorKind::Temperature, status, value, PLACE)
    }

    /// The figures of docs/data-contract.md: other programs may compute them, so they never change.
    #[test]
    fn the_numbers_are_those_of_the_contract() {
        let fractions = [
            reading(30.0, Status::Fault),
            reading(20.0, Status::Ok),
            event_us(TS_MS, EventKind::Battery, "80"),
            latest_us(TS_MS, SensorKind::Temperature, Status::Ok, "20261121T013321-9f3a", 17),
            sensor_us(TS_MS, SensorKind::Light),
            site_us(TS_MS, PLACE),
        ]
        .map(|us| us - TS_MS * 1_000);
        assert_eq!(fractions, [185_436, 3_484, 889_263, 483, 4, 984]);
    }

    proptest! {
        /// Goal: two versions of a reading never share a timestamp, unless they differ in the value
        /// or in the place alone.
        #[test]
        fn kinds_and_statuses_never_share_a_timestamp(
            kinds in (0..5_usize, 0..5_usize),
            statuses in (0..3_usize, 0..3_usize),
            values in any::<(f64, f64)>(),
        ) {
            let of = |kind: usize, status: usize, value| {
                reading_us(TS_MS, SensorKind::ALL[kind], Status::ALL[status], value, PLACE)
            };
            let first = of(kinds.0, statuses.0, values.0);
            let second = of(kinds.1, statuses.1, values.1);
            if kinds.0 != kinds.1 || statuses.0 != statuses.1 {
                prop_assert_ne!(first, second);
            }
            let range = TS_MS * 1_000..(TS_MS + 1_000) * 1_000;
            prop_assert!(range.contains(&first) && range.contains(&second));
        }

        #[test]
        fn an_older_reading_never_wins_in_latest(
            run in "[a-z0-9-]{1,30}",
            seqs in any::<(u32, u32)>(),
            statuses in (0..3_usize, 0..3_usize),
        ) {
            let of = |ts_ms, seq: u32, status: usize| {
                let status = Status::ALL[status];
                latest_us(ts_ms, SensorKind::Light, status, &run, i64::from(seq))
            };
            prop_assert!(of(TS_MS, seqs.0, statuses.0) < of(TS_MS + 1, seqs.1, statuses.1));
            let is_near = seqs.0.abs_diff(seqs.1) < 333;
            if (seqs.0 != seqs.1 && is_near) || statuses.0 != statuses.1 {
                prop_assert_ne!(of(TS_MS, seqs.0, statuses.0), of(TS_MS, seqs.1, statuses.1));
            }
        }
    }

    #[test]
    fn values_are_spread_over_the_numbers() {
        let values = 0..10_000_u32;
        let us: BTreeSet<i64> =
            values.map(|value| reading(f64::from(value) / 100.0, Status::Ok)).collect();
        // 10 000 drawn at random from 66 666 hit about 9 286 different ones.
        assert!(us.len() > 9_000, "{}", us.len());
    }
}

//! Event times that are ahead of all others: one wrong clock must not make other sensors late.
//!
//! An event time farther after the latest one than clocks may differ moves the watermark only once
//! two other sensors are as far, or once nothing else has come for a window and the lateness, by
//! the event times themselves. Until then it is a claim.

use domain::Reading;
use domain::partitioner::murmur2;

use super::Timing;

/// So many other sensors confirm a claim.
const OTHERS: usize = 2;

/// What a sensor said last, and nobody confirmed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Hash of its id; two that share one count as one.
    pub(crate) sensor: u32,
    pub(crate) ts_ms: i64,
}

/// Readings without one among them that is not ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Streak {
    /// The latest event time among them.
    pub(crate) ts_ms: i64,
    /// How far it went on, where a step is a window at most: no single jump makes it long.
    pub(crate) span_ms: i64,
}

/// What is claimed in a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    /// Of different sensors; the first places are taken first.
    pub(crate) claims: [Option<Claim>; OTHERS],
    /// There is one only while there are claims.
    pub(crate) streak: Option<Streak>,
}

impl Ahead {
    /// Takes in a reading; returns the latest event time that counts from now on, if it is another.
    pub(crate) fn take_in(
        &mut self,
        timing: &Timing,
        latest_ms: Option<i64>,
        reading: &Reading<'_>,
    ) -> Option<i64> {
        let Some(latest_ms) = latest_ms.filter(|ms| reading.ts <= timing.reach_ms(*ms)) else {
            return self.claim(timing, reading);
        };
        let moved = Some(reading.ts).filter(|ts_ms| *ts_ms > latest_ms);
        if self.claims[0].is_some() {
            let own = sensor(reading);
            let reach_ms = timing.reach_ms(moved.unwrap_or(latest_ms));
            self.streak = None;
            self.keep(|claim| claim.sensor != own && claim.ts_ms > reach_ms);
        }
        moved
    }

    /// A reading that is ahead; the sensors that are so are believed as far as the last of them is.
    #[cold]
    fn claim(&mut self, timing: &Timing, reading: &Reading<'_>) -> Option<i64> {
        let claim = Claim { sensor: sensor(reading), ts_ms: reading.ts };
        self.keep(|other| other.sensor != claim.sensor);
        let streak = self.streak.map_or(Streak { ts_ms: claim.ts_ms, span_ms: 0 }, |streak| {
            let step_ms = claim.ts_ms.saturating_sub(streak.ts_ms).clamp(0, timing.window_ms);
            let span_ms = streak.span_ms.saturating_add(step_ms);
            Streak { ts_ms: streak.ts_ms.max(claim.ts_ms), span_ms }
        });
        let is_alone = streak.span_ms > timing.window_ms + timing.lateness_ms;
        let place = self.claims.iter().position(Option::is_none);
        let latest_ms = self.claims.iter().flatten().map(|claim| claim.ts_ms).min();
        let latest_ms = latest_ms.unwrap_or(claim.ts_ms).min(claim.ts_ms);
        match place {
            Some(place) if !is_alone => {
                self.claims[place] = Some(claim);
                self.streak = Some(streak);
                None
            }
            _ => {
                let reach_ms = timing.reach_ms(latest_ms);
                self.keep(|claim| claim.ts_ms > reach_ms);
                if claim.ts_ms > reach_ms
                    && let Some(place) = self.claims.iter_mut().find(|place| place.is_none())
                {
                    *place = Some(claim);
                }
                self.streak = None;
                Some(latest_ms)
            }
        }
    }

    fn keep(&mut self, is_kept: impl Fn(&Claim) -> bool) {
        let mut places = self.claims.into_iter().flatten().filter(is_kept);
        self.claims = std::array::from_fn(|_| places.next());
    }
}

fn sensor(reading: &Reading<'_>) -> u32 {
    murmur2(reading.sensor_id.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::reading::Location;
    use domain::{SensorKind, Status};

    use super::*;
    use crate::detect::Policy;
    use crate::window::{Arrival, Bookmark, Fate, Partition};

    const TIMING: Timing = Timing::BY_DEFAULT;
    const START_MS: i64 = 1_764_000_000_000;
    const AHEAD_MS: i64 = 15 * 60_000;

    /// Reads a backlog of sensors and times in seconds; returns the partition and how many are
    /// late.
    fn read(readings: impl IntoIterator<Item = (u32, i64)>) -> (Partition, u64) {
        let policy = Arc::new(Policy::built_in());
        let mut partition =
            Partition::resume(TIMING, policy, &Bookmark::start(0), Vec::new(), Vec::new());
        let mut late = 0;
        for (offset, (sensor, at_s)) in readings.into_iter().enumerate() {
            let reading = Reading {
                sensor_id: format!("a/{sensor}").into(),
                site_id: "a".into(),
                kind: SensorKind::Temperature,
                ts: START_MS + at_s * 1_000,
                value: 20.5,
                unit: SensorKind::Temperature.unit().into(),
                seq: i64::try_from(offset).unwrap(),
                run: "r".into(),
                status: Status::Ok,
                location: Location::default(),
            };
            let offset = offset as u64;
            let arrival = Arrival { offset, arrived_ms: i64::MAX, reading: Some(&reading) };
            late += u64::from(matches!(partition.accept(arrival), Fate::Late(_)));
        }
        (partition, late)
    }

    fn watermark_s(readings: impl IntoIterator<Item = (u32, i64)>) -> Option<i64> {
        let watermark_ms = read(readings).0.watermark_ms();
        (watermark_ms > i64::MIN).then(|| (watermark_ms - START_MS + 5_000) / 1_000)
    }

    /// Readings of twelve sensors, one a second.
    fn fleet(seconds: std::ops::Range<i64>) -> impl Iterator<Item = (u32, i64)> {
        seconds.map(|at_s| (u32::try_from(at_s % 12).unwrap(), at_s))
    }

    #[test]
    fn one_reading_ahead_makes_no_other_late() {
        for at_s in [0, 1, 200] {
            let mut readings: Vec<_> = fleet(0..720).collect();
            readings.insert(at_s, (77, AHEAD_MS / 1_000 + 200));
            let (partition, late) = read(readings);
            assert_eq!((late, partition.counts().windowed), (0, 721), "at {at_s} s");
        }
    }

    #[test]
    fn a_clock_that_stays_ahead_makes_no_other_late() {
        let wrong = |(sensor, at_s)| [(sensor, at_s), (77, at_s + AHEAD_MS / 1_000)];
        let (partition, late) = read(fleet(0..7_200).flat_map(wrong));
        assert_eq!((late, partition.counts().windowed), (0, 14_400));
        assert_eq!(partition.watermark_ms(), START_MS + 7_199_000 - 5_000);
    }

    #[test]
    fn two_others_confirm_and_the_least_of_them_counts() {
        let before = || fleet(0..60);
        assert_eq!(watermark_s(before()), Some(59));
        assert_eq!(watermark_s(before().chain([(1, 900), (2, 600)])), Some(59));
        assert_eq!(watermark_s(before().chain([(1, 900), (2, 600), (1, 700)])), Some(59));
        assert_eq!(watermark_s(before().chain([(1, 900), (2, 600), (3, 700)])), Some(600));
        let wrong = [(1, 900), (2, 600), (2, 61), (3, 600)];
        assert_eq!(watermark_s(before().chain(wrong)), Some(61), "one of them took it back");
    }

    #[test]
    fn a_sensor_that_is_alone_is_believed_after_a_window_and_the_lateness() {
        let alone = |last_s| (600..=last_s).map(|at_s| (1, at_s));
        assert_eq!(watermark_s(fleet(0..60).chain(alone(690))), Some(59));
        assert_eq!(watermark_s(fleet(0..60).chain(alone(691))), Some(691));
        assert_eq!(watermark_s(alone(690)), None, "nor is it when a partition begins");
        assert_eq!(watermark_s(alone(700)), Some(700));
        let contradicted = alone(690).chain([(2, 60)]).chain(alone(690));
        assert_eq!(watermark_s(fleet(0..60).chain(contradicted)), Some(60));
        let jumps = [(1, 10_000), (1, 20_000)];
        assert_eq!(watermark_s(fleet(0..60).chain(jumps)), Some(59), "a jump is a window at most");
        let slow = (0..10).map(|number| (1, number * 300));
        assert_eq!(watermark_s(slow), Some(2_400), "every third reading of a slow sensor counts");
    }
}

//! When a partition is silent: it was read to its end, and no window has taken a reading for long.

use std::time::{Duration, Instant};

use crate::window::Fate;

/// How long a partition has had nothing for its windows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    /// Whether everything there is has been read since a window took a reading.
    is_at_end: bool,
    since: Instant,
}

impl Silence {
    /// Begins when a partition is taken over, whose end is not known.
    pub(crate) fn begin(now: Instant) -> Self {
        Self { is_at_end: false, since: now }
    }

    /// Notes what became of a record. Those that no window takes end no silence: windows would wait
    /// for as long as such records come.
    pub(crate) fn heard(&mut self, fate: &Fate, now: Instant) {
        match fate {
            Fate::Windowed | Fate::Replayed => *self = Self::begin(now),
            Fate::Late(_) | Fate::Duplicate | Fate::Invalid | Fate::ClockAhead { .. } => {}
        }
    }

    /// Notes that everything in the partition has been read.
    pub(crate) fn reached_end(&mut self) {
        self.is_at_end = true;
    }

    /// Tells whether it lasts for so long.
    pub(crate) fn has_lasted(&self, timeout: Duration, now: Instant) -> bool {
        self.is_at_end && now.saturating_duration_since(self.since) >= timeout
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::reading::Location;
    use domain::{Reading, SensorKind, Status};

    use super::*;
    use crate::detect::Policy;
    use crate::window::{Arrival, Bookmark, Late, Partition, Timing};

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[test]
    fn the_last_window_is_written_although_junk_keeps_coming() {
        let timing = Timing::BY_DEFAULT;
        let policy = Arc::new(Policy::built_in());
        let mut partition =
            Partition::resume(timing, policy, &Bookmark::start(0), Vec::new(), Vec::new());
        let good = Reading {
            sensor_id: "a/1".into(),
            site_id: "a".into(),
            kind: SensorKind::Temperature,
            ts: 1_764_000_000_000,
            value: 20.5,
            unit: SensorKind::Temperature.unit().into(),
            seq: 1,
            run: "r".into(),
            status: Status::Ok,
            location: Location::default(),
        };
        let start = Instant::now();
        let mut silence = Silence::begin(start);
        let mut written = Vec::new();
        // A reading, and then a record that is none every three seconds.
        for number in 0..20_u32 {
            let now = start + number * Duration::from_secs(3);
            let reading = (number == 0).then_some(&good);
            let offset = u64::from(number);
            let arrival = Arrival { offset, arrived_ms: i64::MAX, reading };
            silence.heard(&partition.accept(arrival), now);
            silence.reached_end();
            if silence.has_lasted(TIMEOUT, now) {
                partition.fall_silent();
            }
            if let Some((outcome, _)) = partition.take()
                && !outcome.rows.is_empty()
            {
                written.push((now - start, outcome.rows.len()));
            }
        }
        assert_eq!(written, [(TIMEOUT, 2)], "the sensor's row and that of its kind, once");
    }

    #[test]
    fn what_a_window_takes_ends_a_silence_and_nothing_else() {
        let start = Instant::now();
        let late = Late { window_start_ms: 0, lateness_ms: 0 };
        for (fate, ends) in [
            (Fate::Windowed, true),
            (Fate::Replayed, true),
            (Fate::Late(late), false),
            (Fate::Duplicate, false),
            (Fate::Invalid, false),
            (Fate::ClockAhead { ahead_ms: 1 }, false),
        ] {
            let mut silence = Silence::begin(start);
            assert!(!silence.has_lasted(TIMEOUT, start + TIMEOUT), "its end is not reached");
            silence.reached_end();
            silence.heard(&fate, start + TIMEOUT / 2);
            assert_eq!(silence.has_lasted(TIMEOUT, start + TIMEOUT), !ends, "{fate:?}");
            silence.reached_end();
            assert!(silence.has_lasted(TIMEOUT, start + TIMEOUT * 2), "{fate:?}");
        }
    }
}

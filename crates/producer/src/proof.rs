//! Whether the rate was kept: readings sent in each 100 ms and each second, held against the
//! schedule, and the stalls of the machine.

use std::time::Duration;

use domain::simulation::Schedule;
use domain::simulation::report::{RateProof, Stalls, WindowProof};

const SHORT_NS: u64 = 100_000_000;
const LONG_NS: u64 = 1_000_000_000;
/// Oversleeping by more than this is a stall of the machine.
const STALL: Duration = Duration::from_millis(10);

/// Counts what was sent in windows of equal length.
#[derive(Debug)]
struct Windows {
    length_ns: u64,
    /// Number of the window that is being counted, and what was sent in it.
    current: u64,
    sent: u64,
    /// Windows that are over and had something due.
    closed: u64,
    /// Sum and sum of squares of what was sent in the windows closed.
    sum: f64,
    squares: f64,
    /// Most and least sent in a window, in units of what was due in it.
    most: f64,
    least: f64,
}

impl Windows {
    /// Starts in the window that `now_ns` lies in.
    fn new(length_ns: u64, now_ns: u64) -> Self {
        Self {
            length_ns,
            current: now_ns / length_ns,
            sent: 0,
            closed: 0,
            sum: 0.0,
            squares: 0.0,
            most: 0.0,
            least: f64::INFINITY,
        }
    }

    fn add(&mut self, target: &Target, now_ns: u64, count: u64) {
        let window = now_ns / self.length_ns;
        while self.current < window {
            self.close(target);
        }
        self.sent += count;
    }

    fn close(&mut self, target: &Target) {
        let start_ns = self.current * self.length_ns;
        let upto = |end_ns: u64| match end_ns {
            0 => 0,
            _ => target.schedule.due_count(end_ns - 1),
        };
        let due = upto(start_ns + self.length_ns) - upto(start_ns);
        if due > 0 {
            let (sent, due) = (self.sent as f64, due as f64 * target.share);
            self.most = self.most.max(sent / due);
            self.least = self.least.min(sent / due);
            self.sum += sent;
            self.squares += sent * sent;
            self.closed += 1;
        }
        self.current += 1;
        self.sent = 0;
    }

    fn proof(&self) -> WindowProof {
        let windows = self.closed as f64;
        let mean = self.sum / windows;
        let variance = self.squares / windows - mean * mean;
        let is_told = self.closed > 0 && mean > 0.0;
        WindowProof {
            windows: self.closed,
            most_of_due: self.most,
            least_of_due: if self.least.is_finite() { self.least } else { 0.0 },
            dispersion: if is_told { variance.max(0.0) / mean } else { 0.0 },
        }
    }
}

/// What a producer is to send.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) schedule: Schedule,
    /// Its share of what is due.
    pub(crate) share: f64,
}

/// Watches the sending of one run.
#[derive(Debug)]
pub(crate) struct Watch {
    target: Target,
    short: Windows,
    long: Windows,
    stalls: Stalls,
}

impl Watch {
    /// Starts before the first reading, at `now_ns` after the start of the schedule.
    pub(crate) fn new(target: Target, now_ns: u64) -> Self {
        Self {
            short: Windows::new(SHORT_NS, now_ns),
            long: Windows::new(LONG_NS, now_ns),
            target,
            stalls: Stalls::default(),
        }
    }

    /// Notes that readings were handed to the Kafka client.
    pub(crate) fn sent(&mut self, now_ns: u64, count: u64) {
        self.short.add(&self.target, now_ns, count);
        self.long.add(&self.target, now_ns, count);
    }

    /// Notes how long a sleep took that should have taken `wanted`.
    pub(crate) fn slept(&mut self, wanted: Duration, took: Duration) {
        let over = took.saturating_sub(wanted);
        if over > STALL {
            let over_ms = over.as_secs_f64() * 1_000.0;
            self.stalls.count += 1;
            self.stalls.total_ms += over_ms;
            self.stalls.longest_ms = self.stalls.longest_ms.max(over_ms);
        }
    }

    /// Returns what the windows that are over show.
    pub(crate) fn proof(&self) -> RateProof {
        RateProof {
            per_100_ms: self.short.proof(),
            per_second: self.long.proof(),
            stalls: self.stalls,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::simulation::Rate;

    use super::*;

    fn watch() -> Watch {
        let rate = Rate::per_second_milli(1_000_000).unwrap();
        Watch::new(Target { schedule: Schedule::constant(0, rate), share: 1.0 }, 0)
    }

    #[test]
    fn a_metronome_has_no_dispersion() {
        let mut watch = watch();
        (0..3_001).for_each(|ms| watch.sent(ms * 1_000_000, 1));
        let RateProof { per_100_ms, per_second, stalls } = watch.proof();
        assert_eq!((per_100_ms.windows, per_second.windows, stalls.count), (30, 3, 0));
        for windows in [per_100_ms, per_second] {
            let expected = WindowProof {
                windows: windows.windows,
                most_of_due: 1.0,
                least_of_due: 1.0,
                dispersion: 0.0,
            };
            assert_eq!(windows, expected);
        }
    }

    #[test]
    fn a_burst_and_the_silence_before_it_show() {
        let mut watch = watch();
        watch.sent(0, 1);
        watch.sent(250_000_000, 250);
        (251..1_000).for_each(|ms| watch.sent(ms * 1_000_000, 1));
        watch.sent(1_000_000_000, 1);
        let RateProof { per_100_ms, per_second, .. } = watch.proof();
        // The window from 200 ms on has the burst and 49 readings of its own.
        assert!((per_100_ms.most_of_due - 2.99).abs() < 1e-9, "{per_100_ms:?}");
        assert!(per_100_ms.least_of_due.abs() < 1e-9 && per_100_ms.dispersion > 20.0);
        assert!((per_second.most_of_due - 1.0).abs() < 1e-9, "the second makes up for it");
    }

    #[test]
    fn only_oversleeping_is_a_stall() {
        let mut watch = watch();
        let ms = Duration::from_millis;
        watch.slept(ms(1), ms(2));
        watch.slept(ms(50), ms(51));
        watch.slept(ms(1), ms(31));
        assert_eq!(watch.proof().stalls, Stalls { count: 1, longest_ms: 30.0, total_ms: 30.0 });
    }
}

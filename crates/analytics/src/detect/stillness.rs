//! Readings that never change while those of the peers do: how unlikely that is by chance.
//!
//! A healthy sensor says the same throughout a window now and then, the oftener the fewer steps its
//! peers range over; and once it does so it likes to go on. How often is learnt for each number of
//! steps, apart for windows after a still one, from a guess that is worth half an hour. The
//! evidence is minus the logarithm of the odds of a run of still windows, and what the peers have
//! moved since adds to it. A motion sensor can be stuck at 1 only, among peers that come and go.

use domain::SensorKind;
use serde::{Deserialize, Serialize};

use super::detectors::{View, active_ms};
use super::peers::nature;
use super::statistics::rounded;

/// Peers that range over fewer steps than this say nothing.
const STEPS_MIN: f64 = 1.5;
/// Numbers of steps between which the other windows are told apart.
const STEPS: [f64; 3] = [2.5, 3.5, 4.5];
const BINS: usize = STEPS.len() + 1;
/// Windows that the guess is worth.
const GUESS_WINDOWS: f64 = 30.0;
/// Guess of the logarithm by which each step makes a still window less likely.
const GUESS_PER_STEP: f64 = 2.0;
/// Bounds of the guess, and so of what one window can say.
const GUESS_MIN: f64 = 1e-6;
const GUESS_MAX: f64 = 0.9;
/// Guess of the share of windows that a motion sensor is at 1 throughout.
const GUESS_MOTION: f64 = 0.07;
/// Standard deviation in steps of what rounding and lag hide of the way of the peers.
const HIDDEN_STEPS: f64 = 0.47;

/// How long a sensor has said the same, and how often it does so by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Stillness {
    /// The last value of the window before.
    value: f64,
    /// Minus the logarithm of the odds of the present run.
    evidence: f64,
    /// What the peers have moved by since its first window, in the unit of the kind.
    moved: f64,
    /// The most evidence that this was worth in the present run: peers that come back take none.
    moved_evidence: f32,
    /// Windows of the present run.
    windows: u16,
    /// Windows by how much the peers moved; the second half are those after a still one.
    seen: [u8; 2 * BINS],
    /// Those of them that were still.
    still: [u8; 2 * BINS],
}

/// What the peers tell of a sensor that is well.
struct Expected {
    /// Steps over which its window should range; of motion, fifths of a window without movement,
    /// and one more.
    steps: f64,
    /// The guess of the probability of a still window.
    guess: f64,
    /// Its change over that of the peers, in steps for a unit.
    scale: f64,
}

impl Expected {
    /// Tells whether stillness is evidence.
    fn counts(&self) -> bool {
        self.steps >= STEPS_MIN
    }
}

impl Stillness {
    /// Notes what the peers moved by more than the sensor, in the unit of the kind.
    pub(super) fn fall_behind(&mut self, ahead: f64) {
        self.moved += ahead;
    }

    /// Ends the present run: what comes next is not its neighbour.
    pub(super) fn interrupt(&mut self) {
        (self.evidence, self.moved, self.moved_evidence, self.windows) = (0.0, 0.0, 0.0, 0);
    }

    /// Takes in a window and returns the evidence that the sensor is stuck; `None` without two
    /// peers.
    ///
    /// A run with evidence of `enough` is no longer learnt from.
    pub(super) fn show(&mut self, view: View<'_>, size_ms: i64, enough: f64) -> Option<f64> {
        let is_still = self.is_still(view);
        let expected = expected(view, size_ms);
        if !is_still {
            if let Some(expected) = &expected {
                self.learn(expected, false);
            }
            self.interrupt();
            return expected.map(|_| 0.0);
        }
        let expected = expected?;
        if expected.counts() {
            self.evidence -= libm::log(self.share(&expected));
        }
        if self.windows == 0 {
            self.moved = 0.0;
        }
        let moved = self.moved * expected.scale / HIDDEN_STEPS;
        self.moved_evidence = self.moved_evidence.max(rounded(0.5 * moved * moved));
        let evidence = self.evidence + f64::from(self.moved_evidence);
        if evidence < enough {
            self.learn(&expected, true);
        }
        self.windows = self.windows.saturating_add(1);
        Some(evidence)
    }

    fn is_still(&mut self, view: View<'_>) -> bool {
        let own = view.own;
        let before = std::mem::replace(&mut self.value, own.last.value);
        let can_be = view.kind != SensorKind::Motion || own.max > 0.5;
        #[expect(clippy::float_cmp, reason = "a stuck value is the same in all its bits")]
        let is_same = own.max == own.min && own.first.value == before;
        can_be && is_same
    }

    fn bin(&self, expected: &Expected) -> usize {
        let steps = STEPS.iter().filter(|limit| expected.steps >= **limit).count();
        if self.windows > 0 { BINS + steps } else { steps }
    }

    /// Returns the share of such windows that are still, above 0.
    fn share(&self, expected: &Expected) -> f64 {
        let bin = self.bin(expected);
        let still = f64::from(self.still[bin]) + expected.guess * GUESS_WINDOWS;
        still / (f64::from(self.seen[bin]) + GUESS_WINDOWS)
    }

    fn learn(&mut self, expected: &Expected, is_still: bool) {
        if !expected.counts() {
            return;
        }
        let bin = self.bin(expected);
        if self.seen[bin] == u8::MAX {
            self.seen[bin] /= 2;
            self.still[bin] /= 2;
        }
        self.seen[bin] += 1;
        self.still[bin] += u8::from(is_still);
    }
}

fn expected(view: View<'_>, size_ms: i64) -> Option<Expected> {
    let Some(nature) = nature(view.kind) else {
        let usual = view.peers_median(|peer| active_ms(peer) as f64)? / size_ms as f64;
        let steps = 5.0 * (1.0 - usual) + 1.0;
        return Some(Expected { steps, guess: GUESS_MOTION, scale: 0.0 });
    };
    let range = view.peers_median(|peer| peer.max - peer.min)?;
    // Light changes by a share of its level, which differs from desk to desk.
    let ratio = if view.kind == SensorKind::Light {
        let level = view.peers_median(|peer| peer.mean)?;
        (view.own.mean / level.max(f64::MIN_POSITIVE)).min(1.0)
    } else {
        1.0
    };
    let scale = ratio / nature.resolution;
    let steps = range * scale;
    let guess = libm::exp(-GUESS_PER_STEP * steps).clamp(GUESS_MIN, GUESS_MAX);
    Some(Expected { steps, guess, scale })
}

#[cfg(test)]
mod tests {
    use domain::Aggregate;
    use domain::aggregate::{Motion, Sample};

    use super::*;

    const ENOUGH: f64 = 9.0;

    fn window(mean: f64, range: f64) -> Aggregate {
        let sample = |value| Sample { ts: 0, value };
        Aggregate {
            count: 42,
            min: mean - range / 2.0,
            max: mean + range / 2.0,
            mean,
            stddev: range / 4.0,
            first: sample(mean - range / 2.0),
            last: sample(mean + range / 2.0),
            not_ok: 0,
            motion: None,
        }
    }

    fn show(stillness: &mut Stillness, kind: SensorKind, own: Aggregate, peer: Aggregate) -> f64 {
        let peers = [(1, &peer), (2, &peer), (3, &peer)];
        stillness.show(View { own: &own, peers: &peers, kind }, 60_000, ENOUGH).unwrap()
    }

    #[test]
    fn one_window_says_enough_where_the_peers_range_widely() {
        let mut stillness = Stillness::default();
        for _ in 0..100 {
            let (own, peer) = (window(21.0, 0.3), window(22.0, 0.3));
            assert!(show(&mut stillness, SensorKind::Temperature, own, peer) < 1e-9);
        }
        let mut still = || {
            let (own, peer) = (window(21.15, 0.0), window(22.0, 0.3));
            show(&mut stillness, SensorKind::Temperature, own, peer)
        };
        assert!(still() > ENOUGH);
        assert!(still() > 2.0 * ENOUGH);
    }

    #[test]
    fn a_sensor_that_is_often_still_needs_more_to_be_stuck() {
        let mut stillness = Stillness::default();
        for number in 0..400 {
            let own = window(50.0, if number % 4 == 0 { 0.2 } else { 0.0 });
            show(&mut stillness, SensorKind::Humidity, own, window(50.0, 0.2));
        }
        let evidence =
            show(&mut stillness, SensorKind::Humidity, window(50.0, 0.0), window(50.0, 0.2));
        assert!(evidence < ENOUGH / 2.0, "{evidence}");
    }

    #[test]
    fn lamps_that_are_switched_elsewhere_are_limited_evidence() {
        let mut stillness = Stillness::default();
        show(&mut stillness, SensorKind::Light, window(300.0, 0.0), window(300.0, 0.0));
        let (own, peer) = (window(300.0, 0.0), window(900.0, 1_500.0));
        let evidence = show(&mut stillness, SensorKind::Light, own, peer);
        assert!(evidence > ENOUGH && evidence < 20.0, "{evidence}");
    }

    #[test]
    fn what_the_peers_move_by_is_evidence_of_its_own() {
        let mut stillness = Stillness::default();
        let mut still = |ahead| {
            stillness.fall_behind(ahead);
            let (own, peer) = (window(1_000.0, 0.0), window(1_000.0, 0.0));
            show(&mut stillness, SensorKind::Pressure, own, peer)
        };
        // The first one only tells the value, and what led to it does not count.
        assert!(still(0.5) < 1e-9 && still(0.5) < 1e-9 && still(0.0) < 1e-9);
        assert!(still(0.01) < ENOUGH);
        assert!(still(0.01) > ENOUGH);
        assert!(still(-0.02) > ENOUGH, "peers that come back leave it as stuck as it was");
    }

    #[test]
    fn a_window_without_peers_leaves_a_run_as_it_is() {
        let mut stillness = Stillness::default();
        let kind = SensorKind::Temperature;
        let (stuck, peer) = (window(21.0, 0.0), window(22.0, 0.3));
        show(&mut stillness, kind, stuck, peer);
        let evidence = show(&mut stillness, kind, stuck, peer);
        assert!(evidence > ENOUGH);
        let alone = |own| View { own, peers: &[], kind };
        assert_eq!(stillness.show(alone(&stuck), 60_000, ENOUGH), None);
        let of_two = show(&mut stillness, kind, stuck, peer);
        assert!(of_two > evidence);
        let there_and_back = window(20.5, 1.0);
        assert_eq!(stillness.show(alone(&there_and_back), 60_000, ENOUGH), None);
        assert!(show(&mut stillness, kind, stuck, peer) < of_two, "it moved meanwhile");
        assert_eq!(stillness.show(alone(&window(20.0, 0.0)), 60_000, ENOUGH), None);
        assert!(show(&mut stillness, kind, stuck, peer) < 1e-9, "it was elsewhere meanwhile");
    }

    #[test]
    fn darkness_and_peers_that_are_still_say_nothing() {
        let mut stillness = Stillness::default();
        for _ in 0..1_000 {
            let evidence =
                show(&mut stillness, SensorKind::Light, window(0.0, 0.0), window(90.0, 30.0));
            assert!(evidence < 1e-9, "{evidence}");
        }
        for _ in 0..1_000 {
            let own = window(21.0, 0.0);
            let evidence = show(&mut stillness, SensorKind::Temperature, own, window(22.0, 0.05));
            assert!(evidence < 1e-9, "{evidence}");
        }
    }

    #[test]
    fn a_motion_sensor_is_stuck_at_one_and_never_at_rest() {
        let mut stillness = Stillness::default();
        let moving = |value: f64, active_ms| Aggregate {
            motion: Some(Motion { active_ms, transitions: 0 }),
            ..window(value, 0.0)
        };
        for _ in 0..300 {
            let own = moving(0.0, 0);
            let evidence = show(&mut stillness, SensorKind::Motion, own, moving(0.5, 20_000));
            assert!(evidence < 1e-9, "{evidence}");
        }
        let mut still =
            || show(&mut stillness, SensorKind::Motion, moving(1.0, 60_000), moving(0.5, 20_000));
        assert!(still() < 1e-9);
        assert!(still() < ENOUGH);
        still();
        assert!(still() > ENOUGH);

        let mut busy = Stillness::default();
        for _ in 0..60 {
            let everybody = moving(1.0, 60_000);
            let evidence = show(&mut busy, SensorKind::Motion, everybody, everybody);
            assert!(evidence < 1e-9, "{evidence} where everybody moves");
        }
    }
}

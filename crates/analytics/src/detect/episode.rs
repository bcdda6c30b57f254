//! The life of an alert: a streak of windows beyond the fire level opens it, a calm of several
//! windows at the clear level ends it.

use domain::Alert;
use domain::SensorKind;
use domain::alert::{AlertState, Severity};
use serde::{Deserialize, Serialize};

/// What a window says about a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Signal {
    /// The value is beyond the fire level.
    Beyond {
        /// In the rule's measure.
        value: f64,
        /// The fire level.
        threshold: f64,
    },
    /// Between the two levels: whatever was the case goes on.
    Between,
    /// At or behind the clear level.
    Calm,
}

impl Signal {
    /// Holds a value against two levels; the rule looks down where `fire` is below `clear`.
    pub(super) fn of(value: f64, fire: f64, clear: f64) -> Self {
        let upward = fire > clear;
        if (upward && value > fire) || (!upward && value < fire) {
            Self::Beyond { value, threshold: fire }
        } else if (upward && value > clear) || (!upward && value < clear) {
            Self::Between
        } else {
            Self::Calm
        }
    }
}

/// How long it takes to raise and to clear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Terms<'a> {
    pub(super) name: &'a str,
    pub(super) severity: Severity,
    /// Windows of a streak, at least 1.
    pub(super) for_windows: u32,
    /// Windows of calm in a row, at least 1.
    pub(super) hold_windows: u32,
}

/// A streak of windows, or the alert that has come of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Episode {
    pub(super) rule: Box<str>,
    pub(super) severity: Severity,
    pub(super) started_at: i64,
    /// `None` while the streak is too short.
    pub(super) opened_at: Option<i64>,
    value: f64,
    threshold: f64,
    /// Windows of the streak; once it is open, windows of calm in a row.
    windows: u32,
}

/// Whose episodes these are, and in which window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene<'a> {
    pub(super) site_id: &'a str,
    pub(super) sensor_id: &'a str,
    pub(super) kind: SensorKind,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

impl Scene<'_> {
    fn alert(&self, episode: &Episode, cleared_at: Option<i64>) -> Alert {
        Alert {
            alert_id: alert_id(&episode.rule, self.sensor_id, episode.started_at),
            site_id: self.site_id.to_owned(),
            sensor_id: self.sensor_id.to_owned(),
            kind: self.kind,
            rule: episode.rule.to_string(),
            severity: episode.severity,
            state: if cleared_at.is_some() { AlertState::Cleared } else { AlertState::Open },
            started_at: episode.started_at,
            opened_at: episode.opened_at.unwrap_or(self.end_ms),
            cleared_at,
            value: episode.value,
            threshold: episode.threshold,
            provisional: false,
        }
    }
}

/// Returns the id of an episode: FNV-1a of 64 bits (Fowler, Noll and Vo; RFC 9923) over the rule,
/// a zero byte, the sensor, a zero byte and the start in little-endian order, in hexadecimal.
pub fn alert_id(rule: &str, sensor_id: &str, started_at: i64) -> String {
    let start = started_at.to_le_bytes();
    let hash = [rule.as_bytes(), &[0], sensor_id.as_bytes(), &[0], &start]
        .into_iter()
        .flatten()
        .fold(FNV_BASIS, |hash, byte| fnv(hash, *byte));
    format!("{hash:016x}")
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// Returns a sensor's number among its peers: the same hash, of its id, folded to 32 bits.
pub(super) fn short_id(sensor_id: &str) -> u32 {
    let hash = sensor_id.bytes().fold(FNV_BASIS, fnv);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half, with the upper one in it")]
    let folded = (hash ^ (hash >> 32)) as u32;
    folded
}

/// The episodes of one sensor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Episodes {
    list: Vec<Episode>,
}

impl Episodes {
    pub(super) fn heap_bytes(&self) -> usize {
        let names: usize = self.list.iter().map(|episode| episode.rule.len()).sum();
        self.list.capacity() * size_of::<Episode>() + names
    }

    pub(super) fn open(&self) -> impl Iterator<Item = (&Episode, i64)> {
        self.list.iter().filter_map(|episode| Some((episode, episode.opened_at?)))
    }

    pub(super) fn is_open(&self, rule: &str) -> bool {
        self.open().any(|(episode, _)| *episode.rule == *rule)
    }

    /// Forgets streaks that are not alerts yet, and calm: the windows after a gap are not in a row
    /// with those before.
    pub(super) fn interrupt(&mut self) {
        self.list.retain(|episode| episode.opened_at.is_some());
        for episode in &mut self.list {
            episode.windows = 0;
        }
    }

    /// Clears what belongs to a rule that is no more.
    pub(super) fn retain(
        &mut self,
        scene: &Scene<'_>,
        is_known: impl Fn(&str) -> bool,
        alerts: &mut Vec<Alert>,
    ) {
        self.list.retain(|episode| {
            let known = is_known(&episode.rule);
            if !known && episode.opened_at.is_some() {
                alerts.push(scene.alert(episode, Some(scene.end_ms)));
            }
            known
        });
    }

    /// Takes in what a window says about a rule; true if it opens an alert.
    pub(super) fn step(
        &mut self,
        terms: Terms<'_>,
        signal: Signal,
        scene: &Scene<'_>,
        alerts: &mut Vec<Alert>,
    ) -> bool {
        let Some(position) = self.list.iter().position(|episode| *episode.rule == *terms.name)
        else {
            let Signal::Beyond { value, threshold } = signal else { return false };
            let mut episode = Episode {
                rule: terms.name.into(),
                severity: terms.severity,
                started_at: scene.start_ms,
                opened_at: None,
                value,
                threshold,
                windows: 0,
            };
            let opens = lengthen(&mut episode, terms, scene, alerts);
            // Most sensors have no episode, and few have two: not a byte more than they need.
            self.list.reserve_exact(1);
            self.list.push(episode);
            return opens;
        };
        let episode = &mut self.list[position];
        if episode.opened_at.is_none() {
            match signal {
                Signal::Calm => drop(self.list.remove(position)),
                Signal::Between => return lengthen(episode, terms, scene, alerts),
                Signal::Beyond { value, threshold } => {
                    (episode.value, episode.threshold) = (value, threshold);
                    return lengthen(episode, terms, scene, alerts);
                }
            }
            return false;
        }
        episode.windows = if signal == Signal::Calm { episode.windows + 1 } else { 0 };
        if episode.windows >= terms.hold_windows {
            alerts.push(scene.alert(episode, Some(scene.end_ms)));
            self.list.remove(position);
        }
        false
    }
}

fn lengthen(
    episode: &mut Episode,
    terms: Terms<'_>,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) -> bool {
    episode.windows += 1;
    let opens = episode.windows >= terms.for_windows;
    if opens {
        episode.windows = 0;
        episode.opened_at = Some(scene.end_ms);
        alerts.push(scene.alert(episode, None));
    }
    opens
}

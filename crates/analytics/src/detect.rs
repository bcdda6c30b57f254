//! Decides, window by window, what is wrong with a sensor: rules with thresholds, and detectors
//! that learn what is usual.
//!
//! What a sensor's [`Watch`] becomes depends on itself and on the windows of the site's sensors,
//! never on another sensor's watch, a clock or chance. So a replay from any mixture of stored
//! watches comes to the same bits, and raises the same alerts under the same ids.

mod detectors;
mod episode;
mod peers;
mod policy;
mod rules;
pub(crate) mod statistics;
mod stillness;
mod watch;

use domain::{Aggregate, Alert, SensorKind};

use self::detectors::View;
pub use self::episode::alert_id;
use self::episode::{Scene, short_id};
use self::peers::PEERS_MAX;
pub use self::policy::{Detector, Detectors, Measure, Policy, PolicyError, Problem, Rule};
pub use self::watch::{OpenAlert, Watch, WatchError};

/// After a gap of more windows than this, what came before is no neighbour of what comes next.
const GAP_WINDOWS_MAX: i64 = 10;
/// The least weight of a window in the slow average: a week of minutes.
const USUAL_WEIGHT: f64 = 1.0 / 10_080.0;

/// A window's place in event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowSpan {
    /// First moment, in epoch milliseconds.
    pub start_ms: i64,
    /// Length in milliseconds.
    pub size_ms: i64,
}

/// One sensor of a site in a window.
#[derive(Debug)]
pub struct Member<'a> {
    /// The sensor.
    pub sensor_id: &'a str,
    /// What it measures.
    pub kind: SensorKind,
    /// Its readings; `None` if there were none.
    pub own: Option<&'a Aggregate>,
    /// What is known of it, which the window is added to.
    pub watch: &'a mut Watch,
}

/// Shows a closed window of a site to all its known sensors, and appends the alerts that it opens
/// and clears.
///
/// `members` ascend by kind and id. A member that has seen the window already is left as it is, and
/// still counts as a peer.
pub fn observe(
    policy: &Policy,
    window: WindowSpan,
    site_id: &str,
    members: &mut [Member<'_>],
    alerts: &mut Vec<Alert>,
) {
    let moves = |member: &Member<'_>| {
        let motion = member.own.and_then(|own| own.motion);
        member.kind == SensorKind::Motion && motion.is_some_and(|motion| motion.active_ms > 0)
    };
    let occupied = members.iter().any(moves);
    for group in members.chunk_by_mut(|a, b| a.kind == b.kind) {
        let Some(kind) = group.first().map(|member| member.kind) else { continue };
        let rules: Vec<&Rule> = policy.rules_of(kind, site_id).collect();
        let windows: Vec<(u32, Option<&Aggregate>)> =
            group.iter().map(|member| (short_id(member.sensor_id), member.own)).collect();
        for (index, member) in group.iter_mut().enumerate() {
            if member.watch.seen_until_ms.is_some_and(|seen_ms| seen_ms >= window.start_ms) {
                continue;
            }
            let scene = Scene {
                site_id,
                sensor_id: member.sensor_id,
                kind,
                start_ms: window.start_ms,
                end_ms: window.start_ms + window.size_ms,
            };
            let watch = &mut *member.watch;
            let before = alerts.len();
            let detectors = &policy.detectors();
            turn_to(watch, window, &scene, &rules, detectors, alerts);
            watch.silence.show(member.own.is_some());
            if !watch.silence.is_usual() {
                // A reading is overdue: the sensor may have died.
                watch.held = None;
            }
            detectors::silent(detectors.silent, watch, &scene, alerts);
            rules::apply(&rules, member.own, occupied, watch, &scene, alerts);
            if let Some(own) = member.own {
                watch.windows = watch.windows.saturating_add(1);
                watch.held = own.motion.map(|_| own.last.value > 0.5);
                let peers = peers_of(index, &windows);
                detectors::apply(
                    detectors,
                    View { own, peers: &peers, kind },
                    watch,
                    &scene,
                    alerts,
                );
                watch.usual.add(own.mean, USUAL_WEIGHT);
            }
            let opened = alerts[before..].iter().filter(|alert| alert.cleared_at.is_none());
            watch.warnings += opened.count() as u64;
        }
    }
}

/// Returns the windows of the peers that come after a sensor in the order of ids, and go on at the
/// first.
fn peers_of<'a>(
    index: usize,
    windows: &[(u32, Option<&'a Aggregate>)],
) -> Vec<(u32, &'a Aggregate)> {
    let others = windows[index + 1..].iter().chain(&windows[..index]);
    others.filter_map(|(id, window)| Some((*id, (*window)?))).take(PEERS_MAX).collect()
}

/// Brings a watch to a new window: drops what does not reach over a gap, or is of no rule.
fn turn_to(
    watch: &mut Watch,
    window: WindowSpan,
    scene: &Scene<'_>,
    rules: &[&Rule],
    detectors: &Detectors,
    alerts: &mut Vec<Alert>,
) {
    let gap_ms = watch.seen_until_ms.map_or(0, |seen_ms| window.start_ms - seen_ms);
    if gap_ms > GAP_WINDOWS_MAX.saturating_mul(window.size_ms) {
        watch.episodes.interrupt();
        watch.peers.interrupt();
        watch.stillness.interrupt();
        (watch.lone_ms, watch.held) = (0, None);
    }
    watch.seen_until_ms = Some(window.start_ms);
    let is_known = |name: &str| detectors.is_on(name) || rules.iter().any(|rule| rule.name == name);
    watch.episodes.retain(scene, is_known, alerts);
}

#[cfg(test)]
mod tests;

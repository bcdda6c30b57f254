//! The detectors: what of a window is unusual, given the sensor's past and its peers.

use domain::{Aggregate, Alert, SensorKind};

use super::episode::{Scene, Signal, Terms};
use super::peers::{Nature, nature};
use super::policy::{DETECTORS, Detector, Detectors};
use super::statistics::{Histogram, Moving, median};
use super::watch::{Edge, Silence, Watch};

/// Windows until the statistical detectors know enough to speak.
const WARM_UP_WINDOWS: u32 = 60;
/// A score is unusual if no larger a share of the past was as large.
const RANK_MAX: f64 = 0.01;
/// The least weight of a window in what is learnt of ranges and stillness.
const WEIGHT: f64 = 0.002;
/// The same of the difference from the peers: three days of minutes.
const DIFFERENCE_WEIGHT: f64 = 1.0 / 4_320.0;
/// Movement that only one sensor sees counts for one standard deviation in so many milliseconds: a
/// pulse of 30 s is less than four.
const LONE_MS: f64 = 8_000.0;
/// Windows without movement after which nobody is thought to be there.
const QUIET_WINDOWS: u16 = 5;
/// The least gap in windows that counts as silence.
const SILENT_WINDOWS_MIN: f64 = 3.0;
/// Windows with readings until a sensor's gaps are known well enough to call one silence.
const HEARD_WINDOWS_MIN: u32 = 5;

/// One window of a sensor, with those of its peers.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) own: &'a Aggregate,
    pub(super) peers: &'a [(u32, &'a Aggregate)],
    pub(super) kind: SensorKind,
}

impl View<'_> {
    /// Returns the median of something over the peers; `None` without two peers.
    pub(super) fn peers_median(&self, of: impl Fn(&Aggregate) -> f64) -> Option<f64> {
        if self.peers.len() < 2 {
            return None;
        }
        let mut values: Vec<f64> = self.peers.iter().map(|(_, peer)| of(peer)).collect();
        median(&mut values)
    }
}

impl Detectors {
    /// Tells whether a name is that of a detector that is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let all = [self.anomaly, self.noise, self.stuck, self.dropout, self.silent, self.drift];
        DETECTORS.contains(&name) && all.iter().any(|one| one.name == name && one.enabled)
    }
}

impl Detector {
    fn terms(&self) -> Terms<'static> {
        let Self { name, severity, hold_windows, .. } = *self;
        Terms { name, severity, for_windows: 1, hold_windows }
    }

    /// Takes in a value of this window.
    fn step(self, value: f64, watch: &mut Watch, scene: &Scene<'_>, alerts: &mut Vec<Alert>) {
        self.signal(Signal::of(value, self.fire, self.clear), watch, scene, alerts);
    }

    fn signal(self, signal: Signal, watch: &mut Watch, scene: &Scene<'_>, alerts: &mut Vec<Alert>) {
        if self.enabled {
            watch.episodes.step(self.terms(), signal, scene, alerts);
        }
    }
}

impl Silence {
    /// Takes in whether a sensor reported in a window.
    pub(super) fn show(&mut self, reported: bool) {
        if reported {
            let gap = f32::from(self.windows);
            self.usual = gap.max(self.usual * 0.99);
            self.windows = 0;
        } else {
            self.windows = self.windows.saturating_add(1);
        }
    }

    /// Tells whether the present gap is no longer than usual, in whole windows.
    pub(super) fn is_usual(self) -> bool {
        f32::from(self.windows) <= self.usual.round()
    }
}

/// Raises silence: `fire` times the usual longest gap, and three windows at least. What is usual of
/// a sensor that has just been met is not known.
pub(super) fn silent(
    detector: Detector,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    let Silence { windows, usual } = watch.silence;
    let windows = f64::from(windows);
    let level = (detector.fire * f64::from(usual)).max(SILENT_WINDOWS_MIN);
    let signal = if windows == 0.0 {
        Signal::Calm
    } else if windows >= level && watch.windows >= HEARD_WINDOWS_MIN {
        Signal::Beyond { value: windows, threshold: level }
    } else if watch.episodes.is_open(detector.name) {
        Signal::Between
    } else {
        Signal::Calm
    };
    detector.signal(signal, watch, scene, alerts);
}

/// Shows a window to all detectors but the silent one.
pub(super) fn apply(
    detectors: &Detectors,
    view: View<'_>,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    let Some(nature) = nature(view.kind) else {
        lone_movement(detectors.anomaly, view, watch, scene, alerts);
        flicker(detectors.noise, view, watch, scene, alerts);
        stuck(detectors.stuck, view, watch, scene, alerts);
        return;
    };
    let lost = lost_readings(view);
    detectors.dropout.step(lost, watch, scene, alerts);
    // The one alert says it all.
    let is_lost = lost > detectors.dropout.clear || watch.episodes.is_open(detectors.dropout.name);
    level(detectors, nature, view, is_lost, watch, scene, alerts);
    if !is_lost {
        noise(detectors.noise, nature, view, watch, scene, alerts);
        stuck(detectors.stuck, view, watch, scene, alerts);
    }
}

/// Estimates how many of a window's readings were at the low end of the sensor's range (Bosch
/// BME280 data sheet); indoors no temperature, humidity or pressure is.
fn lost_readings(view: View<'_>) -> f64 {
    let own = view.own;
    let count = own.count as f64;
    match view.kind {
        SensorKind::Temperature if own.min <= -40.0 => count,
        SensorKind::Pressure if own.min <= 300.0 => count,
        SensorKind::Humidity if own.min <= 0.0 => count,
        // Darkness is lost only where the peers see light all the time.
        SensorKind::Light if own.min <= 0.0 => {
            let lit = view.peers_median(|peer| peer.min).unwrap_or(0.0);
            let lost = (1.0 - own.mean / own.max.max(lit)) * count;
            // The lamps may go off between the last readings of two sensors.
            if lit >= 20.0 && (lost > 2.5 || lost >= count - 0.5) { lost } else { 0.0 }
        }
        _ => 0.0,
    }
}

fn is_unusual(score: f64, past: &Histogram, watch_windows: u32) -> bool {
    let few = 1.5 / f64::from(watch_windows.max(1));
    past.rank(score) <= RANK_MAX.max(few)
}

/// The mean against the peers.
fn level(
    detectors: &Detectors,
    nature: Nature,
    view: View<'_>,
    is_lost: bool,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    let detector = detectors.anomaly;
    let Some(compared) = watch.peers.compare(nature, view.own, view.peers) else { return };
    watch.stillness.fall_behind(compared.ahead);
    if watch.windows < WARM_UP_WINDOWS {
        watch.level_scores.add(compared.score.min(detector.fire));
        return;
    }
    if is_lost {
        return;
    }
    let mut signal = Signal::of(compared.score, detector.fire, detector.clear);
    let is_open = watch.episodes.is_open(detector.name);
    if matches!(signal, Signal::Beyond { .. })
        && !is_open
        && !is_unusual(compared.score, &watch.level_scores, watch.windows)
    {
        signal = Signal::Calm;
    }
    if !is_open {
        watch.level_scores.add(compared.score);
    }
    detector.signal(signal, watch, scene, alerts);
    if let Some(tolerance) = tolerance(view.kind) {
        let off = watch.difference.distance(compared.offset, tolerance);
        let off = if watch.difference.count() < 1_440 { 0.0 } else { off };
        watch.difference.add(compared.offset, DIFFERENCE_WEIGHT);
        detectors.drift.step(off, watch, scene, alerts);
    }
}

/// Returns what a sensor may be off by in its unit (Bosch BME280 data sheet).
const fn tolerance(kind: SensorKind) -> Option<f64> {
    match kind {
        SensorKind::Temperature => Some(0.5),
        SensorKind::Humidity => Some(3.0),
        SensorKind::Pressure => Some(1.0),
        SensorKind::Motion | SensorKind::Light => None,
    }
}

/// The range against that of the peers, and against its own past.
fn noise(
    detector: Detector,
    nature: Nature,
    view: View<'_>,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    let range = view.own.max - view.own.min;
    let usual = view.peers_median(|peer| peer.max - peer.min);
    let mut score = 0.0;
    if let Some(usual) = usual {
        let excess = (range - usual) / (0.5 * nature.resolution + nature.spread * usual);
        let past = &mut watch.range;
        let sd = past.stddev().max(1.0);
        score = (excess - past.mean()).max(0.0) / sd;
        past.add(excess.clamp(-3.0 * sd, 3.0 * sd), WEIGHT);
    }
    if view.kind == SensorKind::Light {
        score = settled(score, view.own, &mut watch.edge);
    } else {
        let alone = beyond_past(range, nature.resolution, &mut watch.range_alone);
        // What is on its way elsewhere ranges as far as what comes back, but ends where it went.
        let back = range - (view.own.last.value - view.own.first.value).abs();
        let excursion = beyond_past(back, 0.5 * nature.resolution, &mut watch.excursion);
        score = score.max(0.7 * alone).max(excursion);
    }
    let is_open = watch.episodes.is_open(detector.name);
    let mut signal = Signal::of(score, detector.fire, detector.clear);
    let is_ready = watch.windows >= WARM_UP_WINDOWS;
    if !is_ready || (!is_open && !is_unusual(score, &watch.range_scores, watch.windows)) {
        signal = Signal::Calm;
    }
    if !is_open {
        watch.range_scores.add(score);
    }
    detector.signal(signal, watch, scene, alerts);
}

/// Returns how far a value is above those of the past, in standard deviations of at least `floor`,
/// and adds it to them.
fn beyond_past(value: f64, floor: f64, past: &mut Moving) -> f64 {
    let sd = past.stddev().max(floor);
    let score = (value - past.mean()).max(0.0) / sd;
    past.add(value.min(past.mean() + 3.0 * sd), WEIGHT);
    score
}

/// Puts the score of a window off that ranges at its edge only, until the next one tells whether
/// the lamps went on or off between the readings of two sensors.
fn settled(score: f64, own: &Aggregate, edge: &mut Option<Box<Edge>>) -> f64 {
    let range = own.max - own.min;
    let before = edge.take();
    if is_edge(own) {
        *edge = Some(Box::new(Edge { score, mean: own.mean, range }));
        return 0.0;
    }
    let put_off = before.filter(|edge| (own.mean - edge.mean).abs() < 0.3 * edge.range);
    score.max(put_off.map_or(0.0, |edge| edge.score))
}

/// Tells whether all that a window ranges over is its first or its last reading or two: lamps go on
/// or off between the readings of two sensors.
fn is_edge(own: &Aggregate) -> bool {
    let range = own.max - own.min;
    let far = |value: f64| (value - own.mean).abs() > 0.6 * range;
    let share = (own.stddev / range.max(f64::MIN_POSITIVE)).powi(2);
    (far(own.first.value) || far(own.last.value)) && share * own.count as f64 <= 3.0
}

/// Readings that never change while those of the peers do.
fn stuck(
    detector: Detector,
    view: View<'_>,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    let size_ms = scene.end_ms - scene.start_ms;
    let Some(evidence) = watch.stillness.show(view, size_ms, detector.fire) else { return };
    let evidence = if watch.windows < WARM_UP_WINDOWS { 0.0 } else { evidence };
    detector.step(evidence, watch, scene, alerts);
}

/// Returns how long a motion sensor was at 1.
pub(super) fn active_ms(window: &Aggregate) -> u64 {
    window.motion.map_or(0, |motion| motion.active_ms)
}

/// Movement that none of the peers sees.
fn lone_movement(
    detector: Detector,
    view: View<'_>,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    if view.peers.len() < 2 {
        return;
    }
    let own_ms = active_ms(view.own);
    let are_peers_still = view.peers.iter().all(|(_, peer)| active_ms(peer) == 0);
    if !are_peers_still {
        (watch.lone_ms, watch.quiet_windows) = (0, 0);
    } else if own_ms == 0 {
        watch.lone_ms /= 4;
    } else {
        watch.lone_ms = watch.lone_ms.saturating_add(own_ms);
    }
    watch.quiet_windows = watch.quiet_windows.saturating_add(u16::from(are_peers_still));
    // Among people a sensor is alone by chance.
    let weight = if watch.quiet_windows >= QUIET_WINDOWS { 1.0 } else { 0.5 };
    detector.step(weight * watch.lone_ms as f64 / LONE_MS, watch, scene, alerts);
}

/// More changes between 0 and 1 than movement makes.
fn flicker(
    detector: Detector,
    view: View<'_>,
    watch: &mut Watch,
    scene: &Scene<'_>,
    alerts: &mut Vec<Alert>,
) {
    let Some(motion) = view.own.motion else { return };
    let changes = motion.transitions as f64;
    let past = watch.range_alone;
    let score = (changes - past.mean()).max(0.0) / libm::hypot(past.stddev(), 1.2);
    watch.range_alone.add(changes.min(past.mean() + 4.0), WEIGHT);
    if watch.windows >= WARM_UP_WINDOWS {
        detector.step(score, watch, scene, alerts);
    }
}

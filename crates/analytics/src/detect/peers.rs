//! A sensor against each of its peers, the sensors of its kind on the same site: they see the same
//! weather, room and people.
//!
//! The difference from a peer is tracked as a constant and a part that goes with how fast the site
//! changes, because one housing answers later than another: a Kalman filter of two states (Harvey,
//! "Forecasting, structural time series models and the Kalman filter", 1989). All pairs of a sensor
//! have the same regressors, so that they share one covariance. The median over the peers leaves a
//! peer that is itself wrong without effect.

use domain::{Aggregate, SensorKind};
use serde::{Deserialize, Serialize};

use super::statistics::{Moving, median, rounded};

/// More peers add nothing to the median.
pub(super) const PEERS_MAX: usize = 4;
/// A pair that differs for so long has changed for good; what it is now becomes usual.
const RELEARN_WINDOWS: u16 = 60;
/// Standard deviations beyond which a difference is not learnt from.
const OUTLIER: f64 = 3.5;
/// The least weight of a window in the noise, in standard deviations squared.
const NOISE_WEIGHT: f64 = 0.002;

/// What a difference wanders by itself from window to window, in units squared.
const WANDER: f64 = 0.000_05;

/// What a kind is like; sources are the figures of the simulated sensors, which are those of their
/// data sheets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nature {
    /// What a value usually changes by within a minute.
    pub(super) unit: f64,
    /// Step in which it reports.
    pub(super) resolution: f64,
    /// Share by which the gain of two sensors may differ.
    gain: f64,
    /// Share of the level by which they ripple.
    ripple: f64,
    /// Least noise of a window mean, in units.
    floor: f64,
    /// Share of a change that lag and gain do not explain.
    curve: f64,
    /// The same of a change in the change, which the lag turns into a difference for a while.
    bend: f64,
    /// Share by which the ranges of two sensors differ in the same window: fast changes of the air
    /// reach one housing before another.
    pub(super) spread: f64,
    /// Variance of the lag, in windows squared, before anything is known.
    lag: f64,
}

/// Returns what a kind of sensor is like; `None` for motion, which knows 0 and 1 only.
pub(super) const fn nature(kind: SensorKind) -> Option<Nature> {
    Some(match kind {
        SensorKind::Temperature => Nature {
            unit: 0.032,
            resolution: 0.05,
            gain: 0.01,
            ripple: 0.0,
            floor: 0.2,
            curve: 0.1,
            bend: 0.2,
            spread: 0.2,
            lag: 0.25,
        },
        SensorKind::Humidity => Nature {
            unit: 0.117,
            resolution: 0.1,
            gain: 0.03,
            ripple: 0.0,
            floor: 0.3,
            curve: 0.15,
            bend: 0.3,
            spread: 0.28,
            lag: 0.25,
        },
        SensorKind::Pressure => Nature {
            unit: 0.010,
            resolution: 0.01,
            gain: 0.01,
            ripple: 0.0,
            floor: 0.15,
            curve: 0.05,
            bend: 0.0,
            spread: 0.2,
            lag: 1e-4,
        },
        SensorKind::Light => Nature {
            unit: 22.0,
            resolution: 1.0,
            gain: 0.25,
            ripple: 0.004,
            floor: 0.15,
            curve: 0.2,
            bend: 0.05,
            spread: 0.2,
            lag: 0.01,
        },
        SensorKind::Motion => return None,
    })
}

/// One peer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Pair {
    id: u32,
    offset: f64,
    lag: f32,
    /// Its mean in the window before.
    previous: f32,
    /// Windows in a row in which the two differed too much.
    out_windows: u16,
}

/// All peers of one sensor, in units of its kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Peers {
    pairs: Vec<Pair>,
    /// Covariance of offset and lag: variance, covariance, variance.
    covariance: [f64; 3],
    /// Square of what is left, in units.
    noise: Moving,
    /// The mean in the window before.
    previous: Option<f64>,
    /// What the site changed by in the window before.
    change: f64,
}

/// What a window says of a sensor against its peers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Comparison {
    /// How far the mean is off, in standard deviations, either way.
    pub(super) score: f64,
    /// The learnt difference from the peers, in the unit of the kind.
    pub(super) offset: f64,
    /// What the site changed by more than the sensor, in the unit of the kind.
    pub(super) ahead: f64,
}

impl Peers {
    pub(super) fn heap_bytes(&self) -> usize {
        self.pairs.capacity() * size_of::<Pair>()
    }

    /// Forgets the window before: what comes next is not its neighbour.
    pub(super) fn interrupt(&mut self) {
        self.previous = None;
        self.change = 0.0;
    }

    /// Compares a window with those of the peers and learns from it; `None` without two peers, and
    /// in the first window after a gap.
    pub(super) fn compare(
        &mut self,
        nature: Nature,
        own: &Aggregate,
        peers: &[(u32, &Aggregate)],
    ) -> Option<Comparison> {
        let unit = nature.unit;
        let mean = own.mean / unit;
        let known = self.previous.is_some();
        let own_change = mean - self.previous.unwrap_or(mean);
        let change = self.change(mean, peers, unit);
        self.meet(mean, peers, nature);
        self.previous = Some(mean);
        let (Some(change), true) = (change, known && peers.len() > 1) else {
            return None;
        };
        let [a, b, c] = self.covariance;
        let moved = nature.gain * change;
        let (a, c) = ((a + WANDER + moved * moved).min(400.0), (c + nature.lag * 4e-6).min(1.0));
        let limit = libm::sqrt(a * c) * 0.99;
        let b = b.clamp(-limit, limit);
        let (gain_offset, gain_lag) = (a + b * change, b + c * change);
        let state = gain_offset + gain_lag * change;
        // A change within the window reaches two sensors' means as exactly as they are sampled.
        let sampling = 0.7 * (own.max - own.min) / unit / own.count as f64;
        let ripple = nature.ripple * own.mean.abs() / unit;
        let curve = nature.curve * change;
        let bend = nature.bend * (change - self.change);
        self.change = change;
        let usual = self.noise.mean().max(nature.floor * nature.floor);
        let noise = usual + sampling * sampling + ripple * ripple + curve * curve + bend * bend;
        let variance = state + noise;
        let sd = libm::sqrt(variance);
        let mut errors = [0.0; PEERS_MAX];
        let mut offsets = [0.0; PEERS_MAX];
        let count = peers.len().min(PEERS_MAX);
        for (slot, (id, peer)) in peers.iter().take(count).enumerate() {
            let Some(pair) = self.pairs.iter_mut().find(|pair| pair.id == *id) else { continue };
            let error = mean - peer.mean / unit - pair.offset - f64::from(pair.lag) * change;
            pair.learn(error, sd, [gain_offset / variance, gain_lag / variance]);
            (errors[slot], offsets[slot]) = (error, pair.offset);
        }
        self.covariance = [
            a - gain_offset * gain_offset / variance,
            b - gain_offset * gain_lag / variance,
            c - gain_lag * gain_lag / variance,
        ];
        let error = median(&mut errors[..count])?;
        let offset = median(&mut offsets[..count])? * unit;
        let score = error.abs() / sd;
        // What is out of the usual teaches little of it.
        let excess = (error * error - state - sampling * sampling).clamp(0.0, 9.0 * usual);
        self.noise.add(excess, NOISE_WEIGHT);
        Some(Comparison { score, offset, ahead: (change - own_change) * unit })
    }

    /// Returns what the site changed by since the window before, in units.
    fn change(&self, mean: f64, peers: &[(u32, &Aggregate)], unit: f64) -> Option<f64> {
        let mut changes = [0.0; PEERS_MAX + 1];
        changes[0] = mean - self.previous?;
        let mut count = 1;
        for (id, peer) in peers.iter().take(PEERS_MAX) {
            if let Some(pair) = self.pairs.iter().find(|pair| pair.id == *id) {
                changes[count] = peer.mean / unit - f64::from(pair.previous);
                count += 1;
            }
        }
        median(&mut changes[..count])
    }

    /// Notes the peers' means, and takes peers in that are new.
    fn meet(&mut self, mean: f64, peers: &[(u32, &Aggregate)], nature: Nature) {
        let Nature { unit, lag, .. } = nature;
        for (id, peer) in peers.iter().take(PEERS_MAX) {
            let peer_mean = peer.mean / unit;
            if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.id == *id) {
                pair.previous = rounded(peer_mean);
                continue;
            }
            if self.pairs.is_empty() {
                self.covariance = [4.0, 0.0, lag];
            }
            if self.pairs.len() == PEERS_MAX {
                // One that is gone makes room.
                self.pairs.retain(|pair| peers.iter().any(|(id, _)| *id == pair.id));
            }
            let offset = mean - peer_mean;
            self.pairs.push(Pair {
                id: *id,
                offset,
                lag: 0.0,
                previous: rounded(peer_mean),
                out_windows: 0,
            });
        }
    }
}

impl Pair {
    fn learn(&mut self, error: f64, sd: f64, gain: [f64; 2]) {
        if error.abs() <= OUTLIER * sd {
            self.out_windows = 0;
            self.offset += gain[0] * error;
            self.lag = rounded(f64::from(self.lag) + gain[1] * error);
            return;
        }
        self.out_windows += 1;
        if self.out_windows >= RELEARN_WINDOWS {
            self.out_windows = 0;
            self.offset += error;
        }
    }
}

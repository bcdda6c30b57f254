//! When sensors are silent and when movement does not end, by definition: from all windows at once,
//! with no state that goes from one to the next.

use domain::alert::{AlertState, Severity};
use domain::{Aggregate, Alert, SensorKind};

use super::timing;
use crate::detect::{Policy, alert_id};

/// The rules that are computed here.
pub(super) const NAMES: [&str; 2] = ["silent", "motion"];

/// A window that a sensor's site was shown, from the first one with a reading of the sensor on.
pub(super) struct Seen {
    pub(super) start_ms: i64,
    pub(super) own: Option<Aggregate>,
}

/// A sensor's past.
pub(super) struct Past<'a> {
    pub(super) site_id: &'a str,
    pub(super) sensor_id: &'a str,
    pub(super) kind: SensorKind,
    pub(super) seen: Vec<Seen>,
}

impl Past<'_> {
    /// Returns all alerts of the rules, once opened and once cleared.
    pub(super) fn alerts(&self, policy: &Policy) -> Vec<Alert> {
        let mut alerts = self.silences(policy);
        if self.kind == SensorKind::Motion {
            alerts.extend(self.movements(policy));
        }
        alerts
    }

    fn end_ms(&self, place: usize) -> i64 {
        self.seen[place].start_ms + timing().window_ms
    }

    /// Windows up to a place since the sensor reported.
    fn gap(&self, place: usize) -> usize {
        self.seen[..=place].iter().rev().take_while(|seen| seen.own.is_none()).count()
    }

    /// The longest of all gaps that were over by a place; each report since makes one a hundredth
    /// shorter.
    fn usual(&self, place: usize) -> f32 {
        let reports: Vec<usize> =
            (0..place).filter(|place| self.seen[*place].own.is_some()).collect();
        let gaps = reports.windows(2).map(|pair| pair[1] - pair[0] - 1).rev();
        let faded = gaps.enumerate().map(|(reports, gap)| {
            (0..reports).fold(f32::from(u16::try_from(gap).expect("few")), |gap, _| gap * 0.99)
        });
        faded.fold(0.0, f32::max)
    }

    fn silences(&self, policy: &Policy) -> Vec<Alert> {
        let detector = policy.detectors().silent;
        let (mut alerts, mut open) = (Vec::new(), None::<Alert>);
        for (place, seen) in self.seen.iter().enumerate() {
            if seen.own.is_some() {
                alerts.extend(open.take().map(|open| cleared(&open, self.end_ms(place))));
                continue;
            }
            let reports = self.seen[..place].iter().filter(|seen| seen.own.is_some()).count();
            let level = (detector.fire * f64::from(self.usual(place))).max(3.0);
            let gap = self.gap(place) as f64;
            if open.is_none() && reports >= 5 && gap >= level {
                let alert = self.opened(NAMES[0], place, place, detector.severity, [gap, level]);
                alerts.push(alert.clone());
                open = Some(alert);
            }
        }
        alerts
    }

    /// What the sensor said last before a window, if that may still hold in it.
    fn held(&self, place: usize) -> Option<bool> {
        let last = self.seen[..place].iter().rposition(|seen| seen.own.is_some())?;
        let empty = self.seen[last + 1..=place].iter().filter(|seen| seen.own.is_none()).count();
        let is_overdue = empty as f64 > f64::from(self.usual(last + 1).round());
        let is_torn = (last + 1..=place).any(|place| self.is_after_gap(place));
        let own = self.seen[last].own.filter(|_| !is_overdue && !is_torn)?;
        Some(own.last.value > 0.5)
    }

    fn is_after_gap(&self, place: usize) -> bool {
        let step_ms = self.seen[place].start_ms - self.seen[place - 1].start_ms;
        step_ms > 10 * timing().window_ms
    }

    /// The share of a window at 1.
    fn share(&self, place: usize) -> Option<f64> {
        let Seen { start_ms, own } = &self.seen[place];
        let held = self.held(place);
        if own.is_none() && held.is_none() {
            return None;
        }
        let first_ms = own.map_or(self.end_ms(place), |own| own.first.ts);
        let active_ms = own.and_then(|own| own.motion).map_or(0, |motion| motion.active_ms);
        let before_ms = if held == Some(true) { first_ms - start_ms } else { 0 };
        Some((before_ms + active_ms.cast_signed()) as f64 / timing().window_ms as f64)
    }

    fn movements(&self, policy: &Policy) -> Vec<Alert> {
        let rule = policy.rules_of(self.kind, self.site_id).find(|rule| rule.name == NAMES[1]);
        let rule = rule.expect("a rule of the repository");
        let mut alerts = Vec::new();
        // Windows of the streak, and of the calm after it.
        let (mut streak, mut calm) = (Vec::new(), 0);
        let (mut value, mut open) = (0.0, None::<Alert>);
        for place in 0..self.seen.len() {
            if place > 0 && self.is_after_gap(place) {
                (streak, calm) = (Vec::new(), 0);
            }
            let Some(share) = self.share(place) else { continue };
            if let Some(alert) = &open {
                calm = if share <= rule.clear { calm + 1 } else { 0 };
                if calm == rule.hold_windows {
                    alerts.push(cleared(alert, self.end_ms(place)));
                    (streak, calm, open) = (Vec::new(), 0, None);
                }
                continue;
            }
            if share > rule.fire {
                value = share;
            }
            let is_beyond = share > rule.fire || !streak.is_empty() && share > rule.clear;
            if !is_beyond {
                streak.clear();
                continue;
            }
            streak.push(place);
            if streak.len() == rule.for_windows as usize {
                let levels = [value, rule.fire];
                let alert = self.opened(NAMES[1], streak[0], place, rule.severity, levels);
                alerts.push(alert.clone());
                open = Some(alert);
            }
        }
        alerts
    }

    fn opened(
        &self,
        rule: &str,
        first: usize,
        last: usize,
        severity: Severity,
        [value, threshold]: [f64; 2],
    ) -> Alert {
        let started_at = self.seen[first].start_ms;
        Alert {
            alert_id: alert_id(rule, self.sensor_id, started_at),
            site_id: self.site_id.to_owned(),
            sensor_id: self.sensor_id.to_owned(),
            kind: self.kind,
            rule: rule.to_owned(),
            severity,
            state: AlertState::Open,
            started_at,
            opened_at: self.end_ms(last),
            cleared_at: None,
            value,
            threshold,
            provisional: false,
        }
    }
}

fn cleared(open: &Alert, end_ms: i64) -> Alert {
    Alert { state: AlertState::Cleared, cleared_at: Some(end_ms), ..open.clone() }
}

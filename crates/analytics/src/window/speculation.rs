//! What is said of windows that are not closed, while a partition is silent.
//!
//! Nobody knows whether more will come, so the detectors are shown such a window on a copy of their
//! states. If more comes and the closed window tells another story, what was said is taken back.

use std::collections::BTreeMap;

use domain::Alert;
use domain::alert::AlertState;

use super::outcome::Raised;
use crate::detect::Watch;

/// A window that is not closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unfinished {
    pub(crate) start_ms: i64,
    pub(crate) size_ms: i64,
    /// Records of the partition from its first reading on: what is said of it follows from the
    /// windows before it as well, which may have taken in more meanwhile.
    pub(crate) records: u64,
}

impl Unfinished {
    /// Returns the write timestamp of what is said of it, in epoch microseconds: the more records,
    /// the later, and before all that a finished window says; one more takes it back.
    fn write_timestamp_us(self) -> i64 {
        let most = (self.size_ms * 1_000 / 2 - 2).unsigned_abs();
        let records = self.records.min(most).cast_signed();
        self.start_ms.saturating_mul(1_000).saturating_add(2 * records)
    }
}

/// Copies of the states, and what they said.
#[derive(Debug, Default)]
pub(crate) struct Speculation {
    is_idle: bool,
    watches: BTreeMap<u32, Watch>,
    said: Vec<Alert>,
}

impl Speculation {
    /// Takes over what another process said and could not settle.
    pub(crate) fn of(said: Vec<Alert>) -> Self {
        Self { said, ..Self::default() }
    }

    /// Notes that the partition is silent; returns false if that is known.
    pub(crate) fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.is_idle, true)
    }

    /// Notes that there is something new.
    pub(crate) fn resume(&mut self) {
        if std::mem::take(&mut self.is_idle) {
            self.watches.clear();
        }
    }

    /// Tells whether there is a copy: the sensor was shown in an unfinished window.
    pub(crate) fn has_copy(&self, sensor: u32) -> bool {
        self.watches.contains_key(&sensor)
    }

    /// Takes the copy of a state, made of the state itself if there is none.
    pub(crate) fn borrow(&mut self, sensor: u32, watch: &Watch) -> Watch {
        self.watches.remove(&sensor).unwrap_or_else(|| watch.clone())
    }

    pub(crate) fn give_back(&mut self, sensor: u32, watch: Watch) {
        self.watches.insert(sensor, watch);
    }

    /// Says which alerts an unfinished window raises, and takes back what was said of it when
    /// there were fewer records. It clears none: what is open stays open until a window is
    /// finished.
    ///
    /// Of several windows the earlier one comes first.
    pub(crate) fn say(&mut self, window: Unfinished, alerts: Vec<Alert>, raised: &mut Vec<Raised>) {
        let end_ms = window.start_ms + window.size_ms;
        let write_timestamp_us = window.write_timestamp_us();
        for said in self.said.extract_if(.., |said| said.opened_at == end_ms) {
            if !is_among(&alerts, &said) {
                raised.push(withdrawn(said, write_timestamp_us + 1));
            }
        }
        for alert in alerts.into_iter().filter(|alert| alert.state == AlertState::Open) {
            let alert = Alert { provisional: true, ..alert };
            self.said.push(alert.clone());
            raised.push(Raised { alert, write_timestamp_us });
        }
    }

    /// Says what a finished window shows, and takes back what was said of windows up to its end and
    /// is not true.
    pub(crate) fn settle(
        &mut self,
        window_end_ms: i64,
        alerts: Vec<Alert>,
        raised: &mut Vec<Raised>,
    ) {
        for said in self.said.extract_if(.., |said| said.opened_at <= window_end_ms) {
            if !is_among(&alerts, &said) {
                let before_any_other_us = said.opened_at.saturating_mul(1_000) - 1;
                raised.push(withdrawn(said, before_any_other_us));
            }
        }
        raised.extend(alerts.into_iter().map(|alert| {
            let end_ms = alert.cleared_at.unwrap_or(alert.opened_at);
            Raised { alert, write_timestamp_us: end_ms.saturating_mul(1_000) }
        }));
    }
}

fn is_among(alerts: &[Alert], said: &Alert) -> bool {
    alerts.iter().any(|alert| alert.alert_id == said.alert_id && alert.state == AlertState::Open)
}

fn withdrawn(said: Alert, write_timestamp_us: i64) -> Raised {
    let alert = Alert { state: AlertState::Withdrawn, provisional: false, ..said };
    Raised { alert, write_timestamp_us }
}

#[cfg(test)]
mod tests {
    use domain::SensorKind;
    use domain::alert::Severity;

    use super::*;

    fn alert(id: &str, state: AlertState, end_ms: i64) -> Alert {
        Alert {
            alert_id: id.into(),
            site_id: "a".into(),
            sensor_id: "a/1".into(),
            kind: SensorKind::Light,
            rule: "dark".into(),
            severity: Severity::Info,
            state,
            started_at: 0,
            opened_at: 60,
            cleared_at: (state == AlertState::Cleared).then_some(end_ms),
            value: 1.0,
            threshold: 2.0,
            provisional: false,
        }
    }

    fn states(raised: &[Raised]) -> Vec<(AlertState, bool, i64)> {
        let state = |raised: &Raised| {
            (raised.alert.state, raised.alert.provisional, raised.write_timestamp_us)
        };
        raised.iter().map(state).collect()
    }

    const WINDOW: Unfinished = Unfinished { start_ms: 0, size_ms: 60, records: 5 };

    #[test]
    fn what_comes_true_is_said_again_and_nothing_more() {
        let (mut speculation, mut raised) = (Speculation::default(), Vec::new());
        let open = alert("x", AlertState::Open, 60);
        speculation.say(WINDOW, vec![open.clone()], &mut raised);
        speculation.settle(60, vec![open], &mut raised);
        let open = AlertState::Open;
        assert_eq!(states(&raised), [(open, true, 10), (open, false, 60_000)]);
    }

    #[test]
    fn what_does_not_is_taken_back() {
        let (mut speculation, mut raised) = (Speculation::default(), Vec::new());
        speculation.say(WINDOW, vec![alert("x", AlertState::Open, 60)], &mut raised);
        raised.clear();
        speculation.settle(59, Vec::new(), &mut raised);
        assert!(raised.is_empty(), "its window is not finished");
        speculation.settle(60, Vec::new(), &mut raised);
        assert_eq!(states(&raised), [(AlertState::Withdrawn, false, 59_999)]);
    }

    #[test]
    fn more_records_may_tell_another_story_and_another() {
        let (mut speculation, mut raised) = (Speculation::default(), Vec::new());
        let open = || vec![alert("x", AlertState::Open, 60)];
        speculation.say(WINDOW, open(), &mut raised);
        speculation.say(Unfinished { records: 6, ..WINDOW }, Vec::new(), &mut raised);
        speculation.say(Unfinished { records: 7, ..WINDOW }, open(), &mut raised);
        let (open, withdrawn) = (AlertState::Open, AlertState::Withdrawn);
        let expected = [(open, true, 10), (withdrawn, false, 13), (open, true, 14)];
        assert_eq!(states(&raised), expected);
        let many = Unfinished { records: u64::MAX, ..WINDOW };
        assert!(many.write_timestamp_us() + 1 < 59_999);
    }

    #[test]
    fn what_another_process_said_is_settled() {
        let provisional = Alert { provisional: true, ..alert("x", AlertState::Open, 60) };
        let (mut speculation, mut raised) = (Speculation::of(vec![provisional]), Vec::new());
        speculation.settle(60, Vec::new(), &mut raised);
        assert_eq!(states(&raised), [(AlertState::Withdrawn, false, 59_999)]);
    }

    #[test]
    fn an_unfinished_window_clears_nothing() {
        let (mut speculation, mut raised) = (Speculation::default(), Vec::new());
        speculation.say(WINDOW, vec![alert("x", AlertState::Cleared, 120)], &mut raised);
        assert!(raised.is_empty());
    }
}

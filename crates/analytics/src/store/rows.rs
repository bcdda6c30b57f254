//! Rows as they are read.

use domain::aggregate::{Motion, Sample};
use domain::alert::{AlertState, Severity};
use domain::{Aggregate, Alert, SensorKind};
use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;

use crate::window::{RowKey, WindowRow};

/// A row of `aggregates_1m`.
#[derive(DeserializeRow)]
pub(super) struct WindowColumns {
    site_id: String,
    kind: String,
    sensor_id: String,
    window_start: CqlTimestamp,
    count: i64,
    min: f64,
    max: f64,
    mean: f64,
    stddev: f64,
    first: f64,
    first_ts: CqlTimestamp,
    last: f64,
    last_ts: CqlTimestamp,
    not_ok: i64,
    active_s: Option<f64>,
    transitions: Option<i64>,
    revision: i64,
}

impl WindowColumns {
    /// What is to be selected.
    pub(super) const NAMES: &str = "site_id, kind, sensor_id, window_start, count, min, max, mean, \
        stddev, first, first_ts, last, last_ts, not_ok, active_s, transitions, revision";

    pub(super) fn into_row(self) -> Result<WindowRow, String> {
        let kind: SensorKind = self.kind.parse().map_err(|error| format!("{error}"))?;
        let motion = self.active_s.zip(self.transitions).map(|(active_s, transitions)| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a window")]
            let active_ms = libm::round(active_s * 1e3) as u64;
            Motion { active_ms, transitions: transitions.unsigned_abs() }
        });
        let sample = |ts: CqlTimestamp, value| Sample { ts: ts.0, value };
        Ok(WindowRow {
            key: RowKey {
                site_id: self.site_id,
                kind,
                sensor_id: self.sensor_id,
                window_start_ms: self.window_start.0,
            },
            aggregate: Aggregate {
                count: self.count.unsigned_abs(),
                min: self.min,
                max: self.max,
                mean: self.mean,
                stddev: self.stddev,
                first: sample(self.first_ts, self.first),
                last: sample(self.last_ts, self.last),
                not_ok: self.not_ok.unsigned_abs(),
                motion,
            },
            revision: self.revision.unsigned_abs(),
        })
    }
}

/// A row of `alerts`.
#[derive(DeserializeRow)]
pub(super) struct AlertColumns {
    site_id: String,
    started_at: CqlTimestamp,
    alert_id: String,
    sensor_id: String,
    kind: String,
    rule: String,
    severity: String,
    state: String,
    opened_at: CqlTimestamp,
    cleared_at: Option<CqlTimestamp>,
    value: f64,
    threshold: f64,
    provisional: bool,
}

impl AlertColumns {
    pub(super) fn into_alert(self) -> Result<Alert, String> {
        Ok(Alert {
            alert_id: self.alert_id,
            site_id: self.site_id,
            sensor_id: self.sensor_id,
            kind: self.kind.parse().map_err(|error| format!("{error}"))?,
            rule: self.rule,
            severity: self.severity.parse::<Severity>().map_err(|error| format!("{error}"))?,
            state: self.state.parse::<AlertState>().map_err(|error| format!("{error}"))?,
            started_at: self.started_at.0,
            opened_at: self.opened_at.0,
            cleared_at: self.cleared_at.map(|at| at.0),
            value: self.value,
            threshold: self.threshold,
            provisional: self.provisional,
        })
    }
}

//! What comes out of a partition: rows, alerts, late readings, and what the detectors have learnt.

use domain::aggregate::Merge;
use domain::{Aggregate, Alert, SensorKind};

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is part of its window.
    Windowed,
    /// Its window was final.
    Late(Late),
    /// Its window had it already.
    Duplicate,
    /// It is no reading.
    Invalid,
    /// Its event time lies farther after its arrival than clocks may differ.
    ClockAhead {
        /// How far.
        ahead_ms: i64,
    },
    /// It was taken in before, and is read again for a window that is still open.
    Replayed,
}

/// How late a reading was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Late {
    /// Start of its window, in epoch milliseconds.
    pub window_start_ms: i64,
    /// How long after its window was closed it came, in event time.
    pub lateness_ms: i64,
}

/// What tells a row of a table of aggregates from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// The building.
    pub site_id: String,
    /// What is measured.
    pub kind: SensorKind,
    /// The sensor; empty stands for all of the kind.
    pub sensor_id: String,
    /// Start of the window, in epoch milliseconds.
    pub window_start_ms: i64,
}

/// A row of a table of aggregates.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowRow {
    /// Its key.
    pub key: RowKey,
    /// What the readings come to.
    pub aggregate: Aggregate,
    /// Readings that came after the window was closed.
    pub revision: u64,
}

impl WindowRow {
    /// Makes the row of all sensors of a kind from theirs, in the order of their ids, with how
    /// often each was amended; `None` if there are none.
    pub(crate) fn of_kind(
        site_id: &str,
        kind: SensorKind,
        window_start_ms: i64,
        sensors: &[(Aggregate, u64)],
    ) -> Option<Self> {
        let parts = sensors.iter().map(|(aggregate, _)| *aggregate);
        let aggregate = Aggregate::merge(parts, Merge::OverSensors)?;
        let (site_id, sensor_id) = (site_id.to_owned(), String::new());
        let key = RowKey { site_id, kind, sensor_id, window_start_ms };
        let revision = sensors.iter().map(|(_, revision)| revision).sum();
        Some(Self { key, aggregate, revision })
    }

    /// Returns the write timestamp in epoch microseconds: the more readings a result is of, the
    /// later, so that of two results for a window the fuller one stays, whoever writes last.
    pub fn write_timestamp_us(&self, window_ms: i64) -> i64 {
        let end_ms = self.key.window_start_ms.saturating_add(window_ms);
        end_ms.saturating_mul(1_000).saturating_add_unsigned(self.aggregate.count)
    }
}

/// What the detectors have learnt about a sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SensorState {
    /// The building.
    pub site_id: String,
    /// What is measured.
    pub kind: SensorKind,
    /// The sensor.
    pub sensor_id: String,
    /// Start of the last window that they were shown, in epoch milliseconds.
    pub window_start_ms: i64,
    /// For [`crate::detect::Watch::decode`].
    pub state: Vec<u8>,
}

/// An alert, and when it is as good as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// The alert.
    pub alert: Alert,
    /// Write timestamp of its row, in epoch microseconds: what is said of an unfinished window
    /// gives way to what is said of the finished one.
    pub write_timestamp_us: i64,
}

/// Everything that came of a partition since it was last asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Windows to write, in the order in which they became so.
    pub rows: Vec<WindowRow>,
    /// Sites with the starts of larger windows that have to be merged anew, after the rows.
    pub rollups: Vec<(String, i64)>,
    /// Alerts, in the order in which they were raised.
    pub alerts: Vec<Raised>,
    /// States of the detectors, to be written after the alerts.
    pub states: Vec<SensorState>,
}

impl Outcome {
    /// Tells whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let Self { rows, rollups, alerts, states } = self;
        rows.is_empty() && rollups.is_empty() && alerts.is_empty() && states.is_empty()
    }
}

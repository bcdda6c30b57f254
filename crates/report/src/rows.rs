//! The rows that reports are made of.

/// Length of the windows of `aggregates_1m`, in milliseconds.
pub(crate) const MINUTE_MS: i64 = 60_000;

/// What the readings of a minute come to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Window {
    /// Name of the kind.
    pub(crate) kind: String,
    /// The sensor; empty is all sensors of the kind.
    pub(crate) sensor_id: String,
    /// Start, in epoch milliseconds.
    pub(crate) start_ms: i64,
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
    /// Readings whose status is not `ok`.
    pub(crate) not_ok: u64,
}

/// A sensor of the registry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sensor {
    /// Name of the kind.
    pub(crate) kind: String,
    pub(crate) sensor_id: String,
}

/// An alert, in the words of its row: names that this build does not know are shown as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alert {
    pub(crate) site_id: String,
    /// Start of the episode, in epoch milliseconds.
    pub(crate) started_ms: i64,
    /// The sensor; empty is all sensors of the kind.
    pub(crate) sensor_id: String,
    pub(crate) kind: String,
    pub(crate) rule: String,
    pub(crate) severity: String,
    pub(crate) state: String,
    /// End of the window that cleared it, in epoch milliseconds.
    pub(crate) cleared_ms: Option<i64>,
    pub(crate) value: Option<f64>,
    pub(crate) threshold: Option<f64>,
}

impl Alert {
    /// Returns what it is about, within its site.
    pub(crate) fn sensor(&self) -> String {
        within_site(&self.sensor_id, &self.site_id)
            .map_or_else(|| format!("all {}", self.kind), str::to_owned)
    }

    /// Returns how far beyond its threshold it is, as a ratio; `None` where there is none.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let ratio = (self.value? / self.threshold?).abs();
        ratio.is_finite().then_some(ratio)
    }
}

/// Returns a sensor's name without that of its site; `None` for all sensors.
pub(crate) fn within_site<'a>(sensor_id: &'a str, site_id: &str) -> Option<&'a str> {
    let name = sensor_id.strip_prefix(site_id).and_then(|name| name.strip_prefix('/'));
    Some(name.unwrap_or(sensor_id)).filter(|name| !name.is_empty())
}

//! What the service did, counted, and said every few seconds.

use std::time::{Duration, Instant};

use domain::SensorKind;
use tracing::info;

use crate::window::{Counts, Fate, Partition};
use crate::writer::Written;

/// Counts since the start, and since the last progress line.
#[derive(Debug)]
pub(crate) struct Statistics {
    interval: Duration,
    since: Instant,
    readings: u64,
    by_kind: [u64; SensorKind::ALL.len()],
    replayed_total: u64,
    deleted_total: u64,
    written: Written,
}

/// What a progress line says of the partitions.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    counts: Counts,
    lag: Option<u64>,
    partitions: usize,
    sensors: usize,
    /// Sum and number of the sensors' running means.
    means: [(f64, u64); SensorKind::ALL.len()],
    alerts_open: usize,
    /// The sensor with the most alerts so far.
    noisiest: Option<(String, u64)>,
}

impl Summary {
    /// Looks at the partitions.
    pub(crate) fn of<'a>(
        partitions: impl Iterator<Item = &'a Partition>,
        lag: Option<u64>,
    ) -> Self {
        let mut summary = Self { lag, ..Self::default() };
        for partition in partitions {
            summary.partitions += 1;
            summary.counts = summary.counts.plus(partition.counts());
            for (sensor_id, kind, watch) in partition.watches() {
                summary.sensors += 1;
                summary.alerts_open += watch.open_alerts().count();
                if let Some(mean) = watch.running_mean() {
                    let (sum, count) = &mut summary.means[kind as usize];
                    *sum += mean;
                    *count += 1;
                }
                let warnings = watch.warnings();
                if warnings > summary.noisiest.as_ref().map_or(0, |(_, most)| *most) {
                    summary.noisiest = Some((sensor_id.to_owned(), warnings));
                }
            }
        }
        summary
    }
}

impl Statistics {
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            since: now,
            readings: 0,
            by_kind: [0; SensorKind::ALL.len()],
            replayed_total: 0,
            deleted_total: 0,
            written: Written::default(),
        }
    }

    /// Counts a record.
    pub(crate) fn taken(&mut self, kind: Option<SensorKind>, fate: &Fate) {
        self.readings += 1;
        if let Some(kind) = kind {
            self.by_kind[kind as usize] += 1;
        }
        self.replayed_total += u64::from(*fate == Fate::Replayed);
    }

    /// Counts records that Kafka deleted before they were read.
    pub(crate) fn deleted(&mut self, records: u64) {
        self.deleted_total += records;
    }

    /// Counts what was written.
    pub(crate) fn written(&mut self, Written { rows, alerts, late, unmerged }: Written) {
        self.written.rows += rows;
        self.written.alerts += alerts;
        self.written.late += late;
        self.written.unmerged += unmerged;
    }

    /// Tells whether it is time to say something.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= self.interval
    }

    /// Says how it goes.
    pub(crate) fn report(&mut self, now: Instant, summary: &Summary) {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        let Counts { taken, windowed, late, duplicate, invalid } = summary.counts;
        let by_kind = SensorKind::ALL.map(|kind| {
            let per_s = self.by_kind[kind as usize] as f64 / seconds;
            format!("{kind}:{per_s:.0}")
        });
        let means = SensorKind::ALL.into_iter().filter_map(|kind| {
            let (sum, count) = summary.means[kind as usize];
            (count > 0).then(|| format!("{kind}:{:.1}", sum / count as f64))
        });
        let noisiest = summary.noisiest.as_ref().map(|(id, count)| format!("{id}:{count}"));
        info!(
            readings_per_s = round(self.readings as f64 / seconds),
            lag = summary.lag,
            taken_total = taken,
            windowed_total = windowed,
            late_total = late,
            duplicate_total = duplicate,
            invalid_total = invalid,
            replayed_total = self.replayed_total,
            deleted_total = self.deleted_total,
            rows_total = self.written.rows,
            alerts_total = self.written.alerts,
            late_published_total = self.written.late,
            rollups_unmerged_total = self.written.unmerged,
            alerts_open = summary.alerts_open,
            sensors = summary.sensors,
            partitions = summary.partitions,
            per_s_by_kind = by_kind.join(" "),
            running_means = means.collect::<Vec<_>>().join(" "),
            most_warnings = noisiest,
            "progress"
        );
        self.since = now;
        self.readings = 0;
        self.by_kind = [0; SensorKind::ALL.len()];
    }
}

/// One decimal is enough for a person.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

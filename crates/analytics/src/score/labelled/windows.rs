//! The windows of one simulated site, shown to the detectors one by one.

use domain::aggregate::{Motion, Sample};
use domain::simulation::fleet::SENSORS_PER_SITE;
use domain::simulation::{Anomaly, Simulation};
use domain::{Aggregate, Alert, SensorKind};

use super::WINDOW_MS;
use crate::detect::{Member, Policy, Watch, WindowSpan, observe};

/// Statistics of a window: mean, standard deviation and range; of motion the share at 1 and the
/// changes.
pub(super) type Statistics = [f64; 3];

/// What one sensor's windows were, and would have been.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) sensor: u64,
    pub(super) clean: Vec<Statistics>,
    pub(super) actual: Vec<Statistics>,
    pub(super) anomalies: Vec<Anomaly>,
}

/// One site's run.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) tracks: Vec<Track>,
    pub(super) alerts: Vec<Alert>,
    pub(super) start_ms: i64,
}

/// A window in the making.
#[derive(Clone, Copy, Debug, Default)]
struct Draft {
    count: u64,
    min: f64,
    max: f64,
    mean: f64,
    squares: f64,
    first: Option<Sample>,
    last: Option<Sample>,
    motion: Motion,
}

impl Draft {
    fn add(&mut self, ts: i64, value: f64) {
        let sample = Sample { ts, value };
        if let Some(last) = self.last {
            self.motion.transitions += u64::from((value - last.value).abs() > 0.5);
            self.hold(last, ts);
            (self.min, self.max) = (self.min.min(value), self.max.max(value));
        } else {
            (self.first, self.min, self.max) = (Some(sample), value, value);
        }
        self.last = Some(sample);
        self.count += 1;
        let difference = value - self.mean;
        self.mean += difference / self.count as f64;
        self.squares += difference * (value - self.mean);
    }

    fn hold(&mut self, last: Sample, until_ms: i64) {
        if last.value > 0.5 {
            self.motion.active_ms += (until_ms - last.ts).unsigned_abs();
        }
    }

    fn finish(mut self, kind: SensorKind, end_ms: i64) -> Option<Aggregate> {
        let (first, last) = (self.first?, self.last?);
        self.hold(last, end_ms);
        Some(Aggregate {
            count: self.count,
            min: self.min,
            max: self.max,
            mean: self.mean,
            stddev: libm::sqrt(self.squares / self.count as f64),
            first,
            last,
            not_ok: 0,
            motion: (kind == SensorKind::Motion).then_some(self.motion),
        })
    }
}

fn statistics(window: &Aggregate) -> Statistics {
    match window.motion {
        Some(motion) => {
            [motion.active_ms as f64 / WINDOW_MS as f64, motion.transitions as f64, 0.0]
        }
        None => [window.mean, window.stddev, window.max - window.min],
    }
}

/// Reads a sensor's readings window by window.
struct Reader<'a> {
    simulation: &'a Simulation,
    track: Track,
    kind: SensorKind,
    sensor_id: String,
    seq: u64,
    /// The first anomaly that is not over.
    anomaly: usize,
    watch: Watch,
}

impl<'a> Reader<'a> {
    fn new(simulation: &'a Simulation, sensor: u64, end_ms: i64) -> Self {
        let start_ms = simulation.manifest().schedule.start_ms;
        let anomalies = simulation.anomalies(sensor, start_ms..end_ms).collect();
        Self {
            simulation,
            track: Track { sensor, anomalies, ..Track::default() },
            kind: simulation.fleet().kind_of(sensor),
            sensor_id: simulation.fleet().sensor_id(sensor),
            seq: 0,
            anomaly: 0,
            watch: Watch::new(),
        }
    }

    fn window(&mut self, end_ms: i64) -> Option<Aggregate> {
        let (mut clean, mut actual) = (Draft::default(), Draft::default());
        while let Some(index) = self.simulation.index_of(self.track.sensor, self.seq) {
            let reading = self.simulation.clean_reading(index);
            if reading.due_ms >= end_ms {
                break;
            }
            self.seq += 1;
            let value = reading.measurement.value.to_f64();
            clean.add(reading.ts_ms, value);
            let anomalies = &self.track.anomalies;
            while anomalies.get(self.anomaly).is_some_and(|one| one.end_ms <= reading.due_ms) {
                self.anomaly += 1;
            }
            let hit = anomalies.get(self.anomaly).is_some_and(|one| one.start_ms <= reading.due_ms);
            let said =
                if hit { self.simulation.reading(index).measurement.value.to_f64() } else { value };
            actual.add(reading.ts_ms, said);
        }
        let (clean, actual) = (clean.finish(self.kind, end_ms)?, actual.finish(self.kind, end_ms)?);
        self.track.clean.push(statistics(&clean));
        self.track.actual.push(statistics(&actual));
        Some(actual)
    }
}

/// Shows a site's windows to the detectors, as the service would.
pub(super) fn watch(simulation: &Simulation, policy: &Policy, site: u64, hours: u32) -> Seen {
    let start_ms = simulation.manifest().schedule.start_ms;
    let count = i64::from(hours) * 60;
    let sensors = site * SENSORS_PER_SITE..(site + 1) * SENSORS_PER_SITE;
    let mut readers: Vec<Reader<'_>> = sensors
        .map(|sensor| Reader::new(simulation, sensor, start_ms + count * WINDOW_MS))
        .collect();
    readers.sort_by(|a, b| (a.kind, &a.sensor_id).cmp(&(b.kind, &b.sensor_id)));
    let mut alerts = Vec::new();
    for number in 0..count {
        let span = WindowSpan { start_ms: start_ms + number * WINDOW_MS, size_ms: WINDOW_MS };
        let end_ms = span.start_ms + WINDOW_MS;
        let windows: Vec<Option<Aggregate>> =
            readers.iter_mut().map(|reader| reader.window(end_ms)).collect();
        let mut members: Vec<Member<'_>> = readers
            .iter_mut()
            .zip(&windows)
            .map(|(reader, own)| Member {
                sensor_id: &reader.sensor_id,
                kind: reader.kind,
                own: own.as_ref(),
                watch: &mut reader.watch,
            })
            .collect();
        let site_id = &simulation.fleet().sites()[usize::try_from(site).unwrap_or(0)].id;
        observe(policy, span, site_id, &mut members, &mut alerts);
    }
    let tracks = readers.into_iter().map(|reader| reader.track).collect();
    Seen { tracks, alerts, start_ms }
}

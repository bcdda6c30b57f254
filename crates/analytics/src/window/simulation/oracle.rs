//! Computes all tables in one go, from the records of each partition in their order; shares nothing
//! with the code under test but the detectors and the merging of aggregates. Of the rules that tell
//! how often a sensor reports it says by itself what they come to ([`rules`]).

use std::collections::{BTreeMap, BTreeSet};

use domain::aggregate::{Merge, Motion, Sample};
use domain::alert::AlertState;
use domain::{Aggregate, Alert, Reading, SensorKind, Status};

use super::super::{RowKey, SensorState, WindowRow};
use super::history::{Record, Topic};
use super::rules::{self, Past, Seen};
use super::store::Expected;
use super::timing;
use crate::detect::{Member, Policy, Watch, WindowSpan, observe};

/// Kind and id: the order in which a site shows its sensors.
type Name = (SensorKind, String);

/// The readings of one window, by site and sensor.
#[derive(Default)]
struct Window {
    is_closed: bool,
    readings: BTreeMap<String, BTreeMap<Name, Vec<Reading<'static>>>>,
    amended: BTreeMap<(String, Name), u64>,
}

/// The windows of a site that were shown, each with its sensors.
type Shown = Vec<(i64, BTreeMap<Name, Aggregate>)>;

#[derive(Default)]
struct Partition {
    windows: BTreeMap<i64, Window>,
    shown: BTreeMap<String, Shown>,
    watches: BTreeMap<String, BTreeMap<Name, Watch>>,
    alerts: Vec<Alert>,
}

/// How late it is by the readings so far.
#[derive(Default)]
struct Time {
    latest_ms: Option<i64>,
    /// By sensor, event times that are too far after the latest one to be believed.
    claims: BTreeMap<String, i64>,
    /// Those of all readings since the last that was not so.
    in_a_row: Vec<i64>,
}

impl Time {
    fn watermark_ms(&self) -> i64 {
        self.latest_ms.map_or(i64::MIN, |latest_ms| latest_ms - timing().out_of_order_ms)
    }

    fn hear(&mut self, reading: &Reading<'_>) {
        let (ts_ms, guard_ms) = (reading.ts, timing().clock_ahead_max_ms);
        match self.latest_ms {
            Some(latest_ms) if ts_ms - latest_ms <= guard_ms => {
                self.claims.remove(&*reading.sensor_id);
                self.in_a_row.clear();
                self.latest_ms = Some(latest_ms.max(ts_ms));
            }
            _ => {
                self.claims.insert(reading.sensor_id.to_string(), ts_ms);
                self.in_a_row.push(ts_ms);
                if self.claims.len() == 3 || self.is_alone() {
                    self.latest_ms = self.claims.values().copied().min();
                    self.in_a_row.clear();
                }
            }
        }
        if let Some(latest_ms) = self.latest_ms {
            self.claims.retain(|_, ts_ms| *ts_ms - latest_ms > guard_ms);
        }
    }

    fn is_alone(&self) -> bool {
        let (mut furthest_ms, mut span_ms) = (self.in_a_row[0], 0);
        for ts_ms in &self.in_a_row {
            span_ms += (ts_ms - furthest_ms).max(0).min(timing().window_ms);
            furthest_ms = furthest_ms.max(*ts_ms);
        }
        span_ms > timing().window_ms + timing().lateness_ms
    }
}

pub(super) fn compute(topic: &Topic, policy: &Policy) -> Expected {
    let mut expected = Expected::default();
    for (number, records) in topic.partitions.iter().enumerate() {
        let mut partition = Partition::default();
        partition.read(records, policy);
        partition.tell(number, policy, &mut expected);
    }
    expected
}

impl Partition {
    fn read(&mut self, records: &[Record], policy: &Policy) {
        let timing = timing();
        let mut time = Time::default();
        let mut seen = BTreeSet::new();
        for Record { arrived_ms, reading } in records {
            let Some(reading) = reading else { continue };
            if reading.ts > arrived_ms + timing.clock_ahead_max_ms {
                continue;
            }
            let start_ms = reading.ts.div_euclid(timing.window_ms) * timing.window_ms;
            let end_ms = start_ms + timing.window_ms;
            let watermark_ms = time.watermark_ms();
            if end_ms + timing.lateness_ms <= watermark_ms {
                continue;
            }
            let window = self.windows.entry(start_ms).or_default();
            window.is_closed |= end_ms <= watermark_ms;
            let name = (reading.kind, reading.sensor_id.to_string());
            let site_id = reading.site_id.to_string();
            if seen.insert((start_ms, name.clone(), reading.run.to_string(), reading.seq)) {
                if window.is_closed {
                    *window.amended.entry((site_id.clone(), name.clone())).or_default() += 1;
                }
                let site = window.readings.entry(site_id).or_default();
                site.entry(name).or_default().push(reading.clone());
            }
            time.hear(reading);
            let watermark_ms = time.watermark_ms();
            let passed: Vec<i64> = self.windows.keys().copied().collect();
            for start_ms in passed.into_iter().filter(|s| s + timing.window_ms <= watermark_ms) {
                let window = self.windows.get_mut(&start_ms).expect("a key");
                if !std::mem::replace(&mut window.is_closed, true) {
                    show(start_ms, window, &mut self.watches, &mut self.alerts, policy);
                    note(start_ms, window, &mut self.shown);
                }
            }
        }
    }

    fn tell(mut self, number: usize, policy: &Policy, expected: &mut Expected) {
        for (site_id, sensors) in &self.watches {
            for ((kind, sensor_id), watch) in sensors {
                let key = (number, sensor_id.clone(), kind.to_string());
                let state = SensorState {
                    site_id: site_id.clone(),
                    kind: *kind,
                    sensor_id: sensor_id.clone(),
                    window_start_ms: watch.seen_until_ms().expect("shown"),
                    state: watch.encode(),
                };
                expected.states.insert(key, state);
            }
        }
        // All is silent: what is not closed is shown as well, and no state changes by it.
        let mut provisional = Vec::new();
        for (start_ms, window) in self.windows.iter().filter(|(_, window)| !window.is_closed) {
            show(*start_ms, window, &mut self.watches, &mut provisional, policy);
            note(*start_ms, window, &mut self.shown);
        }
        provisional.retain(|alert| alert.state == AlertState::Open);
        let mut alerts = self.alerts;
        alerts.extend(provisional);
        alerts.retain(|alert| !rules::NAMES.contains(&&*alert.rule));
        alerts.extend(by_definition(&self.shown, &self.windows, policy));
        for alert in alerts {
            let key = (alert.site_id.clone(), alert.started_at, alert.alert_id.clone());
            expected.alerts.insert(key, alert);
        }
        let mut rollups = BTreeMap::<(String, i64), Vec<WindowRow>>::new();
        for (start_ms, window) in &self.windows {
            for row in rows(*start_ms, window) {
                expected.minutes.insert(row.key.clone(), (row.aggregate, row.revision));
                let rollup_ms = start_ms.div_euclid(timing().rollup_ms) * timing().rollup_ms;
                rollups.entry((row.key.site_id.clone(), rollup_ms)).or_default().push(row);
            }
        }
        for ((_, start_ms), rows) in rollups {
            for row in crate::rollup::merge(start_ms, rows) {
                expected.rollups.insert(row.key, (row.aggregate, row.revision));
            }
        }
    }
}

fn note(start_ms: i64, window: &Window, shown: &mut BTreeMap<String, Shown>) {
    for (site_id, sensors) in &window.readings {
        let own = sensors
            .iter()
            .map(|(name, readings)| (name.clone(), aggregate(name.0, start_ms, readings)));
        shown.entry(site_id.clone()).or_default().push((start_ms, own.collect()));
    }
}

/// Computes the alerts of some rules; a window that is not closed clears none.
fn by_definition(
    shown: &BTreeMap<String, Shown>,
    windows: &BTreeMap<i64, Window>,
    policy: &Policy,
) -> Vec<Alert> {
    let mut alerts = Vec::new();
    for (site_id, shown) in shown {
        let names: BTreeSet<&Name> = shown.iter().flat_map(|(_, sensors)| sensors.keys()).collect();
        for name in names {
            let seen = shown.iter().map(|(start_ms, sensors)| Seen {
                start_ms: *start_ms,
                own: sensors.get(name).copied(),
            });
            let seen = seen.skip_while(|seen| seen.own.is_none()).collect();
            let (kind, sensor_id) = (name.0, &*name.1);
            alerts.extend(Past { site_id, sensor_id, kind, seen }.alerts(policy));
        }
    }
    let is_closed = |end_ms: i64| windows[&(end_ms - timing().window_ms)].is_closed;
    alerts.retain(|alert| alert.cleared_at.is_none_or(is_closed));
    alerts
}

fn show(
    start_ms: i64,
    window: &Window,
    watches: &mut BTreeMap<String, BTreeMap<Name, Watch>>,
    alerts: &mut Vec<Alert>,
    policy: &Policy,
) {
    for (site_id, sensors) in &window.readings {
        let watches = watches.entry(site_id.clone()).or_default();
        for name in sensors.keys() {
            watches.entry(name.clone()).or_default();
        }
        let own: Vec<Option<Aggregate>> = watches
            .keys()
            .map(|name| Some(aggregate(name.0, start_ms, sensors.get(name)?)))
            .collect();
        let mut members: Vec<Member<'_>> = watches
            .iter_mut()
            .zip(&own)
            .map(|(((kind, id), watch), own)| Member {
                sensor_id: id,
                kind: *kind,
                own: own.as_ref(),
                watch,
            })
            .collect();
        let span = WindowSpan { start_ms, size_ms: timing().window_ms };
        observe(policy, span, site_id, &mut members, alerts);
    }
}

fn rows(start_ms: i64, window: &Window) -> Vec<WindowRow> {
    let mut rows = Vec::new();
    for (site_id, sensors) in &window.readings {
        let mut kinds = BTreeMap::<SensorKind, Vec<(Aggregate, u64)>>::new();
        let key = |kind, sensor_id: &str| RowKey {
            site_id: site_id.clone(),
            kind,
            sensor_id: sensor_id.to_owned(),
            window_start_ms: start_ms,
        };
        for (name, readings) in sensors {
            let aggregate = aggregate(name.0, start_ms, readings);
            let amended = window.amended.get(&(site_id.clone(), name.clone()));
            let revision = amended.copied().unwrap_or(0);
            kinds.entry(name.0).or_default().push((aggregate, revision));
            rows.push(WindowRow { key: key(name.0, &name.1), aggregate, revision });
        }
        for (kind, parts) in kinds {
            let revision = parts.iter().map(|(_, revision)| revision).sum();
            let parts = parts.into_iter().map(|(aggregate, _)| aggregate);
            let aggregate = Aggregate::merge(parts, Merge::OverSensors).expect("a part");
            rows.push(WindowRow { key: key(kind, ""), aggregate, revision });
        }
    }
    rows
}

/// By definition, in whole numbers: every value is a multiple of 2^-49.
fn aggregate(kind: SensorKind, start_ms: i64, readings: &[Reading<'_>]) -> Aggregate {
    let unit = 2.0_f64.powi(49);
    let whole = |value: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "checked in the next line")]
        let whole = (value * unit) as i128;
        assert_eq!((whole as f64 / unit).to_bits(), value.to_bits());
        whole
    };
    let mut samples: Vec<Sample> =
        readings.iter().map(|reading| Sample { ts: reading.ts, value: reading.value }).collect();
    samples.sort_by(|left, right| left.ts.cmp(&right.ts).then(left.value.total_cmp(&right.value)));
    let values = || samples.iter().map(|sample| sample.value);
    let (count, sum) = (samples.len() as f64, values().map(whole).sum::<i128>());
    let squares: i128 = values().map(|value| whole(value) * whole(value)).sum();
    let spread = (samples.len() as i128 * squares - sum * sum) as f64 / (unit * unit);
    let end_ms = start_ms + timing().window_ms;
    let until = samples.iter().skip(1).map(|sample| sample.ts).chain([end_ms]);
    let active = samples.iter().zip(until).filter(|(sample, _)| sample.value > 0.5);
    let motion = Motion {
        active_ms: active.map(|(sample, until)| (until - sample.ts).unsigned_abs()).sum(),
        transitions: samples
            .windows(2)
            .filter(|pair| pair[0].value.to_bits() != pair[1].value.to_bits())
            .count() as u64,
    };
    Aggregate {
        count: samples.len() as u64,
        min: values().fold(f64::INFINITY, f64::min),
        max: values().fold(f64::NEG_INFINITY, f64::max),
        mean: sum as f64 / unit / count,
        stddev: spread.sqrt() / count,
        first: samples[0],
        last: samples[samples.len() - 1],
        not_ok: readings.iter().filter(|reading| reading.status != Status::Ok).count() as u64,
        motion: (kind == SensorKind::Motion).then_some(motion),
    }
}

//! Holds the alerts of a site against what went wrong there.

use domain::alert::AlertState;
use domain::hour::DAY_MS;
use domain::simulation::{Anomaly, Simulation};
use domain::{Alert, SensorKind};

use super::windows::{Seen, Statistics, Track};
use super::{AFTER_WINDOWS, DETECTABLE_SD, KindScore, LabelledScore, WINDOW_MS};

/// Windows on each side of one that tell how much a statistic moves by itself.
const AROUND_WINDOWS: usize = 30;
/// Windows after the first detectable one in which an alert is in time.
const IN_TIME_WINDOWS: u64 = 2;

/// An alert in numbers of windows.
struct Span {
    from: usize,
    opened: usize,
    /// The last window, or that of the run.
    to: usize,
}

pub(super) fn judge(
    simulation: &Simulation,
    site: u64,
    seen: &Seen,
    warm_up: usize,
) -> LabelledScore {
    debug_assert!(seen.tracks.iter().all(|track| track.sensor / 25 == site));
    let mut score = LabelledScore::default();
    let number = |ts_ms: i64| usize::try_from((ts_ms - seen.start_ms) / WINDOW_MS).unwrap_or(0);
    for track in &seen.tracks {
        let kind = simulation.fleet().kind_of(track.sensor);
        let windows = track.actual.len();
        let sensor_id = simulation.fleet().sensor_id(track.sensor);
        let own: Vec<&Alert> =
            seen.alerts.iter().filter(|alert| alert.sensor_id == sensor_id).collect();
        let opened = own.iter().filter(|alert| alert.state == AlertState::Open);
        let spans: Vec<(&str, Span)> = opened
            .map(|alert| {
                let cleared = own.iter().find(|other| {
                    other.alert_id == alert.alert_id && other.state == AlertState::Cleared
                });
                let to = cleared.and_then(|other| other.cleared_at).map_or(windows, number);
                let opened = number(alert.opened_at) - 1;
                (alert.rule.as_str(), Span { from: number(alert.started_at), opened, to })
            })
            .collect();
        let reach = |anomaly: &Anomaly| number(anomaly.start_ms)..=number(anomaly.end_ms - 1);
        for (rule, span) in spans.iter().filter(|(_, span)| span.opened >= warm_up) {
            let right = track.anomalies.iter().any(|anomaly| {
                let reach = reach(anomaly);
                (*reach.start()..=reach.end() + AFTER_WINDOWS).contains(&span.from)
            });
            let sum = score.rules.entry((*rule).to_owned()).or_default();
            sum.right += u64::from(right);
            sum.wrong += u64::from(!right);
            *score.false_alarms.entry(kind).or_default() += u64::from(!right);
        }
        for anomaly in &track.anomalies {
            let reach = reach(anomaly);
            if *reach.start() >= warm_up && reach.end() + AFTER_WINDOWS < windows {
                let one = judge_anomaly(kind, track, reach.into_inner(), &spans);
                score.kinds.entry(anomaly.kind).or_default().add(&one);
                score.sensors.entry((kind, anomaly.kind)).or_default().add(&one);
            }
        }
        let judged_ms = (windows - warm_up.min(windows)) as f64 * WINDOW_MS as f64;
        score.sensor_weeks += judged_ms / (7 * DAY_MS) as f64;
    }
    score
}

fn judge_anomaly(
    kind: SensorKind,
    track: &Track,
    (first, last): (usize, usize),
    spans: &[(&str, Span)],
) -> KindScore {
    let mut score = KindScore { anomalies: 1, ..KindScore::default() };
    let Some(visible) = (first..=last).find(|window| is_detectable(kind, track, *window)) else {
        return score;
    };
    score.detectable = 1;
    let about = spans.iter().map(|(_, span)| span);
    let alert = about
        .filter(|span| span.to >= first && span.opened <= last + AFTER_WINDOWS)
        .map(|span| span.opened.saturating_sub(visible) as u64)
        .min();
    if let Some(delay) = alert {
        score.found = 1;
        score.in_time = u64::from(delay <= IN_TIME_WINDOWS);
        score.delays.push(delay);
    }
    score
}

/// Tells whether a window shows its anomaly.
fn is_detectable(kind: SensorKind, track: &Track, window: usize) -> bool {
    let from = window.saturating_sub(AROUND_WINDOWS);
    let to = (window + AROUND_WINDOWS).min(track.clean.len());
    let (clean, actual) = (&track.clean[window], &track.actual[window]);
    floors(kind).iter().enumerate().any(|(which, floor)| {
        let usual = change_sd(&track.clean[from..to], which).max(*floor);
        (actual[which] - clean[which]).abs() >= DETECTABLE_SD * usual
    })
}

/// Returns the standard deviation of what a statistic changes by from window to window.
fn change_sd(windows: &[Statistics], which: usize) -> f64 {
    let changes = windows.windows(2).map(|pair| pair[1][which] - pair[0][which]);
    let count = windows.len().max(2) - 1;
    libm::sqrt(changes.map(|change| change * change).sum::<f64>() / count as f64)
}

/// The least change that counts for each statistic: half the step in which a sensor reports, a step
/// for the range; of motion a tenth of the window and one change.
const fn floors(kind: SensorKind) -> [f64; 3] {
    let step = match kind {
        SensorKind::Temperature => 0.05,
        SensorKind::Humidity => 0.1,
        SensorKind::Pressure => 0.01,
        SensorKind::Light => 1.0,
        SensorKind::Motion => return [0.1, 1.0, 1.0],
    };
    [step / 2.0, step / 2.0, step]
}

//! The detectors against the simulator: every anomaly is known to the reading.
//!
//! What is detectable is decided by the truth alone, with no look at a detector: in at least one
//! window that the anomaly touches, the window's mean, standard deviation or range (of motion: the
//! share at 1 or the number of changes) is at least [`DETECTABLE_SD`] times as far from what it
//! would have been as that statistic usually moves from one window to the next by itself, on this
//! sensor, in the hour around it. The steps in which a sensor reports count as movement.

mod judge;
mod windows;

use std::collections::BTreeMap;
use std::io::{self, Write};

use domain::SensorKind;
use domain::hour::{DAY_MS, HOUR_MS};
use domain::simulation::schedule::{Rate, Schedule};
use domain::simulation::{AnomalyKind, AnomalySpec, FleetSpec, RunManifest, Simulation};

use super::ScoreError;
use crate::detect::Policy;

/// How far a window's statistic has to be off, in standard deviations of what it changes by itself.
const DETECTABLE_SD: f64 = 3.0;
/// Length of a window.
const WINDOW_MS: i64 = 60_000;
/// The first Monday of 2026; seeds start on different days after it.
const EPOCH_MS: i64 = 1_767_571_200_000;
/// Windows after an anomaly's last one in which an alert is still about it.
const AFTER_WINDOWS: usize = 2;

/// What to simulate.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledSpec {
    /// Seeds, each of which is a run; the season follows from it.
    pub seeds: Vec<u64>,
    /// Sites of a run, with 25 sensors each.
    pub sites: u64,
    /// Length of a run in hours, the warm-up included.
    pub hours: u32,
    /// Hours in which the detectors only learn; what happens in them is not counted.
    pub warm_up_hours: u32,
    /// Probability that an anomaly starts on a sensor within an hour.
    pub anomaly_probability: f64,
}

impl Default for LabelledSpec {
    /// Eight runs of four sites over three days, of which the first is warm-up. No constant was
    /// chosen by these seeds.
    fn default() -> Self {
        Self {
            seeds: (9_301..=9_308).collect(),
            sites: 4,
            hours: 72,
            warm_up_hours: 24,
            anomaly_probability: 0.05,
        }
    }
}

/// How well anomalies of a kind were found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KindScore {
    /// Anomalies that changed a reading.
    pub anomalies: u64,
    /// Those that can be found in principle.
    pub detectable: u64,
    /// Detectable ones with an alert.
    pub found: u64,
    /// Detectable ones with an alert at most two windows after the first in which they are.
    pub in_time: u64,
    /// Windows from the first in which it is detectable to the alert, ascending.
    pub delays: Vec<u64>,
}

impl KindScore {
    /// Returns the share of the detectable ones that were found; 1 if there are none.
    pub fn recall(&self) -> f64 {
        share(self.found, self.detectable)
    }

    fn delay(&self, share: f64) -> u64 {
        let last = self.delays.len().saturating_sub(1) as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index between 0 and the last"
        )]
        let index = libm::ceil(last * share) as usize;
        self.delays.get(index).copied().unwrap_or(0)
    }

    fn add(&mut self, other: &Self) {
        self.anomalies += other.anomalies;
        self.detectable += other.detectable;
        self.found += other.found;
        self.in_time += other.in_time;
        self.delays.extend(&other.delays);
        self.delays.sort_unstable();
    }
}

/// How often a rule or detector was right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleScore {
    /// Alerts that began within an anomaly of their sensor, or up to two windows after it.
    pub right: u64,
    /// The others.
    pub wrong: u64,
}

impl RuleScore {
    /// Returns the share of the alerts that were right; 1 if there are none.
    pub fn precision(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// What came of the trial.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelledScore {
    /// By kind of anomaly.
    pub kinds: BTreeMap<AnomalyKind, KindScore>,
    /// By kind of anomaly and sensor.
    pub sensors: BTreeMap<(SensorKind, AnomalyKind), KindScore>,
    /// By the name of the rule or detector.
    pub rules: BTreeMap<String, RuleScore>,
    /// Alerts of any rule that were wrong, by kind of sensor.
    pub false_alarms: BTreeMap<SensorKind, u64>,
    /// Sensor time that was judged, in weeks.
    pub sensor_weeks: f64,
}

impl LabelledScore {
    /// Returns the sum over all kinds.
    pub fn all_kinds(&self) -> KindScore {
        let mut all = KindScore::default();
        self.kinds.values().for_each(|score| all.add(score));
        all
    }

    /// Returns the sum over all rules.
    pub fn all_rules(&self) -> RuleScore {
        self.rules.values().fold(RuleScore::default(), |sum, rule| RuleScore {
            right: sum.right + rule.right,
            wrong: sum.wrong + rule.wrong,
        })
    }

    /// Returns the false alarms of a sensor in a week.
    pub fn false_alarms_per_sensor_week(&self) -> f64 {
        self.all_rules().wrong as f64 / self.sensor_weeks
    }

    fn add(&mut self, other: Self) {
        for (kind, score) in &other.kinds {
            self.kinds.entry(*kind).or_default().add(score);
        }
        for (key, score) in &other.sensors {
            self.sensors.entry(*key).or_default().add(score);
        }
        for (name, score) in other.rules {
            let sum = self.rules.entry(name).or_default();
            sum.right += score.right;
            sum.wrong += score.wrong;
        }
        for (kind, count) in other.false_alarms {
            *self.false_alarms.entry(kind).or_default() += count;
        }
        self.sensor_weeks += other.sensor_weeks;
    }

    fn print(&self, output: &mut dyn Write) -> io::Result<()> {
        writeln!(
            output,
            "{:<24}{:>10}{:>11}{:>7}{:>8}{:>8}{:>7}{:>7}{:>7}",
            "anomaly", "anomalies", "detectable", "found", "recall", "in time", "p50", "p95", "max"
        )?;
        let by_sensor = self
            .sensors
            .iter()
            .map(|((sensor, kind), score)| (format!("{} / {sensor}", kind.name()), score));
        let by_kind = self.kinds.iter().map(|(kind, score)| (kind.name().to_owned(), score));
        let all = self.all_kinds();
        for (name, score) in by_sensor.chain(by_kind).chain([("all".to_owned(), &all)]) {
            writeln!(
                output,
                "{name:<24}{:>10}{:>11}{:>7}{:>8.3}{:>8.3}{:>7}{:>7}{:>7}",
                score.anomalies,
                score.detectable,
                score.found,
                score.recall(),
                share(score.in_time, score.detectable),
                score.delay(0.5),
                score.delay(0.95),
                score.delay(1.0)
            )?;
        }
        writeln!(output, "\n{:<24}{:>10}{:>11}{:>10}", "rule", "right", "wrong", "precision")?;
        let all = self.all_rules();
        let rules = self.rules.iter().map(|(name, score)| (name.as_str(), score));
        for (name, score) in rules.chain([("all", &all)]) {
            let RuleScore { right, wrong } = *score;
            writeln!(output, "{name:<24}{right:>10}{wrong:>11}{:>10.3}", score.precision())?;
        }
        writeln!(output)?;
        for (kind, count) in &self.false_alarms {
            writeln!(output, "false alarms of {kind}: {count}")?;
        }
        writeln!(
            output,
            "false alarms per sensor-week: {:.3} ({:.1} sensor-weeks)",
            self.false_alarms_per_sensor_week(),
            self.sensor_weeks
        )
    }
}

/// Runs the detectors of the built-in policy over simulated fleets and prints how well they did;
/// delays are in windows of a minute.
pub fn labelled(spec: &LabelledSpec, output: &mut dyn Write) -> Result<LabelledScore, ScoreError> {
    if spec.seeds.is_empty() || spec.sites == 0 || spec.hours <= spec.warm_up_hours {
        return Err(ScoreError::Empty("a trial needs a seed, a site and time after its warm-up"));
    }
    let policy = Policy::built_in();
    let mut score = LabelledScore::default();
    for seed in &spec.seeds {
        let simulation = simulation(*seed, spec);
        for site in 0..spec.sites {
            let seen = windows::watch(&simulation, &policy, site, spec.hours);
            let warm_up = spec.warm_up_hours as usize * 60;
            score.add(judge::judge(&simulation, site, &seen, warm_up));
        }
    }
    score.print(output)?;
    Ok(score)
}

/// Lays out a run: every sensor reports every 1.43 s, as 5 000 do at 3 500 readings a second.
fn simulation(seed: u64, spec: &LabelledSpec) -> Simulation {
    let sensors = spec.sites * domain::simulation::fleet::SENSORS_PER_SITE;
    let day = i64::try_from(seed.wrapping_mul(37) % 365).unwrap_or(0);
    let rate = Rate::new(sensors * 7, 10_000_000_000).expect("a fleet has sensors");
    Simulation::new(RunManifest {
        run: format!("trial-{seed}"),
        seed,
        fleet: FleetSpec { sensors, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(EPOCH_MS + day * DAY_MS, rate),
        anomalies: AnomalySpec::of_probability(spec.anomaly_probability),
        transport: domain::simulation::TransportSpec::default(),
    })
}

const _: () = assert!(HOUR_MS % WINDOW_MS == 0);

#[cfg(test)]
mod tests;

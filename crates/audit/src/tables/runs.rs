//! The audited runs as the tables beside `readings` see them: which of them have a sensor or a
//! site, and which stored readings the tables must know of.

use domain::reading::Location;
use domain::simulation::fleet::SENSORS_PER_SITE;
use domain::simulation::report::RunState;
use domain::simulation::{Fleet, SimulatedReading};
use domain::write_timestamp;

use super::outcome::Outcome;
use crate::bitmap::Bitmap;
use crate::compare::{Differences, Expectation};
use crate::ledger::{Ledger, RunLedger};
use crate::newest::latest_us;

/// How far in the future a reading may be that somebody else sent: what the consumer lets pass.
const CLOCK_AHEAD_MAX_MS: i64 = 3_600_000;
const US_PER_MS: i64 = 1_000;

/// A run, or a part of one, that has a sensor or a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    /// Which of the runs.
    pub(super) run: usize,
    /// Number of the sensor or the site in its fleet.
    pub(super) number: u64,
}

/// The newest stored reading of a sensor.
#[derive(Debug)]
pub(super) struct NewestReading<'a> {
    pub(super) run: &'a str,
    pub(super) reading: SimulatedReading,
    /// Write timestamp in `latest`.
    pub(super) written_us: i64,
}

/// Where a site was at its newest stored reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewestPlace {
    pub(super) location: Location,
    /// Write timestamp in `sites`.
    pub(super) written_us: i64,
}

/// Sensors or sites that have a row, for each run.
#[derive(Debug)]
pub(super) struct Seen(Vec<Bitmap>);

impl Seen {
    /// Notes that there is a row.
    pub(super) fn add(&mut self, owners: &[Owner]) {
        for owner in owners {
            self.0[owner.run].insert(owner.number);
        }
    }
}

/// The audited runs, once the readings were read.
#[derive(Debug)]
pub(crate) struct Runs<'a> {
    ledger: &'a Ledger,
    /// Whether the consumers have told the tables of all that each run reports.
    are_settled: Vec<bool>,
}

impl<'a> Runs<'a> {
    /// Takes the runs from the ledger. The consumers have settled what was in `settled_topic`.
    pub(crate) fn new(ledger: &'a Ledger, settled_topic: Option<&str>) -> Self {
        let runs = ledger.runs().iter();
        let topics = runs.map(|run| run.expectation().report().topic.as_str());
        let are_settled = topics.map(|topic| Some(topic) == settled_topic).collect();
        Self { ledger, are_settled }
    }

    /// Tells whether readings may still be coming, of which a backlog holds up the tables.
    pub(super) fn may_be_under_way(&self) -> bool {
        let is_running = |run: &RunLedger| run.expectation().report().state == RunState::Running;
        self.ledger.ignores_others() || self.ledger.runs().iter().any(is_running)
    }

    /// Starts the outcome of a table.
    pub(super) fn outcome(&self, table: &'static str) -> Outcome {
        Outcome::new(table, self.ledger.ignores_others(), self.ledger.is_strict())
    }

    /// Starts with no row seen.
    pub(super) fn nothing_seen(&self) -> Seen {
        Seen(self.ledger.runs().iter().map(|_| Bitmap::default()).collect())
    }

    /// Returns how many runs there are.
    pub(super) fn len(&self) -> usize {
        self.ledger.runs().len()
    }

    /// Returns where the parts of a run are; `None` if it is not audited.
    pub(super) fn parts(&self, run: &str) -> Option<&'a [usize]> {
        self.ledger.parts(run)
    }

    /// Returns what a run must have stored.
    pub(super) fn expectation(&self, run: usize) -> &'a Expectation {
        self.ledger.runs()[run].expectation()
    }

    /// Returns the fleet of a run.
    pub(super) fn fleet(&self, run: usize) -> &'a Fleet {
        self.expectation(run).simulation().fleet()
    }

    /// Returns the runs that have a sensor.
    pub(super) fn owners_of_sensor(&self, sensor_id: &str) -> Vec<Owner> {
        let mut owners = Vec::new();
        for run in 0..self.len() {
            let shard = self.expectation(run).report().shard;
            let number = self.fleet(run).sensor_number(sensor_id);
            if let Some(number) = number.filter(|number| shard.has_sensor(*number)) {
                owners.push(Owner { run, number });
            }
        }
        owners
    }

    /// Returns the runs that have a site.
    pub(super) fn owners_of_site(&self, site_id: &str) -> Vec<Owner> {
        let number = site_id.strip_prefix("site-").and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number else {
            return Vec::new();
        };
        let mut owners = Vec::new();
        for run in 0..self.len() {
            let site = self.fleet(run).sites().get(number);
            // The comparison settles everything that parsing lets pass, such as `site-42`.
            if site.is_some_and(|site| site.id == site_id)
                && self.expectation(run).report().shard.has_site(number as u64)
            {
                owners.push(Owner { run, number: number as u64 });
            }
        }
        owners
    }

    /// Returns the newest stored reading of a sensor: of settled runs, or of all.
    pub(super) fn newest_reading(
        &self,
        owners: &[Owner],
        settled_only: bool,
    ) -> Option<NewestReading<'a>> {
        let mut newest: Option<NewestReading<'a>> = None;
        for Owner { run, number } in owners {
            let Some(index) = self.newest_of(*run, *number, settled_only) else {
                continue;
            };
            let simulation = self.expectation(*run).simulation();
            let reading = simulation.reading(index);
            let written_us = latest_us(simulation, &reading);
            if newest.as_ref().is_none_or(|newest| newest.written_us < written_us) {
                newest =
                    Some(NewestReading { run: &simulation.manifest().run, reading, written_us });
            }
        }
        newest
    }

    fn newest_of(&self, run: usize, sensor: u64, settled_only: bool) -> Option<u64> {
        if settled_only && !self.are_settled[run] {
            return None;
        }
        self.ledger.runs()[run].newest().of_sensor(sensor)
    }

    /// Returns where a site was at its newest stored reading: of settled runs, or of all.
    pub(super) fn newest_place(&self, owners: &[Owner], settled_only: bool) -> Option<NewestPlace> {
        let mut newest: Option<NewestPlace> = None;
        for Owner { run, number } in owners {
            let Some(ts_ms) = self.newest_of_site_ms(*run, *number, settled_only) else {
                continue;
            };
            let location = self.location(*run, *number);
            let written_us = write_timestamp::site_us(ts_ms, location);
            if newest.is_none_or(|newest| newest.written_us < written_us) {
                newest = Some(NewestPlace { location, written_us });
            }
        }
        newest
    }

    fn newest_of_site_ms(&self, run: usize, site: u64, settled_only: bool) -> Option<i64> {
        if settled_only && !self.are_settled[run] {
            return None;
        }
        let sensors = site * SENSORS_PER_SITE..(site + 1) * SENSORS_PER_SITE;
        self.ledger.runs()[run].newest().of_sensors_ms(sensors)
    }

    /// Returns where a site is.
    pub(super) fn location(&self, run: usize, site: u64) -> Location {
        self.fleet(run).site_of(site * SENSORS_PER_SITE).location()
    }

    /// Lists the sensors that have a stored reading but no row, each once.
    pub(super) fn unseen_sensors(&self, seen: &Seen) -> Vec<Owner> {
        let mut unseen = Vec::new();
        for run in 0..self.len() {
            for number in seen.0[run].absent(0..self.fleet(run).sensors()) {
                let owner = Owner { run, number };
                if self.newest_of(run, number, false).is_none() {
                    continue;
                }
                let owners = self.owners_of_sensor(&self.fleet(run).sensor_id(number));
                let mut others = owners.into_iter().take_while(|other| *other != owner);
                if !others.any(|other| self.newest_of(other.run, other.number, false).is_some()) {
                    unseen.push(owner);
                }
            }
        }
        unseen
    }

    /// Lists the sites that have a stored reading but no row, each once.
    pub(super) fn unseen_sites(&self, seen: &Seen) -> Vec<Owner> {
        let mut unseen = Vec::new();
        for run in 0..self.len() {
            let sites = self.fleet(run).sites();
            for number in seen.0[run].absent(0..sites.len() as u64) {
                let owner = Owner { run, number };
                if self.newest_of_site_ms(run, number, false).is_none() {
                    continue;
                }
                let id = &self.fleet(run).site_of(number * SENSORS_PER_SITE).id;
                let owners = self.owners_of_site(id);
                let mut others = owners.into_iter().take_while(|other| *other != owner);
                let is_known =
                    |other: Owner| self.newest_of_site_ms(other.run, other.number, false);
                if !others.any(|other| is_known(other).is_some()) {
                    unseen.push(owner);
                }
            }
        }
        unseen
    }
}

/// Compares the write timestamp of a row of `sensors` or `sites`: the event time of a reading, and
/// a number of microseconds that follows from what the row says.
pub(super) fn compare_written(
    differences: &mut Differences,
    written_us: Option<i64>,
    fraction_us: i64,
    now_ms: i64,
) {
    let is_right = |us: i64| {
        let is_past = us.div_euclid(US_PER_MS) <= now_ms + CLOCK_AHEAD_MAX_MS;
        us.rem_euclid(US_PER_MS) == fraction_us && is_past
    };
    if !written_us.is_some_and(is_right) {
        let found = written_us.map_or("null".to_owned(), |us| us.to_string());
        let expected = format!("of a reading, which ends in {fraction_us:03}");
        differences.push("write timestamp", &expected, &found);
    }
}

/// Returns the event time of the reading that a write timestamp of `sensors` or `sites` is of, in
/// epoch milliseconds.
pub(super) fn event_time_ms(written_us: i64) -> i64 {
    written_us.div_euclid(US_PER_MS)
}

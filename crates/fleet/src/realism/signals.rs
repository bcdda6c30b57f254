//! What the check looks at: the fleet's signals, or others to see what the check is worth.

use domain::SensorKind;
use domain::simulation::signal::{self, Outdoor};
use domain::simulation::{Fleet, FleetSpec, climate};

use domain::simulation::fleet::SENSORS_PER_SITE;

/// Sites that are laid out, of which every tenth or so lies in each city.
const SITES: u64 = 200;

/// Signals of a fleet of [`Signals::fleet`]'s layout.
pub trait Signals {
    /// Returns the layout.
    fn fleet(&self) -> &Fleet;
    /// Returns the weather outside a site.
    fn outdoor(&self, site: usize, ts_ms: i64) -> Outdoor;
    /// Returns whether anybody is on a site.
    fn is_occupied(&self, site: usize, ts_ms: i64) -> bool;
    /// Returns the value of a sensor before it is rounded.
    fn raw(&self, sensor: u64, ts_ms: i64) -> f64;

    /// Returns the value that a sensor reports.
    fn reading(&self, sensor: u64, ts_ms: i64) -> f64 {
        signal::quantise(self.fleet().kind_of(sensor), self.raw(sensor, ts_ms)).to_f64()
    }

    /// Returns the number of sensor `ordinal`, from 0, of a kind on a site.
    fn sensor(&self, site: usize, kind: SensorKind, ordinal: u64) -> u64 {
        let position = SensorKind::ALL.iter().position(|other| *other == kind).unwrap_or(0);
        site as u64 * SENSORS_PER_SITE + position as u64 + ordinal * SensorKind::ALL.len() as u64
    }

    /// Returns the first sites of a city.
    fn sites_in(&self, city: usize, count: usize) -> Vec<usize> {
        let sites = self.fleet().sites().iter().enumerate();
        sites.filter(|(_, site)| site.city == city).map(|(number, _)| number).take(count).collect()
    }
}

/// The fleet as the producer simulates it.
#[derive(Debug)]
pub struct Simulated {
    seed: u64,
    fleet: Fleet,
}

impl Simulated {
    /// Lays out a fleet with sites in every city.
    pub fn new(seed: u64) -> Self {
        let sensors = SITES * SENSORS_PER_SITE;
        let spec = FleetSpec { sensors, kinds: SensorKind::ALL.to_vec() };
        Self { seed, fleet: Fleet::new(seed, &spec) }
    }
}

impl Signals for Simulated {
    fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    fn outdoor(&self, site: usize, ts_ms: i64) -> Outdoor {
        signal::outdoor(self.seed, &self.fleet, site, ts_ms)
    }

    fn is_occupied(&self, site: usize, ts_ms: i64) -> bool {
        signal::is_occupied(self.seed, &self.fleet, site, ts_ms)
    }

    fn raw(&self, sensor: u64, ts_ms: i64) -> f64 {
        signal::raw_value(self.seed, &self.fleet, sensor, ts_ms)
    }
}

/// City whose measured weather is the reference.
pub(super) const WEATHER_CITY: usize = climate::BEIJING;
/// City of the reference office.
pub(super) const OFFICE_CITY: usize = climate::BRUSSELS;

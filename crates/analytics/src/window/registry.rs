//! The sensors that a partition has heard of, by number.

use std::hash::{BuildHasher, BuildHasherDefault};

use domain::{Reading, SensorKind};
use hashbrown::HashTable;
use rustc_hash::FxHasher;

use super::outcome::SensorState;
use crate::detect::Watch;

/// A sensor, and what is known of it when a partition is taken over.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The building.
    pub site_id: String,
    /// What is measured.
    pub kind: SensorKind,
    /// The sensor.
    pub sensor_id: String,
    /// What the detectors have learnt.
    pub watch: Watch,
}

/// A sensor by its number.
#[derive(Debug)]
pub(crate) struct Sensor {
    pub(crate) site: u32,
    pub(crate) kind: SensorKind,
    pub(crate) id: Box<str>,
    pub(crate) watch: Watch,
}

/// A site, and its sensors in the order of kind and id.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) id: Box<str>,
    pub(crate) sensors: Vec<u32>,
}

/// All sensors and sites.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) sensors: Vec<Sensor>,
    pub(crate) sites: Vec<Site>,
    by_name: HashTable<u32>,
    by_site: HashTable<u32>,
    hasher: BuildHasherDefault<FxHasher>,
}

impl Registry {
    /// Finds the sensor of a reading, or makes its acquaintance.
    pub(crate) fn number(&mut self, reading: &Reading<'_>) -> u32 {
        let (site_id, kind, id) = (&*reading.site_id, reading.kind, &*reading.sensor_id);
        let hash = self.hasher.hash_one(id);
        let found = self.by_name.find(hash, |number| {
            let sensor = &self.sensors[*number as usize];
            &*sensor.id == id
                && sensor.kind == kind
                && *self.sites[sensor.site as usize].id == *site_id
        });
        match found {
            Some(number) => *number,
            None => self.add(site_id, kind, id, Watch::new()),
        }
    }

    /// Adds a sensor that is not there yet.
    pub(crate) fn add(&mut self, site_id: &str, kind: SensorKind, id: &str, watch: Watch) -> u32 {
        let number = u32::try_from(self.sensors.len()).expect("fewer than four thousand million");
        let site = self.site(site_id);
        // They are large, and twice as much room as needed would be most of the memory.
        if self.sensors.len() == self.sensors.capacity() {
            self.sensors.reserve_exact(self.sensors.len() / 16 + 8);
        }
        self.sensors.push(Sensor { site, kind, id: id.into(), watch });
        let (sensors, hasher) = (&self.sensors, &self.hasher);
        let hash_of = |number: &u32| hasher.hash_one(&*sensors[*number as usize].id);
        self.by_name.insert_unique(hasher.hash_one(id), number, hash_of);
        let members = &mut self.sites[site as usize].sensors;
        let key = |number: &u32| {
            let sensor = &sensors[*number as usize];
            (sensor.kind, &*sensor.id)
        };
        let place = members.partition_point(|member| key(member) < (kind, id));
        members.insert(place, number);
        number
    }

    /// Returns the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        // A table has room for one entry in eight more than it may hold, and a byte for each.
        let tables = (self.by_name.capacity() + self.by_site.capacity()) * (size_of::<u32>() + 1);
        let of_sensor = |sensor: &Sensor| sensor.id.len() + sensor.watch.heap_bytes();
        let of_site = |site: &Site| site.id.len() + site.sensors.capacity() * size_of::<u32>();
        self.sensors.capacity() * size_of::<Sensor>()
            + self.sites.capacity() * size_of::<Site>()
            + self.sensors.iter().map(of_sensor).sum::<usize>()
            + self.sites.iter().map(of_site).sum::<usize>()
            + tables * 8 / 7
    }

    /// Returns what the detectors have learnt about a sensor, as it is stored; `None` if they were
    /// shown nothing.
    pub(crate) fn state(&self, number: u32) -> Option<SensorState> {
        let Sensor { site, kind, id, watch } = &self.sensors[number as usize];
        Some(SensorState {
            site_id: self.sites[*site as usize].id.to_string(),
            kind: *kind,
            sensor_id: id.to_string(),
            window_start_ms: watch.seen_until_ms()?,
            state: watch.encode(),
        })
    }

    /// Tells whether something was learnt of one of a site's sensors: then its state is stored.
    pub(crate) fn is_stored(&self, site: &Site) -> bool {
        let watch = |number: &u32| &self.sensors[*number as usize].watch;
        site.sensors.iter().any(|number| watch(number).seen_until_ms().is_some())
    }

    fn site(&mut self, site_id: &str) -> u32 {
        let (sites, hasher) = (&mut self.sites, &self.hasher);
        let hash = hasher.hash_one(site_id);
        if let Some(number) = self.by_site.find(hash, |site| &*sites[*site as usize].id == site_id)
        {
            return *number;
        }
        let number = u32::try_from(sites.len()).expect("fewer sites than sensors");
        sites.push(Site { id: site_id.into(), sensors: Vec::new() });
        let hash_of = |site: &u32| hasher.hash_one(&*sites[*site as usize].id);
        self.by_site.insert_unique(hash, number, hash_of);
        number
    }
}

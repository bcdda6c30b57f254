//! Which sites and sensors exist: a million sensors cost a few megabytes, because only sites are
//! stored.

use serde::{Deserialize, Serialize};

use super::hash::{hash, symmetric};
use super::signal::Decimal;
use crate::SensorKind;
use crate::partitioner::partition_of;
use crate::reading::Location;

/// Sensors on a site: five of each kind, where all five kinds are in use.
pub const SENSORS_PER_SITE: u64 = 25;

/// Cities that sites are scattered around: latitude and longitude in degrees, standard time in
/// hours.
const CITIES: [(f64, f64, f64); 8] = [
    (52.52, 13.41, 1.0),
    (51.51, -0.13, 0.0),
    (40.71, -74.01, -5.0),
    (37.77, -122.42, -8.0),
    (35.68, 139.69, 9.0),
    (1.35, 103.82, 8.0),
    (-33.87, 151.21, 10.0),
    (-23.55, -46.63, -3.0),
];

/// The size and make-up of a fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetSpec {
    /// Number of sensors, at least 1.
    pub sensors: u64,
    /// Kinds in the order in which a site lists its sensors, at least one.
    pub kinds: Vec<SensorKind>,
}

/// A building with up to [`SENSORS_PER_SITE`] sensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// `site-0042`; also the Kafka key.
    pub id: String,
    /// Latitude in degrees, four decimals.
    pub latitude: Decimal,
    /// Longitude in degrees, four decimals.
    pub longitude: Decimal,
    /// Offset of local standard time from UTC.
    pub zone_offset_ms: i64,
}

impl Site {
    /// Returns the location as a reading carries it.
    pub fn location(&self) -> Location {
        Location { lat: self.latitude.to_f64(), lon: self.longitude.to_f64() }
    }
}

/// All sites of a run.
#[derive(Debug)]
pub struct Fleet {
    sensors: u64,
    kinds: Vec<SensorKind>,
    sites: Vec<Site>,
}

impl Fleet {
    /// Lays out a fleet.
    ///
    /// # Panics
    ///
    /// Panics if the fleet has no sensor or no kind.
    pub fn new(seed: u64, spec: &FleetSpec) -> Self {
        assert!(spec.sensors > 0, "a fleet has at least one sensor");
        assert!(!spec.kinds.is_empty(), "a fleet has at least one kind of sensor");
        let sites =
            (0..spec.sensors.div_ceil(SENSORS_PER_SITE)).map(|number| site(seed, number)).collect();
        Self { sensors: spec.sensors, kinds: spec.kinds.clone(), sites }
    }

    /// Returns the number of sensors.
    pub fn sensors(&self) -> u64 {
        self.sensors
    }

    /// Returns all sites, in the order of their numbers.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// Returns the number of the site that a sensor belongs to, from 0.
    pub fn site_number_of(&self, sensor: u64) -> usize {
        // Sites are stored, so their numbers fit.
        usize::try_from(sensor / SENSORS_PER_SITE).unwrap_or(usize::MAX)
    }

    /// Returns the site that a sensor belongs to.
    pub fn site_of(&self, sensor: u64) -> &Site {
        &self.sites[self.site_number_of(sensor)]
    }

    /// Returns what a sensor measures.
    pub fn kind_of(&self, sensor: u64) -> SensorKind {
        self.kinds[self.kind_position(sensor)]
    }

    fn kind_position(&self, sensor: u64) -> usize {
        usize::try_from(sensor % SENSORS_PER_SITE).expect("at most 25") % self.kinds.len()
    }

    /// Number of a sensor among those of its kind on its site, from 1.
    fn ordinal_of(&self, sensor: u64) -> u64 {
        (sensor % SENSORS_PER_SITE) / self.kinds.len() as u64 + 1
    }

    /// Appends the id of a sensor, `site-0042/temperature-03`.
    pub fn write_sensor_id(&self, sensor: u64, text: &mut Vec<u8>) {
        text.extend_from_slice(self.site_of(sensor).id.as_bytes());
        text.push(b'/');
        text.extend_from_slice(self.kind_of(sensor).name().as_bytes());
        text.push(b'-');
        let ordinal = self.ordinal_of(sensor);
        if ordinal < 10 {
            text.push(b'0');
        }
        text.extend_from_slice(itoa::Buffer::new().format(ordinal).as_bytes());
    }

    /// Returns the id of a sensor.
    pub fn sensor_id(&self, sensor: u64) -> String {
        let mut text = Vec::new();
        self.write_sensor_id(sensor, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Finds a sensor by its id; `None` if the fleet has no such sensor.
    pub fn sensor_number(&self, sensor_id: &str) -> Option<u64> {
        let (site_id, name) = sensor_id.split_once('/')?;
        let (kind, ordinal) = name.rsplit_once('-')?;
        let site: u64 = site_id.strip_prefix("site-")?.parse().ok()?;
        let kind: SensorKind = kind.parse().ok()?;
        let position = self.kinds.iter().position(|other| *other == kind)? as u64;
        let ordinal: u64 = ordinal.parse().ok()?;
        let in_site = ordinal.checked_sub(1)?.checked_mul(self.kinds.len() as u64)? + position;
        let sensor = site.checked_mul(SENSORS_PER_SITE)?.checked_add(in_site)?;
        // The comparison settles everything that parsing lets pass, such as `site-42` or `+1`.
        (in_site < SENSORS_PER_SITE && sensor < self.sensors)
            .then_some(sensor)
            .filter(|sensor| self.sensor_id(*sensor) == sensor_id)
    }

    /// Returns the Kafka partition of each site, by site number.
    pub fn partitions(&self, partitions: u32) -> Vec<u32> {
        self.sites.iter().map(|site| partition_of(site.id.as_bytes(), partitions)).collect()
    }
}

/// A site lies within about 20 km of one of the cities.
fn site(seed: u64, number: u64) -> Site {
    const STREAM_CITY: u64 = 1;
    const STREAM_LATITUDE: u64 = 2;
    const STREAM_LONGITUDE: u64 = 3;
    let city = hash(seed, STREAM_CITY, number) % CITIES.len() as u64;
    let (latitude, longitude, zone_hours) =
        CITIES[usize::try_from(city).expect("there are eight cities")];
    let scatter = |stream| 0.18 * symmetric(hash(seed, stream, number));
    Site {
        id: format!("site-{number:04}"),
        latitude: Decimal::round(latitude + scatter(STREAM_LATITUDE), 4),
        longitude: Decimal::round(longitude + scatter(STREAM_LONGITUDE), 4),
        #[expect(clippy::cast_possible_truncation, reason = "whole hours below 24")]
        zone_offset_ms: zone_hours as i64 * crate::hour::HOUR_MS,
    }
}

//! Which sites and sensors exist: a million sensors cost a few megabytes, because only sites are
//! stored.

use serde::{Deserialize, Serialize};

use super::climate::{CLIMATES, Climate};
use super::hash::{hash, symmetric};
use super::signal::Decimal;
use crate::SensorKind;
use crate::hour::HOUR_MS;
use crate::partitioner::partition_of;
use crate::reading::Location;

/// Sensors on a site: five of each kind, where all five kinds are in use.
pub const SENSORS_PER_SITE: u64 = PLACES as u64;
const PLACES: usize = 25;

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
    /// Number of the city that it lies in; the sites of a city share their weather.
    pub city: usize,
    /// Air pressure here, as a share of that at sea level (ISO 2533, the standard atmosphere).
    pub(super) pressure_share: f64,
    pub(super) latitude_sine: f64,
    pub(super) latitude_cosine: f64,
    /// How much later than on the meridian of Greenwich the same weather arrives.
    pub(super) weather_delay_ms: i64,
    /// How far the sun's time is ahead of UTC.
    pub(super) solar_offset_ms: i64,
}

impl Site {
    /// Returns the location as a reading carries it.
    pub fn location(&self) -> Location {
        Location { lat: self.latitude.to_f64(), lon: self.longitude.to_f64() }
    }

    pub(super) fn climate(&self) -> &'static Climate {
        &CLIMATES[self.city]
    }
}

/// All sites of a run.
#[derive(Debug)]
pub struct Fleet {
    sensors: u64,
    kinds: Vec<SensorKind>,
    sites: Vec<Site>,
    /// What each of a site's sensors measures, and its number among those of its kind, from 1.
    places: [(SensorKind, u8); PLACES],
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
        let places = std::array::from_fn(|place| {
            let ordinal = u8::try_from(place / spec.kinds.len() + 1).expect("at most 25");
            (spec.kinds[place % spec.kinds.len()], ordinal)
        });
        Self { sensors: spec.sensors, kinds: spec.kinds.clone(), sites, places }
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
        self.place_of(sensor).0
    }

    fn place_of(&self, sensor: u64) -> (SensorKind, u8) {
        self.places[usize::try_from(sensor % SENSORS_PER_SITE).expect("at most 25")]
    }

    /// Appends the id of a sensor, `site-0042/temperature-03`.
    pub fn write_sensor_id(&self, sensor: u64, text: &mut Vec<u8>) {
        let (kind, ordinal) = self.place_of(sensor);
        text.extend_from_slice(self.site_of(sensor).id.as_bytes());
        text.push(b'/');
        text.extend_from_slice(kind.name().as_bytes());
        // At most 25 sensors: two digits are all.
        text.extend_from_slice(&[b'-', b'0' + ordinal / 10, b'0' + ordinal % 10]);
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
    const STREAM_HEIGHT: u64 = 4;
    let city = hash(seed, STREAM_CITY, number) % CLIMATES.len() as u64;
    let city = usize::try_from(city).expect("there are ten cities");
    let climate = &CLIMATES[city];
    let scatter = |stream| symmetric(hash(seed, stream, number));
    let latitude = Decimal::round(climate.latitude + 0.18 * scatter(STREAM_LATITUDE), 4);
    let longitude = Decimal::round(climate.longitude + 0.18 * scatter(STREAM_LONGITUDE), 4);
    let altitude_m = climate.altitude_m + 10.0 * (1.0 + scatter(STREAM_HEIGHT));
    let radians = latitude.to_f64().to_radians();
    let (latitude_sine, latitude_cosine) = (libm::sin(radians), libm::cos(radians));
    Site {
        id: format!("site-{number:04}"),
        latitude,
        longitude,
        zone_offset_ms: climate.zone_hours * HOUR_MS,
        city,
        pressure_share: libm::pow(1.0 - 2.255_77e-5 * altitude_m, 5.255_88),
        latitude_sine,
        latitude_cosine,
        weather_delay_ms: weather_delay_ms(longitude, latitude_cosine),
        solar_offset_ms: ms_of(longitude.to_f64() / 15.0 * HOUR_MS as f64),
    }
}

/// Weather travels with the westerlies, frozen as it is (Taylor, 1938), at about 10 m/s: twenty
/// kilometres are half an hour.
fn weather_delay_ms(longitude: Decimal, latitude_cosine: f64) -> i64 {
    const METRES_PER_DEGREE: f64 = 111_320.0;
    const METRES_PER_MS: f64 = 0.01;
    ms_of(longitude.to_f64() * latitude_cosine * METRES_PER_DEGREE / METRES_PER_MS)
}

fn ms_of(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53")]
    let whole = libm::round(value) as i64;
    whole
}

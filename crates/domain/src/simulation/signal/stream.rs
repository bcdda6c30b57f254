//! Streams of randomness; two quantities never share one.

pub(super) const CITY_WEATHER: u64 = 16;
pub(super) const SITE_WEATHER: u64 = 17;
pub(super) const INDOOR: u64 = 18;
pub(super) const OCCUPANCY: u64 = 19;
pub(super) const VISITS: u64 = 20;
pub(super) const SENSOR: u64 = 21;
pub(super) const NOISE: u64 = 22;
pub(super) const PULSE: u64 = 23;
pub(super) const STATUS: u64 = 24;

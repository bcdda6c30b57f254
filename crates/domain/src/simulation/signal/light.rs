//! Light on a desk: the sun through a window and the lamps that people switch on.

use super::calendar::DAY_MS;
use super::occupancy::Presence;
use super::wave::cosine;
use crate::simulation::fleet::Site;

/// Light of the lamps in lx: with some daylight the median is 454 lx (Candanedo and Feldheim,
/// 2016).
const LAMPS: f64 = 410.0;
/// Who is back within so many minutes leaves the lamps on in daytime.
const SHORT_ABSENCE: f64 = 22.0;
/// Luminous efficacy of daylight in lm/W (Littlefair, 1985).
const EFFICACY: f64 = 105.0;
/// Share of the light outdoors that reaches a desk deep in the room.
const DAYLIGHT_SHARE: f64 = 0.0032;
/// How much more of it does when the sun itself shines in.
const BEAM: f64 = 3.0;

/// Returns the sine of the sun's elevation at a site; above 0 the sun is up.
///
/// Declination after Cooper (1969); the equation of time, at most 16 minutes, is left out.
pub fn sun_elevation_sine(site: &Site, ts_ms: i64) -> f64 {
    const YEAR_DAYS: f64 = 365.2425;
    let solar_ms = ts_ms + site.solar_offset_ms;
    let days = solar_ms as f64 / DAY_MS as f64;
    // Day 1 is the 1st of January, and the 81st, the equinox, is where the sine begins.
    let declination = (23.44 / 360.0) * cosine((days + 285.0) / YEAR_DAYS - 0.25);
    let northward = cosine(declination - 0.25);
    let hour_angle = solar_ms.rem_euclid(DAY_MS) as f64 / DAY_MS as f64 - 0.5;
    site.latitude_sine * northward
        + site.latitude_cosine * (1.0 - northward * northward).sqrt() * cosine(hour_angle)
}

/// Illuminance outdoors in lx under a cloudy sky (Kasten and Czeplak, 1980).
fn outdoor(elevation_sine: f64, cloud: f64) -> f64 {
    let clear = (910.0 * elevation_sine - 30.0).max(0.0);
    // The power 3.4 of the cloud cover, within 0.01.
    let dimming = cloud * cloud * cloud * (0.6 + 0.4 * cloud);
    EFFICACY * clear * (1.0 - 0.75 * dimming)
}

/// Illuminance in lx that daylight gives a desk.
pub(super) fn daylight(elevation_sine: f64, cloud: f64) -> f64 {
    let clearness = (1.0 - cloud) * (1.0 - cloud);
    DAYLIGHT_SHARE * outdoor(elevation_sine, cloud) * (1.0 + BEAM * clearness)
}

/// Illuminance in lx that lamps give a desk: never in the dark without people.
pub(super) fn lamps(presence: Presence, elevation_sine: f64) -> f64 {
    let on = match presence {
        Presence::Occupied => true,
        Presence::Vacant { minutes } => minutes < SHORT_ABSENCE && elevation_sine > 0.0,
    };
    if on { LAMPS } else { 0.0 }
}

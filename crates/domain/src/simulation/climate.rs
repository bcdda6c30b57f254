//! The cities that sites are scattered around, with the climate of each.

/// What the weather of a region does in the long run: means, seasons, days and spread.
///
/// Temperatures in °C, pressures in hPa at sea level. Seasonal amplitudes count from the mean to
/// the warm season's peak; winter pressure is higher by `pressure_annual`.
#[derive(Debug, PartialEq)]
pub(super) struct Climate {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// Standard time, in hours ahead of UTC.
    pub(super) zone_hours: i64,
    pub(super) altitude_m: f64,
    pub(super) temperature_mean: f64,
    pub(super) temperature_annual: f64,
    pub(super) temperature_diurnal: f64,
    /// Standard deviation of what season and hour do not explain.
    pub(super) temperature_sd: f64,
    pub(super) dew_point_mean: f64,
    pub(super) dew_point_annual: f64,
    pub(super) dew_point_sd: f64,
    pub(super) pressure_mean: f64,
    pub(super) pressure_annual: f64,
    pub(super) pressure_sd: f64,
    /// Share of the sky that is usually covered, as a logit: 0 is one half, 1 is 73 %.
    pub(super) cloud_logit: f64,
}

/// Beijing is fitted to its hourly weather of 2010 to 2014 (Liang et al., 2015; UCI data set 381,
/// 43 824 hours); the others are round figures of each city's climate, and their spread is scaled
/// from Beijing's by latitude and nearness of the sea.
pub(super) static CLIMATES: [Climate; 10] = [
    // Berlin
    row([52.52, 13.41, 1.0, 40.0], [10.2, 9.6, 3.6, 3.6], [4.8, 6.4, 4.2], [1015.0, 1.0, 9.2], 0.6),
    // London
    row([51.51, -0.13, 0.0, 15.0], [11.5, 6.9, 3.0, 2.9], [6.9, 4.7, 3.8], [1014.9, 0.8, 9.6], 0.7),
    // New York
    row(
        [40.71, -74.01, -5.0, 10.0],
        [13.0, 12.3, 3.4, 4.2],
        [6.2, 11.8, 6.0],
        [1016.6, 1.6, 7.6],
        0.2,
    ),
    // San Francisco
    row(
        [37.77, -122.42, -8.0, 25.0],
        [14.3, 3.3, 3.0, 2.3],
        [9.0, 2.2, 3.0],
        [1016.6, 1.8, 4.6],
        -0.1,
    ),
    // Tokyo
    row(
        [35.68, 139.69, 9.0, 30.0],
        [15.8, 10.9, 3.0, 2.6],
        [9.4, 13.0, 4.4],
        [1013.8, 3.6, 6.2],
        0.4,
    ),
    // Singapore
    row(
        [1.35, 103.82, 8.0, 20.0],
        [27.8, 0.8, 3.0, 0.9],
        [24.2, 0.5, 0.8],
        [1009.6, 0.7, 1.2],
        0.9,
    ),
    // Sydney
    row(
        [-33.87, 151.21, 10.0, 30.0],
        [18.2, 5.1, 3.6, 2.8],
        [11.3, 5.2, 4.0],
        [1016.4, 2.2, 5.8],
        0.0,
    ),
    // São Paulo
    row(
        [-23.55, -46.63, -3.0, 760.0],
        [20.1, 3.2, 4.0, 2.5],
        [15.2, 3.0, 2.2],
        [1017.0, 3.0, 3.4],
        0.5,
    ),
    // Beijing
    row(
        [39.90, 116.41, 8.0, 45.0],
        [12.5, 15.8, 4.5, 3.4],
        [1.8, 18.6, 5.9],
        [1016.5, 12.2, 5.45],
        -0.3,
    ),
    // Brussels
    row([50.85, 4.35, 1.0, 60.0], [10.9, 7.6, 3.2, 3.3], [6.4, 5.6, 4.0], [1015.2, 0.8, 9.2], 0.7),
];

/// Number of a climate whose figures are fitted to measurements, not scaled.
pub const BEIJING: usize = 8;
/// Number of the climate of the reference office, which stands 50 km from Brussels.
pub const BRUSSELS: usize = 9;

/// A row of the table: place, temperature, dew point, pressure, cloud.
const fn row(
    [latitude, longitude, zone_hours, altitude_m]: [f64; 4],
    [temperature_mean, temperature_annual, temperature_diurnal, temperature_sd]: [f64; 4],
    [dew_point_mean, dew_point_annual, dew_point_sd]: [f64; 3],
    [pressure_mean, pressure_annual, pressure_sd]: [f64; 3],
    cloud_logit: f64,
) -> Climate {
    #[expect(clippy::cast_possible_truncation, reason = "whole hours below 24")]
    Climate {
        latitude,
        longitude,
        zone_hours: zone_hours as i64,
        altitude_m,
        temperature_mean,
        temperature_annual,
        temperature_diurnal,
        temperature_sd,
        dew_point_mean,
        dew_point_annual,
        dew_point_sd,
        pressure_mean,
        pressure_annual,
        pressure_sd,
        cloud_logit,
    }
}

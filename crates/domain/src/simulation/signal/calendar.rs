//! Local days, weekdays, hours and seasons of a site.

use super::wave::cosine;
use crate::hour::HOUR_MS;
use crate::simulation::fleet::Site;

pub(super) const DAY_MS: i64 = 24 * HOUR_MS;
pub(super) const MINUTE_MS: f64 = 60_000.0;

/// A moment in the local standard time of a site.
#[derive(Clone, Copy)]
pub(super) struct LocalTime {
    /// Days since 1970-01-01.
    pub(super) day: i64,
    /// Minutes since midnight, below 1 440.
    pub(super) minute: f64,
}

impl LocalTime {
    pub(super) fn new(site: &Site, ts_ms: i64) -> Self {
        let local_ms = ts_ms + site.zone_offset_ms;
        let day = local_ms.div_euclid(DAY_MS);
        Self { day, minute: (local_ms - day * DAY_MS) as f64 / MINUTE_MS }
    }

    /// Monday to Friday.
    pub(super) fn is_weekday(self) -> bool {
        // 1970-01-01 was a Thursday, three days after Monday.
        (self.day + 3).rem_euclid(7) < 5
    }

    pub(super) fn hour(self) -> f64 {
        self.minute / 60.0
    }
}

/// 1 in the middle of the warm season, 19 July in the north, and -1 half a year later.
pub(super) fn warmth(site: &Site, ts_ms: i64) -> f64 {
    /// 1970-07-19, half a day after its midnight.
    const PEAK_MS: f64 = 199.5 * DAY_MS as f64;
    const YEAR_MS: f64 = 365.2425 * DAY_MS as f64;
    let north = cosine((ts_ms as f64 - PEAK_MS) / YEAR_MS);
    if site.latitude_sine < 0.0 { -north } else { north }
}

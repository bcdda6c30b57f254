//! When people are on a site: the occupied and vacant spells of a day, drawn from the day's hash.
//!
//! The rates are those of an office observed every minute (Candanedo and Feldheim, 2016), taken as
//! a two-state process (Page et al., 2008).

use std::f64::consts::LN_2;

use super::calendar::LocalTime;
use super::stream;
use super::wave::ease;
use crate::simulation::hash::{hash, unit};

/// Office hours, in minutes since midnight.
const OPEN: f64 = 480.0;
const CLOSE: f64 = 1_080.0;
/// Mean length of spells in office hours, in minutes: 0.050 arrivals and 0.0091 departures a
/// minute.
const VACANT: f64 = 20.0;
const OCCUPIED: f64 = 109.0;
/// Mean length of what remains after hours, in minutes: 0.096 departures a minute.
const AFTER_HOURS: f64 = 10.4;
/// Off hours are cut into cells with at most one visit each, by 0.0006 arrivals a minute.
const VISIT_CELL: f64 = 120.0;
const VISIT_CHANCE: f64 = 0.076;
/// Spells of a day at most: a day has about nine.
const SPELLS_MAX: u64 = 64;

/// Whether people are there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Presence {
    /// Somebody is.
    Occupied,
    /// Nobody is, for so many minutes from the last departure to the next arrival; infinite before
    /// the day's first arrival and after its last departure.
    Vacant { minutes: f64 },
}

/// The people of one site.
#[derive(Clone, Copy)]
pub(super) struct People {
    key: u64,
    visits: u64,
}

impl People {
    pub(super) fn new(seed: u64, site_number: usize) -> Self {
        let owner = site_number as u64;
        Self {
            key: hash(seed, stream::OCCUPANCY, owner),
            visits: hash(seed, stream::VISITS, owner),
        }
    }

    pub(super) fn presence(self, time: LocalTime) -> Presence {
        if !time.is_weekday() || time.minute < OPEN {
            return self.visit(time);
        }
        let mut draws = (0..SPELLS_MAX).map(|number| self.draw(time.day, number));
        let mut left = OPEN;
        while let (Some(vacant), Some(occupied)) = (draws.next(), draws.next()) {
            let arrives = left + VACANT * vacant;
            if arrives > CLOSE {
                break;
            }
            if time.minute < arrives {
                let minutes = if left > OPEN { arrives - left } else { f64::INFINITY };
                return Presence::Vacant { minutes };
            }
            left = departure(arrives, occupied);
            if time.minute < left {
                return Presence::Occupied;
            }
            if left > CLOSE {
                break;
            }
        }
        if time.minute < CLOSE {
            return Presence::Vacant { minutes: f64::INFINITY };
        }
        self.visit(time)
    }

    /// How much of a working day's warmth and breath is in the rooms, 1 on a usual day: it builds
    /// up from the first arrival and is gone by midnight.
    pub(super) fn aftermath(self, time: LocalTime) -> f64 {
        if !time.is_weekday() || time.minute < OPEN {
            return 0.0;
        }
        let arrival = OPEN + VACANT * self.draw(time.day, 0);
        let crowd = unit(hash(self.key, SPELLS_MAX, time.day.cast_unsigned()));
        let risen = ease((time.minute - arrival) / 300.0);
        let left = 1.0 - ease((time.minute - CLOSE + 180.0) / 540.0);
        (0.35 + 2.0 * crowd * crowd) * risen * left
    }

    /// Spell number `number` of a day in units of its mean: exponential.
    fn draw(self, day: i64, number: u64) -> f64 {
        exponential(hash(self.key, number, day.cast_unsigned()))
    }

    /// Somebody who looks in at night or on a weekend.
    fn visit(self, time: LocalTime) -> Presence {
        let vacant = Presence::Vacant { minutes: f64::INFINITY };
        #[expect(clippy::cast_possible_truncation, reason = "twelve cells a day")]
        let cell = (time.minute / VISIT_CELL) as i64;
        let word = hash(self.visits, 0, (12 * time.day + cell).cast_unsigned());
        if unit(word) >= VISIT_CHANCE {
            return vacant;
        }
        let from = VISIT_CELL * (cell as f64 + unit(hash(word, 1, 0)));
        let until = from + AFTER_HOURS * exponential(hash(word, 2, 0));
        if (from..until).contains(&time.minute) { Presence::Occupied } else { vacant }
    }
}

/// Departures are rare in office hours and soon after them.
fn departure(arrives: f64, draw: f64) -> f64 {
    let until_close = (CLOSE - arrives) / OCCUPIED;
    if draw <= until_close {
        arrives + OCCUPIED * draw
    } else {
        CLOSE + AFTER_HOURS * (draw - until_close)
    }
}

/// Exponential of mean 1, within 1e-5: so many times `ln 2` as a coin shows heads in a row, and a
/// part of one more.
fn exponential(word: u64) -> f64 {
    let heads = f64::from(word.leading_zeros());
    let part = (word & 0xffff_ffff) as f64 / 4_294_967_296.0;
    // -ln(1 - part / 2), as the series of the area hyperbolic tangent.
    let ratio = part / (4.0 - part);
    let square = ratio * ratio;
    let series = 1.0 + square * (1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0)));
    LN_2 * heads + 2.0 * ratio * series
}

//! What happens to a sensor over its life, as a pure function of the seed, the sensor and the hour:
//! faults, maintenance and batteries.
//!
//! When a sensor comes online and goes offline follows from the schedule and the transport of its
//! run: [`Simulation::events`] has all of it.

use std::borrow::Cow;

use super::fleet::Fleet;
use super::hash::{self, hash, unit};
use super::report::RunManifest;
use super::signal::{STATUS_SPELL_MS, status};
use super::{Simulation, transport};
use crate::event::{Event, EventKind};
use crate::hour::{DAY_MS, HOUR_MS, hour_start_ms};
use crate::reading::Status;

/// Events of a sensor that an hour has numbers for; there are nine at most.
const EVENTS_PER_HOUR_MAX: u64 = 64;

/// No hour begins later, so that no sum of times overflows: in the year 10 000.
const HOUR_MAX_MS: i64 = 253_402_300_800_000;

/// A sensor is serviced once in so many weeks: 91 days.
const MAINTENANCE_WEEKS: i64 = 13;
/// Local time between which it is serviced, in minutes of the day: 9 to 16 o'clock.
const MAINTENANCE_MINUTES: std::ops::Range<u64> = 9 * 60..16 * 60;
/// Mean time from a new battery, 100 %, to its replacement at 10 %.
const BATTERY_LIFE_MS: i64 = 730 * DAY_MS;
/// Steps of 10 % in that time.
const BATTERY_STEPS: i64 = 9;

/// Streams of randomness; no quantity of a signal shares one.
mod stream {
    pub(super) const MAINTENANCE_WEEK: u64 = 64;
    pub(super) const MAINTENANCE_DAY: u64 = 65;
    pub(super) const MAINTENANCE_MINUTE: u64 = 66;
    pub(super) const BATTERY_LIFE: u64 = 67;
    pub(super) const BATTERY_PHASE: u64 = 68;
}

/// Something that happens to a simulated sensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifecycleEvent {
    /// Number of the sensor in the fleet, from 0.
    pub sensor: u64,
    /// What happens.
    pub kind: EventKind,
    /// Event time in epoch milliseconds.
    pub ts_ms: i64,
    /// More about it: the charge of the battery in percent, else nothing.
    pub detail: Cow<'static, str>,
}

impl LifecycleEvent {
    /// Makes an event without a detail.
    pub fn new(sensor: u64, kind: EventKind, ts_ms: i64) -> Self {
        Self { sensor, kind, ts_ms, detail: Cow::Borrowed("") }
    }

    /// Returns the event as a record of the run carries it, under its number.
    pub fn record<'a>(&'a self, fleet: &'a Fleet, run: &'a str, seq: u64) -> Event<'a> {
        Event {
            sensor_id: Cow::Owned(fleet.sensor_id(self.sensor)),
            site_id: Cow::Borrowed(&fleet.site_of(self.sensor).id),
            event: self.kind,
            ts: self.ts_ms,
            seq: i64::try_from(seq).unwrap_or(i64::MAX),
            run: Cow::Borrowed(run),
            detail: Cow::Borrowed(&self.detail),
        }
    }
}

impl Simulation {
    /// Returns what happens to a sensor in the UTC hour that starts at `hour_start_ms`, in order of
    /// time, each event with its number: it comes online with its first reading, and goes offline
    /// and online again around each offline spell.
    pub fn events(
        &self,
        sensor: u64,
        hour_start_ms: i64,
    ) -> impl Iterator<Item = (u64, LifecycleEvent)> {
        let RunManifest { seed, schedule, transport, .. } = &self.manifest;
        let first_ms = schedule.event_time_ms(sensor);
        let is_here = (hour_start_ms..hour_start_ms + HOUR_MS).contains(&first_ms);
        let first = is_here.then(|| LifecycleEvent::new(sensor, EventKind::Online, first_ms));
        let spell = transport::offline_spell(*seed, transport, sensor, hour_start_ms);
        let spell = spell.into_iter().flat_map(move |spell| {
            [(EventKind::Offline, spell.start), (EventKind::Online, spell.end)]
                .map(move |(kind, ts_ms)| LifecycleEvent::new(sensor, kind, ts_ms))
        });
        let own = events_of(*seed, &self.fleet, sensor, hour_start_ms);
        numbered(schedule.start_ms, hour_start_ms, first.into_iter().chain(spell).chain(own))
    }

    /// Returns the event of a sensor that has this number; `None` if none has.
    pub fn event(&self, sensor: u64, seq: u64) -> Option<LifecycleEvent> {
        let first_hour_ms = hour_start_ms(self.manifest.schedule.start_ms);
        let hours = i64::try_from(seq / EVENTS_PER_HOUR_MAX).ok()?;
        let hour_ms = first_hour_ms.checked_add(hours.checked_mul(HOUR_MS)?)?;
        let hour_ms = (hour_ms <= HOUR_MAX_MS).then_some(hour_ms)?;
        let mut events = self.events(sensor, hour_ms);
        events.find(|(number, _)| *number == seq).map(|(_, event)| event)
    }
}

/// Returns what happens to a sensor itself in the UTC hour that starts at `hour_start_ms`, in order
/// of time; nothing in most hours.
fn events_of(
    seed: u64,
    fleet: &Fleet,
    sensor: u64,
    hour_start_ms: i64,
) -> impl Iterator<Item = LifecycleEvent> {
    let own = Own { seed: hash::own(seed, sensor), sensor, hour_start_ms };
    let zone_offset_ms = fleet.site_of(sensor).zone_offset_ms;
    let mut events: Vec<LifecycleEvent> = own.faults(seed).collect();
    events.extend(own.maintenance(zone_offset_ms));
    events.extend(own.battery());
    events.sort_by_key(|event| event.ts_ms);
    events.into_iter()
}

/// Numbers the events of one sensor and one UTC hour, in order of time; those of one time stay in
/// the order given.
///
/// An event's number is that of its hour since the run's start times [`EVENTS_PER_HOUR_MAX`], plus
/// its place within the hour. So the numbers of a sensor ascend with time, have gaps, and can be
/// computed for any hour alone. Events of before the run's start are left out, and what is beyond
/// the numbers of an hour too.
fn numbered(
    run_start_ms: i64,
    hour_start_ms: i64,
    events: impl IntoIterator<Item = LifecycleEvent>,
) -> impl Iterator<Item = (u64, LifecycleEvent)> {
    let since_ms = hour_start_ms - self::hour_start_ms(run_start_ms);
    let hours = u64::try_from(since_ms / HOUR_MS).unwrap_or(0);
    let mut events: Vec<LifecycleEvent> =
        events.into_iter().filter(|event| event.ts_ms >= run_start_ms).collect();
    events.sort_by_key(|event| event.ts_ms);
    let first = hours.saturating_mul(EVENTS_PER_HOUR_MAX);
    (first..first.saturating_add(EVENTS_PER_HOUR_MAX)).zip(events)
}

/// One sensor in one hour.
struct Own {
    /// The run's seed, made the sensor's own.
    seed: u64,
    sensor: u64,
    hour_start_ms: i64,
}

impl Own {
    fn event(&self, kind: EventKind, ts_ms: i64) -> LifecycleEvent {
        LifecycleEvent::new(self.sensor, kind, ts_ms)
    }

    fn contains(&self, ts_ms: i64) -> bool {
        (self.hour_start_ms..self.hour_start_ms + HOUR_MS).contains(&ts_ms)
    }

    /// Where faulty spells begin and end; spells that follow each other are one.
    fn faults(&self, run_seed: u64) -> impl Iterator<Item = LifecycleEvent> {
        let is_faulty = move |ts_ms| status(run_seed, self.sensor, ts_ms) == Status::Fault;
        let mut was_faulty = is_faulty(self.hour_start_ms - 1);
        (0..HOUR_MS / STATUS_SPELL_MS).filter_map(move |spell| {
            let ts_ms = self.hour_start_ms + spell * STATUS_SPELL_MS;
            let is_faulty = is_faulty(ts_ms);
            let kind = match (std::mem::replace(&mut was_faulty, is_faulty), is_faulty) {
                (false, true) => EventKind::Fault,
                (true, false) => EventKind::Recovered,
                _ => return None,
            };
            Some(self.event(kind, ts_ms))
        })
    }

    /// Once in each thirteen weeks of local time, from Monday to Friday in working hours.
    fn maintenance(&self, zone_offset_ms: i64) -> Option<LifecycleEvent> {
        // The epoch began on a Thursday, three days after a Monday.
        let days = (self.hour_start_ms + zone_offset_ms).div_euclid(DAY_MS) + 3;
        let quarter = days.div_euclid(7).div_euclid(MAINTENANCE_WEEKS);
        let draw = |stream, bound: u64| {
            let number = hash(self.seed, stream, quarter.cast_unsigned()) % bound;
            number.cast_signed()
        };
        let week = draw(stream::MAINTENANCE_WEEK, MAINTENANCE_WEEKS.unsigned_abs());
        let day = draw(stream::MAINTENANCE_DAY, 5);
        let minutes = MAINTENANCE_MINUTES;
        let minute = minutes.start.cast_signed()
            + draw(stream::MAINTENANCE_MINUTE, minutes.end - minutes.start);
        let monday = (quarter * MAINTENANCE_WEEKS + week) * 7 - 3;
        let ts_ms = (monday + day) * DAY_MS + minute * 60_000 - zone_offset_ms;
        self.contains(ts_ms).then(|| self.event(EventKind::Maintenance, ts_ms))
    }

    /// The charge falls by 10 % at a time, each sensor's at its own pace and from its own start; at
    /// 10 % the battery is replaced.
    fn battery(&self) -> Option<LifecycleEvent> {
        let draw = |stream| unit(hash(self.seed, stream, 0));
        #[expect(clippy::cast_possible_truncation, reason = "a few years in milliseconds")]
        let scaled = |factor: f64| (factor * BATTERY_LIFE_MS as f64) as i64;
        let step_ms = scaled(0.8 + 0.4 * draw(stream::BATTERY_LIFE)) / BATTERY_STEPS;
        let phase_ms = scaled(draw(stream::BATTERY_PHASE));
        let last_ms = self.hour_start_ms + HOUR_MS - 1;
        let step = (last_ms + phase_ms).div_euclid(step_ms);
        let ts_ms = step * step_ms - phase_ms;
        let percent = 100 - 10 * step.rem_euclid(BATTERY_STEPS);
        self.contains(ts_ms).then(|| LifecycleEvent {
            detail: Cow::Owned(percent.to_string()),
            ..self.event(EventKind::Battery, ts_ms)
        })
    }
}

#[cfg(test)]
mod tests;

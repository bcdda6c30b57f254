//! The ground truth of a run: every anomaly with exactly the readings that it covers.

use std::ops::Range;

use super::super::Simulation;
use super::super::signal;
use super::AnomalyKind;
use super::event::Event;
use crate::contract::TS_RANGE_MS;
use crate::hour::HOUR_MS;

/// One anomaly of one sensor, as far as it is not hidden by an earlier one.
#[derive(Clone, Debug, PartialEq)]
pub struct Anomaly {
    /// Hash-derived and stable; a site-wide anomaly has the same id on each of its sensors.
    pub id: String,
    /// Number of the sensor in the fleet, from 0.
    pub sensor: u64,
    /// What goes wrong.
    pub kind: AnomalyKind,
    /// Whether it befalls all sensors of a kind on a site.
    pub site_wide: bool,
    /// First moment, in epoch milliseconds.
    pub start_ms: i64,
    /// One past the last moment, in epoch milliseconds.
    pub end_ms: i64,
    /// How far off, in innovation standard deviations of the sensor's kind
    /// ([`signal::innovation_sd`]); of a contextual one that at its start, 0 for a kind without.
    pub magnitude: f64,
    /// The same in the sensor's unit, with its sign.
    pub amount: f64,
    /// First reading whose event time lies in the window.
    pub first_seq: u64,
    /// Last such reading, inclusive.
    pub last_seq: u64,
}

impl Anomaly {
    /// Returns the number of readings covered.
    pub fn readings(&self) -> u64 {
        self.last_seq - self.first_seq + 1
    }
}

impl Simulation {
    /// Returns the anomalies of a sensor in the order of time, cut to the event times in
    /// `range_ms`.
    ///
    /// They never overlap. One that changes no reading of the run within the range, because none
    /// is due or all say what they would have said anyway, is left out.
    pub fn anomalies(&self, sensor: u64, range_ms: Range<i64>) -> impl Iterator<Item = Anomaly> {
        let from_ms = range_ms.start.max(self.manifest.schedule.start_ms);
        let to_ms = range_ms.end.min(self.end_ms()).max(from_ms);
        let none = self.manifest.anomalies.probability_ppm == 0 || to_ms == from_ms;
        let first_cell = from_ms.div_euclid(HOUR_MS) - 1;
        let last_cell = if none { first_cell - 1 } else { (to_ms - 1).div_euclid(HOUR_MS) };
        let mut shown_to_ms = from_ms;
        (first_cell..=last_cell).flat_map(move |cell| self.events_of_cell(sensor, cell)).filter_map(
            move |event| {
                let window_ms = shown_to_ms.max(event.start_ms)..event.end_ms.min(to_ms);
                // Events come in the order of their starts: what is over now hides nothing more.
                shown_to_ms = shown_to_ms.max(event.end_ms);
                self.anomaly(sensor, &event, window_ms)
            },
        )
    }

    /// Returns the readings of a sensor whose event times lie in `range_ms`.
    pub fn seqs_due(&self, sensor: u64, range_ms: Range<i64>) -> Range<u64> {
        let from = self.first_seq_from(sensor, range_ms.start);
        from..self.first_seq_from(sensor, range_ms.end).max(from)
    }

    fn anomaly(&self, sensor: u64, event: &Event, window_ms: Range<i64>) -> Option<Anomaly> {
        let seqs = self.seqs_due(sensor, window_ms.clone());
        if !seqs.clone().any(|seq| self.is_changed(sensor, seq)) {
            return None;
        }
        let (magnitude, amount) = self.deviation(sensor, event, window_ms.start);
        Some(Anomaly {
            id: format!("{:016x}", event.id),
            sensor,
            kind: event.kind,
            site_wide: event.site_wide,
            start_ms: window_ms.start,
            end_ms: window_ms.end,
            magnitude,
            amount,
            first_seq: seqs.start,
            last_seq: seqs.end - 1,
        })
    }

    fn is_changed(&self, sensor: u64, seq: u64) -> bool {
        let index = self.index_of(sensor, seq);
        index.is_some_and(|index| self.reading(index) != self.clean_reading(index))
    }

    /// Magnitude and amount of an event that shows from `start_ms`.
    fn deviation(&self, sensor: u64, event: &Event, start_ms: i64) -> (f64, f64) {
        if event.kind != AnomalyKind::Contextual {
            return (event.magnitude, event.amount);
        }
        let raw_at = |ts_ms| signal::raw_value(self.manifest.seed, &self.fleet, sensor, ts_ms);
        let amount = raw_at(start_ms - event.context_ms) - raw_at(start_ms);
        (amount.abs() / signal::innovation_sd(self.fleet.kind_of(sensor)), amount)
    }

    fn events_of_cell(&self, sensor: u64, cell: i64) -> impl Iterator<Item = Event> + use<> {
        let (seed, spec) = (self.manifest.seed, self.manifest.anomalies);
        Event::of_cell(seed, spec, &self.fleet, sensor, cell).into_iter().flatten()
    }

    /// One past the last event time of the run, or of what the data contract allows.
    fn end_ms(&self) -> i64 {
        let schedule = &self.manifest.schedule;
        match schedule.readings_max {
            Some(0) => schedule.start_ms,
            Some(readings) => {
                TS_RANGE_MS.end.min(schedule.event_time_ms(readings - 1).saturating_add(1))
            }
            None => TS_RANGE_MS.end,
        }
    }

    /// The first reading of a sensor at or after a time; one past its last where there is none.
    fn first_seq_from(&self, sensor: u64, ts_ms: i64) -> u64 {
        let schedule = &self.manifest.schedule;
        let sensors = self.fleet.sensors();
        // No more than can be numbered, so that every index below exists.
        let mut end = u64::MAX / sensors;
        if let Some(readings) = schedule.readings_max {
            end = end.min(readings.saturating_sub(sensor).div_ceil(sensors));
        }
        let mut start = 0;
        while start < end {
            let middle = start + (end - start) / 2;
            if schedule.event_time_ms(middle * sensors + sensor) < ts_ms {
                start = middle + 1;
            } else {
                end = middle;
            }
        }
        start
    }
}

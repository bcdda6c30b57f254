//! What the tables `latest`, `sensors` and `sites` are to be told about one site, coalesced.

use std::collections::HashMap;
use std::sync::Arc;

use domain::reading::Location;
use domain::{Reading, SensorKind, Status, write_timestamp};
use rustc_hash::FxHashMap;

use super::ledger::{NextOffset, RecordOffset};

/// Most sensors in one write.
const SENSORS_PER_WRITE_MAX: usize = 100;

/// The newest reading of a sensor since the last write.
#[derive(Clone, Debug)]
pub struct LatestReading {
    /// Event time, epoch milliseconds.
    pub ts_ms: i64,
    /// The measured value.
    pub value: f64,
    /// What is measured.
    pub kind: SensorKind,
    /// The sensor's own verdict.
    pub status: Status,
    /// The producer run.
    pub run: Arc<str>,
    /// Number of the reading.
    pub seq: i64,
    /// Offset of its record.
    pub offset: RecordOffset,
    /// Whether the registry has to be told of the sensor.
    pub unregistered: bool,
}

impl LatestReading {
    /// Returns the write timestamp of its row in `latest`, in epoch microseconds.
    pub fn write_timestamp_us(&self) -> i64 {
        write_timestamp::latest_us(self.ts_ms, self.kind, self.status, &self.run, self.seq)
    }

    /// Tells whether Cassandra would keep a reading and not this one, had both been written.
    fn gives_way_to(&self, reading: &Reading<'_>) -> bool {
        if self.ts_ms != reading.ts {
            return self.ts_ms < reading.ts;
        }
        let Reading { kind, status, seq, value, .. } = *reading;
        let us = write_timestamp::latest_us(reading.ts, kind, status, &reading.run, seq);
        // Of equal timestamps the greater bytes stay.
        let order = us.cmp(&self.write_timestamp_us());
        order.then(value.to_bits().cmp(&self.value.to_bits())).is_ge()
    }
}

/// Where a site was at its newest reading since the last write.
#[derive(Clone, Copy, Debug)]
struct Place {
    location: Location,
    ts_ms: i64,
    offset: RecordOffset,
}

impl Place {
    /// Tells whether Cassandra would keep the place of a reading and not this one, had both been
    /// written.
    fn gives_way_to(&self, reading: &Reading<'_>) -> bool {
        if self.ts_ms != reading.ts {
            return self.ts_ms < reading.ts;
        }
        let Location { lat, lon } = self.location;
        let bits = [lat.to_bits(), lon.to_bits()];
        let bits_of_other = [reading.location.lat.to_bits(), reading.location.lon.to_bits()];
        if bits == bits_of_other {
            return true;
        }
        let us = |location| write_timestamp::site_us(reading.ts, location);
        let order = us(reading.location).cmp(&us(self.location));
        order.then(bits_of_other.cmp(&bits)).is_ge()
    }
}

/// One write to the tables that are kept by site.
#[derive(Clone, Debug)]
pub struct SiteWrite {
    /// Partition key of all three tables.
    pub site_id: Arc<str>,
    /// Where the site is, with the event time in epoch milliseconds.
    pub location: Option<(Location, i64)>,
    /// The newest reading of each sensor.
    pub sensors: Vec<(Box<str>, LatestReading)>,
}

impl SiteWrite {
    /// Parts the news into two halves; `None` if it is about one thing only.
    pub fn split(mut self) -> Option<[Self; 2]> {
        let location = self.location.take();
        if self.sensors.len() + usize::from(location.is_some()) < 2 {
            return None;
        }
        let second = self.sensors.split_off(self.sensors.len() / 2);
        let site_id = Arc::clone(&self.site_id);
        Some([Self { location, ..self }, Self { site_id, location: None, sensors: second }])
    }
}

/// News of one site.
#[derive(Clone, Debug, Default)]
pub(super) struct SiteNews {
    /// Where the site was at its last reading since the last write.
    place: Option<Location>,
    /// Where it was at its newest one. The table is told with each commit, whether it moved or not:
    /// what it has must be no older than what a late reading says of another place.
    newest: Option<Place>,
    /// Whether no commit may leave that out.
    has_moved: bool,
    sensors: FxHashMap<Box<str>, LatestReading>,
}

impl SiteNews {
    /// Takes in a reading; returns how many sensors more have news.
    pub(super) fn note(
        &mut self,
        reading: &Reading<'_>,
        offset: RecordOffset,
        known: &mut Known,
        runs: &mut Runs,
    ) -> usize {
        // Most readings are of a sensor that was heard of since the last write.
        if self.place != Some(reading.location) {
            self.place = Some(reading.location);
            self.has_moved |= known.site_is_new(reading);
        }
        if self.newest.as_ref().is_none_or(|newest| newest.gives_way_to(reading)) {
            self.newest = Some(Place { location: reading.location, ts_ms: reading.ts, offset });
        }
        let Some(latest) = self.sensors.get_mut(&*reading.sensor_id) else {
            let unregistered = known.sensor_is_new(reading);
            let news = LatestReading {
                ts_ms: reading.ts,
                value: reading.value,
                kind: reading.kind,
                status: reading.status,
                run: runs.share(&reading.run),
                seq: reading.seq,
                offset,
                unregistered,
            };
            self.sensors.insert(reading.sensor_id.as_ref().into(), news);
            return 1;
        };
        if latest.kind != reading.kind {
            latest.unregistered |= known.sensor_is_new(reading);
        }
        if latest.gives_way_to(reading) {
            latest.ts_ms = reading.ts;
            latest.value = reading.value;
            latest.kind = reading.kind;
            latest.status = reading.status;
            latest.seq = reading.seq;
            latest.offset = offset;
            if *latest.run != *reading.run {
                latest.run = runs.share(&reading.run);
            }
        }
        0
    }

    /// Turns the news into writes and forgets them; with `next` only what has to be known before
    /// this offset is committed, since a replay would bring the rest again.
    pub(super) fn take(
        &mut self,
        site_id: &Arc<str>,
        next: Option<NextOffset>,
        writes: &mut Vec<SiteWrite>,
    ) {
        self.place = None;
        let is_below = |offset: RecordOffset| next.is_none_or(|next| offset.0 < next.0);
        let has_moved = std::mem::take(&mut self.has_moved);
        let newest = self.newest.take_if(|newest| has_moved || is_below(newest.offset));
        let mut location = newest.map(|newest| (newest.location, newest.ts_ms));
        let has_to_go = |latest: &LatestReading| latest.unregistered || is_below(latest.offset);
        let mut sensors = self.sensors.extract_if(|_, latest| has_to_go(latest)).peekable();
        while location.is_some() || sensors.peek().is_some() {
            let sensors = sensors.by_ref().take(SENSORS_PER_WRITE_MAX).collect();
            writes.push(SiteWrite {
                site_id: Arc::clone(site_id),
                location: location.take(),
                sensors,
            });
        }
    }

    /// Returns how many sensors have news.
    pub(super) fn len(&self) -> usize {
        self.sensors.len()
    }

    /// Tells whether there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.sensors.is_empty() && self.newest.is_none()
    }
}

/// The runs that readings came from lately: one copy of an id serves many sensors.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    ids: Vec<Arc<str>>,
    /// Which one goes next, when another comes.
    oldest: usize,
}

impl Runs {
    /// Most runs at once: beyond it each id is copied more often, which costs time alone.
    const MAX: usize = 16;

    /// Returns the shared copy of an id.
    fn share(&mut self, id: &str) -> Arc<str> {
        if let Some(known) = self.ids.iter().find(|known| ***known == *id) {
            return Arc::clone(known);
        }
        let copy = Arc::from(id);
        if self.ids.len() < Self::MAX {
            self.ids.push(Arc::clone(&copy));
        } else {
            self.ids[self.oldest] = Arc::clone(&copy);
            self.oldest = (self.oldest + 1) % Self::MAX;
        }
        copy
    }
}

/// Sensors and sites that the registry has been told of; bounded, and telling it twice does no
/// harm.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    sensors: HashMap<Box<str>, SensorKind>,
    sites: HashMap<Box<str>, Location>,
}

impl Known {
    /// Most entries; beyond it the registry is told again of everything. About 100 bytes each (I6).
    const ENTRIES_MAX: usize = 200_000;

    fn sensor_is_new(&mut self, reading: &Reading<'_>) -> bool {
        if self.sensors.get(&*reading.sensor_id) == Some(&reading.kind) {
            return false;
        }
        if self.sensors.len() >= Self::ENTRIES_MAX {
            self.sensors.clear();
        }
        self.sensors.insert(reading.sensor_id.as_ref().into(), reading.kind);
        true
    }

    fn site_is_new(&mut self, reading: &Reading<'_>) -> bool {
        if self.sites.get(&*reading.site_id) == Some(&reading.location) {
            return false;
        }
        if self.sites.len() >= Self::ENTRIES_MAX {
            self.sites.clear();
        }
        self.sites.insert(reading.site_id.as_ref().into(), reading.location);
        true
    }

    /// Forgets everything: what was told may not have been written.
    pub(super) fn forget(&mut self) {
        self.sensors.clear();
        self.sites.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_copy_as_long_as_few_runs_are_about() {
        let mut runs = Runs::default();
        let first = runs.share("0");
        for id in 1..Runs::MAX {
            runs.share(&id.to_string());
            assert!(Arc::ptr_eq(&first, &runs.share("0")));
        }
        runs.share("one more");
        assert_eq!((runs.ids.len(), runs.share("0")), (Runs::MAX, "0".into()));
    }
}

//! All windows of a partition with the same start.

use domain::{Aggregate, Reading, SensorKind};

use super::accumulator::Accumulator;
use super::ahead::Ahead;
use super::outcome::{RowKey, WindowRow};
use super::registry::{Registry, Sensor};
use super::speculation::Unfinished;

/// The place before the first record of a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) offset: u64,
    pub(crate) watermark_ms: i64,
    pub(crate) ahead: Ahead,
}

/// Windows of many sensors; by the sensors' numbers, and empty for those that said nothing.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub(crate) start_ms: i64,
    pub(crate) mark: Mark,
    pub(crate) is_closed: bool,
    is_dirty: bool,
    windows: Vec<Option<Box<Accumulator>>>,
}

impl Bucket {
    pub(crate) fn new(start_ms: i64, mark: Mark, is_closed: bool) -> Self {
        Self { start_ms, mark, is_closed, is_dirty: false, windows: Vec::new() }
    }

    /// Takes in a reading of a sensor; returns false if it was there already.
    pub(crate) fn add(&mut self, sensor: u32, reading: &Reading<'_>) -> bool {
        let (start_ms, is_closed) = (self.start_ms, self.is_closed);
        let window = self.window(sensor);
        let is_new = window.add(reading, start_ms);
        window.revision += u32::from(is_new && is_closed);
        self.is_dirty |= is_new;
        is_new
    }

    /// Returns what tells this state of the bucket from earlier and later ones.
    pub(crate) fn unfinished(&self, size_ms: i64, position: u64) -> Unfinished {
        let records = position.saturating_sub(self.mark.offset);
        Unfinished { start_ms: self.start_ms, size_ms, records }
    }

    fn window(&mut self, sensor: u32) -> &mut Accumulator {
        let place = sensor as usize;
        if self.windows.len() <= place {
            self.windows.resize_with(place + 1, || None);
        }
        self.windows[place].get_or_insert_default()
    }

    fn look(&self, sensor: u32) -> Option<&Accumulator> {
        self.windows.get(sensor as usize)?.as_deref()
    }

    /// Tells whether one of the sensors has a window.
    pub(crate) fn has_any(&self, sensors: &[u32]) -> bool {
        sensors.iter().any(|number| self.look(*number).is_some())
    }

    /// Returns what a sensor's readings come to.
    pub(crate) fn aggregate(
        &self,
        sensors: &[Sensor],
        sensor: u32,
        size_ms: i64,
    ) -> Option<Aggregate> {
        self.look(sensor)?.aggregate(sensors[sensor as usize].kind, size_ms)
    }

    /// Returns the bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let windows = self.windows.iter().flatten().map(|window| window.bytes());
        self.windows.capacity() * size_of::<usize>() + windows.sum::<usize>()
    }

    /// Says that everything has been written.
    pub(crate) fn clean(&mut self) {
        self.is_dirty = false;
        self.windows.iter_mut().flatten().for_each(|window| window.is_dirty = false);
    }

    /// Appends the rows that changed since they were last handed out: of each sensor that did, and
    /// of all sensors of its kind on its site.
    pub(crate) fn take_rows(
        &mut self,
        registry: &Registry,
        size_ms: i64,
        rows: &mut Vec<WindowRow>,
    ) {
        if !self.is_dirty {
            return;
        }
        for site in &registry.sites {
            for members in of_one_kind(registry, &site.sensors) {
                self.take_kind(registry, &site.id, members, size_ms, rows);
            }
        }
        self.clean();
    }

    fn take_kind(
        &self,
        registry: &Registry,
        site_id: &str,
        members: &[u32],
        size_ms: i64,
        rows: &mut Vec<WindowRow>,
    ) {
        let windows = || members.iter().filter_map(|number| Some((*number, self.look(*number)?)));
        if !windows().any(|(_, window)| window.is_dirty) {
            return;
        }
        let mut parts = Vec::with_capacity(members.len());
        for (number, window) in windows() {
            let sensor = &registry.sensors[number as usize];
            let Some(aggregate) = window.aggregate(sensor.kind, size_ms) else { continue };
            let revision = u64::from(window.revision);
            parts.push((aggregate, revision));
            if window.is_dirty {
                let key = self.key(site_id, sensor.kind, &sensor.id);
                rows.push(WindowRow { key, aggregate, revision });
            }
        }
        let kind = registry.sensors[members[0] as usize].kind;
        rows.extend(WindowRow::of_kind(site_id, kind, self.start_ms, &parts));
    }

    fn key(&self, site_id: &str, kind: SensorKind, sensor_id: &str) -> RowKey {
        let (site_id, sensor_id) = (site_id.to_owned(), sensor_id.to_owned());
        RowKey { site_id, kind, sensor_id, window_start_ms: self.start_ms }
    }
}

/// Parts the sensors of a site, which are in the order of their kinds.
fn of_one_kind<'a>(registry: &'a Registry, members: &'a [u32]) -> impl Iterator<Item = &'a [u32]> {
    let kind = |number: &u32| registry.sensors[*number as usize].kind;
    members.chunk_by(move |left, right| kind(left) == kind(right))
}

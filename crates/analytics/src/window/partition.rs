//! One partition of the topic: takes records in by offset, closes windows, and says what came of
//! it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use domain::{Aggregate, Alert, Reading, SensorKind};

use super::ahead::Ahead;
use super::bookmark::{Bookmark, Counts};
use super::bucket::{Bucket, Mark};
use super::outcome::{Fate, Late, Outcome};
use super::registry::{Known, Registry, Sensor};
use super::speculation::Speculation;
use super::{Timing, VALUE_MAX};
use crate::detect::{Member, Policy, Watch, WindowSpan, observe};

/// A record as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its place in the partition.
    pub offset: u64,
    /// When it arrived, in epoch milliseconds: by the broker's clock where the topic is set to
    /// note it, else by ours.
    pub arrived_ms: i64,
    /// The reading; `None` if it is none.
    pub reading: Option<&'a Reading<'a>>,
}

/// The place up to which records are read again: what came of them has been written.
#[derive(Clone, Copy, Debug)]
struct Replayed {
    offset: u64,
    watermark_ms: i64,
}

/// The state of a partition.
#[derive(Debug)]
pub struct Partition {
    timing: Timing,
    policy: Arc<Policy>,
    registry: Registry,
    /// In the order of their starts.
    buckets: VecDeque<Bucket>,
    /// The latest event time that counts.
    latest_ms: Option<i64>,
    watermark_ms: i64,
    ahead: Ahead,
    /// One past the last record that was taken in.
    position: u64,
    counts: Counts,
    replayed: Replayed,
    outcome: Outcome,
    /// Starts of the larger windows that are not final and have readings.
    rollups: BTreeSet<i64>,
    /// Sensors whose states changed since they were last handed out.
    changed: BTreeSet<u32>,
    speculation: Speculation,
}

impl Partition {
    /// Goes on from a bookmark, with what is stored of the sensors and with the alerts that were
    /// said of unfinished windows.
    pub fn resume(
        timing: Timing,
        policy: Arc<Policy>,
        bookmark: &Bookmark,
        known: impl IntoIterator<Item = Known>,
        provisional: Vec<Alert>,
    ) -> Self {
        let mut registry = Registry::default();
        for Known { site_id, kind, sensor_id, watch } in known {
            registry.add(&site_id, kind, &sensor_id, watch);
        }
        let out_of_order_ms = timing.out_of_order_ms;
        // Windows that were final by then are not read again, but the larger one that they are part
        // of may not be merged yet.
        let Bookmark { position_watermark_ms, .. } = *bookmark;
        let newest_final_ms = position_watermark_ms.saturating_sub(timing.lateness_ms + 1);
        let rollups = (position_watermark_ms > i64::MIN)
            .then(|| timing.rollup_start_ms(newest_final_ms))
            .into_iter()
            .collect();
        let mut outcome = Outcome::default();
        let mut speculation = Speculation::of(provisional);
        // Whoever closed those windows did not know what was said of them.
        speculation.settle(position_watermark_ms, Vec::new(), &mut outcome.alerts);
        Self {
            timing,
            policy,
            registry,
            buckets: VecDeque::new(),
            latest_ms: (bookmark.watermark_ms > i64::MIN)
                .then(|| bookmark.watermark_ms.saturating_add(out_of_order_ms)),
            watermark_ms: bookmark.watermark_ms,
            ahead: bookmark.ahead,
            position: bookmark.offset,
            counts: bookmark.counts,
            replayed: Replayed {
                offset: bookmark.position,
                watermark_ms: bookmark.position_watermark_ms,
            },
            outcome,
            rollups,
            changed: BTreeSet::new(),
            speculation,
        }
    }

    /// Takes in a record; its offset is above those of all before.
    pub fn accept(&mut self, Arrival { offset, arrived_ms, reading }: Arrival<'_>) -> Fate {
        let was_replaying = self.is_replaying();
        let mark = self.mark(offset);
        self.position = offset + 1;
        if was_replaying && offset >= self.replayed.offset {
            self.end_replay();
        }
        let replaying = offset < self.replayed.offset;
        let fate = match reading {
            Some(reading) => self.sort_in(reading, arrived_ms, mark, replaying),
            None => Fate::Invalid,
        };
        if replaying {
            if !self.is_replaying() {
                self.end_replay();
            }
            return Fate::Replayed;
        }
        self.counts.taken += 1;
        *match fate {
            Fate::Windowed => &mut self.counts.windowed,
            Fate::Late(_) => &mut self.counts.late,
            Fate::Duplicate => &mut self.counts.duplicate,
            Fate::Invalid | Fate::ClockAhead { .. } | Fate::Replayed => &mut self.counts.invalid,
        } += 1;
        fate
    }

    /// Returns the place before a record, which is the next one.
    fn mark(&self, offset: u64) -> Mark {
        Mark { offset, watermark_ms: self.watermark_ms, ahead: self.ahead }
    }

    /// Tells whether records are read that were taken in before.
    fn is_replaying(&self) -> bool {
        self.position < self.replayed.offset
    }

    /// What came of the records up to here has been written.
    fn end_replay(&mut self) {
        self.buckets.iter_mut().filter(|bucket| bucket.is_closed).for_each(Bucket::clean);
    }

    fn sort_in(
        &mut self,
        reading: &Reading<'_>,
        arrived_ms: i64,
        mark: Mark,
        replaying: bool,
    ) -> Fate {
        if reading.value.abs() > VALUE_MAX {
            return Fate::Invalid;
        }
        let ahead_ms = reading.ts.saturating_sub(arrived_ms);
        if ahead_ms > self.timing.clock_ahead_max_ms {
            return Fate::ClockAhead { ahead_ms };
        }
        let start_ms = self.timing.window_start_ms(reading.ts);
        if self.timing.is_final(start_ms, self.watermark_ms) {
            let lateness_ms = self.watermark_ms - (start_ms + self.timing.window_ms);
            return Fate::Late(Late { window_start_ms: start_ms, lateness_ms });
        }
        let mut is_new = true;
        // What is final by the end of the replay is not built again: parts of it may be missing.
        if !(replaying && self.timing.is_final(start_ms, self.replayed.watermark_ms)) {
            let sensor = self.registry.number(reading);
            is_new = self.bucket(start_ms, mark).add(sensor, reading);
            if is_new {
                self.speculation.resume();
            }
        }
        if let Some(latest_ms) = self.ahead.take_in(&self.timing, self.latest_ms, reading) {
            self.latest_ms = Some(latest_ms);
            self.watermark_ms = latest_ms.saturating_sub(self.timing.out_of_order_ms);
            self.speculation.resume();
            self.advance(replaying);
        }
        if is_new { Fate::Windowed } else { Fate::Duplicate }
    }

    /// Returns the bucket of a window, made if need be; the newest is the likeliest.
    fn bucket(&mut self, start_ms: i64, mark: Mark) -> &mut Bucket {
        let place = self.buckets.iter().rposition(|bucket| bucket.start_ms <= start_ms);
        let place = match place {
            Some(place) if self.buckets[place].start_ms == start_ms => place,
            before => {
                let place = before.map_or(0, |place| place + 1);
                let is_closed = self.timing.is_closed(start_ms, self.watermark_ms);
                self.buckets.insert(place, Bucket::new(start_ms, mark, is_closed));
                self.rollups.insert(self.timing.rollup_start_ms(start_ms));
                place
            }
        };
        &mut self.buckets[place]
    }

    /// Closes what the watermark has passed, and lets go of what nothing amends any more.
    fn advance(&mut self, replaying: bool) {
        let (timing, watermark_ms) = (self.timing, self.watermark_ms);
        for place in 0..self.buckets.len() {
            let bucket = &mut self.buckets[place];
            if !timing.is_closed(bucket.start_ms, watermark_ms) {
                break;
            }
            // What was closed before the bookmark has been shown.
            if !std::mem::replace(&mut bucket.is_closed, true) && !replaying {
                self.close(place);
            }
        }
        while let Some(bucket) = self.buckets.front_mut()
            && timing.is_final(bucket.start_ms, watermark_ms)
        {
            bucket.take_rows(&self.registry, timing.window_ms, &mut self.outcome.rows);
            let rollup_ms = timing.rollup_start_ms(bucket.start_ms);
            // Nobody may know of such a site after a restart, when the larger window is final.
            for site in self.registry.sites.iter().filter(|site| !self.registry.is_stored(site)) {
                if bucket.has_any(&site.sensors) {
                    self.outcome.rollups.push((site.id.to_string(), rollup_ms));
                }
            }
            self.buckets.pop_front();
        }
        while let Some(start_ms) = self.rollups.first().copied()
            && timing.is_rollup_final(start_ms, watermark_ms)
        {
            self.rollups.pop_first();
            self.roll_up(start_ms);
        }
    }

    fn roll_up(&mut self, start_ms: i64) {
        let sites = self.registry.sites.iter().map(|site| (site.id.to_string(), start_ms));
        self.outcome.rollups.extend(sites);
    }

    fn close(&mut self, place: usize) {
        let alerts = self.show(place, false);
        let end_ms = self.buckets[place].start_ms + self.timing.window_ms;
        self.speculation.settle(end_ms, alerts, &mut self.outcome.alerts);
    }

    /// Shows the windows of a bucket to the detectors, or to copies of them.
    fn show(&mut self, place: usize, to_copies: bool) -> Vec<Alert> {
        let Self { registry, buckets, policy, timing, changed, speculation, .. } = self;
        let (bucket, size_ms) = (&buckets[place], timing.window_ms);
        let window = WindowSpan { start_ms: bucket.start_ms, size_ms };
        let mut alerts = Vec::new();
        for site in &registry.sites {
            let is_known = |number: u32| {
                let watch = &registry.sensors[number as usize].watch;
                watch.seen_until_ms().is_some() || to_copies && speculation.has_copy(number)
            };
            let mut shown = Shown::of(bucket, &registry.sensors, &site.sensors, size_ms, is_known);
            if shown.iter().all(|shown| shown.own.is_none()) {
                continue;
            }
            for Shown { number, watch, .. } in &mut shown {
                let own = &mut registry.sensors[*number as usize].watch;
                *watch =
                    if to_copies { speculation.borrow(*number, own) } else { std::mem::take(own) };
            }
            let mut members: Vec<Member<'_>> =
                shown.iter_mut().map(|shown| shown.member(&registry.sensors)).collect();
            observe(policy, window, &site.id, &mut members, &mut alerts);
            for Shown { number, watch, .. } in shown {
                if to_copies {
                    speculation.give_back(number, watch);
                } else {
                    registry.sensors[number as usize].watch = watch;
                    changed.insert(number);
                }
            }
        }
        alerts
    }

    /// Writes what there is of windows that are not closed: the partition has been silent for so
    /// long that more may never come. Does nothing unless something came since the last time.
    pub fn fall_silent(&mut self) {
        if self.is_replaying() || self.buckets.is_empty() || !self.speculation.begin() {
            return;
        }
        for place in 0..self.buckets.len() {
            let size_ms = self.timing.window_ms;
            let rows = &mut self.outcome.rows;
            self.buckets[place].take_rows(&self.registry, size_ms, rows);
            if !self.buckets[place].is_closed {
                let alerts = self.show(place, true);
                let window = self.buckets[place].unfinished(size_ms, self.position);
                self.speculation.say(window, alerts, &mut self.outcome.alerts);
            }
        }
        for start_ms in self.rollups.clone() {
            self.roll_up(start_ms);
        }
    }

    /// Hands out what came of the partition since the last time, and where it is read on from once
    /// that is written. `None` while records are read again.
    pub fn take(&mut self) -> Option<(Outcome, Bookmark)> {
        if self.is_replaying() {
            return None;
        }
        for bucket in self.buckets.iter_mut().filter(|bucket| bucket.is_closed) {
            let size_ms = self.timing.window_ms;
            bucket.take_rows(&self.registry, size_ms, &mut self.outcome.rows);
        }
        let states = std::mem::take(&mut self.changed).into_iter();
        self.outcome.states = states.filter_map(|number| self.registry.state(number)).collect();
        Some((std::mem::take(&mut self.outcome), self.bookmark()))
    }

    fn bookmark(&self) -> Bookmark {
        let here = self.mark(self.position);
        let marks = self.buckets.iter().map(|bucket| bucket.mark).chain([here]);
        let mark = marks.min_by_key(|mark| mark.offset).unwrap_or(here);
        Bookmark {
            offset: mark.offset,
            watermark_ms: mark.watermark_ms,
            ahead: mark.ahead,
            position: here.offset,
            position_watermark_ms: here.watermark_ms,
            counts: self.counts,
            timing: Some(self.timing),
        }
    }

    /// Returns one past the last record that was taken in.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the watermark in epoch milliseconds; `i64::MIN` before the first reading.
    pub fn watermark_ms(&self) -> i64 {
        self.watermark_ms
    }

    /// Returns what became of the records so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns the sensors with what is known of them, for a partition that begins anew.
    pub fn known(&self) -> Vec<Known> {
        let known = |sensor: &Sensor| Known {
            site_id: self.registry.sites[sensor.site as usize].id.to_string(),
            kind: sensor.kind,
            sensor_id: sensor.id.to_string(),
            watch: sensor.watch.clone(),
        };
        self.registry.sensors.iter().map(known).collect()
    }

    /// Returns the bytes that windows and sensors take in memory.
    pub fn state_bytes(&self) -> usize {
        self.buckets.iter().map(Bucket::bytes).sum::<usize>() + self.registry.bytes()
    }

    /// Returns what the detectors know of each sensor.
    pub fn watches(&self) -> impl Iterator<Item = (&str, SensorKind, &Watch)> {
        self.registry.sensors.iter().map(|sensor| (&*sensor.id, sensor.kind, &sensor.watch))
    }

    /// Tells whether something waits to be written.
    pub fn rows_waiting(&self) -> usize {
        self.outcome.rows.len()
    }
}

/// A sensor of a site whose window is closed.
struct Shown {
    number: u32,
    own: Option<Aggregate>,
    watch: Watch,
}

impl Shown {
    /// A sensor that was never shown with readings is not missed: whether its acquaintance was made
    /// may depend on where a process began to read.
    fn of(
        bucket: &Bucket,
        sensors: &[Sensor],
        members: &[u32],
        size_ms: i64,
        is_known: impl Fn(u32) -> bool,
    ) -> Vec<Self> {
        let shown = members.iter().filter_map(|&number| {
            let own = bucket.aggregate(sensors, number, size_ms);
            let is_shown = own.is_some() || is_known(number);
            is_shown.then(|| Self { number, own, watch: Watch::new() })
        });
        shown.collect()
    }

    fn member<'a>(&'a mut self, sensors: &'a [Sensor]) -> Member<'a> {
        let Sensor { kind, id, .. } = &sensors[self.number as usize];
        Member { sensor_id: id, kind: *kind, own: self.own.as_ref(), watch: &mut self.watch }
    }
}

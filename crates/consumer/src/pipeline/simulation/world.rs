//! The servers' side: Kafka's log, committed offsets and dead letters, Cassandra's tables, and what
//! each of them must hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::contract::RECORD_BYTES_MAX;
use domain::dead_letter::Reason;
use domain::write_timestamp;
use rand::RngExt;
use rand::rngs::SmallRng;

use super::super::Write;
use super::super::record::{DeadLetter, Stream};
use super::super::site::LatestReading;
use super::draft::{
    Cells, Draft, Fate, RowKey, Version, in_words, latest_in_words, place_in_words,
};

/// Time of day at which every simulation starts, epoch milliseconds.
pub(super) const START_MS: i64 = 1_764_000_000_000;
pub(super) const TIME_TO_LIVE: Duration = Duration::from_hours(24);

/// A place in Kafka: partition, which of its lives, offset.
pub(super) type Place = (i32, u32, u64);

#[derive(Clone, Debug)]
pub(super) struct Produced {
    pub(super) place: Place,
    pub(super) value: Option<Vec<u8>>,
    pub(super) fate: Fate,
    row: Option<(RowKey, Cells)>,
    draft: Option<Draft>,
}

/// A row as Cassandra has it: each cell with its own write timestamp.
#[derive(Default)]
struct StoredRow {
    cells: Vec<(i64, String)>,
    /// What was written, with its write timestamp, each version once.
    versions: BTreeSet<(i64, Cells)>,
}

impl StoredRow {
    /// Merges a version in, cell by cell: the later timestamp stays, of equal ones the greater
    /// value. Returns whether it was written before.
    fn merge(&mut self, write_timestamp_us: i64, cells: &Cells) -> bool {
        let version: Vec<_> = cells.iter().map(|cell| (write_timestamp_us, cell.clone())).collect();
        if self.cells.is_empty() {
            self.cells = version;
        } else {
            for (stored, written) in self.cells.iter_mut().zip(version) {
                if *stored < written {
                    *stored = written;
                }
            }
        }
        !self.versions.insert((write_timestamp_us, cells.clone()))
    }

    /// Returns the cells without their write timestamps.
    fn cells(&self) -> Cells {
        self.cells.iter().map(|(_, cell)| cell.clone()).collect()
    }

    /// Returns the event time, in epoch milliseconds.
    fn ts_ms(&self) -> i64 {
        self.cells.first().map_or(i64::MIN, |(us, _)| us.div_euclid(1_000))
    }

    /// Returns whether the row is one of its versions as a whole, that with the latest timestamp.
    fn is_whole(&self) -> bool {
        let cells = self.cells.iter().map(|(_, cell)| cell);
        self.versions.last().is_some_and(|(_, version)| cells.eq(version))
    }
}

impl Produced {
    /// Tells whether it is a reading of the same sensor as a row, and no older.
    fn is_newer(&self, of: &RowKey) -> bool {
        let row = self.row.as_ref();
        matches!(self.fate, Fate::Row) && row.is_some_and(|(key, _)| key.2 == of.2 && key.3 >= of.3)
    }
}

#[derive(Default)]
pub(super) struct Partition {
    pub(super) life: u32,
    pub(super) end: u64,
    /// Offset to index of the record.
    pub(super) log: BTreeMap<u64, usize>,
    pub(super) committed: Option<u64>,
}

impl Partition {
    /// Tells whether all of it is committed.
    pub(super) fn is_committed(&self) -> bool {
        self.committed.unwrap_or(0) == self.end
    }
}

/// What a write does once it arrives.
pub(super) enum Effects {
    /// Rows, and by site and hour where the site is.
    Rows(Vec<(RowKey, Cells, i64)>, Option<(String, Version)>),
    Site {
        site: String,
        location: Option<Version>,
        sensors: Vec<(String, Version, bool)>,
    },
    Letter(Place, Box<DeadLetter>),
}

pub(super) struct World {
    pub(super) stream: Stream,
    pub(super) partitions: Vec<Partition>,
    pub(super) records: Vec<Produced>,
    /// Batches of more rows are refused as a whole, though each row is fine.
    pub(super) refuse_above: usize,
    sites: u32,
    expected: BTreeSet<(RowKey, Cells)>,
    rows: BTreeMap<RowKey, StoredRow>,
    letters: BTreeMap<Place, u64>,
    expired: BTreeSet<Place>,
    latest: BTreeMap<String, StoredRow>,
    /// The static columns, by site and hour.
    places: BTreeMap<String, StoredRow>,
    sites_told: BTreeMap<String, StoredRow>,
    registered: BTreeSet<String>,
}

impl World {
    pub(super) fn new(stream: Stream, partitions: usize, sites: u32, refuse_above: usize) -> Self {
        Self {
            stream,
            partitions: (0..partitions).map(|_| Partition::default()).collect(),
            records: Vec::new(),
            refuse_above,
            sites,
            expected: BTreeSet::new(),
            rows: BTreeMap::new(),
            letters: BTreeMap::new(),
            expired: BTreeSet::new(),
            latest: BTreeMap::new(),
            places: BTreeMap::new(),
            sites_told: BTreeMap::new(),
            registered: BTreeSet::new(),
        }
    }

    pub(super) fn partition(&mut self, partition: i32) -> &mut Partition {
        let index = usize::try_from(partition).expect("partitions count from 0");
        &mut self.partitions[index]
    }

    /// Adds a record, mostly a good one; returns where it lies.
    pub(super) fn produce(&mut self, now_ms: i64, random: &mut SmallRng) -> Place {
        let site = random.random_range(0..self.sites);
        let count = u32::try_from(self.partitions.len()).expect("a handful");
        let partition = (site % count).cast_signed();
        let (value, fate, draft) = self.draw(site, now_ms, random);
        let row = draft.as_ref().map(Draft::row);
        let index = self.records.len();
        let log = self.partition(partition);
        // Compaction and transaction markers leave holes.
        log.end += if random.random_bool(0.03) { random.random_range(1..150) } else { 0 };
        let place = (partition, log.life, log.end);
        log.log.insert(log.end, index);
        log.end += 1;
        if let Some(row) = row.clone().filter(|_| !matches!(fate, Fate::Letter(_))) {
            self.expected.insert(row);
        }
        self.records.push(Produced { place, value, fate, row, draft });
        place
    }

    fn draw(
        &self,
        site: u32,
        now_ms: i64,
        random: &mut SmallRng,
    ) -> (Option<Vec<u8>>, Fate, Option<Draft>) {
        let again = self.records.len().checked_sub(random.random_range(1..30));
        let prefix = format!("site-{site:04}");
        if let Some(record) = again.and_then(|index| self.records.get(index))
            && record.row.as_ref().is_some_and(|(key, _)| key.0 == prefix)
            && random.random_bool(0.1)
        {
            if let (Fate::Row, Some(draft)) = (record.fate, &record.draft)
                && random.random_bool(0.5)
            {
                // Another version of the same reading or event, or another one of its millisecond.
                let mut draft = Draft { version: random.random_range(1..9), ..draft.clone() };
                draft.place = random.random_range(0..3);
                if random.random_bool(0.3) {
                    draft.seq = i64::try_from(self.records.len()).expect("few");
                }
                return (Some(draft.json()), Fate::Row, Some(draft));
            }
            // A producer that tries again without idempotence.
            return (record.value.clone(), record.fate, record.draft.clone());
        }
        let seq = i64::try_from(self.records.len()).expect("few");
        let mut draft = Draft {
            stream: self.stream,
            site: prefix,
            sensor: format!("light-{:02}", random.random_range(0..5)),
            kind: "light",
            unit: "lx",
            ts_ms: now_ms - random.random_range(0..200),
            seq,
            version: 0,
            place: if random.random_bool(0.1) { random.random_range(1..3) } else { 0 },
        };
        let fate = draft.spoil(now_ms, random);
        let mut value = draft.json();
        match fate {
            Fate::Letter(Reason::Malformed) if random.random_bool(0.3) => {
                return (None, fate, None);
            }
            Fate::Letter(Reason::Malformed) => value.truncate(value.len() / 2),
            Fate::Letter(Reason::TooLarge) => value.resize(RECORD_BYTES_MAX + 1, b' '),
            _ => {}
        }
        (Some(value), fate, Some(draft))
    }

    /// Works out what a write will do; `life` says which life of the partition it is about.
    pub(super) fn effects(&mut self, partition: i32, life: u32, write: &Write) -> Effects {
        match write {
            Write::Rows(batch) => {
                let rows = (0..batch.len()).filter_map(|position| batch.row(position));
                let site = batch.site_id().to_owned();
                let rows = rows.map(|row| {
                    let (sensor, run) = (row.sensor_id.to_owned(), row.run.to_owned());
                    let key = (site.clone(), batch.bucket_ms(), sensor, row.ts_ms, run, row.seq);
                    (key, in_words(row.cells), row.write_timestamp_us)
                });
                let rows: Vec<_> = rows.collect();
                for ((key, ..), offset) in rows.iter().zip(batch.offsets()) {
                    let index = self.partition(partition).log.get(&offset.0).copied();
                    let record = index.filter(|index| self.records[*index].place.1 == life);
                    let Some(record) = record.map(|index| &self.records[index]) else { continue };
                    let same = record.row.as_ref().is_some_and(|(own, _)| own == key);
                    assert!(same, "the row of {:?} has the key {key:?}", record.place);
                }
                let newest = batch.row(batch.newest());
                let place = newest.and_then(|row| {
                    let cells = place_in_words(row.location?);
                    Some((format!("{site} {}", batch.bucket_ms()), (row.write_timestamp_us, cells)))
                });
                Effects::Rows(rows, place)
            }
            Write::Site(news) => {
                assert_eq!(self.stream, Stream::Readings, "events are no news");
                let site_us = |(location, ts_ms)| {
                    (write_timestamp::site_us(ts_ms, location), place_in_words(location))
                };
                let mut sensors = Vec::new();
                for (id, latest) in &news.sensors {
                    let LatestReading { ts_ms, value, status, seq, .. } = *latest;
                    let cells = latest_in_words(ts_ms, value, status, seq);
                    let version = (latest.write_timestamp_us(), cells);
                    sensors.push((id.to_string(), version, latest.unregistered));
                }
                let (site, location) = (news.site_id.to_string(), news.location.map(site_us));
                Effects::Site { site, location, sensors }
            }
            Write::DeadLetter(letter) => {
                Effects::Letter((letter.partition, life, letter.offset.0), letter.clone())
            }
        }
    }

    /// Tells whether Cassandra refuses a write for good.
    pub(super) fn refuses(&self, effects: &Effects) -> bool {
        match effects {
            Effects::Rows(rows, _) => {
                rows.len() > self.refuse_above || rows.iter().any(|(key, ..)| is_bad(&key.2))
            }
            Effects::Site { sensors, .. } => {
                sensors.len() > self.refuse_above || sensors.iter().any(|(id, ..)| is_bad(id))
            }
            Effects::Letter(..) => false,
        }
    }

    /// Makes a write durable; returns how many rows or letters were there before.
    pub(super) fn apply(&mut self, effects: &Effects) -> u64 {
        let mut repeated = 0;
        match effects {
            Effects::Rows(rows, place) => {
                if let Some((name, (us, cells))) = place {
                    self.places.entry(name.clone()).or_default().merge(*us, cells);
                }
                for (key, cells, write_timestamp_us) in rows {
                    let is_expected = self.expected.contains(&(key.clone(), cells.clone()));
                    assert!(is_expected, "I2, I3: phantom or corrupt row {key:?} {cells:?}");
                    let row = self.rows.entry(key.clone()).or_default();
                    repeated += u64::from(row.merge(*write_timestamp_us, cells));
                }
            }
            Effects::Site { site, location, sensors } => {
                if let Some((us, cells)) = location {
                    self.registered.insert(site.clone());
                    self.sites_told.entry(site.clone()).or_default().merge(*us, cells);
                }
                for (id, (us, cells), unregistered) in sensors {
                    self.latest.entry(id.clone()).or_default().merge(*us, cells);
                    if *unregistered {
                        self.registered.insert(id.clone());
                    }
                }
            }
            Effects::Letter(place, letter) => {
                self.check_letter(*place, letter);
                let letters = self.letters.entry(*place).or_default();
                repeated += u64::from(*letters > 0);
                *letters += 1;
            }
        }
        repeated
    }

    fn check_letter(&self, place: Place, letter: &DeadLetter) {
        let record = self.records.iter().find(|record| record.place == place);
        let record = record.unwrap_or_else(|| panic!("I5: dead letter of no record, {place:?}"));
        let reason = letter.rejection.reason;
        assert_eq!(letter.stream, self.stream, "I5: origin of {place:?}");
        assert_eq!(record.fate, Fate::Letter(reason), "I5: dead letter of {place:?}");
        assert_eq!(record.value, letter.value, "I5: value of the dead letter of {place:?}");
        assert_eq!(letter.key.as_deref(), Some(&KEY[..]), "I5: key of {place:?}");
    }

    /// Notes that a member took a record for expired.
    pub(super) fn expire(&mut self, place: Place) {
        self.expired.insert(place);
    }

    /// Returns the records of a partition's present life from `from` to below `to` that are not
    /// durable.
    pub(super) fn first_open(&self, partition: i32, from: u64, to: u64) -> Option<&Produced> {
        let log = &self.partitions[usize::try_from(partition).expect("from 0")].log;
        let mut records = log.range(from..to.max(from)).map(|(_, index)| &self.records[*index]);
        records.find(|record| !self.is_accounted(record))
    }

    fn has_row(&self, record: &Produced) -> bool {
        let Some((key, cells)) = &record.row else { return false };
        let row = self.rows.get(key);
        row.is_some_and(|row| row.versions.iter().any(|(_, version)| version == cells))
    }

    fn is_accounted(&self, record: &Produced) -> bool {
        match record.fate {
            Fate::Row => self.has_row(record),
            Fate::Letter(_) => self.letters.contains_key(&record.place),
            Fate::Expired => self.expired.contains(&record.place),
            Fate::RowOrExpired => self.has_row(record) || self.expired.contains(&record.place),
        }
    }

    /// Commits, after checking I1: everything below is durable, and `latest` knows of it or will
    /// hear of a newer reading of the sensor, which is not committed.
    pub(super) fn commit(&mut self, partition: i32, next: u64) {
        let from = self.partition(partition).committed.unwrap_or(0);
        let end = self.partition(partition).end;
        assert!(next <= end, "I1: {next} committed, partition {partition} ends at {end}");
        if let Some(record) = self.first_open(partition, from, next) {
            panic!("I1: {next} committed, but {:?} {:?} is open", record.place, record.fate);
        }
        let log = &self.partitions[usize::try_from(partition).expect("from 0")].log;
        for (_, index) in log.range(from..next.max(from)) {
            let record = &self.records[*index];
            let (Fate::Row, Some((key, _))) = (record.fate, &record.row) else { continue };
            // Only readings are told to the tables that are kept by site.
            if self.stream == Stream::Events {
                continue;
            }
            let latest = self.latest.get(&key.2).map(StoredRow::ts_ms);
            let mut to_come = log.range(next..).map(|(_, index)| &self.records[*index]);
            let place = record.place;
            assert!(
                latest >= Some(key.3) || to_come.any(|other| other.is_newer(key)),
                "`latest` is behind the committed {place:?}: {latest:?}"
            );
            for name in [&key.0, &key.2] {
                assert!(self.registered.contains(name), "{name} of {place:?} is not registered");
            }
        }
        self.partition(partition).committed = Some(next);
    }

    /// Says how far each partition is, for a failure.
    pub(super) fn describe(&self) -> String {
        let partitions = (0..).zip(&self.partitions);
        let lines = partitions.map(|(number, Partition { life, end, committed, .. })| {
            format!("partition {number}: life {life} end {end} committed {committed:?}\n")
        });
        lines.collect()
    }

    /// Checks that each record became exactly what it must.
    pub(super) fn check_all(&self) {
        for record in &self.records {
            let Produced { place, fate, .. } = record;
            assert!(self.is_accounted(record), "I2: {place:?} {fate:?} is missing");
            let wrong = match fate {
                Fate::Row => self.letters.contains_key(place) || self.expired.contains(place),
                Fate::RowOrExpired => self.letters.contains_key(place),
                Fate::Expired => self.letters.contains_key(place) || self.has_row(record),
                Fate::Letter(_) => self.has_row(record) || self.expired.contains(place),
            };
            assert!(!wrong, "{place:?} {fate:?} became something else as well");
        }
        for (key, row) in &self.rows {
            let StoredRow { cells, versions } = row;
            assert!(row.is_whole(), "I3: {key:?} is {cells:?}, a mixture of {versions:?}");
        }
        self.check_told();
    }

    /// Checks that the tables kept by site, and the static columns, hold of all readings the one
    /// with the greatest write timestamp: the same, however they came.
    fn check_told(&self) {
        let mut newest: [BTreeMap<String, Version>; 3] = Default::default();
        for record in &self.records {
            let Some(draft) = &record.draft else { continue };
            // A reading that may have expired is older than all others. Of one that is refused,
            // what it says of the site holds all the same.
            let tables = match record.fate {
                _ if self.stream == Stream::Events => continue,
                Fate::Row => 0..3,
                Fate::Letter(Reason::RefusedByCassandra) => 2..3,
                _ => continue,
            };
            let told = draft.told().into_iter().enumerate();
            for (table, (name, version)) in told.filter(|(table, _)| tables.contains(table)) {
                let newest = &mut newest[table];
                let stays = newest.entry(name).or_insert_with(|| version.clone());
                *stays = version.max(stays.clone());
            }
        }
        let tables = [&self.latest, &self.places, &self.sites_told];
        for (table, newest) in tables.into_iter().zip(&newest) {
            for (name, (_, cells)) in newest {
                let stored = table.get(name).map(StoredRow::cells);
                assert_eq!(stored.as_ref(), Some(cells), "I3: another version of {name} stayed");
            }
        }
    }

    /// Deletes a partition and makes it anew, from offset 0.
    pub(super) fn recreate(&mut self, partition: i32) {
        let log = self.partition(partition);
        *log = Partition { life: log.life + 1, ..Partition::default() };
    }
}

pub(super) const KEY: [u8; 3] = *b"key";

/// A sensor whose rows Cassandra refuses.
fn is_bad(sensor: &str) -> bool {
    sensor.ends_with("bad")
}

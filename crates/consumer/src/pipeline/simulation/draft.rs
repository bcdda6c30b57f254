//! Records before they are bytes: what they hold, and what must become of them.

use domain::dead_letter::Reason;
use domain::hour::{DAY_MS, HOUR_MS};
use domain::reading::Location;
use domain::{EventKind, SensorKind, Status, write_timestamp};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::super::batch;
use super::super::record::Stream;

const TIME_TO_LIVE_MS: i64 = 24 * HOUR_MS;

/// Site, hour or day, sensor, event time, run, number.
pub(super) type RowKey = (String, i64, String, i64, String, i64);
/// The other columns in words.
pub(super) type Cells = Vec<String>;
/// Cells with the write timestamp of all of them, in epoch microseconds.
pub(super) type Version = (i64, Cells);

/// What must become of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Row,
    Letter(Reason),
    Expired,
    /// It expires during the simulation: a row or nothing.
    RowOrExpired,
}

/// Returns the cells of a row outside of its key.
pub(super) fn in_words(cells: batch::Cells<&str>) -> Cells {
    match cells {
        batch::Cells::Reading { value, unit, status } => {
            vec![value.to_string(), unit.to_owned(), status.to_string()]
        }
        batch::Cells::Event { event, detail } => vec![event.to_string(), detail.to_owned()],
    }
}

/// Returns the cells of a row of `latest` that can differ; those of a number sort like its bytes.
pub(super) fn latest_in_words(ts_ms: i64, value: f64, status: Status, seq: i64) -> Cells {
    let number = |bits: u64| format!("{bits:016x}");
    let [ts, value, seq] =
        [ts_ms.cast_unsigned(), value.to_bits(), seq.cast_unsigned()].map(number);
    vec![ts, value, status.to_string(), seq]
}

/// Returns the cells that say where a site is.
pub(super) fn place_in_words(location: Location) -> Cells {
    [location.lat, location.lon].map(|degrees| format!("{:016x}", degrees.to_bits())).to_vec()
}

/// A reading or an event before it is bytes.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) stream: Stream,
    pub(super) site: String,
    pub(super) sensor: String,
    pub(super) kind: &'static str,
    pub(super) unit: &'static str,
    pub(super) ts_ms: i64,
    pub(super) seq: i64,
    /// Other versions have the same key and other cells.
    pub(super) version: u8,
    /// Where the site is said to be: one of a few places.
    pub(super) place: u8,
}

impl Draft {
    /// Returns what differs between versions: both cells move, in opposite directions by bytes.
    fn cells(&self) -> (i64, Status, EventKind) {
        let version = usize::from(self.version);
        let status = Status::ALL[version % Status::ALL.len()];
        let event = EventKind::ALL[(5 + version) % EventKind::ALL.len()];
        (self.seq - i64::from(self.version), status, event)
    }

    /// Makes some records others than good ones; returns what must become of it.
    pub(super) fn spoil(&mut self, now_ms: i64, random: &mut SmallRng) -> Fate {
        match random.random_range(0..100) {
            0..3 => return Fate::Letter(Reason::Malformed),
            3 => return Fate::Letter(Reason::TooLarge),
            4 => {
                self.kind = "noise";
                return Fate::Letter(Reason::UnknownKind);
            }
            5 => {
                self.unit = "hPa";
                return Fate::Letter(Reason::ImpossibleValue);
            }
            6 => {
                self.ts_ms = 1;
                return Fate::Letter(Reason::TimestampOutOfBounds);
            }
            7 => {
                self.ts_ms = now_ms + 10 * TIME_TO_LIVE_MS;
                return Fate::Letter(Reason::ClockAhead);
            }
            8..11 => {
                self.sensor = "light-bad".into();
                return Fate::Letter(Reason::RefusedByCassandra);
            }
            11..14 => {
                self.ts_ms = now_ms - TIME_TO_LIVE_MS - random.random_range(1..1_000_000);
                return Fate::Expired;
            }
            14..16 => {
                self.ts_ms = now_ms - TIME_TO_LIVE_MS + random.random_range(1..3_000);
                return Fate::RowOrExpired;
            }
            16..25 => self.ts_ms -= random.random_range(1..4) * HOUR_MS,
            _ => {}
        }
        Fate::Row
    }

    fn sensor_id(&self) -> String {
        format!("{}/{}", self.site, self.sensor)
    }

    fn location(&self) -> Location {
        let place = f64::from(self.place);
        Location { lat: 1.5 + place, lon: 2.5 + place }
    }

    /// Returns what the tables that are kept by site, and the static columns, would have of this
    /// reading alone: name of the row, write timestamp and cells.
    pub(super) fn told(&self) -> [(String, Version); 3] {
        let (value, status, _) = self.cells();
        let (location, value, kind) = (self.location(), value as f64, SensorKind::Light);
        let latest_us = write_timestamp::latest_us(self.ts_ms, kind, status, "r", self.seq);
        let reading_us = write_timestamp::reading_us(self.ts_ms, kind, status, value, location);
        let site_us = write_timestamp::site_us(self.ts_ms, location);
        let hour_ms = self.ts_ms - self.ts_ms.rem_euclid(HOUR_MS);
        [
            (self.sensor_id(), (latest_us, latest_in_words(self.ts_ms, value, status, self.seq))),
            (format!("{} {hour_ms}", self.site), (reading_us, place_in_words(location))),
            (self.site.clone(), (site_us, place_in_words(location))),
        ]
    }

    pub(super) fn json(&self) -> Vec<u8> {
        let Self { stream, site, kind, unit, ts_ms, seq, .. } = self;
        let (value, status, event) = self.cells();
        let sensor_id = self.sensor_id();
        let Location { lat, lon } = self.location();
        let both = format!(
            r#"{{"sensor_id":"{sensor_id}","site_id":"{site}","ts":{ts_ms},"seq":{seq},"run":"r","#
        );
        let own = match stream {
            Stream::Readings => format!(
                r#""kind":"{kind}","value":{value},"unit":"{unit}","status":"{status}",
                "location":{{"lat":{lat},"lon":{lon}}}}}"#
            ),
            Stream::Events => {
                let event = if *kind == "light" { event.name() } else { kind };
                let pad = if *unit == "lx" { 0 } else { 300 };
                format!(r#""event":"{event}","detail":"{value}{:pad$}"}}"#, "")
            }
        };
        (both + &own).into_bytes()
    }

    pub(super) fn row(&self) -> (RowKey, Cells) {
        let (value, status, event) = self.cells();
        let detail = value.to_string();
        let (bucket, cells) = match self.stream {
            Stream::Readings => {
                let (value, unit) = (value as f64, "lx");
                (HOUR_MS, batch::Cells::Reading { value, unit, status })
            }
            Stream::Events => (DAY_MS, batch::Cells::Event { event, detail: detail.as_str() }),
        };
        let bucket_ms = self.ts_ms - self.ts_ms.rem_euclid(bucket);
        let key =
            (self.site.clone(), bucket_ms, self.sensor_id(), self.ts_ms, "r".to_owned(), self.seq);
        (key, in_words(cells))
    }
}

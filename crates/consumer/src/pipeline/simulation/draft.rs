//! Records before they are bytes: what they hold, and what must become of them.

use domain::dead_letter::Reason;
use domain::hour::{DAY_MS, HOUR_MS};
use domain::{EventKind, Status};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::super::batch;
use super::super::record::Stream;

const TIME_TO_LIVE_MS: i64 = 24 * HOUR_MS;

/// Site, hour or day, sensor, event time, run, number.
pub(super) type RowKey = (String, i64, String, i64, String, i64);
/// The other columns in words.
pub(super) type Cells = Vec<String>;

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

    pub(super) fn json(&self) -> Vec<u8> {
        let Self { stream, site, kind, unit, ts_ms, seq, .. } = self;
        let (value, status, event) = self.cells();
        let sensor_id = self.sensor_id();
        let both = format!(
            r#"{{"sensor_id":"{sensor_id}","site_id":"{site}","ts":{ts_ms},"seq":{seq},"run":"r","#
        );
        let own = match stream {
            Stream::Readings => format!(
                r#""kind":"{kind}","value":{value},"unit":"{unit}","status":"{status}",
                "location":{{"lat":1.5,"lon":2.5}}}}"#
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

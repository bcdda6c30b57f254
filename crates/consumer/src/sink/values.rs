//! How readings and events become CQL values: straight into the request, in the order of the
//! statements' columns.

use domain::reading::Location;
use domain::write_timestamp;
use runtime::cassandra::Lifetime;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use crate::pipeline::batch::{Cells, RowBatch, RowView};
use crate::pipeline::site::{LatestReading, SiteWrite};

type Written = Result<(), SerializationError>;

fn cell(writer: &mut RowWriter<'_>, value: &[u8]) -> Written {
    writer.make_cell_writer().set_value(value).map(drop).map_err(SerializationError::new)
}

fn text(writer: &mut RowWriter<'_>, value: &str) -> Written {
    cell(writer, value.as_bytes())
}

fn bigint(writer: &mut RowWriter<'_>, value: i64) -> Written {
    cell(writer, &value.to_be_bytes())
}

fn double(writer: &mut RowWriter<'_>, value: f64) -> Written {
    cell(writer, &value.to_be_bytes())
}

fn int(writer: &mut RowWriter<'_>, value: i32) -> Written {
    cell(writer, &value.to_be_bytes())
}

/// One row of `readings` or `events`.
pub(super) struct RowValues<'a> {
    pub(super) batch: &'a RowBatch,
    pub(super) row: RowView<'a>,
    pub(super) location: Option<Location>,
    pub(super) lifetime: Lifetime,
}

impl SerializeRow for RowValues<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Written {
        let Self { batch, row, location, lifetime } = self;
        text(writer, batch.site_id())?;
        bigint(writer, batch.bucket_ms())?;
        text(writer, row.sensor_id)?;
        bigint(writer, row.ts_ms)?;
        text(writer, row.run)?;
        bigint(writer, row.seq)?;
        match row.cells {
            Cells::Reading { value, unit, status } => {
                double(writer, value)?;
                text(writer, unit)?;
                text(writer, status.name())?;
            }
            Cells::Event { event, detail } => {
                text(writer, event.name())?;
                text(writer, detail)?;
            }
        }
        if let Some(location) = location {
            double(writer, location.lat)?;
            double(writer, location.lon)?;
        }
        bigint(writer, row.write_timestamp_us)?;
        int(writer, lifetime.left_s(row.ts_ms))
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// Returns the values of a batch of rows, the newest first, which carries the location, if there is
/// one.
pub(super) fn rows(batch: &RowBatch, lifetime: Lifetime) -> Vec<RowValues<'_>> {
    let newest = batch.newest();
    let others = (0..batch.len()).filter(|position| *position != newest);
    let mut rows = Vec::with_capacity(batch.len());
    for position in std::iter::once(newest).chain(others) {
        if let Some(row) = batch.row(position) {
            let location = row.location.filter(|_| position == newest);
            rows.push(RowValues { batch, row, location, lifetime });
        }
    }
    rows
}

/// One row of a table that is kept by site.
pub(super) struct SiteValues<'a> {
    site_id: &'a str,
    row: SiteRow<'a>,
}

enum SiteRow<'a> {
    Site(Location, i64),
    Latest(&'a str, &'a LatestReading),
    Sensor(&'a str, &'a LatestReading),
}

/// Returns the values of the batch of a site's news, in the order of `Statements::site`.
pub(super) fn site(news: &SiteWrite) -> Vec<SiteValues<'_>> {
    let mut rows = Vec::with_capacity(1 + 2 * news.sensors.len());
    if let Some((location, ts_ms)) = news.location {
        rows.push(SiteRow::Site(location, ts_ms));
    }
    for (sensor_id, latest) in &news.sensors {
        rows.push(SiteRow::Latest(sensor_id, latest));
        if latest.unregistered {
            rows.push(SiteRow::Sensor(sensor_id, latest));
        }
    }
    rows.into_iter().map(|row| SiteValues { site_id: &news.site_id, row }).collect()
}

impl SerializeRow for SiteValues<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Written {
        text(writer, self.site_id)?;
        match self.row {
            SiteRow::Site(location, ts_ms) => {
                double(writer, location.lat)?;
                double(writer, location.lon)?;
                bigint(writer, write_timestamp::site_us(ts_ms, location))
            }
            SiteRow::Latest(sensor_id, latest) => {
                text(writer, sensor_id)?;
                bigint(writer, latest.ts_ms)?;
                double(writer, latest.value)?;
                text(writer, latest.kind.unit())?;
                text(writer, latest.status.name())?;
                text(writer, &latest.run)?;
                bigint(writer, latest.seq)?;
                bigint(writer, latest.write_timestamp_us())
            }
            SiteRow::Sensor(sensor_id, latest) => {
                text(writer, sensor_id)?;
                text(writer, latest.kind.name())?;
                text(writer, latest.kind.unit())?;
                bigint(writer, write_timestamp::sensor_us(latest.ts_ms, latest.kind))
            }
        }
    }

    fn is_empty(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use domain::{EventKind, SensorKind, Status};
    use runtime::cassandra::schema::Table;

    use super::*;
    use crate::pipeline::ledger::RecordOffset;
    use crate::pipeline::record::{Content, Record, Stream};
    use crate::sink::tables::{EVENTS, READINGS};

    const TS_MS: i64 = 1_764_000_000_123;
    const DAY: Duration = Duration::from_hours(24);

    fn lifetime(now_ms: i64) -> Lifetime {
        Lifetime::new(Some(DAY), now_ms)
    }

    /// A record that is a reading and an event at once: what it is taken for is up to the stream.
    fn json() -> String {
        format!(
            r#"{{"sensor_id":"s/1","site_id":"s","kind":"light","ts":{TS_MS},"value":1.5,
                "unit":"lx","seq":7,"run":"r","status":"ok","location":{{"lat":1,"lon":2}},
                "event":"battery","detail":"80"}}"#
        )
    }

    /// Returns the cells of the only row of a batch, as they are sent.
    fn cells(stream: Stream, now_ms: i64) -> Vec<Vec<u8>> {
        let json = json();
        let value = Some(json.as_bytes());
        let offset = RecordOffset(0);
        let record = Record { stream, partition: 0, offset, timestamp_ms: None, key: None, value };
        let content = Content::decode(&record).unwrap();
        let mut batch = RowBatch::open(stream, Arc::from("s"), 0, Instant::now());
        batch.push(&record, &content);
        let mut buffer = Vec::new();
        let mut writer = RowWriter::new(&mut buffer);
        let rows = rows(&batch, lifetime(now_ms));
        rows[0].serialize(&RowSerializationContext::empty(), &mut writer).unwrap();
        let mut cells = Vec::new();
        let mut rest = buffer.as_slice();
        while let Some((size, tail)) = rest.split_first_chunk::<4>() {
            let (cell, tail) = tail.split_at(u32::from_be_bytes(*size) as usize);
            cells.push(cell.to_vec());
            rest = tail;
        }
        cells
    }

    /// I3: of the time of the write, nothing is in a row but what is left of its life.
    #[test]
    fn a_replay_writes_the_same_cells_with_the_same_timestamp() {
        let tables = [(Stream::Readings, &READINGS), (Stream::Events, &EVENTS)];
        for (stream, table) in tables {
            let (first, replay) = (cells(stream, TS_MS + 20), cells(stream, TS_MS + 5_000));
            assert_eq!(first.len(), table.columns.len() + 2);
            let (first_left_s, first) = first.split_last().unwrap();
            let (replay_left_s, replay) = replay.split_last().unwrap();
            assert_eq!(first, replay);
            let location = Location { lat: 1.0, lon: 2.0 };
            let (kind, status) = (SensorKind::Light, Status::Ok);
            let expected_us = match stream {
                Stream::Readings => write_timestamp::reading_us(TS_MS, kind, status, 1.5, location),
                Stream::Events => write_timestamp::event_us(TS_MS, EventKind::Battery, "80"),
            };
            assert_eq!(first.last().unwrap(), &expected_us.to_be_bytes(), "microseconds");
            assert_eq!(first_left_s, &86_399_i32.to_be_bytes());
            assert_eq!(replay_left_s, &86_395_i32.to_be_bytes());
        }
    }

    /// Goal: every value is in the column it belongs to. Method: text cells by the names that the
    /// insert gives them.
    #[test]
    fn values_stand_in_the_order_of_the_columns() {
        let texts = |stream, table: &Table| -> Vec<(&str, String)> {
            let cells = cells(stream, TS_MS);
            let columns = table.columns.iter().zip(cells);
            let texts = columns.filter(|((_, cql_type), _)| *cql_type == "text");
            texts.map(|((name, _), cell)| (*name, String::from_utf8(cell).unwrap())).collect()
        };
        let expect = |pairs: &[(&'static str, &str)]| -> Vec<(&str, String)> {
            pairs.iter().map(|(name, text)| (*name, (*text).to_owned())).collect()
        };
        let key = [("site_id", "s"), ("sensor_id", "s/1"), ("run", "r")];
        let readings = [&key[..], &[("unit", "lx"), ("status", "ok")]].concat();
        assert_eq!(texts(Stream::Readings, &READINGS), expect(&readings));
        let events = [&key[..], &[("event", "battery"), ("detail", "80")]].concat();
        assert_eq!(texts(Stream::Events, &EVENTS), expect(&events));
    }
}

//! Trial writes: rows that nobody ever sees tell a record that is to blame from tables that take
//! none.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use domain::contract::ID_BYTES_MAX;
use domain::reading::Location;
use domain::{Event, EventKind, Reading, SensorKind, Status};
use runtime::cassandra::schema::Table;
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use scylla::statement::{Consistency, Statement};
use scylla::value::CqlTimestamp;

use super::tables::{self, LATEST, SENSORS, SITES};
use crate::pipeline::Write;
use crate::pipeline::batch::RowBatch;
use crate::pipeline::ledger::RecordOffset;
use crate::pipeline::record::{Content, Record, Stream};
use crate::pipeline::site::{LatestReading, SiteWrite};

/// Longer than the site of a record can be, so that no row of anybody is touched.
const SITE_ID: &str = "rows that a consumer writes to learn whether cassandra takes any: each is \
                       deleted before it is written, so that it is never seen, and no site of a \
                       reading has so long an id";
const _: () = assert!(SITE_ID.len() > ID_BYTES_MAX, "a site may have this id");
/// Of sensor and run.
const ID: &str = "trial";
/// How much older than the trial its rows are: their write timestamps lie up to a second after
/// their event time, and none may lie in the future.
const AGE_MS: i64 = 2_000;

/// Which tables are tried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// The one that a stream's rows go to.
    Rows(Stream),
    /// Those that are kept by site.
    Site,
}

impl Target {
    /// All that there are.
    pub(super) const ALL: [Self; 3] =
        [Self::Rows(Stream::Readings), Self::Rows(Stream::Events), Self::Site];

    /// Returns where a write goes; `None` if that is not Cassandra.
    pub(super) fn of(write: &Write) -> Option<Self> {
        match write {
            Write::Rows(batch) => Some(Self::Rows(batch.stream())),
            Write::Site(_) => Some(Self::Site),
            Write::DeadLetter(_) => None,
        }
    }

    fn tables(self) -> &'static [&'static Table] {
        match self {
            Self::Rows(Stream::Readings) => &[&tables::READINGS],
            Self::Rows(Stream::Events) => &[&tables::EVENTS],
            Self::Site => &[&LATEST, &SENSORS, &SITES],
        }
    }

    /// Returns the names of the tables.
    pub(super) fn names(self) -> String {
        let names: Vec<&str> = self.tables().iter().map(|table| table.name).collect();
        names.join(", ")
    }
}

/// Deletes what is about to be written at `now_ms`, in epoch milliseconds: of a deletion and a
/// write Cassandra keeps the one with the later timestamp, in whatever order they come.
pub(super) async fn hide(
    session: &Session,
    keyspace: &str,
    target: Target,
    consistency: Consistency,
    now_ms: i64,
) -> Result<(), ExecutionError> {
    let deleted_us = now_ms * 1_000;
    for table in target.tables() {
        let key: Vec<String> =
            table.partition_key.iter().map(|column| format!("{column} = ?")).collect();
        let (table, key) = (table.name, key.join(" AND "));
        let delete = format!("DELETE FROM {keyspace}.{table} USING TIMESTAMP ? WHERE {key}");
        let mut delete = Statement::new(delete);
        delete.set_consistency(consistency);
        match target {
            Target::Rows(_) => {
                let key = (deleted_us, SITE_ID, CqlTimestamp(0));
                session.query_unpaged(delete, key).await?;
            }
            Target::Site => drop(session.query_unpaged(delete, (deleted_us, SITE_ID)).await?),
        }
    }
    Ok(())
}

/// Returns a row of a stream that is as good as any at `now_ms`.
pub(super) fn rows(stream: Stream, now_ms: i64) -> RowBatch {
    let ts = now_ms - AGE_MS;
    let id = || Cow::Borrowed(ID);
    let site_id = Cow::Borrowed(SITE_ID);
    let content = match stream {
        Stream::Readings => Content::Reading(Reading {
            sensor_id: id(),
            site_id,
            kind: SensorKind::Temperature,
            ts,
            value: 0.0,
            unit: SensorKind::Temperature.unit().into(),
            seq: 0,
            run: id(),
            status: Status::Ok,
            location: Location::default(),
        }),
        Stream::Events => Content::Event(Event {
            sensor_id: id(),
            site_id,
            event: EventKind::Online,
            ts,
            seq: 0,
            run: id(),
            detail: "".into(),
        }),
    };
    let offset = RecordOffset(0);
    let record =
        Record { stream, partition: 0, offset, timestamp_ms: None, key: None, value: None };
    let mut batch = RowBatch::open(stream, SITE_ID.into(), 0, Instant::now());
    batch.push(&record, &content);
    batch
}

/// Returns news of a site that are as good as any at `now_ms`.
pub(super) fn site(now_ms: i64) -> SiteWrite {
    let ts_ms = now_ms - AGE_MS;
    let latest = LatestReading {
        ts_ms,
        value: 0.0,
        kind: SensorKind::Temperature,
        status: Status::Ok,
        run: Arc::from(ID),
        seq: 0,
        offset: RecordOffset(0),
        unregistered: true,
    };
    SiteWrite {
        site_id: SITE_ID.into(),
        location: Some((Location::default(), ts_ms)),
        sensors: vec![(ID.into(), latest)],
    }
}

#[cfg(test)]
mod tests {
    use domain::write_timestamp;

    use super::*;

    /// Goal: nobody ever sees a trial, so the deletion has to be the later of the two.
    #[test]
    fn a_trial_is_deleted_before_it_is_written() {
        const NOW_MS: i64 = 1_764_000_000_123;
        let mut written_us = Vec::new();
        for stream in [Stream::Readings, Stream::Events] {
            written_us.push(rows(stream, NOW_MS).row(0).unwrap().write_timestamp_us);
        }
        let news = site(NOW_MS);
        let (location, ts_ms) = news.location.unwrap();
        let (_, latest) = &news.sensors[0];
        written_us.push(write_timestamp::site_us(ts_ms, location));
        written_us.push(latest.write_timestamp_us());
        written_us.push(write_timestamp::sensor_us(latest.ts_ms, latest.kind));
        for us in written_us {
            assert!(us < NOW_MS * 1_000, "{us}");
        }
    }
}

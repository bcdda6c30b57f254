//! The limit of Cassandra: the plain driver writes rows that are ready in memory, in batches such
//! as the consumer makes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use domain::hour::hour_start_ms;
use domain::reading::Location;
use domain::simulation::{RunReport, Simulation};
use futures::{StreamExt, TryStreamExt, stream};
use runtime::clock::now_ms;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::Consistency;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

/// As the consumer by default.
const BATCH_ROWS: usize = 200;
const BATCHES_IN_FLIGHT: usize = 16;
const TIME_TO_LIVE_MS: i64 = 86_400_000;
const KEY_AND_CELLS: &str = "site_id, hour, sensor_id, ts, run, seq, value, unit, status";

/// Writes all readings of the run that a report describes, then waits to be ended: whoever started
/// this looks at its CPU time once all rows are there.
pub async fn run(report: &Path, contact_points: &str, keyspace: &str) -> Result<()> {
    let text = fs::read(report).with_context(|| format!("cannot read {}", report.display()))?;
    let report: RunReport = serde_json::from_slice(&text).context("this is no run report")?;
    let groups = groups(&Simulation::new(report.manifest), report.acknowledged);
    let session = SessionBuilder::new()
        .known_nodes(contact_points.split(','))
        .build()
        .await
        .with_context(|| format!("cassandra at {contact_points} answers"))?;
    let statements = Statements::prepare(&session, keyspace).await?;
    let writes = groups.iter().map(|group| write(&session, &statements, group));
    stream::iter(writes).buffer_unordered(BATCHES_IN_FLIGHT).try_collect::<()>().await?;
    std::future::pending().await
}

/// One row, ready to be written.
struct Row {
    sensor: u32,
    ts_ms: i64,
    seq: i64,
    value: f64,
    unit: &'static str,
    status: &'static str,
}

/// Rows of one partition.
struct Group {
    site_id: String,
    location: Location,
    hour_ms: i64,
    run: Arc<str>,
    sensor_ids: Arc<[String]>,
    rows: Vec<Row>,
}

/// Groups the readings by site and hour, in the order in which the groups are full: as they come
/// from Kafka.
fn groups(simulation: &Simulation, readings: u64) -> Vec<Group> {
    let fleet = simulation.fleet();
    let run: Arc<str> = simulation.manifest().run.as_str().into();
    let sensor_ids: Arc<[String]> =
        (0..fleet.sensors()).map(|sensor| fleet.sensor_id(sensor)).collect();
    let open = |site: usize, hour_ms| Group {
        site_id: fleet.sites()[site].id.clone(),
        location: fleet.sites()[site].location(),
        hour_ms,
        run: Arc::clone(&run),
        sensor_ids: Arc::clone(&sensor_ids),
        rows: Vec::with_capacity(BATCH_ROWS),
    };
    let mut gathered: Vec<Option<Group>> = fleet.sites().iter().map(|_| None).collect();
    let mut full = Vec::new();
    for index in 0..readings {
        let reading = simulation.reading(index);
        let site = fleet.site_number_of(reading.sensor);
        let hour_ms = hour_start_ms(reading.ts_ms);
        let slot = &mut gathered[site];
        full.extend(
            slot.take_if(|group| group.hour_ms != hour_ms || group.rows.len() == BATCH_ROWS),
        );
        slot.get_or_insert_with(|| open(site, hour_ms)).rows.push(Row {
            sensor: u32::try_from(reading.sensor).unwrap_or(u32::MAX),
            ts_ms: reading.ts_ms,
            seq: reading.seq.cast_signed(),
            value: reading.measurement.value.to_f64(),
            unit: fleet.kind_of(reading.sensor).unit(),
            status: reading.measurement.status.name(),
        });
    }
    full.extend(gathered.into_iter().flatten());
    full
}

/// Two inserts, of which the first sets the location as well, and the batch of most rows.
struct Statements {
    first: PreparedStatement,
    next: PreparedStatement,
    full: Batch,
}

impl Statements {
    async fn prepare(session: &Session, keyspace: &str) -> Result<Self> {
        let prepare = async |columns: &str| {
            let marks = vec!["?"; columns.split(',').count()].join(", ");
            let insert = format!(
                "INSERT INTO {keyspace}.readings ({columns}) VALUES ({marks}) \
                 USING TIMESTAMP ? AND TTL ?"
            );
            session.prepare(insert).await.context("cannot prepare an insert")
        };
        let first = prepare(&format!("{KEY_AND_CELLS}, lat, lon")).await?;
        let next = prepare(KEY_AND_CELLS).await?;
        let full = batch(&first, &next, BATCH_ROWS);
        Ok(Self { first, next, full })
    }
}

fn batch(first: &PreparedStatement, next: &PreparedStatement, rows: usize) -> Batch {
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_is_idempotent(true);
    batch.set_consistency(Consistency::LocalQuorum);
    batch.append_statement(first.clone());
    for _ in 1..rows {
        batch.append_statement(next.clone());
    }
    batch
}

async fn write(session: &Session, statements: &Statements, group: &Group) -> Result<()> {
    let now_ms = now_ms();
    let values: Vec<Values<'_>> =
        (0..group.rows.len()).map(|position| Values { group, position, now_ms }).collect();
    if values.len() == BATCH_ROWS {
        session.batch(&statements.full, values).await?;
    } else {
        let rest = batch(&statements.first, &statements.next, values.len());
        session.batch(&rest, values).await?;
    }
    Ok(())
}

/// The values of one row, in the order of the columns.
struct Values<'a> {
    group: &'a Group,
    position: usize,
    now_ms: i64,
}

impl SerializeRow for Values<'_> {
    fn serialize(
        &self,
        _: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let Group { site_id, location, hour_ms, run, sensor_ids, rows } = self.group;
        let row = &rows[self.position];
        let mut cell = |bytes: &[u8]| {
            let cell = writer.make_cell_writer().set_value(bytes);
            cell.map(drop).map_err(SerializationError::new)
        };
        cell(site_id.as_bytes())?;
        cell(&hour_ms.to_be_bytes())?;
        cell(sensor_ids[row.sensor as usize].as_bytes())?;
        cell(&row.ts_ms.to_be_bytes())?;
        cell(run.as_bytes())?;
        cell(&row.seq.to_be_bytes())?;
        cell(&row.value.to_be_bytes())?;
        cell(row.unit.as_bytes())?;
        cell(row.status.as_bytes())?;
        if self.position == 0 {
            cell(&location.lat.to_be_bytes())?;
            cell(&location.lon.to_be_bytes())?;
        }
        cell(&(row.ts_ms * 1_000).to_be_bytes())?;
        let left_s = ((row.ts_ms + TIME_TO_LIVE_MS - self.now_ms) / 1_000).max(1);
        cell(&i32::try_from(left_s).unwrap_or(i32::MAX).to_be_bytes())
    }

    fn is_empty(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use domain::SensorKind;
    use domain::simulation::{AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, TransportSpec};

    use super::*;

    #[test]
    fn every_reading_is_in_one_batch_of_one_partition() {
        let simulation = Simulation::new(RunManifest {
            run: "r".into(),
            seed: 42,
            fleet: FleetSpec { sensors: 50, kinds: SensorKind::ALL.to_vec() },
            // Two hours at one reading a second.
            schedule: Schedule::constant(0, Rate::per_second_milli(1_000).unwrap()),
            anomalies: AnomalySpec { probability_ppm: 0 },
            transport: TransportSpec::default(),
        });
        let batches = groups(&simulation, 7_200);
        assert_eq!(batches.iter().map(|batch| batch.rows.len()).sum::<usize>(), 7_200);
        for batch in &batches {
            assert!((1..=BATCH_ROWS).contains(&batch.rows.len()));
            let is_own = |row: &Row| {
                let site = simulation.fleet().site_of(row.sensor.into());
                site.id == batch.site_id && hour_start_ms(row.ts_ms) == batch.hour_ms
            };
            assert!(batch.rows.iter().all(is_own));
        }
        assert!(batches.len() < 45, "{} batches", batches.len());
    }
}

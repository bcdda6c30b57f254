//! How long `cargo xtask up` takes from nothing to the first row.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use localstack::registry;
use tokio::runtime::Builder;

use crate::bench::{Bench, END_TIMEOUT};
use crate::case::{Case, Variant};
use crate::database::Database;
use crate::report::Sample;

const FIRST_ROW_TIMEOUT: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(50);
/// As `up` names it.
const KEYSPACE: &str = "iot";

/// The program `up`, which `cargo xtask up` becomes after the build.
pub(super) struct StartUp;

impl Case for StartUp {
    fn name(&self) -> &'static str {
        "start-up"
    }

    fn about(&self) -> &'static str {
        "`cargo xtask up` on a warm build: servers, schema, topic, producer, consumer, first row"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 20 } else { 60 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 3 }
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        // It brings its own.
        bench.end_servers();
        Ok(vec![Variant::ours("up", "one Kafka, one Cassandra, 3 500 readings/s")])
    }

    fn run(&mut self, bench: &mut Bench, _: &Variant) -> Result<Sample> {
        let registry = bench.folder().join("up");
        let mut command = Command::new(bench.program("up")?);
        command.arg("--registry").arg(&registry);
        let start = Instant::now();
        let mut up = bench.spawn_plain("up", command)?;
        let mut published_s = None;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut database = None;
        let first_row_s = loop {
            while up.next_line(Duration::ZERO).is_some() {}
            if let Some(status) = up.exited()? {
                bail!("up ended: {status}{}", up.last_lines());
            }
            if start.elapsed() > FIRST_ROW_TIMEOUT {
                bail!("no row after {FIRST_ROW_TIMEOUT:?}{}", up.last_lines());
            }
            if database.is_none()
                && let Some(contact_points) = contact_points(&registry)?
            {
                published_s = Some(start.elapsed().as_secs_f64());
                database = Some(runtime.block_on(Database::connect(&contact_points))?);
            }
            if let Some(database) = &database
                && runtime.block_on(database.has_readings(KEYSPACE))
            {
                break start.elapsed().as_secs_f64();
            }
            bench.stop.sleep(LOOK)?;
        };
        drop(database);
        let status = up.stop(END_TIMEOUT)?;
        if !status.success() {
            bail!("up ended badly: {status}{}", up.last_lines());
        }
        let mut sample = Sample::from([("first_row_s".into(), first_row_s)]);
        sample.extend(published_s.map(|seconds| ("servers_ready_s".into(), seconds)));
        Ok(sample)
    }
}

/// Returns Cassandra's address, once `up` has said where everything is.
fn contact_points(registry: &Path) -> Result<Option<String>> {
    let running = registry::running(registry)?;
    let environment = running.first().map(|pipeline| &pipeline.environment);
    Ok(environment.and_then(|values| values.get("CASSANDRA_CONTACT_POINTS").cloned()))
}

//! Draining a preloaded topic into Cassandra, timed from outside by what can be read there, so that
//! every consumer is measured the same way whatever it says about itself.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use domain::simulation::Simulation;
use domain::simulation::fleet::SENSORS_PER_SITE;
use up::Program;

use crate::bench::{Bench, END_TIMEOUT, run_report};
use crate::database::{Look, ReadingKey};
use crate::names::Names;
use crate::process::usage;
use crate::report::Sample;
use crate::servers::{PARTITIONS, ServerUsage};

/// Time between two looks for one reading: how exactly begin and end are known.
const LOOK: Duration = Duration::from_millis(20);
/// Longest wait for the first row: the program starts, connects and joins its group.
const FIRST_ROW_TIMEOUT: Duration = Duration::from_mins(1);
/// Longest time from the first row to the last.
const LAST_ROW_TIMEOUT: Duration = Duration::from_mins(5);
const PRELOAD_TIMEOUT: Duration = Duration::from_mins(3);

/// A topic full of readings.
pub struct Preload {
    /// The names that the producer had; the topics in them are full.
    pub names: Names,
    /// How many readings.
    pub readings: u64,
    /// The first readings of some sites of each partition: when one is a row, it has begun.
    first: Vec<ReadingKey>,
    /// Every site's last reading: when all are rows, all is done.
    last: Vec<ReadingKey>,
}

impl Preload {
    /// Fills a new topic.
    pub fn new(bench: &mut Bench, readings: u64) -> Result<Self> {
        println!("  filling a topic with {readings} readings");
        let mut names = bench.names()?;
        names.set("PRODUCER_READINGS", readings);
        // Event times as close as in a run at speed; sent as fast as Kafka takes them.
        names.set("PRODUCER_TARGET_RATE", 100_000);
        names.set("PRODUCER_CATCH_UP", "unlimited");
        names.set("PRODUCER_LINGER_MS", 50);
        let (report, _) = bench.produce(&names, PRELOAD_TIMEOUT)?;
        ensure!(report.acknowledged == readings, "{} of {readings} are in", report.acknowledged);
        let simulation = Simulation::new(report.manifest);
        Ok(Self { first: first(&simulation), last: last(&simulation, readings), names, readings })
    }

    /// Returns the path of the report of the run that filled it.
    pub fn report_path(&self) -> Result<std::path::PathBuf> {
        let report = run_report(&self.names)?;
        let folder = Path::new(self.names.get("PRODUCER_REPORT_DIR"));
        Ok(folder.join(format!("{}.json", report.id())))
    }
}

/// The first reading of the first site of each partition, where there is one.
fn first(simulation: &Simulation) -> Vec<ReadingKey> {
    let partitions = simulation.fleet().partitions(PARTITIONS.unsigned_abs());
    let sites = (0..PARTITIONS.unsigned_abs())
        .filter_map(|partition| partitions.iter().position(|of_site| *of_site == partition));
    sites.map(|site| ReadingKey::of(simulation, site as u64 * SENSORS_PER_SITE)).collect()
}

/// The last reading of each site.
fn last(simulation: &Simulation, readings: u64) -> Vec<ReadingKey> {
    let sensors = simulation.fleet().sensors();
    let sites = simulation.fleet().sites().len();
    let mut last = vec![None; sites];
    let mut found = 0;
    for index in (0..readings).rev() {
        let slot = &mut last[simulation.fleet().site_number_of(index % sensors)];
        if slot.is_none() {
            *slot = Some(ReadingKey::of(simulation, index));
            found += 1;
            if found == sites {
                break;
            }
        }
    }
    last.into_iter().flatten().collect()
}

/// Lets programs drain a preloaded topic into a keyspace of their own, and says how fast they were
/// and what it cost.
pub fn drain(
    bench: &mut Bench,
    preload: &Preload,
    start: impl FnOnce(&Bench, &Names) -> Result<Vec<Program>>,
) -> Result<Sample> {
    let own = bench.names()?;
    let names = preload.names.with_sink_of(&own);
    bench.started()?.create_keyspace(names.keyspace())?;
    let mut programs = start(bench, &names)?;
    let sample = watch(bench, preload, &names, &mut programs)?;
    for program in &mut programs {
        // A peer that takes no hint is killed when it is dropped.
        let _status = program.stop(END_TIMEOUT);
    }
    drop(programs);
    let servers = bench.started()?;
    servers.drop_keyspace(names.keyspace())?;
    Ok(sample)
}

fn watch(
    bench: &Bench,
    preload: &Preload,
    names: &Names,
    programs: &mut [Program],
) -> Result<Sample> {
    let servers = bench.started()?;
    let look = servers.runtime().block_on(servers.database().look(names.keyspace()))?;
    let mut watch = Watch { bench, look, programs };
    let began = watch.wait_for_any(&preload.first)?;
    let (cost_before, servers_before) = (watch.costs()?, servers.usage()?);
    let ended = watch.wait_for_all(&preload.last)?;
    let (costs, servers_after) = (watch.costs()?, servers.usage()?);
    let wall_s = ended.duration_since(began).as_secs_f64();
    let millions = preload.readings as f64 / 1e6;
    let cpu_s = costs.cpu_s - cost_before.cpu_s;
    let mut sample = Sample::from([
        ("wall_s".into(), wall_s),
        ("rows_per_s".into(), preload.readings as f64 / wall_s),
        ("cpu_s_per_million".into(), cpu_s / millions),
        ("rss_peak_mib".into(), costs.rss_peak_mib),
    ]);
    add_servers(&mut sample, &servers_before, &servers_after, millions);
    Ok(sample)
}

/// Adds what the servers used meanwhile.
pub fn add_servers(sample: &mut Sample, before: &ServerUsage, after: &ServerUsage, millions: f64) {
    let kafka_s = after.kafka.cpu_s - before.kafka.cpu_s;
    let cassandra_s = after.cassandra.cpu_s - before.cassandra.cpu_s;
    sample.extend([
        ("kafka_cpu_s_per_million".into(), kafka_s / millions),
        ("cassandra_cpu_s_per_million".into(), cassandra_s / millions),
        ("kafka_rss_peak_mib".into(), after.kafka.rss_peak_mib),
        ("cassandra_rss_peak_mib".into(), after.cassandra.rss_peak_mib),
    ]);
}

struct Watch<'a> {
    bench: &'a Bench,
    look: Look<'a>,
    programs: &'a mut [Program],
}

/// What several programs used together, and the most memory that one of them took.
#[derive(Default)]
struct Costs {
    cpu_s: f64,
    rss_peak_mib: f64,
}

impl Watch<'_> {
    fn costs(&self) -> Result<Costs> {
        let mut costs = Costs::default();
        for program in self.programs.iter() {
            let usage = usage(program.pid())?;
            costs.cpu_s += usage.cpu_s;
            costs.rss_peak_mib = costs.rss_peak_mib.max(usage.rss_peak_mib);
        }
        Ok(costs)
    }

    fn wait_for_any(&mut self, keys: &[ReadingKey]) -> Result<Instant> {
        let deadline = Instant::now() + FIRST_ROW_TIMEOUT;
        loop {
            for key in keys {
                if self.finds(key)? {
                    return Ok(Instant::now());
                }
            }
            self.pause(deadline, "the first row")?;
        }
    }

    /// One after the other: the last one that is found was the last to come, or came just before.
    fn wait_for_all(&mut self, keys: &[ReadingKey]) -> Result<Instant> {
        let deadline = Instant::now() + LAST_ROW_TIMEOUT;
        for key in keys {
            while !self.finds(key)? {
                self.pause(deadline, "the last row")?;
            }
        }
        Ok(Instant::now())
    }

    fn finds(&self, key: &ReadingKey) -> Result<bool> {
        self.bench.started()?.runtime().block_on(self.look.finds(key)).context("cassandra answers")
    }

    fn pause(&mut self, deadline: Instant, what: &str) -> Result<()> {
        for program in self.programs.iter_mut() {
            // Its log has to be read, or it would fill up.
            while program.next_line(Duration::ZERO).is_some() {}
            if let Some(status) = program.exited()? {
                bail!("{} ended ({status}) before {what}{}", program.name(), program.last_lines());
            }
        }
        if Instant::now() > deadline {
            let lines: Vec<String> = self.programs.iter().map(Program::last_lines).collect();
            bail!("{what} did not come in time{}", lines.concat());
        }
        self.bench.stop.sleep(LOOK)
    }
}

#[cfg(test)]
mod tests {
    use domain::SensorKind;
    use domain::simulation::{
        AnomalySpec, FleetSpec, Rate, RunManifest, Schedule, Simulation, TransportSpec,
    };

    use super::*;

    #[test]
    fn a_drain_begins_on_every_partition_and_ends_on_every_site() {
        let simulation = Simulation::new(RunManifest {
            run: "r".into(),
            seed: 42,
            fleet: FleetSpec { sensors: 5_000, kinds: SensorKind::ALL.to_vec() },
            schedule: Schedule::constant(0, Rate::per_second_milli(1_000_000).unwrap()),
            anomalies: AnomalySpec { probability_ppm: 0 },
            transport: TransportSpec::default(),
        });
        assert_eq!(first(&simulation).len(), 12);
        let ends = last(&simulation, 5_010);
        assert_eq!(ends.len(), 200);
        assert!(ends.contains(&ReadingKey::of(&simulation, 5_009)));
        assert!(ends.contains(&ReadingKey::of(&simulation, 49)), "the end of the second site");
    }
}

//! What a run would be, without Kafka: its readings, or its size in words.

use std::io::{self, Write};

use domain::simulation::schedule::Load;
use domain::simulation::{Simulation, TransportSpec};
use jiff::Timestamp;

use crate::report::{Timetable, fleet};
use crate::settings::{ProducerSettings, Show};

/// Bytes that Kafka adds to a reading's value: key, header and the record's own fields.
const RECORD_OVERHEAD_BYTES: f64 = 35.0;

/// Writes what is to be shown.
pub(crate) fn show(
    settings: &ProducerSettings,
    what: Show,
    output: &mut impl Write,
) -> io::Result<()> {
    let now_ms = Timestamp::now().as_millisecond();
    let run = settings.run.clone().unwrap_or_else(|| "preview".into());
    let manifest = settings.manifest(run, settings.start_ms.unwrap_or(now_ms));
    let simulation = Simulation::new(manifest);
    match what {
        Show::Readings(count) => print(settings, &simulation, count, output),
        Show::Description => describe(settings, &simulation, output),
    }?;
    output.flush()
}

/// Prints the first readings of this part, one a line, in the order of their numbers.
fn print(
    settings: &ProducerSettings,
    simulation: &Simulation,
    count: u64,
    output: &mut impl Write,
) -> io::Result<()> {
    let sensors = simulation.fleet().sensors();
    let end = simulation.manifest().schedule.readings_max.unwrap_or(u64::MAX);
    let own = (0..end).filter(|index| settings.shard.has_sensor(index % sensors));
    let sent = own.filter(|index| simulation.fate(*index).is_sent());
    let mut line = Vec::new();
    for index in sent.take(usize::try_from(count).unwrap_or(usize::MAX)) {
        line.clear();
        simulation.encode(&simulation.reading(index), &mut line);
        line.push(b'\n');
        output.write_all(&line)?;
    }
    Ok(())
}

fn describe(
    settings: &ProducerSettings,
    simulation: &Simulation,
    output: &mut impl Write,
) -> io::Result<()> {
    let manifest = simulation.manifest();
    let sites = simulation.fleet().sites();
    writeln!(output, "seed          {}", manifest.seed)?;
    writeln!(output, "fleet         {}", fleet(&manifest.fleet))?;
    writeln!(output, "sites         {}, {} here", sites.len(), own_sites(settings, sites.len()))?;
    writeln!(output, "schedule      {}", Timetable(&manifest.schedule))?;
    let rate = manifest.schedule.load.per_second();
    let interval_s = manifest.fleet.sensors as f64 / rate;
    writeln!(
        output,
        "interval      {interval_s:.3} s between two readings of a sensor, on average"
    )?;
    if let Load::Profile(profile) = &manifest.schedule.load {
        let rates = profile.pieces().iter().flat_map(|piece| [piece.from_milli, piece.to_milli]);
        let most = rates.clone().max().unwrap_or_default() as f64 / 1_000.0;
        let least = rates.min().unwrap_or_default() as f64 / 1_000.0;
        writeln!(output, "rates         {least:.3} to {most:.3} readings/s")?;
    }
    writeln!(output, "catching up   {}", settings.catch_up)?;
    writeln!(output, "on the way    {}", faults(&manifest.transport))?;
    let bytes = mean_bytes(simulation);
    let mib_per_s = rate * bytes / 1_048_576.0;
    let gib_per_day = mib_per_s * 86_400.0 / 1_024.0;
    writeln!(
        output,
        "record        {bytes:.0} bytes of JSON, {:.0} in Kafka before compression",
        bytes + RECORD_OVERHEAD_BYTES
    )?;
    writeln!(output, "volume        {mib_per_s:.2} MiB/s, {gib_per_day:.1} GiB a day of JSON")?;
    writeln!(output, "rows          {:.1} million a day", rate * 86_400.0 / 1e6)?;
    write_partitions(settings, simulation, output)
}

fn own_sites(settings: &ProducerSettings, sites: usize) -> usize {
    (0..sites as u64).filter(|site| settings.shard.has_site(*site)).count()
}

fn faults(spec: &TransportSpec) -> String {
    if spec.is_perfect() {
        return "every reading is sent once, when it is due".into();
    }
    let percent = |ppm: u32| f64::from(ppm) / 10_000.0;
    format!(
        "missing {} %, late {} % (up to {} s), out of order {} %, duplicate {} %, offline in {} % \
         of a sensor's hours (up to {} s), clocks drift up to {} ppm",
        percent(spec.missing_ppm),
        percent(spec.late_ppm),
        spec.late_max_ms / 1_000,
        percent(spec.out_of_order_ppm),
        percent(spec.duplicate_ppm),
        percent(spec.offline_ppm),
        spec.offline_max_ms / 1_000,
        spec.clock_drift_max_ppm,
    )
}

/// The mean size of a reading's JSON, over the first round of at most 1000 sensors.
fn mean_bytes(simulation: &Simulation) -> f64 {
    let sample = simulation.fleet().sensors().min(1_000);
    let mut records = Vec::new();
    for index in 0..sample {
        simulation.encode(&simulation.reading(index), &mut records);
    }
    records.len() as f64 / sample as f64
}

fn write_partitions(
    settings: &ProducerSettings,
    simulation: &Simulation,
    output: &mut impl Write,
) -> io::Result<()> {
    let partitions = settings.kafka.partitions;
    let mut sites = vec![0_u64; partitions as usize];
    for partition in simulation.fleet().partitions(partitions) {
        sites[partition as usize] += 1;
    }
    let mean = simulation.fleet().sites().len() as f64 / f64::from(partitions);
    let most = sites.iter().max().copied().unwrap_or_default();
    let least = sites.iter().min().copied().unwrap_or_default();
    writeln!(
        output,
        "partitions    {partitions}, with {least} to {most} sites: the fullest gets {:.2} x the \
         mean",
        most as f64 / mean
    )
}

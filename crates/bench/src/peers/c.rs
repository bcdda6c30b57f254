//! The C program on librdkafka: compiled on this machine, if possible against the very library that
//! the programs are linked with.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use domain::simulation::Simulation;
use up::Program;

use crate::bench::Bench;
use crate::names::Names;
use crate::process::finish;
use crate::report::Sample;

const SOURCE: &str = include_str!("../../peers/produce.c");
const TIMEOUT: Duration = Duration::from_mins(2);

/// Writes readings one a line, each after its key and a tab if `with_keys`.
pub fn write_readings(
    simulation: &Simulation,
    count: u64,
    with_keys: bool,
    path: &Path,
) -> Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(File::create(path).with_context(failed)?);
    let mut line = Vec::new();
    for index in 0..count {
        let reading = simulation.reading(index);
        line.clear();
        if with_keys {
            line.extend_from_slice(simulation.fleet().site_of(reading.sensor).id.as_bytes());
            line.push(b'\t');
        }
        simulation.encode(&reading, &mut line);
        line.push(b'\n');
        file.write_all(&line).with_context(failed)?;
    }
    file.flush().with_context(failed)
}

/// Compiles the program; the error says what is missing.
pub fn build(bench: &Bench) -> Result<PathBuf> {
    let (source, program) = (bench.folder().join("produce.c"), bench.folder().join("produce"));
    fs::write(&source, SOURCE)?;
    let mut problems = String::new();
    // Beside this program, whatever build it measures.
    let own = static_library(&std::env::current_exe()?.with_file_name("build"));
    for folder in own.iter().map(Some).chain([None]) {
        let mut command = Command::new("cc");
        command.args(["-O2", "-Wall", "-Werror", "-o"]).arg(&program).arg(&source);
        match folder {
            Some(folder) => {
                command.arg("-I").arg(folder).arg(folder.join("librdkafka.a"));
                command.args(["-lz", "-lm", "-lpthread", "-ldl"]);
            }
            None => {
                command.arg("-lrdkafka");
            }
        }
        let log = bench.folder().join("cc.log");
        command.stdout(Stdio::null());
        let mut compiler = Program::spawn("cc", command, &log)?;
        match finish(&mut compiler, TIMEOUT, &bench.stop, |_| {}) {
            Ok(_) => return Ok(program),
            Err(error) => problems += &format!("; {error:#}"),
        }
    }
    bail!("the C program cannot be compiled{problems}")
}

/// Finds the folder with the library and the header that the programs were built with; of several
/// builds the newest.
fn static_library(build: &Path) -> Option<PathBuf> {
    let folders = fs::read_dir(build).ok()?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_string_lossy().into_owned();
        let folder = path.join("out/src");
        let modified = fs::metadata(folder.join("librdkafka.a")).ok()?.modified().ok()?;
        let is_it = name.starts_with("rdkafka-sys-") && folder.join("rdkafka.h").is_file();
        is_it.then_some((modified, folder))
    });
    folders.max().map(|(_, folder)| folder)
}

/// Sends so many readings from a file made by [`write_readings`] with keys.
pub fn produce(
    bench: &Bench,
    program: &Path,
    names: &Names,
    readings_file: &Path,
    readings: u64,
) -> Result<Sample> {
    let mut command = Command::new(program);
    command.args([names.get("KAFKA_BOOTSTRAP_SERVERS"), names.topic()]);
    command.arg(readings_file).arg(readings.to_string());
    let mut producer = bench.spawn("librdkafka-c", command, names)?;
    let mut rate = None;
    let usage = finish(&mut producer, TIMEOUT, &bench.stop, |line| {
        rate = rate.or(line.number("readings_per_s"));
    })?;
    Ok(Sample::from([
        ("readings_per_s".into(), rate.context("the C program prints its rate")?),
        ("cpu_s_per_million".into(), usage.cpu_s / (readings as f64 / 1e6)),
        ("rss_peak_mib".into(), usage.rss_peak_mib),
    ]))
}

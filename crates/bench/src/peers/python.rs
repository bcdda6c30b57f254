//! The Python consumers: a virtual environment with pinned packages, made once.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use up::Program;

use crate::bench::Bench;
use crate::process::finish;

const REQUIREMENTS: &str = include_str!("../../peers/requirements.txt");
const NAIVE: &str = include_str!("../../peers/naive.py");
const GROUPED: &str = include_str!("../../peers/grouped.py");
/// The packages are some megabytes, from wherever pip is told to fetch them.
const SET_UP_TIMEOUT: Duration = Duration::from_mins(4);

/// Makes the virtual environment, or finds the one of an earlier run.
pub fn environment(bench: &Bench) -> Result<()> {
    let folder = folder(bench);
    let made = folder.join("requirements.txt");
    if fs::read_to_string(&made).is_ok_and(|found| found == REQUIREMENTS) {
        return Ok(());
    }
    println!("  setting up the Python peers in {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv"]).arg(&folder);
    run(bench, "venv", venv).context("no virtual environment can be made")?;
    let wanted = bench.folder().join("requirements.txt");
    fs::write(&wanted, REQUIREMENTS)?;
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:", "-r"]).arg(&wanted);
    run(bench, "pip", pip).context("pip cannot install the peers' packages")?;
    // Last: an environment without it is not complete.
    fs::copy(&wanted, &made)?;
    Ok(())
}

/// Prepares the command of a peer.
pub fn command(bench: &Bench, name: &str) -> Result<Command> {
    let source = match name {
        "python-naive" => NAIVE,
        "python-grouped" => GROUPED,
        _ => bail!("there is no Python peer called {name}"),
    };
    let script = bench.folder().join(format!("{name}.py"));
    fs::write(&script, source)?;
    let mut command = Command::new(folder(bench).join("bin/python"));
    command.arg(script);
    Ok(command)
}

fn folder(bench: &Bench) -> PathBuf {
    bench.work().join("venv")
}

fn run(bench: &Bench, name: &str, mut command: Command) -> Result<()> {
    let log = bench.folder().join(format!("{name}.log"));
    command.stdout(Stdio::from(File::create(bench.output(name))?));
    let mut program = Program::spawn(name, command, &log)?;
    finish(&mut program, SET_UP_TIMEOUT, &bench.stop, |_| {})?;
    Ok(())
}

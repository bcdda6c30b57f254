//! The real cqlsh, from the path or from a virtual environment in the user's cache.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::running::{self, Need};
use crate::workspace::cache;
use crate::{Workspace, command};

/// Speaks to Cassandra 5.0 and runs on Python 3.8 and later.
const VERSION: &str = "6.2.2";
const DEFAULT_CONTACT_POINT: &str = "localhost:9042";

/// Opens cqlsh; returns only if that failed.
///
/// Host and port of the running pipeline are what cqlsh starts from; arguments and `CQLSH_HOST`
/// win.
pub(crate) fn open(workspace: &Workspace, arguments: &[OsString]) -> Result<()> {
    let (data, arguments) = running::split_data(arguments)?;
    let given = running::environment(workspace, data.as_deref(), needs(&arguments))?;
    let program = if command::succeeds(Command::new("cqlsh").arg("--version")) {
        "cqlsh".into()
    } else {
        install()?
    };
    let contact_points = match given.get("CASSANDRA_CONTACT_POINTS") {
        Some(running) => running.clone(),
        None => env::var("CASSANDRA_CONTACT_POINTS").unwrap_or_default(),
    };
    let (host, port) = first_contact_point(&contact_points)?;
    let mut cqlsh = Command::new(program);
    if data.is_some() || env::var_os("CQLSH_HOST").is_none() {
        cqlsh.env("CQLSH_HOST", host).env("CQLSH_PORT", port);
    }
    Err(command::become_program(cqlsh.args(arguments)))
}

/// A cqlsh that is told where to connect needs no pipeline.
fn needs(arguments: &[OsString]) -> Need {
    let is_told = env::var_os("CQLSH_HOST").is_some()
        || arguments.iter().any(|word| word == "--help" || word == "-h" || word == "--version");
    if is_told { Need::Nothing } else { Need::Servers }
}

fn first_contact_point(list: &str) -> Result<(&str, &str)> {
    let first = list.split(',').map(str::trim).find(|address| !address.is_empty());
    let first = first.unwrap_or(DEFAULT_CONTACT_POINT);
    first.rsplit_once(':').with_context(|| {
        format!("CASSANDRA_CONTACT_POINTS=`{list}`: allowed is a comma-separated list of host:port")
    })
}

/// Installs cqlsh unless it is there already; several at a time wait for the first.
fn install() -> Result<PathBuf> {
    let cache = cache()?;
    let home = cache.join(format!("cqlsh-{VERSION}"));
    let program = home.join("bin/cqlsh");
    // Written last: a folder without it is what an interrupted installation left behind.
    let complete = home.join("complete");
    fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
    let lock = File::create(cache.join("cqlsh.lock")).context("cannot create the lock file")?;
    lock.lock().context("cannot lock the cache")?;
    if !complete.is_file() {
        create(&home)?;
        File::create(&complete).context("cannot complete the installation")?;
    }
    Ok(program)
}

fn create(home: &Path) -> Result<()> {
    if !command::succeeds(Command::new("python3").arg("--version")) {
        bail!(
            "cqlsh is not on the path, and to get it python3 is missing\n\
             Debian, Ubuntu: sudo apt-get install python3 python3-venv\n\
             macOS:          brew install python"
        );
    }
    if !command::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
        bail!(
            "cqlsh is not on the path, and to get it python3 lacks virtual environments\n\
             Debian, Ubuntu: sudo apt-get install python3-venv"
        );
    }
    eprintln!("installing cqlsh {VERSION} in {} (once)", home.display());
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    command::run(Command::new("python3").args(["-m", "venv"]).arg(home))?;
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    command::run(pip.arg(format!("cqlsh=={VERSION}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_contact_point_counts_and_none_is_the_default() {
        assert_eq!(first_contact_point("127.0.0.1:1, b:2").unwrap(), ("127.0.0.1", "1"));
        assert_eq!(first_contact_point("").unwrap(), ("localhost", "9042"));
        assert!(first_contact_point("host").is_err());
    }
}

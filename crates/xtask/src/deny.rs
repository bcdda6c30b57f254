//! cargo-deny: licences, sources and known vulnerabilities of everything that is compiled in.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::bounded::Interrupt;
use crate::workspace::cache;
use crate::{Workspace, command};

const VERSION: &str = "0.20.2";
const FETCH_LIMIT: Duration = Duration::from_mins(2);

/// Checks the dependencies; only the database of advisories may be out of reach.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let program = program(workspace)?;
    let deny = || {
        let mut deny = workspace.command(&program);
        deny.args(["--all-features", "--locked"]);
        deny
    };
    let quiet = "--hide-inclusion-graph";
    command::run(deny().args(["check", quiet, "bans", "licenses", "sources"]))?;
    if let Err(why) = Interrupt::default().run(deny().args(["fetch", "db"]), FETCH_LIMIT) {
        eprintln!("{why:#}");
        println!("advisories: skipped (database not reachable)");
        return Ok(());
    }
    command::run(deny().args(["check", "--disable-fetch", "advisories"]))
}

/// Returns cargo-deny, from the path if it is there, else built once into the user's cache.
fn program(workspace: &Workspace) -> Result<OsString> {
    if command::succeeds(Command::new("cargo-deny").arg("--version")) {
        return Ok("cargo-deny".into());
    }
    let root = cache()?.join(format!("cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        let mut install = workspace.cargo(&["install", "--locked", "cargo-deny"]);
        // It runs for seconds: how long it takes to build is what counts.
        install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
        install.env("CARGO_PROFILE_RELEASE_LTO", "off");
        command::run(install.args(["--version", VERSION, "--root"]).arg(&root))?;
    }
    Ok(program.into_os_string())
}

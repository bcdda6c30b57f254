//! docs/configuration.md, written from what the programs say about their own settings.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail};

use crate::local::PROGRAMS;
use crate::{Workspace, command};

const PAGE: &str = "docs/configuration.md";

const INTRODUCTION: &str = "\
# Configuration

Every setting is an environment variable, and every one can also be given as a flag, which wins
over the variable. An empty variable counts as not set. `--help` of each program lists the same
settings. A bad value ends the program at once with exit code 64; all bad ones are named in one go,
with the value and what is allowed. Some settings also have the name that other pipelines give
them, which the log then says; so it does of a variable that looks like a setting but is none, with
the nearest one.

In production, logs are for machines: with `ENVIRONMENT=production` each program writes JSON lines,
also to `logs/sensorium-PROGRAM.DATE.log`, a file a day of which the newest seven stay
(`LOG_FORMAT`, `LOG_DIR` and `LOG_DAYS_MAX` say otherwise). In containers there are no such files:
Docker keeps the lines, and rotates its own.

`cargo xtask docs` writes this page from the programs themselves; `cargo xtask ci` fails if it is
stale.
";

/// Builds the programs that the page is written from.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    workspace.build_release(&PROGRAMS)
}

/// Writes the page.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    fs::write(workspace.path(PAGE), render(workspace)?)
        .with_context(|| format!("cannot write {PAGE}"))?;
    println!("{PAGE} is up to date");
    Ok(())
}

/// Fails if the page is not what the programs, as last built for release, say.
pub fn check(workspace: &Workspace) -> Result<()> {
    let found = fs::read_to_string(workspace.path(PAGE))
        .with_context(|| format!("cannot read {PAGE}: write it with `cargo xtask docs`"))?;
    if found != render(workspace)? {
        bail!("{PAGE} is stale: write it again with `cargo xtask docs`");
    }
    Ok(())
}

fn render(workspace: &Workspace) -> Result<String> {
    let mut page = INTRODUCTION.to_owned();
    for name in PROGRAMS {
        let program = workspace.program(name);
        if !program.is_file() {
            bail!("{} is not built: `cargo xtask test` builds it first", program.display());
        }
        let table = command::output(workspace.command(program).arg("settings"))?;
        write!(page, "\n## {name}\n\n{table}")?;
    }
    Ok(page)
}

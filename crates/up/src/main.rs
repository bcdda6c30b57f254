//! Entry point of `cargo xtask up`.

mod alerts;
mod next;
mod options;
mod session;
mod settings;
mod status;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use options::Options;
use runtime::process::EXIT_USAGE;
use runtime::text::with_causes;
use settings::{Catalogue, Settings};

fn main() -> ExitCode {
    up::log::show("warn,scylla=off,localstack=info,up=info");
    run().unwrap_or_else(|error| {
        tracing::error!("{}", with_causes(error.as_ref()));
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let catalogue = Catalogue::ask()?;
    let parsed = options::command(&catalogue)
        .try_get_matches()
        .and_then(|matches| Options::of(&matches).map(|options| (options, matches)));
    let (options, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // A terminal that is gone takes no text.
            let _shown = error.print();
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            return Ok(ExitCode::from(code));
        }
    };
    let settings = Settings::gather(&options, &matches, &catalogue)?;
    if let Some(problems) = settings.problems() {
        let _shown = io::stderr().write_all(problems.as_bytes());
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    for hint in settings.hints() {
        tracing::info!("{hint}");
    }
    session::run(&options, &settings)
}

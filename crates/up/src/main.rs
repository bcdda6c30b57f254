//! Entry point of `cargo xtask up`.

mod options;
mod session;
mod status;

use std::process::ExitCode;

use clap::Parser;
use options::Options;

fn main() -> ExitCode {
    up::log::show("warn,localstack=info,up=info");
    session::run(&Options::parse()).unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}

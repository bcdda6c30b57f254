//! What can be said of a simulated fleet without any server, because all of it can be computed.

mod error;
pub mod realism;
mod settings;
mod truth;

use std::io;
use std::process::ExitCode;

use runtime::Shutdown;
use runtime::process::Context;

pub use crate::error::FleetError;
pub use crate::settings::{RealismSettings, Task, TruthSettings};

/// Performs one task: exit code 0 if all of it is done.
pub async fn run(task: Task, context: Context) -> anyhow::Result<ExitCode> {
    context.health.well();
    let shutdown = context.shutdown;
    let work = tokio::task::spawn_blocking(move || perform(&task, &shutdown));
    match work.await? {
        // Whoever reads the output has seen enough.
        Err(FleetError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        outcome => Ok(outcome?),
    }
}

fn perform(task: &Task, shutdown: &Shutdown) -> Result<ExitCode, FleetError> {
    let output = &mut io::stdout().lock();
    match task {
        Task::Realism(settings) => realism::realism(settings, output),
        Task::Truth(settings) => truth::truth(settings, shutdown, output),
    }
}

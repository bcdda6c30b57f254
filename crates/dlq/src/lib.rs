//! The dead-letter tool: what could not be stored is listed, shown, and sent back once its cause
//! is gone.

mod client;
mod courier;
mod error;
mod letter;
mod list;
mod prefix;
mod record;
mod redrive;
mod settings;
mod show;
mod text;
mod through;
mod topic;

use std::io;
use std::process::ExitCode;

use runtime::Shutdown;
use runtime::process::Context;

pub use crate::error::DlqError;
pub use crate::settings::{
    CommonSettings, ListSettings, OutputFormat, RedriveSettings, ShowSettings, Task,
};

/// Performs one task: exit code 0 if all of it is done.
pub async fn run(task: Task, context: Context) -> anyhow::Result<ExitCode> {
    context.health.well();
    let shutdown = context.shutdown;
    let work = tokio::task::spawn_blocking(move || perform(&task, &shutdown));
    match work.await? {
        // Whoever reads the output has seen enough.
        Err(DlqError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        outcome => Ok(outcome?),
    }
}

fn perform(task: &Task, shutdown: &Shutdown) -> Result<ExitCode, DlqError> {
    let output = &mut io::stdout().lock();
    match task {
        Task::List(settings) => list::list(settings, shutdown, output),
        Task::Show(settings) => show::show(settings, shutdown, output),
        Task::Redrive(settings) => redrive::redrive(settings, shutdown, output),
    }
}

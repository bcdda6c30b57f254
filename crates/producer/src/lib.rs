//! The producer: simulates a fleet and sends each reading when it is due; none is ever dropped.

mod acknowledgements;
mod connection;
mod decimal;
mod deliveries;
mod error;
mod events;
mod observer;
mod pace;
mod progress;
mod proof;
mod publish;
mod report;
mod run;
mod settings;
mod show;
mod statistics;

use std::io::{self, BufWriter};
use std::process::ExitCode;

use runtime::kafka::{TopicError, TopicSpec, ensure_topic};
use runtime::process::Context;
use tracing::info;

pub use error::ProducerError;
pub use settings::ProducerSettings;

use crate::report::ReportFolder;
use crate::run::Run;

/// Performs one run: 0 if Kafka has every reading that was sent.
pub async fn run(settings: ProducerSettings, context: Context) -> anyhow::Result<ExitCode> {
    if let Some(what) = settings.show {
        context.health.well();
        return match show::show(&settings, what, &mut BufWriter::new(io::stdout().lock())) {
            // Whoever reads the output has seen enough.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        };
    }
    let reports = ReportFolder::open(&settings.report_dir)?;
    for topic in [settings.kafka.readings(), TopicSpec::events(&settings.events_topic)] {
        match ensure_topic(&settings.kafka, topic, &context.shutdown).await {
            Ok(()) => {}
            Err(stopped @ TopicError::Stopped { .. }) => {
                info!("nothing was sent: {stopped}");
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => return Err(error.into()),
        }
    }
    match Run::start(settings, reports, &context)? {
        Some(run) => run.finish(context).await,
        None => Ok(ExitCode::SUCCESS),
    }
}

//! Windows and alerts over the readings of a Kafka topic, equal to a batch computation over it.
//!
//! Data flows through the modules in this order: `source` polls Kafka on a thread of its own,
//! `window` keeps the state of each partition, `detect` is shown the windows that close, `writer`
//! writes what comes of it to `store` (Cassandra) and with `publish` (Kafka). `window`, `rollup`
//! and `detect` do no IO and read no clock.

pub mod detect;
mod engine;
mod error;
mod publish;
pub mod rollup;
pub mod score;
mod settings;
mod source;
mod statistics;
mod store;
pub mod window;
mod writer;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use runtime::kafka::{self, TopicError, TopicSpec};
use runtime::process::Context;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use error::AnalyticsError;
use publish::Publisher;
use score::{LabelledSpec, ScoreError};
pub use settings::{ScoreSettings, ServiceSettings, Task};
use writer::Sink;

/// Does what is asked for: exit code 0 if all of it is done.
pub async fn run(task: Task, context: Context) -> anyhow::Result<ExitCode> {
    match task {
        Task::Serve(settings) => serve(*settings, context).await,
        Task::Score(settings) => {
            tokio::task::spawn_blocking(move || score(&settings)).await??;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn score(settings: &ScoreSettings) -> Result<(), ScoreError> {
    let output = &mut std::io::stdout().lock();
    if let Some(folder) = &settings.nab {
        return score::nab(folder, output).map(drop);
    }
    let seeds = (settings.seed..).take(settings.runs as usize).collect();
    let spec = LabelledSpec { seeds, ..LabelledSpec::default() };
    score::labelled(&spec, output).map(drop)
}

/// Works until asked to stop; then writes, commits and leaves the group.
async fn serve(mut settings: ServiceSettings, context: Context) -> anyhow::Result<ExitCode> {
    let Context { shutdown, health } = context;
    let Some(store) = store::connect(&settings, &shutdown).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let Some(partitions) = kafka::await_topic(&settings.kafka, &shutdown).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    settings.kafka.partitions = partitions;
    let topics = &settings.topics;
    for topic in [
        TopicSpec::aggregates(&topics.aggregates),
        TopicSpec::alerts(&topics.alerts),
        TopicSpec::late(&topics.late),
    ] {
        match kafka::ensure_topic(&settings.kafka, topic, &shutdown).await {
            Err(TopicError::Stopped { .. }) => return Ok(ExitCode::SUCCESS),
            outcome => outcome?,
        }
    }
    let publisher = Publisher::new(&settings)?;
    let timing = settings.timing;
    let sink = Arc::new(Sink { store, publisher, timing, shutdown: shutdown.clone() });
    let of_thread = Arc::clone(&sink);
    let (done, outcome) = oneshot::channel();
    let runtime = Handle::current();
    thread::Builder::new()
        .name("kafka".into())
        .spawn(move || {
            let outcome = source::serve(&settings, of_thread, runtime, &shutdown, &health);
            // Nobody waits any more only if the process is ending anyway.
            let _ended = done.send(outcome);
        })
        .context("the thread `kafka` cannot be started")?;
    let outcome = tokio::select! {
        outcome = outcome => outcome.map_err(|_| AnalyticsError::Ended("kafka"))?,
        // What is not durable is not committed, so that the thread may be left where it is.
        unfit = sink.store.unfit() => Err(unfit),
    };
    match outcome {
        // Whoever was asked to stop need not have reached the servers.
        Err(AnalyticsError::Stopped(_)) | Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}

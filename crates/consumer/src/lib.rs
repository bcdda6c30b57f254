//! Stores the readings of a Kafka topic in Cassandra, at least once and each exactly one row.
//!
//! Data flows through the modules in this order: `source` polls Kafka on a thread of its own,
//! `pipeline` groups readings by Cassandra partition and knows which offsets are durable, `sink`
//! writes. `pipeline` does no IO.

mod engine;
mod error;
pub mod pipeline;
mod settings;
mod sink;
mod source;
mod statistics;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, anyhow};
use runtime::kafka::{self, TopicError, TopicSpec};
use runtime::process::Context;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use error::ConsumerError;
pub use settings::ConsumerSettings;

/// Consumes until asked to stop; then drains, commits and leaves the group.
pub async fn run(mut settings: ConsumerSettings, context: Context) -> anyhow::Result<ExitCode> {
    let Context { shutdown, health } = context;
    let Some(sink) = sink::connect(&settings, &shutdown).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let Some(partitions) = kafka::await_topic(&settings.kafka, &shutdown).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    // A dead letter lies in the partition that it came from.
    settings.kafka.partitions = partitions;
    let dead_letters = TopicSpec::dead_letters(&settings.dead_letter_topic);
    match kafka::ensure_topic(&settings.kafka, dead_letters, &shutdown).await {
        Err(TopicError::Stopped { .. }) => return Ok(ExitCode::SUCCESS),
        outcome => outcome?,
    }

    let (done, outcome) = oneshot::channel();
    let runtime = Handle::current();
    thread::Builder::new()
        .name("kafka".into())
        .spawn(move || {
            let outcome = source::consume(&settings, Arc::new(sink), runtime, &shutdown, &health);
            // Nobody waits any more only if the process is ending anyway.
            let _ended = done.send(outcome);
        })
        .context("the kafka thread cannot be started")?;
    let outcome = outcome.await.map_err(|_| anyhow!("the kafka thread ended without a word"))?;
    outcome?;
    Ok(ExitCode::SUCCESS)
}

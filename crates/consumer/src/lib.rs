//! Stores the readings and the events of two Kafka topics in Cassandra, at least once and each
//! exactly one row.
//!
//! Data flows through the modules in this order: `source` polls Kafka on a thread of its own,
//! `pipeline` groups rows by Cassandra partition and knows which offsets are durable, `sink`
//! writes. `pipeline` does no IO. Each topic has a thread, a group and a pipeline of its own; the
//! sink is shared.

mod engine;
mod error;
pub mod pipeline;
mod settings;
mod sink;
mod source;
mod statistics;

use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use runtime::health::Health;
use runtime::kafka::{self, TopicError, TopicSpec};
use runtime::process::Context;
use runtime::shutdown::{self, Shutdown, Stopper};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::error_span;

use pipeline::record::Stream;
use sink::Sink;

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
    settings.kafka.partitions = partitions;
    let dead_letters = TopicSpec::dead_letters(&settings.dead_letter_topic, partitions);
    for topic in [dead_letters, TopicSpec::events(&settings.events_topic)] {
        match kafka::ensure_topic(&settings.kafka, topic, &shutdown).await {
            Err(TopicError::Stopped { .. }) => return Ok(ExitCode::SUCCESS),
            outcome => outcome?,
        }
    }

    let sink = Arc::new(sink);
    // A part that ends, whatever for, takes the other along in good order.
    let (stopper, stopping) = shutdown::channel();
    let start = |settings, stream, health| {
        start(settings, stream, Arc::clone(&sink), stopping.clone(), health)
    };
    let (of_events, grace) = (settings.of_events(), settings.shutdown_grace);
    let (readings, events) = (
        start(settings, Stream::Readings, health.part("kafka"))?,
        start(of_events, Stream::Events, health.part("kafka events"))?,
    );
    health.well();
    let mut ends = pin!(async { tokio::join!(end(readings, &stopper), end(events, &stopper)) });
    let (readings, events) = tokio::select! {
        ends = &mut ends => ends,
        () = shutdown.stopped() => {
            stopper.stop();
            ends.await
        }
        unfit = sink.unfit() => {
            stopper.stop();
            // The Kafka client waits by the time of day, which may not come for days.
            let _left = timeout(grace, ends).await;
            return Err(unfit.into());
        }
    };
    readings.and(events)?;
    Ok(ExitCode::SUCCESS)
}

type Outcome = Result<(), ConsumerError>;

/// Starts the thread of a stream; the receiver hears how it ends.
fn start(
    settings: ConsumerSettings,
    stream: Stream,
    sink: Arc<Sink>,
    stopping: Shutdown,
    health: Health,
) -> anyhow::Result<oneshot::Receiver<Outcome>> {
    let (done, outcome) = oneshot::channel();
    let runtime = Handle::current();
    let name = match stream {
        Stream::Readings => "kafka",
        Stream::Events => "kafka events",
    };
    let run = move || {
        // Every line of the log that is about events says so, at any level of the log.
        let span = (stream == Stream::Events).then(|| error_span!("events").entered());
        let outcome = source::consume(&settings, stream, sink, runtime, &stopping, &health);
        drop(span);
        // Nobody waits any more only if the process is ending anyway.
        let _ended = done.send(outcome);
    };
    thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .with_context(|| format!("the thread `{name}` cannot be started"))?;
    Ok(outcome)
}

/// Waits for the end of a stream's thread, then asks the other one to end.
async fn end(outcome: oneshot::Receiver<Outcome>, stopper: &Stopper) -> anyhow::Result<()> {
    let outcome = outcome.await.map_err(|_| ConsumerError::ThreadLost("kafka"));
    stopper.stop();
    Ok(outcome??)
}

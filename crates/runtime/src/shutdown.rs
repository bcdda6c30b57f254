//! One signal to stop, seen by threads and tasks alike; a second one ends the process at once.

use std::process;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{info, warn};

/// Exit code after a second signal.
const EXIT_FORCED: i32 = 130;

/// Tells whether the process is asked to stop.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stopping: watch::Receiver<bool>,
}

/// Asks the process to stop.
#[derive(Debug)]
pub struct Stopper {
    stopping: watch::Sender<bool>,
}

/// Makes a pair of which one side asks and the other sees it.
pub fn channel() -> (Stopper, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Stopper { stopping: sender }, Shutdown { stopping: receiver })
}

impl Stopper {
    /// Asks everything that holds the other side to stop; asking twice changes nothing.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }
}

impl Shutdown {
    /// Tells whether stopping was asked for; never blocks.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until stopping is asked for. Cancel safe.
    pub async fn stopped(&self) {
        let mut stopping = self.stopping.clone();
        // An error means that nobody is left to ask: then nothing has a reason to go on.
        let _gone = stopping.wait_for(|stopping| *stopping).await;
    }

    /// Waits for `duration`, less if stopping is asked for; returns whether it was.
    pub async fn stopped_within(&self, duration: Duration) -> bool {
        tokio::time::timeout(duration, self.stopped()).await.is_ok()
    }
}

/// Turns SIGTERM and SIGINT into a stop, and a second one into an exit.
pub async fn watch_signals(stopper: Stopper) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    };
    // Awaited outside of the macros, which evaluate nothing below their level.
    let first = next().await;
    info!(signal = first, "stopping");
    stopper.stop();
    let second = next().await;
    warn!(signal = second, "second signal, ending at once");
    process::exit(EXIT_FORCED)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: only a signal stops the process, at any log level. Method: without a subscriber,
    /// nothing is logged.
    #[tokio::test]
    async fn no_signal_means_no_stop() {
        let (stopper, shutdown) = channel();
        let watching = tokio::spawn(watch_signals(stopper));
        assert!(!shutdown.stopped_within(Duration::from_millis(100)).await);
        watching.abort();
    }
}

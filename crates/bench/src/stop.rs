//! Ctrl-C and SIGTERM: the first one ends the run in good order, the second one at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit code after a second signal.
const EXIT_FORCED: i32 = 130;
/// Longest time until a signal is noticed.
const SLICE: Duration = Duration::from_millis(50);

/// Whether somebody asked the run to end.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for signals.
    pub fn on_signals() -> Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, EXIT_FORCED, Arc::clone(&asked))?;
            flag::register(signal, Arc::clone(&asked))?;
        }
        Ok(Self(asked))
    }

    /// Listens for nothing.
    pub fn never() -> Self {
        Self(Arc::default())
    }

    /// Tells whether the run is to end.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails if the run is to end.
    pub fn check(&self) -> Result<()> {
        if self.is_asked() {
            bail!("stopped by a signal");
        }
        Ok(())
    }

    /// Waits; fails as soon as the run is to end.
    pub fn sleep(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::park_timeout(left.min(SLICE));
        }
    }
}

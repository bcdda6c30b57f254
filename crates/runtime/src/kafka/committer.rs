//! Commits offsets on a thread of its own: one commit at a time, each with a known end.
//!
//! librdkafka's asynchronous commit ends in a callback, for which somebody has to poll, and nobody
//! does while partitions are handed over; its synchronous one would hold up polling. The latter
//! fails if any partition of the commit does.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

/// Sends commits to the thread and hears how they end.
#[derive(Clone, Debug)]
pub struct Committer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// `None` before the thread runs and after it was told to end.
    requests: Option<SyncSender<TopicPartitionList>>,
    thread: Option<JoinHandle<()>>,
    under_way: bool,
    /// When the last commit that worked was sent.
    succeeded: Option<Instant>,
    failure: Option<KafkaError>,
}

impl Committer {
    /// Makes a committer that does nothing until it is started.
    pub fn idle() -> Self {
        Self { shared: Arc::default() }
    }

    /// Starts the thread, which holds the consumer until [`Self::end`].
    pub fn start<C>(&self, consumer: Arc<BaseConsumer<C>>) -> io::Result<()>
    where
        C: ConsumerContext + 'static,
    {
        let (sender, requests) = sync_channel(1);
        let shared = Arc::clone(&self.shared);
        let run = move || shared.serve(&*consumer, &requests);
        let thread = thread::Builder::new().name("commit".into()).spawn(run)?;
        let mut state = self.shared.lock();
        (state.requests, state.thread) = (Some(sender), Some(thread));
        Ok(())
    }

    /// Tells whether the thread has ended although it was not told to: it panicked, and nothing
    /// will ever be committed again.
    pub fn is_dead(&self) -> bool {
        let state = self.shared.lock();
        state.requests.is_some() && state.thread.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Tells whether no commit is under way.
    pub fn is_idle(&self) -> bool {
        !self.shared.lock().under_way
    }

    /// Sends a commit on its way; none may be under way.
    pub fn commit(&self, offsets: TopicPartitionList) {
        let mut state = self.shared.lock();
        debug_assert!(!state.under_way, "one commit at a time");
        // There is one place in the channel and it is free.
        let sent = state.requests.as_ref().is_some_and(|sender| sender.try_send(offsets).is_ok());
        state.under_way = sent;
    }

    /// Returns, once, when a commit that worked was sent.
    pub fn take_success(&self) -> Option<Instant> {
        std::mem::take(&mut self.shared.lock().succeeded)
    }

    /// Returns the failure of an earlier commit, once.
    pub fn take_failure(&self) -> Option<KafkaError> {
        self.shared.lock().failure.take()
    }

    /// Waits until no commit is under way; returns whether that came true in time.
    pub fn wait(&self, deadline: Instant) -> bool {
        let mut state = self.shared.lock();
        while state.under_way {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Ends the thread, which gives back the consumer; one that hangs in a commit is left behind.
    pub fn end(&self) {
        let mut state = self.shared.lock();
        state.requests = None;
        let thread = state.thread.take().filter(|_| !state.under_way);
        drop(state);
        // An error is the thread's panic, which has been reported.
        let _ended = thread.map(JoinHandle::join);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve<C: ConsumerContext>(
        &self,
        consumer: &BaseConsumer<C>,
        requests: &Receiver<TopicPartitionList>,
    ) {
        for offsets in requests {
            let sent = Instant::now();
            let outcome = consumer.commit(&offsets, CommitMode::Sync);
            let mut state = self.lock();
            state.under_way = false;
            state.succeeded = outcome.is_ok().then_some(sent);
            state.failure = outcome.err();
            self.changed.notify_all();
        }
    }
}

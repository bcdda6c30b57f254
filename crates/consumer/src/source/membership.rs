//! Whether this member still belongs to its consumer group, as far as time can tell.

use std::time::{Duration, Instant};

/// Whether the group still counts on this member, as far as time can tell.
///
/// librdkafka knows a lost assignment, but forgets it in a rebalance that follows
/// (librdkafka#5604).
#[derive(Debug)]
pub(super) struct Membership {
    session_timeout: Duration,
    last_poll: Instant,
    doubtful_since: Option<Instant>,
}

impl Membership {
    /// Makes a member that polls now.
    pub(super) fn new(session_timeout: Duration, now: Instant) -> Self {
        Self { session_timeout, last_poll: now, doubtful_since: None }
    }

    /// Notes that the group is about to be heard.
    pub(super) fn polling(&mut self, now: Instant) {
        if self.stood_still(now) {
            self.doubtful_since = Some(now);
        }
        self.last_poll = now;
    }

    /// Notes that the group took something of this member that was sent at `sent`.
    pub(super) fn confirmed(&mut self, sent: Instant) {
        self.doubtful_since.take_if(|since| *since < sent);
    }

    fn stood_still(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_poll) > self.session_timeout
    }

    /// Tells whether the member may have been expelled: it stood still for longer than the session
    /// timeout, and nothing it sent since has been taken.
    pub(super) fn is_doubtful(&self, now: Instant) -> bool {
        self.doubtful_since.is_some() || self.stood_still(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I4: standing still for too long is as good as a loss, until the group says otherwise.
    #[test]
    fn a_member_that_stood_still_is_doubtful_until_a_commit_works() {
        let (start, timeout) = (Instant::now(), Duration::from_secs(10));
        let mut membership = Membership::new(timeout, start);
        membership.polling(start + timeout);
        assert!(!membership.is_doubtful(start + timeout));
        let awake = start + 3 * timeout;
        assert!(membership.is_doubtful(awake), "within a poll");
        membership.polling(awake);
        membership.polling(awake + timeout / 2);
        assert!(membership.is_doubtful(awake + timeout / 2), "between two polls");
        membership.confirmed(start);
        assert!(membership.is_doubtful(awake + timeout / 2), "a commit of before says nothing");
        membership.confirmed(awake + timeout / 2);
        assert!(!membership.is_doubtful(awake + timeout / 2));
    }
}

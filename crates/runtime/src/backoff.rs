//! How long to wait before trying again: exponential with full jitter, so that many clients spread
//! out.

use std::time::Duration;

use rand::{Rng, RngExt};

/// Growing random delays between two bounds.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    /// Starts with delays up to `base`, which double with each attempt up to `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max, attempts: 0 }
    }

    /// Returns how many delays were handed out.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the next delay.
    pub fn next_delay(&mut self) -> Duration {
        let delay = full_jitter(self.base, self.max, self.attempts, &mut rand::rng());
        self.attempts = self.attempts.saturating_add(1);
        delay
    }
}

/// Returns the delay after so many earlier failures, drawn evenly between nothing and the current
/// bound ("full jitter", Brooker 2015).
pub fn full_jitter(
    base: Duration,
    max: Duration,
    failures: u32,
    random: &mut impl Rng,
) -> Duration {
    let bound = base.saturating_mul(2_u32.saturating_pow(failures)).min(max);
    bound.mul_f64(random.random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_bound_and_never_pass_it() {
        let (base, max) = (Duration::from_millis(10), Duration::from_secs(2));
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let mut backoff = Backoff::new(base, max);
            assert!(backoff.next_delay() <= base);
            for _ in 0..40 {
                longest = longest.max(backoff.next_delay());
            }
        }
        assert!(longest <= max && longest > max / 2, "the longest delay is {longest:?}");
    }
}

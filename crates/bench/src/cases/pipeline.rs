//! The highest rate that the whole pipeline keeps up with: searched, then held for a minute.

use anyhow::{Result, bail};

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::flow::{self, Flow};
use crate::report::Sample;

/// Where the search begins, in readings a second.
const RATE_FIRST: f64 = 60_000.0;
/// By how much the search goes up or down as long as it knows one side only.
const STEP: f64 = 1.3;
/// How exactly the limit is wanted: the next rate that fails is no more than this above.
const PRECISION: f64 = 1.07;
const RATE_MIN: f64 = 2_000.0;
const RATE_MAX: f64 = 1_000_000.0;
/// How far a rate is lowered that was kept for a short time and not for a long one.
const RETREAT: f64 = 0.9;
const HOLDS_MAX: usize = 5;

/// Producer, both servers and consumer on the same cores.
#[derive(Default)]
pub(super) struct Pipeline {
    tries: Vec<String>,
}

/// What a search knows: the highest rate that was flat, and the lowest that was not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Known {
    flat: Option<f64>,
    not_flat: Option<f64>,
}

impl Known {
    /// Returns the rate to try next; `None` when the limit is known.
    fn next(self) -> Option<f64> {
        match (self.flat, self.not_flat) {
            (None, None) => Some(RATE_FIRST),
            (Some(flat), None) => (flat < RATE_MAX).then(|| (flat * STEP).min(RATE_MAX)),
            (None, Some(not_flat)) => {
                (not_flat > RATE_MIN).then(|| (not_flat / STEP).max(RATE_MIN))
            }
            (Some(flat), Some(not_flat)) if not_flat / flat <= PRECISION => None,
            (Some(flat), Some(not_flat)) => Some((flat * not_flat).sqrt()),
        }
    }
}

impl Pipeline {
    fn attempt(&mut self, bench: &mut Bench, rate: f64, seconds: u64) -> Result<Flow> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e6")]
        let mut pipeline = flow::Pipeline::start(bench, rate.round() as u64)?;
        pipeline.settle()?;
        let flow = pipeline.measure(seconds)?;
        let told = format!("{seconds} s at {}", flow.describe());
        println!("    {told}");
        self.tries.push(told);
        Ok(flow)
    }

    /// One bad moment of the machine is no limit: a rate that fails gets a second try.
    fn is_flat(&mut self, bench: &mut Bench, rate: f64, seconds: u64) -> Result<bool> {
        Ok(self.attempt(bench, rate, seconds)?.is_flat()
            || self.attempt(bench, rate, seconds)?.is_flat())
    }
}

impl Case for Pipeline {
    fn name(&self) -> &'static str {
        "pipeline"
    }

    fn about(&self) -> &'static str {
        "the highest rate with a flat lag, everything on the same cores; what each part costs then"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 90 } else { 330 }
    }

    fn rounds(&self, _: bool) -> usize {
        1
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        bench.servers()?;
        Ok(vec![Variant::ours("pipeline", "one producer, one Kafka, one consumer, one Cassandra")])
    }

    fn run(&mut self, bench: &mut Bench, _: &Variant) -> Result<Sample> {
        let seconds = bench.size(15, 5);
        let mut known = Known::default();
        while let Some(rate) = known.next() {
            if self.is_flat(bench, rate, seconds)? {
                known.flat = Some(rate);
            } else {
                known.not_flat = Some(rate);
            }
        }
        let Some(mut rate) = known.flat else { bail!("not even {RATE_MIN}/s is kept up with") };
        for _ in 0..HOLDS_MAX {
            let flow = self.attempt(bench, rate, bench.size(60, 10))?;
            if flow.is_flat() {
                let mut sample = flow.sample;
                bench.sustained_per_s = Some(rate);
                sample.insert("sustained_per_s".into(), rate);
                return Ok(sample);
            }
            rate *= RETREAT;
        }
        bail!("no rate is kept up with for long; the last one was {rate:.0}/s")
    }

    fn notes(&self) -> Vec<String> {
        self.tries.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the search ends at the limit. Method: limits of all sizes, told only yes or no.
    #[test]
    fn the_search_finds_any_limit_in_few_tries() {
        for limit in [2_500.0, 9_000.0, 59_000.0, 61_000.0, 100_000.0, 480_000.0] {
            let mut known = Known::default();
            let mut tries = 0;
            while let Some(rate) = known.next() {
                tries += 1;
                assert!(tries < 20, "{limit}: {known:?}");
                let side = if rate <= limit { &mut known.flat } else { &mut known.not_flat };
                *side = Some(rate);
            }
            let found = known.flat.unwrap();
            assert!(found <= limit && limit < found * PRECISION, "{limit}: {known:?}");
        }
    }

    #[test]
    fn a_search_without_a_limit_ends() {
        let flat = Known { flat: Some(RATE_MAX), not_flat: None };
        assert_eq!(flat.next(), None);
        let not_flat = Known { flat: None, not_flat: Some(RATE_MIN) };
        assert_eq!(not_flat.next(), None);
    }
}

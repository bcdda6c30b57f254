//! A case: things that run side by side, taking turns, so that whatever the machine does hits all
//! of them.

use std::time::Instant;

use anyhow::Result;

use crate::bench::Bench;
use crate::report::{CaseReport, Sample, VariantReport};
use crate::show;

/// One of the things that run side by side.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The name, unique in its case.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub about: &'static str,
    /// It is not of this build.
    pub is_control: bool,
    /// Why it cannot run here.
    pub skipped: Option<String>,
}

impl Variant {
    /// One of this build.
    pub fn ours(name: &'static str, about: &'static str) -> Self {
        Self { name, about, is_control: false, skipped: None }
    }

    /// One for comparison.
    pub fn control(name: &'static str, about: &'static str) -> Self {
        Self { is_control: true, ..Self::ours(name, about) }
    }

    /// The same, unless something that it needs could not be made: then the error is the reason.
    #[must_use]
    pub fn unless<T>(mut self, made: &Result<T>) -> Self {
        self.skipped = made.as_ref().err().map(|error| format!("{error:#}"));
        self
    }
}

/// What is measured side by side.
pub trait Case {
    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// What is measured, in a sentence.
    fn about(&self) -> &'static str;

    /// About how long the case takes on two cores, in seconds.
    fn expected_s(&self, quick: bool) -> u32;

    /// How often each variant has its turn.
    fn rounds(&self, quick: bool) -> usize;

    /// Makes whatever all turns share, and says who takes part.
    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>>;

    /// Takes one turn.
    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample>;

    /// Says what happened that the samples do not tell.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Plays a case. A variant that fails is left out from then on, with the reason; only the wish to
/// stop ends the case.
pub fn play(case: &mut dyn Case, bench: &mut Bench) -> Result<CaseReport> {
    let started = Instant::now();
    println!("{}: {}", case.name(), case.about());
    let mut report = CaseReport {
        name: case.name().into(),
        about: case.about().into(),
        variants: Vec::new(),
        notes: Vec::new(),
        wall_s: 0.0,
    };
    let variants = match case.prepare(bench) {
        Ok(variants) => variants,
        Err(error) => {
            bench.stop.check()?;
            println!("  failed: {error:#}");
            report.notes.push(format!("{FAILED}{error:#}"));
            return Ok(report);
        }
    };
    for Variant { name, about, is_control, skipped } in variants.clone() {
        if let Some(reason) = &skipped {
            println!("  {name} is left out: {reason}");
        }
        let (name, about) = (name.to_owned(), about.to_owned());
        report.variants.push(VariantReport { name, about, is_control, samples: vec![], skipped });
    }
    let rounds = bench.rounds.unwrap_or_else(|| case.rounds(bench.quick));
    for round in 1..=rounds {
        let turns = variants.iter().zip(&mut report.variants);
        for (variant, told) in there_and_back(round, turns) {
            if told.skipped.is_some() {
                continue;
            }
            match case.run(bench, variant) {
                Ok(sample) => {
                    println!("  {round}/{rounds} {:<22} {}", variant.name, show::sample(&sample));
                    told.samples.push(sample);
                }
                Err(error) => {
                    bench.stop.check()?;
                    println!("  {round}/{rounds} {:<22} failed: {error:#}", variant.name);
                    told.skipped = Some(format!("{FAILED}{error:#}"));
                }
            }
        }
    }
    report.notes = case.notes();
    report.wall_s = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Puts the turns of every second round in reverse order: servers that warm up as time goes on
/// favour nobody then.
fn there_and_back<T>(round: usize, turns: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut turns: Vec<T> = turns.into_iter().collect();
    if round.is_multiple_of(2) {
        turns.reverse();
    }
    turns
}

/// How a reason begins that is no peculiarity of the machine.
const FAILED: &str = "failed: ";

/// Tells whether anything failed that was to be measured.
pub fn has_failed(report: &CaseReport) -> bool {
    let reasons = report.variants.iter().filter_map(|variant| variant.skipped.as_ref());
    reasons.chain(&report.notes).any(|reason| reason.starts_with(FAILED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_two_rounds_everybody_is_as_late_on_average() {
        let order: Vec<char> =
            (1..=2).flat_map(|round| there_and_back(round, "abc".chars())).collect();
        assert_eq!(order, ['a', 'b', 'c', 'c', 'b', 'a']);
    }
}

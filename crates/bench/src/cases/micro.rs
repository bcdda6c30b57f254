//! The micro-benchmarks of the crates, as their own harness (criterion) measures them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::case::{Case, Variant};
use crate::process::finish;
use crate::report::Sample;

const TIMEOUT: Duration = Duration::from_mins(2);

/// Generation, encoding, decoding, grouping, ledger.
pub(super) struct Micro;

impl Case for Micro {
    fn name(&self) -> &'static str {
        "micro"
    }

    fn about(&self) -> &'static str {
        "single steps for one reading on one core: median time of each"
    }

    fn expected_s(&self, quick: bool) -> u32 {
        if quick { 15 } else { 60 }
    }

    fn rounds(&self, quick: bool) -> usize {
        if quick { 1 } else { 3 }
    }

    fn prepare(&mut self, bench: &mut Bench) -> Result<Vec<Variant>> {
        let steps = [
            ("generation", "a reading with its JSON, by kind of sensor"),
            ("contract", "the JSON written, and read and checked"),
            (
                "pipeline",
                "the consumer's core: decoding, grouping and the ledger together, and the ledger \
                 alone",
            ),
        ];
        let variant = |(name, about)| {
            let found = bench.program(&program(name)).map(|_| ());
            Variant::ours(name, about).unless(&found)
        };
        Ok(steps.map(variant).to_vec())
    }

    fn run(&mut self, bench: &mut Bench, variant: &Variant) -> Result<Sample> {
        let home = bench.folder().join(format!("criterion-{}", variant.name));
        let seconds = bench.size("1", "0.3");
        let mut command = Command::new(bench.program(&program(variant.name))?);
        command.args(["--bench", "--warm-up-time", "0.5", "--measurement-time", seconds]);
        // Where it stands otherwise depends on where it is started.
        command.env("CRITERION_HOME", &home);
        let mut harness = bench.spawn_plain("criterion", command)?;
        finish(&mut harness, TIMEOUT, &bench.stop, |_| {})?;
        let sample = medians(&home)?;
        ensure!(!sample.is_empty(), "criterion left nothing in {}", home.display());
        Ok(sample)
    }
}

/// Returns the name of the program that measures a step.
fn program(step: &str) -> String {
    format!("micro-{step}")
}

/// Reads what criterion has left: a folder for each group, and one in it for each function.
fn medians(home: &Path) -> Result<Sample> {
    let mut sample = Sample::new();
    for group in fs::read_dir(home).with_context(|| format!("{} is not there", home.display()))? {
        let group = group?.path();
        if !group.is_dir() {
            continue;
        }
        for function in fs::read_dir(&group)? {
            let function = function?;
            let estimates = function.path().join("new/estimates.json");
            let Ok(text) = fs::read(&estimates) else { continue };
            let value: Value = serde_json::from_slice(&text)?;
            let median_ns = value["median"]["point_estimate"].as_f64();
            let median_ns = median_ns.with_context(|| format!("{} ?", estimates.display()))?;
            sample.insert(format!("{}_ns", function.file_name().to_string_lossy()), median_ns);
        }
    }
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_found_by_group_and_function() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("contract/decode/new");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(home.path().join("report")).unwrap();
        let text = r#"{"mean": {"point_estimate": 9.0}, "median": {"point_estimate": 412.5}}"#;
        fs::write(folder.join("estimates.json"), text).unwrap();
        assert_eq!(medians(home.path()).unwrap(), Sample::from([("decode_ns".into(), 412.5)]));
    }
}

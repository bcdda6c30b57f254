//! The fault matrix: each case does one thing to the released programs or their servers under load,
//! and the audit and a watcher of I1 say what became of the readings.

mod cases;
mod clock;
mod health;
mod heavy;
mod letters;
mod member;
mod outcome;
mod poison;
mod scene;
mod servers;
mod topics;
mod watcher;
mod windows;

use std::time::Instant;

use anyhow::{Result, anyhow};
use domain::partitioner::murmur2;

pub use outcome::{Outcome, table};
pub use poison::repair;
pub use scene::Scene;
pub use servers::Servers;
use watcher::Watcher;

/// One line of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Short name, for the command line and the table.
    pub name: &'static str,
    /// What happens, in one sentence.
    pub about: &'static str,
    /// Numbers of nodes of each kind that it is played on.
    pub nodes: &'static [usize],
    /// Plays only when it is asked for by name, or with all the heavy ones.
    pub heavy: bool,
    play: fn(&mut Scene<'_>) -> Result<()>,
}

/// Makes a case for one node of each server, which plays unasked.
const fn ordinary(
    name: &'static str,
    about: &'static str,
    play: fn(&mut Scene<'_>) -> Result<()>,
) -> Case {
    Case { name, about, nodes: &[1], heavy: false, play }
}

/// Returns all cases, in the order in which they are played.
pub fn all() -> Vec<Case> {
    [
        cases::ALL,
        topics::ALL,
        clock::ALL,
        health::ALL,
        cases::CLUSTER,
        poison::ALL,
        heavy::ALL,
        windows::ALL,
    ]
    .concat()
}

/// Plays a case on servers that are well, and leaves them well.
pub fn play(case: &Case, servers: &Servers, seed: u64) -> Outcome {
    let start = Instant::now();
    // A case has the same random moments whatever is played before it.
    let own_seed = seed ^ u64::from(murmur2(case.name.as_bytes()));
    let mut outcome = Outcome::new(case.name, servers.nodes, seed);
    match Scene::new(servers, own_seed) {
        Ok(scene) => direct(case, scene, &mut outcome),
        Err(error) => outcome.fail(&error),
    }
    if let Err(error) = servers.restore() {
        outcome.fail(&error.context("the servers are not well afterwards"));
    }
    outcome.duration = start.elapsed();
    outcome
}

fn direct(case: &Case, mut scene: Scene<'_>, outcome: &mut Outcome) {
    let watcher = Watcher::start(scene.trial());
    let played = (case.play)(&mut scene).and_then(|()| scene.conclude());
    if let Err(error) = played {
        outcome.fail(&error);
        if scene.counts().settled.is_none()
            && let Err(error) = scene.take_stock()
        {
            outcome.fail(&error.context("no figures"));
        }
    }
    let findings = watcher.findings();
    scene.tell(outcome);
    match findings {
        Ok(findings) => {
            outcome.watched = findings.checked;
            outcome.violations = findings.violations;
            for example in findings.examples {
                outcome.fail(&anyhow!("I1: {example}"));
            }
            if findings.checked == 0 {
                outcome.fail(&anyhow!("the watcher of I1 saw no committed offset"));
            }
        }
        Err(error) => outcome.fail(&error),
    }
    if !outcome.failures.is_empty() {
        outcome.logs = Some(scene.keep_logs());
    }
}

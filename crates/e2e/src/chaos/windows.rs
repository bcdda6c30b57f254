//! Analytics processes are killed, and their tables must be those of a process that was left alone.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use up::Program;

use super::Case;
use super::scene::{PATIENCE, Scene};
use crate::topic;
use crate::windows::{self, Side};

/// All of them.
pub(super) const ALL: &[Case] = &[Case {
    name: "windows-kills-20",
    about: "20 times one of one to three analytics processes is killed, in a run of two million",
    nodes: &[1],
    heavy: true,
    play: kills,
}];

/// Longest wait for the tables to be complete.
const COMPLETE_TIMEOUT: Duration = Duration::from_mins(5);

fn kills(scene: &mut Scene<'_>) -> Result<()> {
    const KILLS: u32 = 20;
    windows::prepare(scene.trial_mut(), 2_000_000, "bounded:15")?;
    let disturbed = Side::new(scene.trial(), "disturbed")?;
    scene.start_consumer()?;
    scene.start_producer()?;

    let mut members = vec![start(scene, &disturbed, 0)?];
    for kill in 1..=KILLS {
        // One, then three, then two: each with a third of the kills.
        let wanted = [1, 3, 2][usize::try_from((kill - 1) * 3 / KILLS)?];
        for extra in members.len()..wanted {
            members.push(start(scene, &disturbed, kill * 10 + u32::try_from(extra)?)?);
        }
        while members.len() > wanted {
            end(members.remove(0))?;
        }
        scene.pass_up_to(Duration::from_secs(2))?;
        let victim = scene.below(members.len());
        members.remove(victim).kill()?;
        members.push(start(scene, &disturbed, kill * 10)?);
    }
    ensure!(!scene.producer()?.is_done(), "the run was over before the last kill");
    scene.await_producer()?;

    let bootstrap_servers = scene.trial().setting("KAFKA_BOOTSTRAP_SERVERS").to_owned();
    let records = topic::count(&bootstrap_servers, scene.trial().topic())?;
    let late = disturbed.await_all(&mut members, records, COMPLETE_TIMEOUT)?;
    members.into_iter().try_for_each(end)?;

    let undisturbed = Side::new(scene.trial(), "undisturbed")?;
    let since = Instant::now();
    let mut only = [undisturbed.start(scene.trial(), "undisturbed")?];
    undisturbed.await_all(&mut only, records, COMPLETE_TIMEOUT)?;
    let took = since.elapsed();
    only.into_iter().try_for_each(end)?;
    let sizes = disturbed.compare(&undisturbed)?;
    let repeated = disturbed.alerts_repeated()?;
    let published = disturbed.late_published()?;
    scene.note(format!(
        "equal to an undisturbed run over {records} records, which took {took:.0?}: {sizes:?}; \
         {late} late, {repeated} alerts said again"
    ));
    ensure!(published as u64 == late, "{published} late readings were published, not {late}");
    Ok(())
}

/// Starts a process and waits until it takes in readings, or has none to take in.
fn start(scene: &mut Scene<'_>, side: &Side, number: u32) -> Result<Program> {
    let mut program = side.start(scene.trial(), &format!("analytics-{number:03}"))?;
    let mut has_work = false;
    scene.until("an analytics process is at work", PATIENCE, |scene| {
        while let Some(line) = program.next_line(Duration::ZERO) {
            has_work |= windows::has_work(&line);
        }
        Ok(has_work || scene.producer()?.is_done())
    })?;
    Ok(program)
}

fn end(mut program: Program) -> Result<()> {
    let status = program.stop(Duration::from_secs(10)).context("an analytics process stops")?;
    ensure!(status.success(), "{status}{}", program.last_lines());
    Ok(())
}

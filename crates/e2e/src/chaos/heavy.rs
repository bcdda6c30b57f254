//! The heavy cases: long, or large. Each reports all its figures, also when one is not as it should
//! be.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::scene::{PATIENCE, Scene};
use super::{Case, letters};

/// All of them.
pub(super) const ALL: &[Case] = &[
    heavy("kills-100", "100 times one of four consumers is killed, in a run of a million", kills),
    heavy("outage-3min", "Cassandra is away for 3 minutes at 20 000 readings/s", outage),
    heavy("clean-handover", "one of three consumers is asked to stop under load", handover),
];

const fn heavy(
    name: &'static str,
    about: &'static str,
    play: fn(&mut Scene<'_>) -> Result<()>,
) -> Case {
    Case { name, about, nodes: &[1], heavy: true, play }
}

fn kills(scene: &mut Scene<'_>) -> Result<()> {
    const KILLS: u32 = 100;
    scene.set("PRODUCER_TARGET_RATE", 5_000);
    scene.set("PRODUCER_READINGS", 1_000_000);
    for _ in 0..4 {
        scene.start_consumer()?;
    }
    scene.start_producer()?;
    scene.await_rows(1)?;
    for _ in 0..KILLS {
        scene.pass_up_to(Duration::from_secs(1))?;
        scene.until("a consumer is at work", PATIENCE, |scene| {
            Ok(scene.consumers().iter().any(|consumer| consumer.rows() > 0))
        })?;
        let at_work: Vec<usize> = scene
            .consumers()
            .iter()
            .enumerate()
            .filter_map(|(index, consumer)| (consumer.rows() > 0).then_some(index))
            .collect();
        let index = scene.below(at_work.len());
        scene.kill_consumer(at_work[index])?;
        scene.start_consumer()?;
    }
    scene.note(format!("{KILLS} consumers killed that had written rows"));
    scene.await_producer()
}

fn outage(scene: &mut Scene<'_>) -> Result<()> {
    const RATE: u32 = 20_000;
    const OUTAGE: Duration = Duration::from_mins(3);
    const RESIDENT_MIB_MAX: u64 = 256;
    const FIRST_ROW_MAX: Duration = Duration::from_secs(5);
    const DRAIN_TIMEOUT: Duration = Duration::from_mins(10);
    scene.set("PRODUCER_TARGET_RATE", RATE.into());
    scene.start_consumer()?;
    scene.start_producer()?;
    scene.calm()?;
    let away = Instant::now();
    let cassandra = scene.servers().stack.cassandra(0);
    cassandra.kill()?;
    scene.until("the outage is over", OUTAGE + PATIENCE, |_| Ok(away.elapsed() >= OUTAGE))?;
    cassandra.start()?;
    let recovered = scene.recover_within(DRAIN_TIMEOUT);
    let mut peak_kib = 0;
    for consumer in scene.consumers() {
        peak_kib = peak_kib.max(consumer.resident_peak_kib()?);
    }
    let mut rebalances = 0;
    for message in ["partitions assigned", "partitions lost", "partitions handed over"] {
        let consumers = scene.consumers().iter();
        rebalances += consumers.map(|one| one.said(message, away).count()).sum::<usize>();
    }
    let resident_mib = peak_kib / 1024;
    let first_row = scene.first_row();
    let rows_per_s = scene.recovery_rows_per_s();
    let letters = letters::read(
        scene.trial().setting("KAFKA_BOOTSTRAP_SERVERS"),
        scene.trial().setting("KAFKA_DLQ_TOPIC_NAME"),
    )?;
    scene.note(format!(
        "resident {resident_mib} MiB at most, {rebalances} rebalances, {} dead letters, \
         first row {first_row:?} after Cassandra was ready, then {rows_per_s:.0} rows/s, \
         {:.1} x the input",
        letters.len(),
        rows_per_s / f64::from(RATE)
    ));
    recovered?;
    ensure!(resident_mib <= RESIDENT_MIB_MAX, "more than {RESIDENT_MIB_MAX} MiB resident");
    ensure!(rebalances == 0, "the consumer did not keep its partitions");
    ensure!(letters.is_empty(), "an outage made dead letters");
    ensure!(first_row.is_some_and(|took| took <= FIRST_ROW_MAX), "the first row came late");
    ensure!(rows_per_s >= 3.0 * f64::from(RATE), "the backlog is drained slowly");
    Ok(())
}

fn handover(scene: &mut Scene<'_>) -> Result<()> {
    const HANDOVER_MAX: Duration = Duration::from_secs(3);
    for _ in 0..3 {
        scene.start_consumer()?;
    }
    scene.start_producer()?;
    scene.flow(2)?;
    scene.await_shared()?;
    scene.calm()?;
    let index = scene.below(3);
    let asked = Instant::now();
    scene.consumers()[index].signal(Signal::SIGTERM)?;
    let mut leaver = scene.consumers().remove(index);
    scene.until("the others have all partitions", PATIENCE, |scene| {
        // The last number that each one gave: when partitions came or in its progress.
        let owned = |one: &super::member::Member| {
            let assigned = one.said("partitions assigned", asked).last();
            assigned.and_then(|(_, line)| line.number("owned")).unwrap_or(0.0)
        };
        leaver.listen();
        Ok((scene.consumers().iter().map(owned).sum::<f64>() - 12.0).abs() < 0.5)
    })?;
    let took = asked.elapsed();
    scene.leave(leaver)?;
    scene.recover()?;
    scene.stop_producer()?;
    scene.prove()?;
    while !scene.consumers().is_empty() {
        scene.stop_consumer(0)?;
    }
    let duplicates = scene.rows().saturating_sub(scene.counts().stored);
    scene.note(format!("handed over in {took:?}, {duplicates} rows written twice"));
    ensure!(took <= HANDOVER_MAX, "the handover took {took:?}");
    ensure!(duplicates == 0, "{duplicates} rows were written twice");
    Ok(())
}

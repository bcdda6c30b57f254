//! Whole histories of a topic, computed twice: by processes that crash, fall behind and hand
//! partitions over, and in one go by the [`oracle`]. The tables have to be the same.
//!
//! A seed decides everything. docs/testing.md says how to try more of them, or one again.

mod history;
mod oracle;
mod process;
mod rules;
mod store;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::Timing;
use crate::detect::Policy;
use history::Topic;
use process::{Process, Tally};
use store::Store;

const SEEDS: u64 = 1_000;
const PROCESSES: usize = 3;

/// What must happen in a thousand seeds, and at least how often: or the simulation has become
/// toothless.
const COVERAGE: [(&str, u64); 17] = [
    ("alerts", 1_500),
    ("amended", 3_000),
    ("clock ahead", 300),
    ("crash", 2_000),
    ("crash while writing", 1_000),
    ("duplicate", 3_000),
    ("handed over", 3_000),
    ("invalid", 500),
    ("late", 3_000),
    ("missed", 100),
    ("movement", 100),
    ("not believed", 10_000),
    ("provisional", 300),
    ("replayed", 30_000),
    ("silent", 2_000),
    ("withdrawn", 5),
    ("zombie wrote", 50),
];

fn timing() -> Timing {
    Timing {
        window_ms: 60_000,
        rollup_ms: 300_000,
        out_of_order_ms: 5_000,
        lateness_ms: 60_000,
        clock_ahead_max_ms: 60_000,
    }
}

/// The policy of the repository, but that movement without end is found within a history.
fn policy() -> Policy {
    let text = include_str!("../../../../infra/analytics/rules.toml");
    Policy::parse(&text.replace("for_windows = 45", "for_windows = 3")).unwrap()
}

/// Plays one history; panics where the tables are not those of the oracle.
fn play(seed: u64, policy: &Arc<Policy>) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let topic = Topic::draw(&mut random);
    let mut store = Store::new(topic.partitions.len());
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| Process::new(policy)).collect();
    let mut tally = Tally::default();
    // Partitions begin with somebody, and go on from one to the other.
    for partition in 0..topic.partitions.len() {
        let owner = random.random_range(0..PROCESSES);
        processes[owner].assign(partition, &store);
    }
    let steps = random.random_range(50..400);
    for _ in 0..steps {
        step(&mut processes, &topic, &mut store, &mut random, &mut tally);
    }
    // Nothing happens any more: one process reads everything to its end, twice, since what a dead
    // one said may be left to settle.
    for _ in 0..2 {
        processes.iter_mut().for_each(Process::crash);
        for partition in 0..topic.partitions.len() {
            processes[0].assign(partition, &store);
            processes[0].read(partition, &topic, usize::MAX, &mut tally);
        }
        processes[0].fall_silent(&mut tally);
        processes[0].write_all(&mut store, &mut tally);
    }
    store.check(&oracle::compute(&topic, policy));
    for (partition, records) in topic.partitions.iter().enumerate() {
        let counts = store.bookmark(partition).counts;
        assert!(counts.are_conserved(), "{counts:?}");
        assert_eq!(counts.taken, records.len() as u64, "every record is counted once");
    }
    tally
}

fn step(
    processes: &mut [Process],
    topic: &Topic,
    store: &mut Store,
    random: &mut StdRng,
    tally: &mut Tally,
) {
    let number = random.random_range(0..processes.len());
    match random.random_range(0..100) {
        // Most of the time somebody reads.
        0..60 => {
            let owned = processes[number].owned();
            if let Some(partition) = owned.get(random.random_range(0..owned.len().max(1))) {
                let records = random.random_range(1..40);
                processes[number].read(*partition, topic, records, tally);
            }
        }
        60..82 => processes[number].write_all(store, tally),
        // Which silence it takes for an end is up to the clock, and clocks jump.
        82..88 => processes[number].fall_silent(tally),
        88..91 => {
            processes[number].write_some(store, random, tally);
            restart(processes, number, store, tally);
        }
        91..93 => restart(processes, number, store, tally),
        93..98 => hand_over(processes, number, store, random, tally),
        // A process that was forgotten writes what it has, and does not know better.
        _ => processes[number].write_as_zombie(store, tally),
    }
}

fn restart(processes: &mut [Process], number: usize, store: &Store, tally: &mut Tally) {
    tally.add("crash", 1);
    let owned = processes[number].owned();
    processes[number].crash();
    for partition in owned {
        processes[number].assign(partition, store);
    }
}

fn hand_over(
    processes: &mut [Process],
    from: usize,
    store: &mut Store,
    random: &mut StdRng,
    tally: &mut Tally,
) {
    let owned = processes[from].owned();
    let Some(partition) = owned.get(random.random_range(0..owned.len().max(1))) else {
        return;
    };
    let to = random.random_range(0..processes.len());
    if to == from {
        return;
    }
    tally.add("handed over", 1);
    if random.random_bool(0.5) {
        processes[from].write_all(store, tally);
    }
    processes[from].lose(*partition);
    processes[to].assign(*partition, store);
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn a_thousand_histories_are_computed_as_in_one_go() {
    let first = variable("ANALYTICS_SEED").unwrap_or(0);
    let seeds = variable("ANALYTICS_SEEDS").unwrap_or(SEEDS);
    let policy = Arc::new(policy());
    let workers = thread::available_parallelism().map_or(1, |count| count.get() as u64);
    let run = |worker: u64| {
        let mut tally = Tally::default();
        for seed in (first..first + seeds).filter(|seed| seed % workers == worker) {
            match catch_unwind(AssertUnwindSafe(|| play(seed, &policy))) {
                Ok(more) => tally.merge(&more),
                Err(panic) => {
                    eprintln!("seed {seed} failed: ANALYTICS_SEED={seed} ANALYTICS_SEEDS=1");
                    resume_unwind(panic);
                }
            }
        }
        tally
    };
    let tally = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || run(worker))).collect();
        let mut tally = Tally::default();
        for worker in workers {
            match worker.join() {
                Ok(more) => tally.merge(&more),
                Err(panic) => resume_unwind(panic),
            }
        }
        tally
    });
    println!("{tally}");
    if seeds >= SEEDS {
        for (what, least) in COVERAGE {
            assert!(tally.of(what) >= least, "{what}: {} of {least}; {tally}", tally.of(what));
        }
    }
}

//! A process of the group: owns partitions, reads them, and writes in the order of the service.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::super::{Arrival, Bookmark, Fate, Outcome, Partition};
use super::history::Topic;
use super::store::Store;
use super::timing;
use crate::detect::Policy;

/// What happened, and how often.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    pub(super) fn add(&mut self, what: &'static str, count: usize) {
        *self.0.entry(what).or_default() += count as u64;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.0 {
            write!(f, "{what} {count}  ")?;
        }
        Ok(())
    }
}

/// One process.
#[derive(Debug)]
pub(super) struct Process {
    policy: Arc<Policy>,
    partitions: BTreeMap<usize, Partition>,
    /// Those that somebody else has by now.
    lost: BTreeMap<usize, Partition>,
}

impl Process {
    pub(super) fn new(policy: &Arc<Policy>) -> Self {
        let policy = Arc::clone(policy);
        Self { policy, partitions: BTreeMap::new(), lost: BTreeMap::new() }
    }

    pub(super) fn owned(&self) -> Vec<usize> {
        self.partitions.keys().copied().collect()
    }

    pub(super) fn assign(&mut self, partition: usize, store: &Store) {
        let (bookmark, known) = (store.bookmark(partition), store.known(partition));
        let provisional = store.provisional(partition);
        let policy = Arc::clone(&self.policy);
        let resumed = Partition::resume(timing(), policy, &bookmark, known, provisional);
        self.partitions.insert(partition, resumed);
    }

    pub(super) fn lose(&mut self, partition: usize) {
        if let Some(lost) = self.partitions.remove(&partition) {
            self.lost.insert(partition, lost);
        }
    }

    pub(super) fn crash(&mut self) {
        self.partitions.clear();
        self.lost.clear();
    }

    pub(super) fn read(&mut self, number: usize, topic: &Topic, count: usize, tally: &mut Tally) {
        let Some(partition) = self.partitions.get_mut(&number) else { return };
        let from = usize::try_from(partition.position()).expect("few records");
        for (offset, record) in topic.partitions[number].iter().enumerate().skip(from).take(count) {
            let arrival = Arrival {
                offset: offset as u64,
                arrived_ms: record.arrived_ms,
                reading: record.reading.as_ref(),
            };
            let fate = partition.accept(arrival);
            let limit_ms = partition.watermark_ms().saturating_add(timing().out_of_order_ms);
            let is_held = record.reading.as_ref().is_some_and(|reading| reading.ts > limit_ms);
            tally.add("not believed", usize::from(is_held && fate == Fate::Windowed));
            let what = match fate {
                Fate::Windowed => "windowed",
                Fate::Late(late) => {
                    assert!(late.lateness_ms >= timing().lateness_ms, "{late:?}");
                    "late"
                }
                Fate::Duplicate => "duplicate",
                Fate::Invalid => "invalid",
                Fate::ClockAhead { .. } => "clock ahead",
                Fate::Replayed => "replayed",
            };
            tally.add(what, 1);
        }
    }

    pub(super) fn fall_silent(&mut self, tally: &mut Tally) {
        for partition in self.partitions.values_mut() {
            partition.fall_silent();
            tally.add("silent", 1);
        }
    }

    /// Writes everything, then commits.
    pub(super) fn write_all(&mut self, store: &mut Store, tally: &mut Tally) {
        for (number, partition) in &mut self.partitions {
            let Some((outcome, bookmark)) = partition.take() else { continue };
            write(*number, &outcome, [usize::MAX; 4], store, tally);
            store.commit(*number, &bookmark);
        }
    }

    /// Is interrupted while it writes: each table gets a part of what it should, and only once one
    /// is complete the next one gets anything.
    pub(super) fn write_some(&mut self, store: &mut Store, random: &mut StdRng, tally: &mut Tally) {
        for (number, partition) in &mut self.partitions {
            let Some((outcome, bookmark)) = partition.take() else { continue };
            let Outcome { rows, rollups, alerts, states } = &outcome;
            let lengths = [rows.len(), rollups.len(), alerts.len(), states.len()];
            let complete = random.random_range(0..=4);
            let parts = std::array::from_fn(|phase| match phase.cmp(&complete) {
                std::cmp::Ordering::Less => usize::MAX,
                std::cmp::Ordering::Equal => random.random_range(0..=lengths[phase]),
                std::cmp::Ordering::Greater => 0,
            });
            write(*number, &outcome, parts, store, tally);
            tally.add("crash while writing", 1);
            if complete == 4 && random.random_bool(0.5) {
                store.commit(*number, &bookmark);
            }
        }
    }

    /// Writes for partitions that somebody else has; the group refuses the commit.
    pub(super) fn write_as_zombie(&mut self, store: &mut Store, tally: &mut Tally) {
        for (number, mut partition) in std::mem::take(&mut self.lost) {
            let Some((outcome, Bookmark { .. })) = partition.take() else { continue };
            tally.add("zombie wrote", usize::from(!outcome.is_empty()));
            write(number, &outcome, [usize::MAX; 4], store, tally);
        }
    }
}

/// The order of the service: windows, larger windows, alerts, states.
fn write(
    number: usize,
    outcome: &Outcome,
    [rows, rollups, alerts, states]: [usize; 4],
    store: &mut Store,
    tally: &mut Tally,
) {
    for row in outcome.rows.iter().take(rows) {
        tally.add("amended", usize::from(row.revision > 0));
        store.write_row(row);
    }
    for (site_id, start_ms) in outcome.rollups.iter().take(rollups) {
        store.roll_up(site_id, *start_ms);
    }
    for raised in outcome.alerts.iter().take(alerts) {
        tally.add("alerts", 1);
        tally.add("provisional", usize::from(raised.alert.provisional));
        tally.add("missed", usize::from(raised.alert.rule == "silent"));
        tally.add("movement", usize::from(raised.alert.rule == "motion"));
        let withdrawn = raised.alert.state == domain::alert::AlertState::Withdrawn;
        tally.add("withdrawn", usize::from(withdrawn));
        store.write_alert(raised);
    }
    for state in outcome.states.iter().take(states) {
        store.write_state(number, state);
    }
}

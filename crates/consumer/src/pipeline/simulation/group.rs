//! The group's coordinator: who is a member, which generation it is, who owns which partition.
//!
//! Rebalances are cooperative: a partition is first given up by its owner, then assigned.

use std::collections::BTreeMap;

/// Names one membership of one process: who was expelled joins again as somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemberId(u64);

pub(super) struct Group {
    pub(super) generation: u64,
    members: BTreeMap<usize, MemberId>,
    owners: Vec<Option<usize>>,
    targets: Vec<Option<usize>>,
    ids: u64,
}

impl Group {
    pub(super) fn new(partitions: usize) -> Self {
        Self {
            generation: 0,
            members: BTreeMap::new(),
            owners: vec![None; partitions],
            targets: vec![None; partitions],
            ids: 0,
        }
    }

    pub(super) fn join(&mut self, slot: usize) -> MemberId {
        self.leave(slot);
        self.ids += 1;
        let id = MemberId(self.ids);
        self.members.insert(slot, id);
        self.rebalance();
        id
    }

    /// Ends a membership, of its own will or not: its partitions are free at once.
    pub(super) fn leave(&mut self, slot: usize) {
        if self.members.remove(&slot).is_some() {
            for owner in &mut self.owners {
                owner.take_if(|owner| *owner == slot);
            }
            self.rebalance();
        }
    }

    pub(super) fn is_member(&self, slot: usize, id: MemberId) -> bool {
        self.members.get(&slot) == Some(&id)
    }

    pub(super) fn owns(&self, slot: usize, partition: i32) -> bool {
        self.owners[index(partition)] == Some(slot)
    }

    /// Returns what a member has to give up.
    pub(super) fn to_revoke(&self, slot: usize) -> Vec<i32> {
        self.select(|owner, target| owner == Some(slot) && target != owner)
    }

    /// Returns what is free for a member, which owns it from now on.
    pub(super) fn assign(&mut self, slot: usize) -> Vec<i32> {
        let free = self.select(|owner, target| owner.is_none() && target == Some(slot));
        for partition in &free {
            self.owners[index(*partition)] = Some(slot);
        }
        free
    }

    /// Gives up partitions; the next generation assigns them.
    pub(super) fn release(&mut self, slot: usize, partitions: &[i32]) {
        for partition in partitions {
            self.owners[index(*partition)].take_if(|owner| *owner == slot);
        }
        self.rebalance();
    }

    /// Tells whether everybody has what it should have.
    pub(super) fn is_stable(&self) -> bool {
        !self.members.is_empty() && self.owners == self.targets
    }

    fn select(&self, wanted: impl Fn(Option<usize>, Option<usize>) -> bool) -> Vec<i32> {
        let pairs = self.owners.iter().zip(&self.targets);
        let partitions = (0_i32..).zip(pairs);
        let wanted = partitions.filter(|(_, (owner, target))| wanted(**owner, **target));
        wanted.map(|(partition, _)| partition).collect()
    }

    /// Shares the partitions evenly; whoever has one keeps it if that is fair.
    fn rebalance(&mut self) {
        self.generation += 1;
        if self.members.is_empty() {
            self.targets.fill(None);
            return;
        }
        let most = self.owners.len().div_ceil(self.members.len());
        let mut shares: BTreeMap<usize, usize> =
            self.members.keys().map(|slot| (*slot, 0)).collect();
        for (owner, target) in self.owners.iter().zip(&mut self.targets) {
            *target = owner.filter(|slot| shares.get(slot).is_some_and(|share| *share < most));
            if let Some(slot) = target {
                *shares.entry(*slot).or_default() += 1;
            }
        }
        for target in self.targets.iter_mut().filter(|target| target.is_none()) {
            let least = shares.iter().min_by_key(|(_, share)| **share).map(|(slot, _)| *slot);
            *target = least;
            if let Some(slot) = least {
                *shares.entry(slot).or_default() += 1;
            }
        }
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("the simulation counts partitions from 0")
}

//! Every order of things for a tiny group: two members, a few records, each step of each in any
//! order, with failures, losses and crashes within a budget.
//!
//! States that look the same are looked at once. I1 and I4 are checked at each commit, and from
//! each state the group must be able to finish.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashSet, FxHasher};

use super::ledger::RecordOffset;
use super::record::{DeadLetter, Record, Stream};
use super::*;

/// Event time of the readings, and time of day, epoch milliseconds.
const TS_MS: i64 = 1_764_000_000_000;
/// Records of a partition, by offset: the second is refused by Cassandra, the fourth is no reading.
const RECORDS: [&str; 4] = ["good", "bad", "good", "malformed"];

/// How often things may go wrong on one path.
#[derive(Clone, Copy, Debug, Hash)]
struct Budget {
    failures: u8,
    losses: u8,
    crashes: u8,
    hand_overs: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// A record of the partition is taken in.
    Poll(usize, i32),
    /// Time passes: batches are old enough, a commit is due.
    Tick(usize),
    /// The writes of the partition are hurried.
    Settle(usize, i32),
    /// The write at this position ends with an answer.
    Answer(usize, usize),
    /// It ends without one, and has worked or not.
    Fail(usize, usize, bool),
    /// What may be committed goes on its way.
    SendCommit(usize),
    /// The commit ends: whether it arrives, and whether the member hears so.
    EndCommit(usize, bool, bool),
    /// The partition is taken away in good order, drained or not.
    HandOver(usize, i32),
    /// The group gives the member up; it notices later.
    Expel(usize),
    Notice(usize),
    Assign(usize, i32),
    /// The process dies; whether its writes under way still arrive.
    Crash(usize, bool),
}

#[derive(Clone, Debug)]
struct Member {
    pipeline: Pipeline,
    under_way: Vec<(Ticket, Write)>,
    /// First offset and next one, of each partition that it believes to own.
    positions: Vec<Option<(u64, u64)>>,
    /// The commit under way, with the generation that it was sent in.
    commit: Option<(u64, Vec<Commit>)>,
    expelled: bool,
}

#[derive(Clone, Debug)]
struct State {
    members: Vec<Member>,
    owners: Vec<Option<usize>>,
    generation: u64,
    committed: Vec<u64>,
    /// Partition and offset of what is a row or a dead letter.
    durable: BTreeSet<(i32, u64)>,
    budget: Budget,
}

/// The times at which records come in and at which everything is due.
#[derive(Clone, Copy)]
struct World {
    limits: Limits,
    early: Instant,
    late: Instant,
    records: u64,
}

fn value(partition: i32, offset: u64) -> Vec<u8> {
    let kind = RECORDS[usize::try_from(offset).expect("few")];
    let text = format!(
        r#"{{"sensor_id":"site-{partition}/{kind}","site_id":"site-{partition}","kind":"light",
            "ts":{TS_MS},"value":{offset},"unit":"lx","seq":{offset},"run":"r","status":"ok",
            "location":{{"lat":1.5,"lon":2.5}}}}"#
    );
    text.into_bytes()[usize::from(kind == "malformed")..].to_vec()
}

fn is_refused(write: &Write) -> bool {
    match write {
        Write::Rows(batch) => batch.offsets().any(|offset| offset.0 == 1),
        Write::Site(news) => news.sensors.iter().any(|(id, _)| id.ends_with("bad")),
        Write::DeadLetter(_) => false,
    }
}

fn offsets(write: &Write) -> Vec<u64> {
    match write {
        Write::Rows(batch) => batch.offsets().map(|offset| offset.0).collect(),
        Write::Site(_) => Vec::new(),
        Write::DeadLetter(letter) => vec![letter.offset.0],
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("partitions count from 0")
}

impl State {
    fn new(world: &World, partitions: usize, budget: Budget) -> Self {
        let member = Member::new(world, partitions);
        Self {
            members: vec![member.clone(), member],
            owners: vec![None; partitions],
            generation: 0,
            committed: vec![0; partitions],
            durable: BTreeSet::new(),
            budget,
        }
    }

    /// Returns everything that can happen next.
    fn actions(&self, world: &World) -> Vec<Action> {
        let Budget { failures, losses, crashes, hand_overs } = self.budget;
        let mut actions = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            for (partition, position) in (0_i32..).zip(&member.positions) {
                let owner = self.owners[index(partition)];
                match position {
                    Some((_, next)) => {
                        if *next < world.records {
                            actions.push(Action::Poll(number, partition));
                        }
                        actions.push(Action::Settle(number, partition));
                        if member.commit.is_none() && !member.expelled && hand_overs > 0 {
                            actions.push(Action::HandOver(number, partition));
                        }
                    }
                    None if owner.is_none() && !member.expelled => {
                        actions.push(Action::Assign(number, partition));
                    }
                    None => {}
                }
            }
            for write in 0..member.under_way.len() {
                actions.push(Action::Answer(number, write));
                if failures > 0 {
                    actions.push(Action::Fail(number, write, false));
                    actions.push(Action::Fail(number, write, true));
                }
            }
            if member.commit.is_some() {
                actions.push(Action::EndCommit(number, true, true));
                if failures > 0 {
                    actions.push(Action::EndCommit(number, false, false));
                    actions.push(Action::EndCommit(number, true, false));
                }
            } else {
                actions.push(Action::SendCommit(number));
            }
            let owns = member.positions.iter().any(Option::is_some);
            if member.expelled {
                actions.push(Action::Notice(number));
            } else if owns && losses > 0 {
                actions.push(Action::Expel(number));
            }
            if owns {
                actions.push(Action::Tick(number));
                if crashes > 0 {
                    actions.push(Action::Crash(number, false));
                    actions.push(Action::Crash(number, true));
                }
            }
        }
        actions
    }

    fn act(&mut self, world: &World, action: Action) {
        match action {
            Action::Poll(member, partition) => self.members[member].poll(world, partition),
            Action::Tick(member) => self.members[member].pipeline.tick(world.late),
            Action::Settle(member, partition) => {
                self.members[member].pipeline.settle(&[partition], world.late);
            }
            Action::Answer(member, write) => self.answer(world, member, write),
            Action::Fail(member, write, works) => {
                self.budget.failures -= 1;
                let (ticket, write) = self.members[member].under_way.remove(write);
                if works && !is_refused(&write) {
                    self.write(ticket, &write);
                }
                let pipeline = &mut self.members[member].pipeline;
                pipeline.finish(ticket, write, Ended::Failed, world.early);
            }
            Action::SendCommit(member) => {
                let commits = self.take_commits(member);
                if !commits.is_empty() {
                    self.members[member].commit = Some((self.generation, commits));
                }
            }
            Action::EndCommit(member, arrives, heard) => {
                let (generation, commits) = self.members[member].commit.take().expect("enabled");
                let works = arrives && generation == self.generation;
                if works {
                    self.commit(&commits);
                }
                self.budget.failures -= u8::from(!arrives || !heard);
                if !works || !heard {
                    self.members[member].pipeline.repeat_commits();
                }
            }
            Action::HandOver(member, partition) => {
                self.budget.hand_overs -= 1;
                let commits = self.take_commits(member);
                self.members[member].forget(&[partition]);
                self.commit(&commits);
                self.release(member);
            }
            Action::Expel(member) => {
                self.budget.losses -= 1;
                self.members[member].expelled = true;
                self.release(member);
            }
            Action::Notice(member) => {
                let partitions = self.members[member].pipeline.partitions();
                self.members[member].forget(&partitions);
                self.members[member].expelled = false;
            }
            Action::Assign(member, partition) => {
                let from = self.committed[index(partition)];
                self.owners[index(partition)] = Some(member);
                self.members[member].positions[index(partition)] = Some((from, from));
                self.members[member].pipeline.assign([partition], world.early);
            }
            Action::Crash(member, arrive) => self.crash(world, member, arrive),
        }
        self.members.iter_mut().for_each(|member| member.dispatch(world));
    }

    fn crash(&mut self, world: &World, member: usize, writes_arrive: bool) {
        self.budget.crashes -= 1;
        let fresh = Member::new(world, self.owners.len());
        let old = std::mem::replace(&mut self.members[member], fresh);
        for (ticket, write) in &old.under_way {
            if writes_arrive && !is_refused(write) {
                self.write(*ticket, write);
            }
        }
        self.release(member);
    }

    fn answer(&mut self, world: &World, member: usize, write: usize) {
        let (ticket, write) = self.members[member].under_way.remove(write);
        let ended = if is_refused(&write) {
            Ended::Refused("by the model".into())
        } else {
            self.write(ticket, &write);
            Ended::Durable
        };
        self.members[member].pipeline.finish(ticket, write, ended, world.early);
    }

    fn write(&mut self, ticket: Ticket, write: &Write) {
        if let Write::DeadLetter(letter) = write {
            let reason = [Reason::RefusedByCassandra, Reason::Malformed];
            let expected = reason[usize::from(letter.offset.0 == 3)];
            assert_eq!(letter.rejection.reason, expected, "I5: {letter:?}");
            assert!([1, 3].contains(&letter.offset.0), "I5: {letter:?}");
        }
        self.durable.extend(offsets(write).into_iter().map(|offset| (ticket.partition, offset)));
    }

    /// Gives up everything at the group that the member does not believe to own, or must not.
    fn release(&mut self, member: usize) {
        self.generation += 1;
        let Member { positions, expelled, .. } = &self.members[member];
        for (owner, position) in self.owners.iter_mut().zip(positions) {
            owner.take_if(|owner| *owner == member && (*expelled || position.is_none()));
        }
    }

    fn check_durable(&self, partition: i32, from: u64, next: u64) {
        let open = (from..next).find(|offset| !self.durable.contains(&(partition, *offset)));
        assert_eq!(open, None, "I1: {next} of partition {partition}");
    }

    fn take_commits(&mut self, member: usize) -> Vec<Commit> {
        let commits = self.members[member].pipeline.take_commits();
        for Commit { partition, next } in &commits {
            let position = self.members[member].positions[index(*partition)];
            let (first, end) = position.expect("I4: a commit for a partition that is gone");
            assert!((first..=end).contains(&next.0), "I4: {next:?} is not in {first}..={end}");
            self.check_durable(*partition, first, next.0);
        }
        commits
    }

    fn commit(&mut self, commits: &[Commit]) {
        for Commit { partition, next } in commits {
            self.check_durable(*partition, 0, next.0);
            self.committed[index(*partition)] = next.0;
        }
    }

    /// Ends all trouble and goes on until everything is committed.
    fn finish(mut self, world: &World) {
        self.budget = Budget { failures: 0, losses: 0, crashes: 0, hand_overs: 0 };
        for _ in 0..40 {
            if self.committed.iter().all(|committed| *committed == world.records) {
                let mut pipelines = self.members.iter().map(|member| &member.pipeline);
                if pipelines.all(|one| (one.rows_buffered(), one.dead_letter_bytes()) == (0, 0)) {
                    return;
                }
            }
            for action in self.actions(world) {
                // What one action made possible or impossible is seen in the next round.
                if !matches!(action, Action::Settle(..)) && self.actions(world).contains(&action) {
                    self.act(world, action);
                }
            }
        }
        panic!("the group does not finish: {:?} committed", self.committed);
    }

    /// Returns a number that is the same for states that behave the same.
    fn fingerprint(&self) -> u64 {
        let mut hasher = FxHasher::default();
        (&self.owners, &self.committed, &self.durable, self.budget).hash(&mut hasher);
        for Member { pipeline, under_way, positions, commit, expelled } in &self.members {
            (positions, expelled).hash(&mut hasher);
            format!("{:?}", pipeline.lanes).hash(&mut hasher);
            for (ticket, write) in under_way {
                let lane = pipeline.lanes.get(&ticket.partition);
                let is_stale = lane.is_none_or(|lane| lane.epoch != ticket.epoch);
                let kind = std::mem::discriminant(write);
                (ticket.partition, is_stale, kind, offsets(write)).hash(&mut hasher);
            }
            if let Some((generation, commits)) = commit {
                (self.generation == *generation).hash(&mut hasher);
                for commit in commits {
                    (commit.partition, commit.next).hash(&mut hasher);
                }
            }
        }
        hasher.finish()
    }
}

impl Member {
    fn new(world: &World, partitions: usize) -> Self {
        Self {
            pipeline: Pipeline::new(world.limits, None, 1),
            under_way: Vec::new(),
            positions: vec![None; partitions],
            commit: None,
            expelled: false,
        }
    }

    fn poll(&mut self, world: &World, partition: i32) {
        let Some((_, next)) = &mut self.positions[index(partition)] else {
            return;
        };
        let bytes = value(partition, *next);
        let offset = RecordOffset(*next);
        let (key, value) = (None, Some(&bytes[..]));
        let stream = Stream::Readings;
        let record = Record { stream, partition, offset, timestamp_ms: None, key, value };
        *next += 1;
        match self.pipeline.accept(&record, world.early, TimeOfDay::exactly(TS_MS)) {
            Accepted::Row => {}
            Accepted::Rejected(rejection) => {
                self.pipeline.bury(DeadLetter::new(&record, Vec::new(), 0, rejection));
            }
            other @ (Accepted::Expired { .. } | Accepted::Ignored) => {
                panic!("{record:?} is {other:?}")
            }
        }
    }

    fn dispatch(&mut self, world: &World) {
        while let Some(write) = self.pipeline.next_write(world.late) {
            self.under_way.push(write);
        }
    }

    fn forget(&mut self, partitions: &[i32]) {
        self.pipeline.remove(partitions);
        for partition in partitions {
            self.positions[index(*partition)] = None;
        }
    }
}

/// Explores all orders of up to `depth` actions; returns how many states there were.
fn explore(
    partitions: usize,
    records: u64,
    batch_rows_max: usize,
    budget: Budget,
    depth: usize,
) -> usize {
    let early = Instant::now();
    let limits = Limits {
        batch_rows_max,
        batch_bytes_max: 1 << 20,
        batch_age_max: Duration::from_millis(1),
        writes_in_flight_max: 8,
        rows_buffered_max: 100,
        commit_interval: Duration::ZERO,
        clock_ahead_max: Duration::from_hours(1),
    };
    let world = World { limits, early, late: early + Duration::from_hours(1), records };
    let start = State::new(&world, partitions, budget);
    let mut seen = FxHashSet::from_iter([start.fingerprint()]);
    let mut next = VecDeque::from([(start, Vec::new())]);
    while let Some((state, path)) = next.pop_front() {
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            state.clone().finish(&world);
            if path.len() == depth {
                return Vec::new();
            }
            let actions = state.actions(&world).into_iter();
            let after = actions.map(|action| {
                let mut after = state.clone();
                after.act(&world, action);
                (after, action)
            });
            after.collect()
        }));
        let Ok(after) = checked else {
            panic!("a path fails, or one step beyond it: {path:#?}");
        };
        for (state, action) in after {
            if seen.insert(state.fingerprint()) {
                let path = path.iter().copied().chain([action]).collect();
                next.push_back((state, path));
            }
        }
    }
    println!("{} states", seen.len());
    seen.len()
}

/// One partition of four records, each a write of its own: all orders of 8 actions, of which one
/// is a failure, one a loss, one a crash and one a hand-over.
#[test]
fn any_order_is_safe_with_one_row_a_write() {
    let budget = Budget { failures: 1, losses: 1, crashes: 1, hand_overs: 1 };
    assert!(explore(1, 4, 1, budget, 8) > 4_000);
}

/// The same with two rows a write, of which one is refused.
#[test]
fn any_order_is_safe_with_two_rows_a_write() {
    let budget = Budget { failures: 1, losses: 1, crashes: 1, hand_overs: 1 };
    assert!(explore(1, 4, 2, budget, 8) > 4_000);
}

/// Two partitions of three records each, all orders of 6 actions, of which one is a failure, one a
/// loss and one a hand-over.
#[test]
fn any_order_is_safe_with_two_partitions() {
    let budget = Budget { failures: 1, losses: 1, crashes: 0, hand_overs: 1 };
    assert!(explore(2, 3, 2, budget, 6) > 2_000);
}

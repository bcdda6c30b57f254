//! One process of the group: does around the core what `engine.rs` and `source.rs` do, in virtual
//! time.

mod checks;
mod hand_over;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

use super::super::ledger::RecordOffset;
use super::super::record::{DeadLetter, Record};
use super::super::{Accepted, Commit, Ended, Epoch, Limits, Pipeline, Ticket, Write};
use super::draft::Fate;
use super::group::{Group, MemberId};
use super::servers::{Servers, Timing};
use super::world::{KEY, START_MS, TIME_TO_LIVE};

/// Most records taken in a turn, as in `source.rs`.
const RECORDS_PER_TURN_MAX: usize = 256;

/// What the simulation knows of an assignment of one partition.
#[derive(Clone, Debug)]
struct Taken {
    /// Life of the partition that the core knows of.
    life: u32,
    /// Next offset to fetch.
    position: u64,
    /// First offset taken in.
    first: Option<u64>,
    epoch: Epoch,
    /// Offsets taken in and not done by a write of this very epoch.
    open: BTreeSet<u64>,
}

impl Taken {
    fn new(life: u32, position: u64, epoch: Epoch) -> Self {
        Self { life, position, first: None, epoch, open: BTreeSet::new() }
    }
}

#[derive(Debug)]
enum State {
    Running,
    /// `Engine::drain`.
    Draining {
        partitions: Vec<i32>,
        commits: Vec<Commit>,
        deadline_ms: u64,
        leaving: bool,
    },
    /// `Group::commit_and_wait`.
    Committing {
        commits: Vec<SentCommit>,
        partitions: Vec<i32>,
        sent: bool,
        deadline_ms: u64,
        leaving: bool,
    },
}

/// A commit, and which life of the partition it is about.
pub(super) type SentCommit = (Commit, u32);

/// The commit thread.
#[derive(Debug, Default)]
struct Committer {
    under_way: bool,
    succeeded: bool,
    failed: bool,
}

/// See `runtime::kafka::membership`.
#[derive(Debug)]
struct Membership {
    last_poll_ms: u64,
    doubtful: bool,
}

impl Membership {
    fn is_doubtful(&self, now_ms: u64, timing: &Timing) -> bool {
        self.doubtful || now_ms - self.last_poll_ms > timing.session_timeout_ms
    }
}

/// Whether a process goes on after its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    GoesOn,
    /// It left the group in good order.
    Left,
}

pub(super) struct Process {
    pub(super) slot: usize,
    /// Tells this process from the one that was there before a restart.
    pub(super) run: u64,
    /// From when to when it is stopped by SIGSTOP.
    pub(super) stopped_ms: Range<u64>,
    pub(super) asked_to_stop: bool,
    pub(super) pipeline: Pipeline,
    limits: Limits,
    state: State,
    done: VecDeque<(Ticket, Write, Ended)>,
    lanes: BTreeMap<i32, Taken>,
    committer: Committer,
    membership: Membership,
    id: Option<MemberId>,
    paused: bool,
    blocked_since_ms: Option<u64>,
    rows_under_way: usize,
    writes_under_way: usize,
    letters_under_way: usize,
    /// What it had taken in when it was asked to stop: partitions and next offsets.
    taken_in: Vec<(i32, u64)>,
}

impl Process {
    pub(super) fn new(slot: usize, run: u64, limits: Limits, now_ms: u64) -> Self {
        Self {
            slot,
            run,
            stopped_ms: 0..0,
            asked_to_stop: false,
            pipeline: Pipeline::new(limits, Some(TIME_TO_LIVE), run),
            limits,
            state: State::Running,
            done: VecDeque::new(),
            lanes: BTreeMap::new(),
            committer: Committer::default(),
            membership: Membership { last_poll_ms: now_ms, doubtful: false },
            id: None,
            paused: false,
            blocked_since_ms: None,
            rows_under_way: 0,
            writes_under_way: 0,
            letters_under_way: 0,
            taken_in: Vec::new(),
        }
    }

    /// Tells whether the group counts on it.
    pub(super) fn is_member(&self, group: &Group) -> bool {
        self.id.is_some_and(|id| group.is_member(self.slot, id))
    }

    /// Says what it holds, for a failure.
    pub(super) fn describe(&self) -> String {
        let Self { slot, state, lanes, committer, pipeline, .. } = self;
        let durable: Vec<_> = lanes.keys().map(|p| (*p, pipeline.durable(*p))).collect();
        let (rows, room) = (pipeline.rows_buffered(), pipeline.has_room());
        format!(
            "member {slot}: {state:?} {committer:?} rows {rows} room {room}\n    \
             durable {durable:?}\n    {lanes:?}\n"
        )
    }

    /// I7: checks that all it took in before it was asked to stop is committed.
    pub(super) fn check_committed(&self, servers: &mut Servers) {
        for (partition, taken) in &self.taken_in {
            let committed = servers.world.partition(*partition).committed;
            assert!(committed >= Some(*taken), "I7: {committed:?} committed, {taken} taken in");
        }
    }

    pub(super) fn id(&self) -> Option<MemberId> {
        self.id
    }

    /// Takes the end of a write, to be noticed at the next turn.
    pub(super) fn ended(&mut self, ticket: Ticket, write: Write, ended: Ended) {
        self.done.push_back((ticket, write, ended));
    }

    /// Takes the end of a commit; like the real one, it keeps only the last.
    pub(super) fn committed(&mut self, worked: bool) {
        self.committer = Committer { under_way: false, succeeded: worked, failed: !worked };
    }

    /// Tells whether nothing is in memory.
    pub(super) fn is_empty(&self) -> bool {
        let partitions = self.pipeline.partitions();
        matches!(self.state, State::Running)
            && !self.committer.under_way
            && self.pipeline.rows_buffered() == 0
            && self.pipeline.dead_letter_bytes() == 0
            && self.pipeline.in_flight() == 0
            && self.letters_under_way == 0
            && self.pipeline.is_settled(&partitions)
    }

    /// Tells whether a partition is owned and has nothing that the deletion of its topic could
    /// lose.
    pub(super) fn is_done_with(&self, partition: i32, end: u64) -> bool {
        let position = self.lanes.get(&partition).map(|taken| taken.position);
        matches!(self.state, State::Running)
            && position == Some(end)
            && !self.committer.under_way
            && !self.committer.failed
            && self.pipeline.is_settled(&[partition])
    }

    /// Follows a partition that was made anew, as `auto.offset.reset` does.
    pub(super) fn reset(&mut self, partition: i32) {
        if let Some(taken) = self.lanes.get_mut(&partition) {
            (taken.position, taken.first) = (0, None);
        }
    }

    /// Does one turn of the Kafka thread.
    pub(super) fn turn(&mut self, servers: &mut Servers) -> Life {
        let life = match std::mem::replace(&mut self.state, State::Running) {
            State::Running => {
                self.run_turn(servers);
                Life::GoesOn
            }
            State::Draining { partitions, commits, deadline_ms, leaving } => {
                self.drain(servers, partitions, commits, deadline_ms, leaving);
                Life::GoesOn
            }
            State::Committing { commits, partitions, sent, deadline_ms, leaving } => {
                self.commit_and_wait(servers, commits, partitions, sent, deadline_ms, leaving)
            }
        };
        self.check();
        life
    }

    fn run_turn(&mut self, servers: &mut Servers) {
        if self.asked_to_stop {
            servers.note("shutdown", self.slot, 0, 0);
            let partitions = self.pipeline.partitions();
            let taken = self.lanes.iter().filter(|(_, taken)| taken.first.is_some());
            self.taken_in = taken.map(|(partition, t)| (*partition, t.position)).collect();
            let deadline_ms = servers.now_ms + servers.timing.shutdown_grace_ms;
            self.state =
                State::Draining { partitions, commits: Vec::new(), deadline_ms, leaving: true };
            return;
        }
        let ends = self.pump(servers);
        self.commit(servers);
        if self.pipeline.has_room() {
            self.blocked_since_ms = None;
            if std::mem::take(&mut self.paused) {
                servers.note("resumed", self.slot, 0, 0);
            }
            let rows = self.pipeline.rows_buffered();
            assert!(rows < self.limits.rows_buffered_max, "I6: taking in with {rows} rows");
            self.poll(servers, RECORDS_PER_TURN_MAX);
            return;
        }
        let blocked_ms = servers.now_ms - *self.blocked_since_ms.get_or_insert(servers.now_ms);
        servers.note("no room", self.slot, number(ends), 0);
        if blocked_ms >= servers.timing.pause_after_ms {
            // What was on its way when the pause came is still taken in.
            let records = usize::from(!self.paused);
            self.paused = true;
            self.poll(servers, records);
        }
    }

    /// `Engine::pump`; returns how many writes ended.
    fn pump(&mut self, servers: &mut Servers) -> usize {
        let now = servers.instant();
        let ends = self.done.len();
        while let Some((ticket, write, ended)) = self.done.pop_front() {
            match &write {
                Write::Rows(batch) => {
                    self.rows_under_way -= batch.len();
                    self.writes_under_way -= 1;
                }
                Write::Site(_) => self.writes_under_way -= 1,
                Write::DeadLetter(_) => self.letters_under_way -= 1,
            }
            self.note_done(ticket, &write, &ended);
            let answered = ended != Ended::Failed && !matches!(write, Write::DeadLetter(_));
            self.pipeline.finish(ticket, write, ended, now);
            let away = answered && self.pipeline.is_cassandra_away();
            assert!(!away, "cassandra has answered and counts as away");
            self.check_durable(ticket.partition);
        }
        self.pipeline.tick(now);
        while let Some((ticket, write)) = self.pipeline.next_write(now) {
            match &write {
                Write::Rows(batch) => {
                    self.rows_under_way += batch.len();
                    self.writes_under_way += 1;
                    let fits = (1..=self.limits.batch_rows_max).contains(&batch.len());
                    assert!(fits, "a batch of {} rows", batch.len());
                }
                Write::Site(_) => self.writes_under_way += 1,
                Write::DeadLetter(_) => self.letters_under_way += 1,
            }
            let life = self.lanes.get(&ticket.partition).map_or(0, |taken| taken.life);
            servers.send((self.slot, self.run), life, ticket, write);
        }
        ends
    }

    /// The commits of `Source::turn`.
    fn commit(&mut self, servers: &mut Servers) {
        if self.committer.under_way {
            return;
        }
        if std::mem::take(&mut self.committer.succeeded) {
            self.membership.doubtful = false;
        }
        if std::mem::take(&mut self.committer.failed) {
            servers.note("commit repeated", self.slot, 0, 0);
            self.pipeline.repeat_commits();
        }
        let commits = self.take_commits(servers);
        if !commits.is_empty() {
            let commits = self.with_lives(commits);
            self.send_commit(servers, commits);
        }
    }

    fn send_commit(&mut self, servers: &mut Servers, commits: Vec<SentCommit>) {
        self.committer = Committer { under_way: true, ..Committer::default() };
        servers.send_commit((self.slot, self.run), self.id, commits);
    }

    fn with_lives(&self, commits: Vec<Commit>) -> Vec<SentCommit> {
        let life = |commit: &Commit| self.lanes.get(&commit.partition).map_or(0, |t| t.life);
        commits.into_iter().map(|commit| (commit, life(&commit))).collect()
    }

    /// Takes commits from the core and checks I1 and I4 on them.
    fn take_commits(&mut self, servers: &mut Servers) -> Vec<Commit> {
        let commits = self.pipeline.take_commits();
        for Commit { partition, next } in &commits {
            servers.note("commit handed out", self.slot, i64::from(*partition), signed(next.0));
            let Some(taken) = self.lanes.get(partition) else {
                panic!("I4: commit {next:?} for partition {partition}, which is not ours");
            };
            if taken.life != servers.world.partition(*partition).life {
                continue;
            }
            let Some(first) = taken.first else {
                continue;
            };
            assert!(
                (first..=taken.position).contains(&next.0),
                "I4: {next:?} of partition {partition} is not between {first} and {taken:?}"
            );
            let open = servers.world.first_open(*partition, first, next.0);
            assert!(open.is_none(), "I1: commit {next:?} was handed out, but {open:?} is open");
        }
        commits
    }

    /// Serves the group and takes in records.
    fn poll(&mut self, servers: &mut Servers, records_max: usize) {
        let now_ms = servers.now_ms;
        self.membership.doubtful = self.membership.is_doubtful(now_ms, &servers.timing);
        self.membership.last_poll_ms = now_ms;
        // What the group says comes between any two records.
        let room = if servers.chance(0.5) { self.fetch(servers, records_max) } else { records_max };
        if self.serve_group(servers) {
            self.fetch(servers, room);
        }
    }

    /// Takes in what has arrived; returns for how many more records there is room.
    fn fetch(&mut self, servers: &mut Servers, records_max: usize) -> usize {
        if servers.kafka_is_away() {
            return 0;
        }
        let partitions: Vec<i32> = self.lanes.keys().copied().collect();
        let mut room = records_max;
        for partition in partitions {
            // A fetch answers for some partitions earlier than for others.
            if servers.chance(0.2) {
                continue;
            }
            let share = servers.below(40).min(room);
            room -= self.take_in(servers, partition, share);
        }
        room
    }

    fn take_in(&mut self, servers: &mut Servers, partition: i32, records_max: usize) -> usize {
        let Some(taken) = self.lanes.get_mut(&partition) else {
            return 0;
        };
        let log = servers.world.partition(partition);
        let found = log.log.range(taken.position..).take(records_max);
        let found: Vec<(u64, usize)> = found.map(|(offset, index)| (*offset, *index)).collect();
        let life = log.life;
        for (offset, index) in &found {
            taken.life = life;
            taken.position = offset + 1;
            taken.first.get_or_insert(*offset);
            servers.note("record", self.slot, i64::from(partition), signed(*offset));
            if accept(&mut self.pipeline, servers, *index) {
                taken.open.insert(*offset);
            }
            let epoch = self.pipeline.lanes[&partition].epoch;
            if taken.epoch != epoch {
                // The partition began anew, and this record is the first.
                (taken.epoch, taken.open) = (epoch, taken.open.split_off(offset));
                taken.open.retain(|open| open == offset);
            }
        }
        found.len()
    }

    /// What librdkafka calls back from a poll; returns whether records may be taken in.
    fn serve_group(&mut self, servers: &mut Servers) -> bool {
        let Some(id) = self.id.filter(|id| servers.group.is_member(self.slot, *id)) else {
            if self.id.is_some() {
                servers.note("assignment lost", self.slot, 0, 0);
            }
            self.id = Some(servers.group.join(self.slot));
            servers.note("joined", self.slot, 0, 0);
            let partitions = self.pipeline.partitions();
            if !partitions.is_empty() {
                // librdkafka may forget that they are lost (librdkafka#5604).
                let told = servers.chance(0.5);
                return self.revoke(servers, partitions, told);
            }
            return true;
        };
        debug_assert!(servers.group.is_member(self.slot, id));
        let revoked = servers.group.to_revoke(self.slot);
        if !revoked.is_empty() {
            return self.revoke(servers, revoked, false);
        }
        let assigned = servers.group.assign(self.slot);
        if !assigned.is_empty() {
            self.pipeline.assign(assigned.iter().copied(), servers.instant());
            self.membership.doubtful = false;
            self.paused = false;
        }
        for partition in assigned {
            let log = servers.world.partition(partition);
            let position = log.committed.unwrap_or(0);
            let epoch = self.pipeline.lanes[&partition].epoch;
            self.lanes.insert(partition, Taken::new(log.life, position, epoch));
            servers.note("assigned", self.slot, i64::from(partition), signed(position));
        }
        true
    }
}

/// `Engine::accept`, with a check of what became of the record; returns whether a write has to
/// follow.
fn accept(pipeline: &mut Pipeline, servers: &mut Servers, index: usize) -> bool {
    let produced = servers.world.records[index].clone();
    let (partition, _, offset) = produced.place;
    let record = Record {
        stream: servers.world.stream,
        partition,
        offset: RecordOffset(offset),
        timestamp_ms: Some(START_MS),
        key: Some(&KEY),
        value: produced.value.as_deref(),
    };
    let (now, time) = (servers.instant(), servers.time_of_day());
    let (accepted, fate) = (pipeline.accept(&record, now, time), produced.fate);
    match (&accepted, fate) {
        (Accepted::Row, Fate::Row | Fate::RowOrExpired | Fate::Letter(_)) => {}
        (Accepted::Expired { .. }, Fate::Expired | Fate::RowOrExpired) => {
            servers.world.expire(produced.place);
        }
        (Accepted::Rejected(rejection), Fate::Letter(reason)) if rejection.reason == reason => {
            pipeline.bury(DeadLetter::new(&record, Vec::new(), 0, rejection.clone()));
        }
        _ => panic!("{:?} {fate:?} was taken for {accepted:?}", produced.place),
    }
    !matches!(accepted, Accepted::Expired { .. })
}

pub(super) fn number(count: usize) -> i64 {
    i64::try_from(count).expect("a count")
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("small")
}

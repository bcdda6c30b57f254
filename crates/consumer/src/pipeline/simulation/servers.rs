//! Everything outside the processes: virtual time, the queue of what happens next, the network and
//! both servers with their faults.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use runtime::clock::TimeOfDay;

use super::super::record::Stream;
use super::super::{Ended, Limits, Ticket, Write};
use super::group::{Group, MemberId};
use super::member::{SentCommit, number, signed};
use super::trace::Trace;
use super::world::{Effects, START_MS, World};

/// Which process: its slot and its run.
pub(super) type Name = (usize, u64);

/// Something that happens at a time.
pub(super) enum Event {
    Turn(Name),
    Produce,
    Fault,
    CassandraBack,
    KafkaBack,
    Start(usize),
    Expel(usize, MemberId, u64),
    /// A write reaches the database.
    Arrives(Box<Arrival>),
    /// A write that nobody waits for any more reaches it.
    Straggles(Effects),
    Answered(Name, Box<(Ticket, Write, Ended)>),
    Commits(CommitRequest),
    CommitAnswered(Name, bool),
}

pub(super) struct Arrival {
    pub(super) name: Name,
    ticket: Ticket,
    write: Write,
    effects: Effects,
    answer_is_lost: bool,
    /// Whether it gets there though its process is gone.
    outlives: bool,
}

pub(super) struct CommitRequest {
    pub(super) name: Name,
    id: Option<MemberId>,
    generation: u64,
    commits: Vec<SentCommit>,
    answer_is_lost: bool,
}

/// The constants of `source.rs` and the settings of the group, shortened.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "units stand last in names")]
pub(super) struct Timing {
    pub(super) session_timeout_ms: u64,
    pub(super) pause_after_ms: u64,
    pub(super) drain_timeout_ms: u64,
    pub(super) shutdown_grace_ms: u64,
    write_timeout_ms: u64,
}

/// How likely things go wrong, out of one.
#[derive(Clone, Copy)]
struct Odds {
    request_lost: f64,
    answer_lost: f64,
    late: f64,
    commit_lost: f64,
    commit_answer_lost: f64,
    stale_generation: f64,
}

const NO_FAULTS: Odds = Odds {
    request_lost: 0.0,
    answer_lost: 0.0,
    late: 0.0,
    commit_lost: 0.0,
    commit_answer_lost: 0.0,
    stale_generation: 0.0,
};

pub(super) struct Servers {
    pub(super) now_ms: u64,
    pub(super) world: World,
    pub(super) group: Group,
    pub(super) timing: Timing,
    pub(super) trace: Trace,
    pub(super) limits: Limits,
    base: Instant,
    queue: BTreeMap<(u64, u64), Event>,
    numbers: u64,
    random: SmallRng,
    odds: Odds,
    latency_ms: u64,
    cassandra_back_ms: u64,
    kafka_back_ms: u64,
}

impl Servers {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let partitions = random.random_range(1..=6);
        let sites = random.random_range(1..=8);
        let stream = if random.random_bool(0.25) { Stream::Events } else { Stream::Readings };
        let refuse_above =
            if random.random_bool(0.3) { random.random_range(1..4) } else { usize::MAX };
        let limits = limits(&mut random);
        let most = if random.random_bool(0.2) { 0.0 } else { random.random_range(0.0..0.3) };
        let mut odd = || if most > 0.0 { random.random_range(0.0..most) } else { 0.0 };
        let odds = Odds {
            request_lost: odd(),
            answer_lost: odd(),
            late: odd(),
            commit_lost: odd(),
            commit_answer_lost: odd(),
            stale_generation: odd(),
        };
        Self {
            now_ms: 0,
            world: World::new(stream, partitions, sites, refuse_above),
            group: Group::new(partitions),
            timing: Timing {
                session_timeout_ms: 600,
                pause_after_ms: 200,
                drain_timeout_ms: random.random_range(50..500),
                shutdown_grace_ms: random.random_range(300..1_500),
                write_timeout_ms: random.random_range(100..400),
            },
            trace: Trace::default(),
            limits,
            base: Instant::now(),
            queue: BTreeMap::new(),
            numbers: 0,
            odds,
            latency_ms: random.random_range(2..60),
            random,
            cassandra_back_ms: 0,
            kafka_back_ms: 0,
        }
    }

    pub(super) fn instant(&self) -> Instant {
        self.base + Duration::from_millis(self.now_ms)
    }

    /// Returns the time of day as members know it: in every other second their clocks are two days
    /// ahead, which is more than rows are kept.
    pub(super) fn time_of_day(&self) -> TimeOfDay {
        const DAYS_AHEAD_MS: i64 = 2 * 86_400_000;
        let earliest_ms = START_MS + signed(self.now_ms);
        let is_ahead = self.now_ms / 1_000 % 2 == 1;
        let latest_ms = if is_ahead { earliest_ms + DAYS_AHEAD_MS } else { earliest_ms };
        TimeOfDay { earliest_ms, latest_ms }
    }

    pub(super) fn chance(&mut self, odds: f64) -> bool {
        self.random.random_bool(odds)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.random.random_range(0..bound)
    }

    /// Draws a time between `least` and `most` milliseconds.
    pub(super) fn draw_ms(&mut self, least: u64, most: u64) -> u64 {
        self.random.random_range(least..=most)
    }

    pub(super) fn note(&mut self, kind: &'static str, slot: usize, first: i64, second: i64) {
        self.trace.note(self.now_ms, kind, [number(slot), first, second]);
    }

    /// Notes what a server does, of its own or for whomever.
    fn note_server(&mut self, kind: &'static str, first: i64, second: i64) {
        self.trace.note(self.now_ms, kind, [-1, first, second]);
    }

    pub(super) fn after(&mut self, delay_ms: u64, event: Event) {
        self.numbers += 1;
        self.queue.insert((self.now_ms + delay_ms, self.numbers), event);
    }

    /// Goes on to the next event.
    pub(super) fn next(&mut self) -> Event {
        let ((at_ms, _), event) = self.queue.pop_first().expect("processes always have a turn");
        self.now_ms = at_ms;
        event
    }

    pub(super) fn produce(&mut self) {
        let (partition, _, offset) =
            self.world.produce(START_MS + signed(self.now_ms), &mut self.random);
        self.trace.note(self.now_ms, "produced", [-1, i64::from(partition), signed(offset)]);
    }

    pub(super) fn kafka_is_away(&self) -> bool {
        self.now_ms < self.kafka_back_ms
    }

    pub(super) fn stop_cassandra(&mut self) {
        let time_ms = self.draw_ms(50, 2_500);
        self.note_server("cassandra away", signed(time_ms), 0);
        self.cassandra_back_ms = self.now_ms + time_ms;
        self.after(time_ms, Event::CassandraBack);
    }

    pub(super) fn stop_kafka(&mut self) {
        let time_ms = self.draw_ms(50, 1_500);
        self.note_server("kafka away", signed(time_ms), 0);
        self.kafka_back_ms = self.now_ms + time_ms;
        self.after(time_ms, Event::KafkaBack);
    }

    /// Ends all faults.
    pub(super) fn heal(&mut self) {
        self.note_server("healed", 0, 0);
        (self.cassandra_back_ms, self.kafka_back_ms) = (0, 0);
        self.odds = NO_FAULTS;
        // What is to be seen now is what happens when there is time enough.
        self.timing.drain_timeout_ms = 2_000;
        self.timing.shutdown_grace_ms = 4_000;
    }

    /// Sends a write on its way.
    pub(super) fn send(&mut self, name: Name, life: u32, ticket: Ticket, write: Write) {
        let effects = self.world.effects(ticket.partition, life, &write);
        let (kind, size) = match &write {
            Write::Rows(batch) => ("rows sent", batch.len()),
            Write::Site(news) => ("site sent", news.sensors.len()),
            Write::DeadLetter(_) => ("letter sent", 1),
        };
        self.note(kind, name.0, i64::from(ticket.partition), number(size));
        let latency_ms = self.draw_ms(1, self.latency_ms);
        let draw: f64 = self.random.random();
        let Odds { request_lost, late, answer_lost, .. } = self.odds;
        let timeout_ms = self.timing.write_timeout_ms;
        if draw < request_lost + late {
            if draw < request_lost {
                self.note("write lost", name.0, 0, 0);
            } else {
                self.note("write late", name.0, 0, 0);
                let more_ms = self.draw_ms(1, 2_000);
                self.after(timeout_ms + more_ms, Event::Straggles(effects));
            }
            let end = Box::new((ticket, write, Ended::Failed));
            self.after(timeout_ms, Event::Answered(name, end));
            return;
        }
        let answer_is_lost = self.random.random_bool(answer_lost);
        let outlives = self.random.random_bool(0.5);
        let arrival = Arrival { name, ticket, write, effects, answer_is_lost, outlives };
        self.after(latency_ms, Event::Arrives(Box::new(arrival)));
    }

    /// Lets a write arrive; `is_alive` tells whether its process is still there.
    pub(super) fn arrive(&mut self, arrival: Arrival, is_alive: bool) {
        let Arrival { name, ticket, write, effects, answer_is_lost, outlives } = arrival;
        if !is_alive && !outlives {
            self.note("write died with its process", name.0, 0, 0);
            return;
        }
        let away_ms = match write {
            Write::DeadLetter(_) => self.kafka_back_ms,
            Write::Rows(_) | Write::Site(_) => self.cassandra_back_ms,
        };
        let ended = if self.now_ms < away_ms {
            self.note("write failed", name.0, 0, 0);
            Ended::Failed
        } else if self.world.refuses(&effects) {
            self.note("write refused", name.0, 0, 0);
            Ended::Refused("the model says no".into())
        } else {
            self.apply(&effects);
            Ended::Durable
        };
        let (ended, delay_ms) = if answer_is_lost {
            self.note("answer lost", name.0, 0, 0);
            (Ended::Failed, self.timing.write_timeout_ms)
        } else {
            (ended, self.draw_ms(0, 3))
        };
        self.after(delay_ms, Event::Answered(name, Box::new((ticket, write, ended))));
    }

    /// Lets a write arrive that its process has given up.
    pub(super) fn straggle(&mut self, effects: &Effects) {
        if !self.world.refuses(effects) {
            self.note_server("straggler", 0, 0);
            self.apply(effects);
        }
    }

    fn apply(&mut self, effects: &Effects) {
        let repeated = self.world.apply(effects);
        let kind = match effects {
            Effects::Rows(..) if repeated > 0 => "rows written again",
            Effects::Rows(..) if self.world.stream == Stream::Events => "events written",
            Effects::Rows(..) => "rows written",
            Effects::Site { .. } => "site written",
            Effects::Letter(..) if repeated > 0 => "letter written again",
            Effects::Letter(..) => "letter written",
        };
        self.note_server(kind, signed(repeated), 0);
    }

    pub(super) fn send_commit(
        &mut self,
        name: Name,
        id: Option<MemberId>,
        commits: Vec<SentCommit>,
    ) {
        // The generation is learned in the background, a moment after it began.
        let is_stale = self.random.random_bool(self.odds.stale_generation);
        let generation = self.group.generation - u64::from(is_stale);
        let slow = self.random.random_bool(self.odds.late);
        let latency_ms = self.draw_ms(1, if slow { 600 } else { 10 });
        if self.random.random_bool(self.odds.commit_lost) {
            self.note("commit lost", name.0, 0, 0);
            self.after(latency_ms, Event::CommitAnswered(name, false));
            return;
        }
        let answer_is_lost = self.random.random_bool(self.odds.commit_answer_lost);
        let request = CommitRequest { name, id, generation, commits, answer_is_lost };
        self.after(latency_ms, Event::Commits(request));
    }

    /// Lets a commit arrive: the broker takes it from a member of this generation.
    pub(super) fn commit(&mut self, request: CommitRequest) {
        let CommitRequest { name, id, generation, commits, answer_is_lost } = request;
        let is_member = id.is_some_and(|id| self.group.is_member(name.0, id));
        let mut lives = commits.iter();
        let is_known =
            lives.all(|(commit, life)| self.world.partition(commit.partition).life == *life);
        let mut works = false;
        if self.kafka_is_away() {
            self.note("commit failed", name.0, 0, 0);
        } else if !is_member || generation != self.group.generation {
            self.note("commit refused", name.0, 0, 0);
        } else if !is_known {
            self.note("commit of a deleted partition", name.0, 0, 0);
        } else {
            works = true;
            for (commit, _) in &commits {
                let (partition, next) = (commit.partition, commit.next.0);
                self.note("committed", name.0, i64::from(partition), signed(next));
                let is_owner = self.group.owns(name.0, partition);
                assert!(is_owner, "I4: member {} commits {partition} of another", name.0);
                self.world.commit(partition, next);
            }
            if answer_is_lost {
                self.note("commit answer lost", name.0, 0, 0);
            }
        }
        let delay_ms = self.draw_ms(0, 3);
        self.after(delay_ms, Event::CommitAnswered(name, works && !answer_is_lost));
    }
}

fn limits(random: &mut SmallRng) -> Limits {
    Limits {
        batch_rows_max: random.random_range(1..9),
        batch_bytes_max: if random.random_bool(0.3) { 400 } else { 1 << 20 },
        batch_age_max: Duration::from_millis(random.random_range(5..100)),
        writes_in_flight_max: random.random_range(1..6),
        rows_buffered_max: random.random_range(4..120),
        commit_interval: Duration::from_millis(random.random_range(20..400)),
        clock_ahead_max: Duration::from_hours(1),
    }
}

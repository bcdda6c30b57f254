//! The core keeps its promises whatever the order of things: no time passes and no server is needed
//! here.

use std::collections::HashSet;

use super::ledger::RecordOffset;
use super::record::Stream;
use super::*;

pub(super) const LIMITS: Limits = Limits {
    batch_rows_max: 4,
    batch_bytes_max: 1 << 20,
    batch_age_max: Duration::from_millis(100),
    writes_in_flight_max: 8,
    rows_buffered_max: 1_000,
    commit_interval: Duration::from_secs(1),
    clock_ahead_max: Duration::from_hours(2),
};

const START_MS: i64 = 1_764_000_000_000;
const TIME_TO_LIVE: Duration = Duration::from_hours(24);

/// Record number `seq` of a site's sensor, one millisecond after the one before.
pub(super) fn record(site: u32, sensor: u32, seq: i64) -> Vec<u8> {
    let ts_ms = START_MS + seq;
    format!(
        r#"{{"sensor_id":"site-{site:04}/light-{sensor:02}","site_id":"site-{site:04}",
            "kind":"light","ts":{ts_ms},"value":{seq},"unit":"lx","seq":{seq},"run":"r",
            "status":"ok","location":{{"lat":1.5,"lon":2.5}}}}"#
    )
    .into_bytes()
}

/// An event of a site's sensor, so many milliseconds after the start.
fn event(site: u32, sensor: u32, after_ms: i64) -> Vec<u8> {
    let (ts_ms, seq) = (START_MS + after_ms, after_ms.abs());
    format!(
        r#"{{"sensor_id":"site-{site:04}/light-{sensor:02}","site_id":"site-{site:04}",
            "event":"battery","ts":{ts_ms},"seq":{seq},"run":"r","detail":"80"}}"#
    )
    .into_bytes()
}

struct Trial {
    stream: Stream,
    pipeline: Pipeline,
    now: Instant,
    under_way: Vec<(Ticket, Write)>,
}

impl Trial {
    fn new(partitions: &[i32]) -> Self {
        Self::of(Stream::Readings, partitions)
    }

    fn of(stream: Stream, partitions: &[i32]) -> Self {
        let (mut pipeline, now) = (Pipeline::new(LIMITS, Some(TIME_TO_LIVE), 1), Instant::now());
        pipeline.assign(partitions.iter().copied(), now);
        Self { stream, pipeline, now, under_way: Vec::new() }
    }

    fn accept(&mut self, partition: i32, offset: u64, value: &[u8]) -> Accepted {
        self.accept_at(partition, offset, value, TimeOfDay::exactly(START_MS))
    }

    fn accept_at(
        &mut self,
        partition: i32,
        offset: u64,
        value: &[u8],
        time: TimeOfDay,
    ) -> Accepted {
        let record = Record {
            stream: self.stream,
            partition,
            offset: RecordOffset(offset),
            timestamp_ms: Some(START_MS),
            key: Some(b"key"),
            value: Some(value),
        };
        let accepted = self.pipeline.accept(&record, self.now, time);
        if let Accepted::Rejected(rejection) = &accepted {
            let headers = vec![("trace".to_owned(), None)];
            self.pipeline.bury(DeadLetter::new(&record, headers, 2, rejection.clone()));
        }
        accepted
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.pipeline.tick(self.now);
        while let Some(write) = self.pipeline.next_write(self.now) {
            self.under_way.push(write);
        }
    }

    fn finish(&mut self, (ticket, write): (Ticket, Write), ended: Ended) {
        self.pipeline.finish(ticket, write, ended, self.now);
    }

    fn finish_all(&mut self) {
        self.end_all(&Ended::Durable);
    }

    fn end_all(&mut self, ended: &Ended) {
        for write in std::mem::take(&mut self.under_way) {
            self.finish(write, ended.clone());
        }
    }

    fn commits(&mut self) -> Vec<(i32, u64)> {
        let commits = self.pipeline.take_commits();
        commits.into_iter().map(|commit| (commit.partition, commit.next.0)).collect()
    }

    fn row_counts(&self) -> Vec<usize> {
        let batches = self.under_way.iter().filter_map(|(_, write)| match write {
            Write::Rows(batch) => Some(batch.len()),
            Write::Site(_) | Write::DeadLetter(_) => None,
        });
        batches.collect()
    }
}

#[test]
fn readings_of_one_site_and_hour_are_one_write() {
    let mut trial = Trial::new(&[0]);
    for offset in 0..8_u32 {
        trial.accept(0, offset.into(), &record(offset % 2, 1, offset.into()));
    }
    trial.pass(Duration::ZERO);
    assert_eq!(trial.row_counts(), [4, 4], "two sites, flushed by rows");

    let next_hour = record(0, 1, 3_600_000);
    trial.accept(0, 8, &record(0, 1, 8));
    trial.accept(0, 9, &next_hour);
    trial.finish_all();
    trial.pass(LIMITS.batch_age_max);
    assert_eq!(trial.row_counts(), [1, 1], "two hours, flushed by age");
}

/// Events go the same way as readings, but by day, and are no news of a sensor's values.
#[test]
fn events_of_one_site_and_day_are_one_write() {
    const DAY_MS: i64 = 24 * 3_600_000;
    let mut trial = Trial::of(Stream::Events, &[0]);
    trial.accept(0, 0, &event(0, 1, 0));
    trial.accept(0, 1, &event(0, 2, 3_600_000));
    trial.accept(0, 2, &event(0, 2, 3_600_000 - DAY_MS));
    trial.accept(0, 3, &event(1, 1, 1));
    trial.pass(LIMITS.batch_age_max);
    assert_eq!(trial.row_counts(), [2, 1, 1], "two days of one site, and another site");
    let Write::Rows(batch) = &trial.under_way[0].1 else { panic!("events are rows") };
    assert_eq!((batch.stream(), batch.site_id()), (Stream::Events, "site-0000"));
    assert_eq!(
        (batch.bucket_ms(), batch.row(0).unwrap().location),
        (START_MS - START_MS % DAY_MS, None)
    );
    let expected = batch::Cells::Event { event: domain::EventKind::Battery, detail: "80" };
    assert_eq!(batch.row(1).unwrap().cells, expected);
    assert_eq!(batch.split()[1].row(0).unwrap().cells, expected, "a half has it too");

    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    assert!(trial.under_way.is_empty(), "nothing but rows is written");
    assert_eq!(trial.commits(), [(0, 4)]);
}

/// I5: what is no event is told from what is no reading.
#[test]
fn a_reading_among_events_becomes_a_dead_letter() {
    let mut trial = Trial::of(Stream::Events, &[0]);
    let accepted = trial.accept(0, 0, &record(0, 1, 0));
    assert!(matches!(accepted, Accepted::Rejected(_)), "{accepted:?}");
    trial.pass(Duration::ZERO);
    let [(_, Write::DeadLetter(letter))] = trial.under_way.as_slice() else {
        panic!("it becomes a dead letter");
    };
    assert_eq!((letter.stream, letter.rejection.reason), (Stream::Events, Reason::Malformed));
    assert!(letter.rejection.detail.contains("missing `event`"), "{letter:?}");
    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    assert_eq!(trial.commits(), [(0, 1)]);
}

#[test]
fn a_batch_is_not_written_before_its_age_or_size_asks_for_it() {
    let mut trial = Trial::new(&[0]);
    trial.accept(0, 0, &record(1, 1, 0));
    trial.pass(LIMITS.batch_age_max / 2);
    assert!(trial.row_counts().is_empty());
    trial.pass(LIMITS.batch_age_max / 2);
    assert_eq!(trial.row_counts(), [1]);
}

/// Writes that would have to wait gather more rows meanwhile.
#[test]
fn batches_grow_while_cassandra_is_busy() {
    let mut trial = Trial::new(&[0]);
    let sites = u32::try_from(LIMITS.writes_in_flight_max).unwrap() + 1;
    for round in 0..3 {
        for site in 0..sites {
            let offset = round * sites + site;
            trial.accept(0, offset.into(), &record(site, 1, offset.into()));
        }
        trial.pass(LIMITS.batch_age_max);
    }
    assert_eq!(trial.row_counts(), [1; LIMITS.writes_in_flight_max], "all hands are busy");
    trial.finish_all();
    trial.pass(Duration::ZERO);
    let mut counts = trial.row_counts();
    counts.sort_unstable();
    assert_eq!(counts, [2, 2, 2, 2, 2, 2, 2, 3], "the oldest first, with all that came");
}

/// I1: nothing is committed beyond the lowest offset that is not durable.
#[test]
fn a_commit_waits_for_the_lowest_open_write_and_for_the_latest_table() {
    let mut trial = Trial::new(&[3]);
    for offset in 100..108_u32 {
        trial.accept(3, offset.into(), &record(offset % 2, 1, offset.into()));
    }
    trial.pass(Duration::ZERO);
    let (even, odd) = (trial.under_way.remove(0), trial.under_way.remove(0));
    assert!(trial.under_way.is_empty());

    // Site 1 holds the odd offsets. Without the even ones nothing but the start is durable.
    trial.finish(odd, Ended::Durable);
    trial.pass(LIMITS.commit_interval);
    trial.finish_all();
    assert!(trial.commits().is_empty(), "offset 100 is still open");

    trial.finish(even, Ended::Durable);
    trial.accept(3, 108, &record(0, 1, 108));
    trial.pass(LIMITS.commit_interval);
    assert!(trial.commits().is_empty(), "the latest table does not know yet");
    trial.finish_all();
    assert_eq!(trial.commits(), [(3, 108)], "108 was still open when the commit began");
}

/// I4: what ends after a revocation has no effect, also not on a later assignment of the same
/// partition.
#[test]
fn writes_of_an_earlier_assignment_count_for_nothing() {
    let mut trial = Trial::new(&[0]);
    trial.accept(0, 0, &record(1, 1, 0));
    trial.pass(LIMITS.batch_age_max);
    trial.pipeline.remove(&[0]);
    trial.pipeline.assign([0], trial.now);
    trial.accept(0, 0, &record(1, 1, 0));
    trial.finish_all();
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(0)));
    trial.pass(LIMITS.commit_interval);
    assert!(!trial.commits().iter().any(|(_, next)| *next > 0));
}

/// I6: rows in memory are counted exactly, also over revocations and with writes under way.
#[test]
fn rows_in_memory_are_bounded_and_given_back() {
    let mut trial = Trial::new(&[0, 1]);
    let mut offset = 0_u32;
    while trial.pipeline.has_room() {
        trial.accept(
            (offset % 2).cast_signed(),
            u64::from(offset / 2),
            &record(offset % 7, 1, offset.into()),
        );
        offset += 1;
    }
    assert_eq!(trial.pipeline.rows_buffered(), LIMITS.rows_buffered_max);
    trial.pass(LIMITS.batch_age_max);
    trial.pipeline.remove(&[0, 1]);
    let under_way: usize = trial.row_counts().iter().sum();
    assert_eq!(trial.pipeline.rows_buffered(), under_way);
    trial.finish_all();
    assert_eq!((trial.pipeline.rows_buffered(), trial.pipeline.in_flight()), (0, 0));
}

/// I5: what breaks the contract goes to the dead-letter topic alone, as it came, and its offset is
/// released only then.
#[test]
fn a_record_that_breaks_the_contract_becomes_a_dead_letter() {
    let mut trial = Trial::new(&[0]);
    trial.accept(0, 0, &record(1, 1, 0));
    assert!(matches!(trial.accept(0, 1, b"not a reading"), Accepted::Rejected(_)));
    trial.accept(0, 2, &record(1, 1, 2));
    trial.pass(LIMITS.batch_age_max);
    let position = trial.under_way.iter().position(|(_, w)| matches!(w, Write::DeadLetter(_)));
    let letter = trial.under_way.remove(position.unwrap());
    trial.finish_all();
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(1)));
    let Write::DeadLetter(content) = &letter.1 else { unreachable!() };
    assert_eq!(content.value.as_deref(), Some(&b"not a reading"[..]));
    assert_eq!((content.partition, content.offset), (0, RecordOffset(1)));
    assert_eq!((content.key.as_deref(), content.attempts_before), (Some(&b"key"[..]), 2));
    assert_eq!(content.rejection.reason, Reason::Malformed);
    assert_eq!(content.headers, [("trace".to_owned(), None)]);
    trial.finish(letter, Ended::Durable);
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(3)));
    assert_eq!(trial.pipeline.dead_letter_bytes(), 0);
}

/// I6: the longest keys that the contract allows take more than the rows.
#[test]
fn memory_is_bounded_in_bytes_too() {
    let mut trial = Trial::new(&[0]);
    let key = vec![b'k'; 4_096];
    let mut taken = 0;
    while trial.pipeline.has_room() {
        let value = record(taken % 50, 1, i64::from(taken));
        let record = Record {
            stream: Stream::Readings,
            partition: 0,
            offset: RecordOffset(taken.into()),
            timestamp_ms: None,
            key: Some(&key),
            value: Some(&value),
        };
        let time = TimeOfDay::exactly(START_MS);
        assert!(matches!(trial.pipeline.accept(&record, trial.now, time), Accepted::Row));
        taken += 1;
    }
    assert!((100..200).contains(&taken), "{taken} rows of 9 KiB within 1000 KiB");
    while trial.pipeline.rows_buffered() > 0 {
        trial.pass(LIMITS.batch_age_max);
        trial.finish_all();
    }
    assert!(trial.pipeline.has_room());
    assert_eq!(trial.pipeline.buffered, Buffered::default());
}

#[test]
fn a_reading_from_the_future_is_a_dead_letter_and_one_past_its_time_is_nothing() {
    let mut trial = Trial::new(&[0]);
    let (ahead_ms, life_ms) = (2 * 3_600_000, 24 * 3_600_000);
    let exactly = |after_ms| TimeOfDay::exactly(START_MS + after_ms);
    let late = trial.accept_at(0, 0, &record(1, 1, 0), exactly(life_ms));
    assert!(matches!(late, Accepted::Expired { .. }), "{late:?}");
    let in_time = trial.accept_at(0, 1, &record(1, 1, 1), exactly(life_ms));
    assert!(matches!(in_time, Accepted::Row), "{in_time:?}");
    let ahead = trial.accept_at(0, 2, &record(1, 1, 0), exactly(-ahead_ms - 1));
    let Accepted::Rejected(rejection) = ahead else { panic!("{ahead:?}") };
    assert_eq!(rejection.reason, Reason::ClockAhead);
    let near = trial.accept_at(0, 3, &record(1, 1, 0), exactly(-ahead_ms));
    assert!(matches!(near, Accepted::Row), "{near:?}");
    // A clock that was set condemns nothing, whether it is ahead or behind.
    let day_ms = 24 * 3_600_000;
    for (offset, from_ms, to_ms) in [(4, 0, day_ms), (5, -day_ms, 0)] {
        let (earliest_ms, latest_ms) = (START_MS + from_ms, START_MS + to_ms);
        let time = TimeOfDay { earliest_ms, latest_ms };
        let doubtful = trial.accept_at(0, offset, &record(1, 1, 0), time);
        assert!(matches!(doubtful, Accepted::Row), "{doubtful:?}");
    }
    trial.pass(LIMITS.batch_age_max);
    trial.finish_all();
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(6)), "an expired reading is done");
}

/// I5: of a batch that Cassandra refuses, exactly the row to blame becomes a dead letter.
#[test]
fn a_refused_batch_is_parted_down_to_the_row_to_blame() {
    let mut trial = Trial::new(&[0]);
    for offset in 0..4_u32 {
        trial.accept(0, offset.into(), &record(1, 1, offset.into()));
    }
    let (mut written, mut letters) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        trial.pass(LIMITS.batch_age_max);
        for (ticket, write) in std::mem::take(&mut trial.under_way) {
            let ended = match &write {
                Write::Rows(batch) if batch.offsets().any(|o| o == RecordOffset(2)) => {
                    Ended::Refused("the guardrail".into())
                }
                Write::Rows(batch) => {
                    written.extend(batch.offsets());
                    Ended::Durable
                }
                Write::Site(_) => Ended::Durable,
                Write::DeadLetter(letter) => {
                    letters.push(letter.clone());
                    Ended::Durable
                }
            };
            trial.finish((ticket, write), ended);
        }
    }
    written.sort_unstable();
    assert_eq!(written, [0, 1, 3].map(RecordOffset));
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(
        (letter.offset, letter.rejection.reason),
        (RecordOffset(2), Reason::RefusedByCassandra)
    );
    assert_eq!(letter.value, Some(record(1, 1, 2)), "byte for byte");
    assert_eq!(letter.key.as_deref(), Some(&b"key"[..]));
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(4)));
    assert_eq!(trial.pipeline.rows_buffered(), 0);
}

/// I5: an outage repeats, without end and one write at a time, and makes no dead letter.
#[test]
fn an_outage_is_waited_out_one_write_at_a_time() {
    let mut trial = Trial::new(&[0]);
    for offset in 0..40_u32 {
        trial.accept(0, offset.into(), &record(offset % 10, 1, offset.into()));
    }
    trial.pass(Duration::ZERO);
    assert_eq!(trial.under_way.len(), LIMITS.writes_in_flight_max);
    trial.end_all(&Ended::Failed);
    assert!(trial.pipeline.is_cassandra_away() && !trial.pipeline.has_room());
    let mut attempts = 0;
    for _ in 0..600 {
        trial.pass(Duration::from_millis(100));
        assert!(trial.under_way.len() <= 1, "{}", trial.under_way.len());
        attempts += trial.under_way.len();
        trial.end_all(&Ended::Failed);
    }
    assert!((30..300).contains(&attempts), "{attempts} attempts in a minute");
    assert_eq!(trial.pipeline.rows_buffered(), 40);

    while trial.pipeline.rows_buffered() > 0 {
        trial.pass(Duration::from_millis(100));
        trial.finish_all();
    }
    assert!(!trial.pipeline.is_cassandra_away() && trial.pipeline.has_room());
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(40)));
}

/// Nobody is left who could find out that Cassandra is back, so the next write does.
#[test]
fn an_outage_does_not_outlive_the_writes_that_saw_it() {
    let mut trial = Trial::new(&[0]);
    for offset in 0..40_u32 {
        trial.accept(0, offset.into(), &record(offset % 10, 1, offset.into()));
    }
    trial.pass(Duration::ZERO);
    trial.end_all(&Ended::Failed);
    trial.pipeline.remove(&[0]);
    trial.pipeline.assign([0], trial.now);
    assert!(trial.pipeline.has_room());
}

/// A topic that was deleted and made again begins at offset 0.
#[test]
fn a_partition_that_begins_anew_is_read_from_its_start() {
    let mut trial = Trial::new(&[0]);
    for offset in 100..104_u32 {
        trial.accept(0, offset.into(), &record(1, 1, offset.into()));
    }
    trial.pass(Duration::ZERO);
    trial.finish_all();
    trial.accept(0, 104, &record(1, 1, 104));
    for offset in 0..3_u32 {
        let accepted = trial.accept(0, offset.into(), &record(2, 1, offset.into()));
        assert!(matches!(accepted, Accepted::Row), "{accepted:?}");
    }
    trial.pass(LIMITS.batch_age_max);
    assert_eq!(trial.row_counts(), [1, 3], "the last record of the old partition is not lost");
    trial.finish_all();
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(3)));
    trial.pass(LIMITS.commit_interval);
    trial.finish_all();
    assert_eq!(trial.commits(), [(0, 3)]);
    assert_eq!(trial.pipeline.rows_buffered(), 0);
}

/// I4: what was under way when a partition began anew says nothing about its new records.
#[test]
fn a_write_of_a_former_partition_makes_no_new_record_durable() {
    let mut trial = Trial::new(&[0]);
    trial.accept(0, 1, &record(1, 1, 1));
    trial.pass(LIMITS.batch_age_max);
    trial.finish_all();
    trial.accept(0, 2, &record(1, 1, 2));
    trial.pass(LIMITS.batch_age_max);
    let former = trial.under_way.pop().unwrap();
    for (offset, site) in [(0, 2), (1, 2), (2, 3)] {
        trial.accept(0, offset, &record(site, 1, 7));
    }
    trial.pass(LIMITS.batch_age_max);
    trial.finish(former, Ended::Durable);
    let first = trial.under_way.remove(0);
    trial.finish(first, Ended::Durable);
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(2)), "the new offset 2 is open");
    trial.finish_all();
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(3)));
    assert_eq!(trial.pipeline.rows_buffered(), 0);
}

#[test]
fn what_a_former_partition_could_not_tell_the_registry_is_told_again() {
    let mut trial = Trial::new(&[0]);
    trial.accept(0, 5, &record(1, 7, 5));
    trial.pass(LIMITS.batch_age_max);
    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    assert!(matches!(trial.under_way[..], [(_, Write::Site(_))]), "{:?}", trial.under_way);

    trial.accept(0, 0, &record(1, 7, 6));
    trial.end_all(&Ended::Failed);
    // The failure makes what comes next wait.
    trial.pass(Duration::from_mins(1));
    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    let [(_, Write::Site(news))] = &trial.under_way[..] else { panic!("{:?}", trial.under_way) };
    let [(_, latest)] = &news.sensors[..] else { panic!("{news:?}") };
    assert_eq!(latest.seq, 6);
    assert!(latest.unregistered && news.location.is_some(), "nobody else tells the registry");
}

#[test]
fn a_record_seen_before_is_not_taken_in_again() {
    let mut trial = Trial::new(&[0]);
    assert!(matches!(trial.accept(0, 5, &record(1, 1, 5)), Accepted::Row));
    assert!(matches!(trial.accept(0, 5, &record(1, 1, 5)), Accepted::Ignored));
    assert!(matches!(trial.accept(9, 0, &record(1, 1, 5)), Accepted::Ignored), "not ours");
    assert_eq!(trial.pipeline.rows_buffered(), 1);
}

#[test]
fn latest_hears_of_each_sensor_once_a_commit_and_of_its_newest_reading() {
    let mut trial = Trial::new(&[0]);
    // The newest reading is not the last one to come in.
    for (offset, seq) in [(0, 1), (1, 9), (2, 4), (3, 2)] {
        trial.accept(0, offset, &record(1, 7, seq));
    }
    trial.pass(Duration::ZERO);
    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    let [(_, Write::Site(news))] = &trial.under_way[..] else { panic!("{:?}", trial.under_way) };
    let [(sensor_id, latest)] = &news.sensors[..] else { panic!("{news:?}") };
    assert_eq!((&**sensor_id, latest.seq), ("site-0001/light-07", 9));
    assert!(latest.unregistered && news.location.is_some(), "the registry hears of it");
    trial.finish_all();
    assert_eq!(trial.commits(), [(0, 4)]);

    trial.accept(0, 4, &record(1, 7, 10));
    trial.pass(LIMITS.batch_age_max);
    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    let [(_, Write::Site(news))] = &trial.under_way[..] else { panic!("{:?}", trial.under_way) };
    assert!(!news.sensors[0].1.unregistered && news.location.is_some(), "{news:?}");
}

/// I7: settling writes what is open, then commits exactly the end.
#[test]
fn settling_leaves_nothing_open() {
    let mut trial = Trial::new(&[0, 1, 2]);
    for offset in 0..30_u32 {
        trial.accept(
            (offset % 2).cast_signed(),
            u64::from(offset / 2),
            &record(offset % 5, 1, offset.into()),
        );
    }
    let mut committed = HashSet::new();
    let mut rounds = 0;
    while !trial.pipeline.is_settled(&[0, 1, 2]) {
        trial.pipeline.settle(&[0, 1, 2], trial.now);
        while let Some(write) = trial.pipeline.next_write(trial.now) {
            trial.under_way.push(write);
        }
        trial.finish_all();
        committed.extend(trial.commits());
        rounds += 1;
        assert!(rounds < 20, "settling does not end");
    }
    assert_eq!(committed, HashSet::from([(0, 15), (1, 15)]));
    assert_eq!(trial.pipeline.rows_buffered(), 0);
}

#[test]
fn a_failed_commit_is_repeated() {
    let mut trial = Trial::new(&[0]);
    trial.accept(0, 0, &record(1, 1, 0));
    trial.pass(LIMITS.batch_age_max);
    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    trial.finish_all();
    assert_eq!(trial.commits(), [(0, 1)]);
    trial.pass(LIMITS.commit_interval);
    assert!(trial.commits().is_empty(), "nothing new");
    trial.pipeline.repeat_commits();
    trial.pass(LIMITS.commit_interval);
    assert_eq!(trial.commits(), [(0, 1)]);
}

/// The thread that polls may sleep long only then.
#[test]
fn a_pipeline_is_idle_once_all_is_committed() {
    let mut trial = Trial::new(&[0, 1]);
    assert!(trial.pipeline.is_idle(), "nothing came yet");
    trial.accept(0, 0, &record(1, 1, 0));
    assert!(!trial.pipeline.is_idle(), "a batch grows old");
    trial.pass(LIMITS.batch_age_max);
    trial.finish_all();
    assert!(!trial.pipeline.is_idle(), "a commit will be due");
    trial.pass(LIMITS.commit_interval);
    assert!(!trial.pipeline.is_idle(), "the commit waits for the news");
    trial.finish_all();
    assert_eq!(trial.commits(), [(0, 1)]);
    assert!(trial.pipeline.is_idle());

    trial.accept(1, 0, b"no reading");
    assert!(!trial.pipeline.is_idle(), "a dead letter waits");
    trial.pass(Duration::ZERO);
    assert!(!trial.pipeline.is_idle(), "a dead letter is on its way");
    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    assert_eq!(trial.commits(), [(1, 1)]);
    assert!(trial.pipeline.is_idle());
}

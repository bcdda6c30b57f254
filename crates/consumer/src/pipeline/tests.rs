//! The core keeps its promises whatever the order of things: no time passes and no server is needed
//! here.

use std::collections::HashSet;

use super::*;

const LIMITS: Limits = Limits {
    batch_rows_max: 4,
    batch_bytes_max: 1 << 20,
    batch_age_max: Duration::from_millis(100),
    writes_in_flight_max: 8,
    rows_buffered_max: 1_000,
    commit_interval: Duration::from_secs(1),
};

const START_MS: i64 = 1_764_000_000_000;

/// Record number `seq` of a site's sensor, one millisecond after the one before.
fn record(site: u32, sensor: u32, seq: i64) -> Vec<u8> {
    let ts_ms = START_MS + seq;
    format!(
        r#"{{"sensor_id":"site-{site:04}/light-{sensor:02}","site_id":"site-{site:04}",
            "kind":"light","ts":{ts_ms},"value":{seq},"unit":"lx","seq":{seq},"run":"r",
            "status":"ok","location":{{"lat":1.5,"lon":2.5}}}}"#
    )
    .into_bytes()
}

struct Trial {
    pipeline: Pipeline,
    now: Instant,
    under_way: Vec<(Ticket, Write)>,
}

impl Trial {
    fn new(partitions: &[i32]) -> Self {
        let (mut pipeline, now) = (Pipeline::new(LIMITS), Instant::now());
        pipeline.assign(partitions.iter().copied(), now);
        Self { pipeline, now, under_way: Vec::new() }
    }

    fn accept(&mut self, partition: i32, offset: u64, record: &[u8]) -> Accepted {
        self.pipeline.accept(partition, RecordOffset(offset), record, self.now)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.pipeline.tick(self.now);
        while let Some(write) = self.pipeline.next_write() {
            self.under_way.push(write);
        }
    }

    fn finish_all(&mut self) {
        for (ticket, write) in self.under_way.drain(..) {
            self.pipeline.finish(ticket, &write);
        }
    }

    fn commits(&mut self) -> Vec<(i32, u64)> {
        let commits = self.pipeline.take_commits();
        commits.into_iter().map(|commit| (commit.partition, commit.next.0)).collect()
    }

    fn row_counts(&self) -> Vec<usize> {
        let batches = self.under_way.iter().filter_map(|(_, write)| match write {
            Write::Rows(batch) => Some(batch.len()),
            Write::Site(_) => None,
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

#[test]
fn a_batch_is_not_written_before_its_age_or_size_asks_for_it() {
    let mut trial = Trial::new(&[0]);
    trial.accept(0, 0, &record(1, 1, 0));
    trial.pass(LIMITS.batch_age_max / 2);
    assert!(trial.row_counts().is_empty());
    trial.pass(LIMITS.batch_age_max / 2);
    assert_eq!(trial.row_counts(), [1]);
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
    trial.pipeline.finish(odd.0, &odd.1);
    trial.pass(LIMITS.commit_interval);
    trial.finish_all();
    assert!(trial.commits().is_empty(), "offset 100 is still open");

    trial.pipeline.finish(even.0, &even.1);
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

#[test]
fn a_record_that_breaks_the_contract_does_not_hold_up_the_rest() {
    let mut trial = Trial::new(&[0]);
    trial.accept(0, 0, &record(1, 1, 0));
    assert!(matches!(trial.accept(0, 1, b"not a reading"), Accepted::Rejected(_)));
    trial.accept(0, 2, &record(1, 1, 2));
    trial.pass(LIMITS.batch_age_max);
    trial.finish_all();
    assert_eq!(trial.pipeline.durable(0), Some(NextOffset(3)));
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
    assert!(latest.unregistered && news.location.is_some(), "the registry hears of it, once");
    trial.finish_all();
    assert_eq!(trial.commits(), [(0, 4)]);

    trial.accept(0, 4, &record(1, 7, 10));
    trial.pass(LIMITS.batch_age_max);
    trial.finish_all();
    trial.pass(LIMITS.commit_interval);
    let [(_, Write::Site(news))] = &trial.under_way[..] else { panic!("{:?}", trial.under_way) };
    assert!(!news.sensors[0].1.unregistered && news.location.is_none(), "{news:?}");
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
        while let Some(write) = trial.pipeline.next_write() {
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

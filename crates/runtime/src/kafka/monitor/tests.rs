//! What counts as standing still, and what it is called.

use rdkafka::statistics::{Broker, ConsumerGroup, Partition, Statistics, Topic};

use super::*;

const TOPIC: &str = "readings";
const SECOND: Duration = Duration::from_secs(1);

/// Returns what librdkafka says of a member in good order whose partition 0 has these watermarks.
fn said(low: i64, stable: i64, high: i64) -> Statistics {
    let mut statistics = Statistics::default();
    let broker = Broker { state: "UP".into(), ..Broker::default() };
    statistics.brokers.insert("one".into(), broker);
    let (state, join_state) = ("up".into(), "steady".into());
    statistics.cgrp = Some(ConsumerGroup { state, join_state, ..ConsumerGroup::default() });
    let partition =
        Partition { lo_offset: low, ls_offset: stable, hi_offset: high, ..Partition::default() };
    let mut topic = Topic::default();
    topic.partitions.insert(0, partition);
    statistics.topics.insert(TOPIC.into(), topic);
    statistics
}

/// Returns a monitor of partition 0, which starts at an offset and ends at another one.
fn watching(start: u64, end: i64, now: Instant) -> Monitor {
    let mut monitor = Monitor::new(TOPIC, now);
    monitor.assigned(&[(0, Some(start))], now);
    monitor.statistics(&said(0, end, end), now);
    monitor
}

#[test]
fn a_partition_with_records_that_stands_still_is_looked_into_and_then_unhealthy() {
    let start = Instant::now();
    let mut monitor = watching(5, 9, start);
    monitor.observe([(0, None)], true, start);
    assert_eq!(monitor.to_probe(start + STALLED_AFTER.checked_sub(SECOND).unwrap()), []);
    let stalled = start + STALLED_AFTER;
    assert_eq!(monitor.to_probe(stalled), [(0, 5)]);
    assert_eq!(monitor.to_probe(stalled + SECOND), [], "not again so soon");
    assert!(!monitor.probed(0, 5, &Finding::Unreadable("codec 7".into()), stalled));
    assert_eq!(monitor.impediment(stalled), None, "it may pass");
    let why = monitor.impediment(start + UNHEALTHY_AFTER).unwrap();
    let wanted = "partition 0 of `readings` has stood at offset 5 for 30 s: codec 7";
    assert_eq!(why, wanted);

    monitor.observe([(0, Some(9))], true, start + UNHEALTHY_AFTER);
    assert_eq!(monitor.impediment(start + 9 * UNHEALTHY_AFTER), None, "everything is read");
}

#[test]
fn whoever_takes_nothing_in_or_has_nothing_to_read_does_not_stand_still() {
    let start = Instant::now();
    let late = start + 2 * UNHEALTHY_AFTER;
    let mut paused = watching(5, 9, start);
    paused.observe([(0, None)], false, late);
    assert_eq!((paused.to_probe(late), paused.impediment(late)), (vec![], None));
    let mut at_end = watching(9, 9, start);
    at_end.observe([(0, None)], true, late);
    assert_eq!((at_end.to_probe(late), at_end.impediment(late)), (vec![], None));
    let mut revoked = watching(5, 9, start);
    revoked.revoked(&[0]);
    assert_eq!((revoked.to_probe(late), revoked.impediment(late)), (vec![], None));
}

#[test]
fn a_record_that_can_be_read_is_fetched_again() {
    let start = Instant::now();
    let mut monitor = watching(5, 9, start);
    monitor.suspect(start);
    assert!(monitor.is_suspicious(0, 8, start));
    assert!(!monitor.probed(0, 4, &Finding::Readable(8), start), "the partition is elsewhere");
    assert!(monitor.probed(0, 5, &Finding::Readable(8), start));
    assert!(!monitor.is_suspicious(0, 8, start), "offset 8 is known to come next");
    assert!(monitor.is_suspicious(0, 7, start));
    assert!(!monitor.is_suspicious(0, 7, start + SUSPICION), "the suspicion has passed");
}

#[test]
fn an_open_transaction_is_named() {
    let start = Instant::now();
    let mut monitor = watching(5, 5, start);
    monitor.statistics(&said(0, 5, 9), start);
    let late = start + UNHEALTHY_AFTER;
    monitor.probed(0, 5, &Finding::Empty, late);
    let why = monitor.impediment(late).unwrap();
    assert!(why.ends_with("a transaction is open and holds back 4 records"), "{why}");
}

#[test]
fn records_that_were_deleted_are_told_from_offsets_that_never_were_records() {
    let now = Instant::now();
    let mut monitor = watching(5, 90, now);
    monitor.skipped(0, 5, 6);
    assert_eq!(monitor.statistics(&said(0, 90, 90), now), [], "a marker of a transaction");
    monitor.skipped(0, 10, 40);
    let deleted = Deleted { partition: 0, offset: 10, records: 30 };
    assert_eq!(monitor.statistics(&said(40, 90, 90), now), [deleted]);
    assert_eq!(monitor.statistics(&said(41, 90, 90), now), [], "once");
}

#[test]
fn brokers_group_and_commits_have_their_time() {
    let start = Instant::now();
    let mut monitor = Monitor::new(TOPIC, start);
    monitor.reported("inconsistent protocol".into());
    assert_eq!(monitor.impediment(start + OUTSIDE_GROUP_MAX.checked_sub(SECOND).unwrap()), None);
    let why = monitor.impediment(start + OUTSIDE_GROUP_MAX).unwrap();
    assert_eq!(why, "outside of the consumer group for 60 s: inconsistent protocol");

    monitor.statistics(&said(0, 0, 0), start);
    assert_eq!(monitor.impediment(start + 9 * OUTSIDE_GROUP_MAX), None);
    let mut lost = said(0, 0, 0);
    lost.brokers.get_mut("one").unwrap().state = "DOWN".into();
    monitor.statistics(&lost, start);
    let why = monitor.impediment(start + UNHEALTHY_AFTER).unwrap();
    assert_eq!(why, "no broker has been reachable for 30 s");

    monitor.statistics(&said(0, 0, 0), start);
    monitor.commit_sent(start);
    monitor.commit_ended(Some("not the coordinator".into()));
    monitor.commit_sent(start + SECOND);
    let why = monitor.impediment(start + UNHEALTHY_AFTER).unwrap();
    assert_eq!(why, "no commit has worked for 30 s: not the coordinator");
    monitor.commit_ended(None);
    assert_eq!(monitor.impediment(start + UNHEALTHY_AFTER), None);
}

#[test]
fn the_lag_of_an_empty_partition_is_none_of_the_others_business() {
    let now = Instant::now();
    let mut monitor = watching(0, 0, now);
    assert_eq!(monitor.lag(|_| None), Some(0), "empty");
    monitor.statistics(&said(0, 9, 12), now);
    assert_eq!(monitor.lag(|_| None), Some(12), "nothing is done");
    assert_eq!(monitor.lag(|_| Some(7)), Some(5));
    monitor.assigned(&[(1, Some(0))], now);
    assert_eq!(monitor.lag(|_| Some(7)), None, "nobody knows where partition 1 ends");
    monitor.revoked(&[0, 1]);
    assert_eq!(monitor.lag(|_| Some(7)), None, "of nothing");
}

#[test]
fn a_topic_that_is_gone_is_named_until_it_is_found() {
    let start = Instant::now();
    let mut monitor = watching(0, 0, start);
    assert!(!monitor.has_to_look_for_topic(start), "nobody misses it");
    monitor.topic_is_missing(start);
    monitor.topic_is_missing(start + SECOND);
    assert!(monitor.has_to_look_for_topic(start + SECOND));
    assert!(!monitor.has_to_look_for_topic(start + 2 * SECOND), "not again so soon");
    let why = monitor.impediment(start + UNHEALTHY_AFTER).unwrap();
    assert_eq!(why, "the topic `readings` has not existed for 30 s");
    monitor.topic_was_found();
    assert_eq!(monitor.impediment(start + UNHEALTHY_AFTER), None);
}

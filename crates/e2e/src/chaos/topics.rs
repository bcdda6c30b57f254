//! Cases in which the topic itself changes: records deleted from it, or all of it and made anew.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use futures::executor::block_on;
use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::cases::{MOMENT, admin, through_cassandra_proxy, under_load};
use super::scene::{PATIENCE, Scene};
use super::{Case, ordinary};
use crate::proxy::Line;

/// All of them.
pub(super) const ALL: &[Case] = &[
    ordinary(
        "topic-recreated",
        "with everything stored, the topic is deleted and made anew by the next run",
        recreated,
    ),
    ordinary(
        "topic-recreated-in-flight",
        "the same with thousands of rows on a silent way to Cassandra",
        recreated_in_flight,
    ),
    ordinary(
        "retention",
        "records that are stored but not committed are deleted, and their consumer is killed",
        retention,
    ),
    ordinary(
        "truncated",
        "all that is committed is deleted again and again while records come and go",
        truncated,
    ),
];

pub(super) fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

/// The first run is audited before its topic goes.
fn recreated(scene: &mut Scene<'_>) -> Result<()> {
    scene.start_consumer()?;
    scene.start_producer()?;
    scene.calm()?;
    scene.stop_producer()?;
    scene.prove()?;
    scene.forget_proof();
    delete_topic(scene, scene.trial().topic())?;
    // The next run makes the topic.
    scene.pass_up_to(3 * MOMENT)?;
    scene.start_producer()?;
    scene.recover()?;
    scene.stop_producer()
}

pub(super) fn delete_topic(scene: &Scene<'_>, topic: &str) -> Result<()> {
    for result in block_on(admin(scene)?.delete_topics(&[topic], &options()))? {
        result.map_err(|(topic, code)| anyhow::anyhow!("{topic} is not deleted: {code}"))?;
    }
    Ok(())
}

/// What the consumer has taken in is written although its offsets mean other records by then.
fn recreated_in_flight(scene: &mut Scene<'_>) -> Result<()> {
    through_cassandra_proxy(scene, |scene| {
        let bad = Line { swallows: true, ..Line::default() };
        let bad = scene.servers().cassandra_proxy.become_bad(bad);
        scene.pass(MOMENT)?;
        scene.stop_producer()?;
        let acknowledged = scene.trial().report()?.acknowledged;
        scene.until("all is taken in", PATIENCE, |scene| {
            let consumer = &scene.consumers()[0];
            let under_way = consumer.last_now("rows_buffered").unwrap_or(0.0);
            Ok(consumer.last_now("rows_total").unwrap_or(0.0) + under_way >= acknowledged as f64)
        })?;
        let in_flight = scene.consumers()[0].last_now("rows_buffered").unwrap_or(0.0);
        scene.note(format!("{in_flight} rows under way when the topic was deleted"));
        ensure!(in_flight > 1_000.0, "only {in_flight} rows were under way");
        delete_topic(scene, scene.trial().topic())?;
        scene.start_producer()?;
        scene.pass(MOMENT)?;
        drop(bad);
        Ok(())
    })
}

fn truncated(scene: &mut Scene<'_>) -> Result<()> {
    under_load(scene, |scene| {
        let mut deleted = 0;
        for _ in 0..8 {
            let client = group_client(scene)?;
            let stored = client.committed_offsets(ends(scene, &client)?, PATIENCE)?;
            block_on(admin(scene)?.delete_records(&stored, &options()))?;
            deleted = offsets_of(&stored).values().sum();
            scene.pass_up_to(MOMENT)?;
        }
        ensure!(deleted > 0, "nothing had been committed");
        scene.note(format!("{deleted} records deleted close behind the consumer"));
        Ok(())
    })
}

fn retention(scene: &mut Scene<'_>) -> Result<()> {
    scene.start_consumer()?;
    scene.start_producer()?;
    scene.calm()?;
    scene.stop_consumer(0)?;
    // From here on nothing is committed.
    scene.set("CONSUMER_COMMIT_INTERVAL_MS", 60_000);
    scene.start_consumer()?;
    scene.flow(3)?;
    scene.stop_producer()?;
    let acknowledged = scene.trial().report()?.acknowledged;
    scene.until("all is stored", PATIENCE, |scene| Ok(scene.rows() >= acknowledged))?;
    scene.kill_consumer(0)?;
    let deleted = delete_all_records(scene)?;
    scene.note(format!("{deleted} records deleted that had been stored but not committed"));
    ensure!(deleted > 0, "everything had been committed");
    scene.set("CONSUMER_COMMIT_INTERVAL_MS", 1_000);
    scene.start_producer()?;
    scene.start_consumer()?;
    scene.recover()?;
    scene.stop_producer()
}

/// Deletes every record of the topic; returns how many of them the group had not committed.
fn delete_all_records(scene: &Scene<'_>) -> Result<i64> {
    let client = group_client(scene)?;
    let ends = ends(scene, &client)?;
    let committed = offsets_of(&client.committed_offsets(ends.clone(), PATIENCE)?);
    let mut open = 0;
    for (partition, end) in offsets_of(&ends) {
        open += committed.get(&partition).map_or(0, |committed| end - committed);
    }
    block_on(admin(scene)?.delete_records(&ends, &options()))?;
    Ok(open)
}

/// Returns a client that may ask for the group's offsets, and does not join.
fn group_client(scene: &Scene<'_>) -> Result<BaseConsumer> {
    let client = ClientConfig::new()
        .set("bootstrap.servers", scene.trial().setting("KAFKA_BOOTSTRAP_SERVERS"))
        .set("group.id", scene.trial().setting("KAFKA_CONSUMER_GROUP_ID"))
        .create()?;
    Ok(client)
}

/// Returns where each partition of the topic ends.
fn ends(scene: &Scene<'_>, client: &BaseConsumer) -> Result<TopicPartitionList> {
    let topic = scene.trial().topic();
    let mut ends = TopicPartitionList::new();
    for partition in 0..12 {
        let (_, high) = client.fetch_watermarks(topic, partition, PATIENCE)?;
        ends.add_partition_offset(topic, partition, Offset::Offset(high))?;
    }
    Ok(ends)
}

fn offsets_of(list: &TopicPartitionList) -> BTreeMap<i32, i64> {
    let mut offsets = BTreeMap::new();
    for element in list.elements() {
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    offsets
}

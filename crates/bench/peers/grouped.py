"""A careful consumer: messages by the thousand, unlogged batches of one Cassandra partition each, then the commit."""

import json
import os
import time
from collections import defaultdict

from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster
from cassandra.query import BatchStatement, BatchType
from confluent_kafka import Consumer

INSERT = """
INSERT INTO readings (site_id, hour, sensor_id, ts, run, seq, value, unit, status, lat, lon)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?
"""
TIME_TO_LIVE_S = 86_400
HOUR_MS = 3_600_000
MESSAGES = 5_000
BATCH_ROWS = 200


def values(reading, now_ms):
    ts = reading["ts"]
    location = reading["location"]
    left_s = max(1, (ts + TIME_TO_LIVE_S * 1000 - now_ms) // 1000)
    return (
        reading["site_id"],
        ts - ts % HOUR_MS,
        reading["sensor_id"],
        ts,
        reading["run"],
        reading["seq"],
        reading["value"],
        reading["unit"],
        reading["status"],
        location["lat"],
        location["lon"],
        ts * 1000,
        left_s,
    )


def batches(messages, insert):
    groups = defaultdict(list)
    now_ms = int(time.time() * 1000)
    for message in messages:
        if message.error() is None:
            row = values(json.loads(message.value()), now_ms)
            groups[row[:2]].append(row)
    for rows in groups.values():
        for start in range(0, len(rows), BATCH_ROWS):
            batch = BatchStatement(
                batch_type=BatchType.UNLOGGED, consistency_level=ConsistencyLevel.LOCAL_QUORUM
            )
            for row in rows[start : start + BATCH_ROWS]:
                batch.add(insert, row)
            yield batch


def main():
    host, port = os.environ["CASSANDRA_CONTACT_POINTS"].rsplit(":", 1)
    session = Cluster([host], port=int(port)).connect(os.environ["CASSANDRA_KEYSPACE"])
    insert = session.prepare(INSERT)
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["KAFKA_CONSUMER_GROUP_ID"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([os.environ["KAFKA_TOPIC_NAME"]])
    while True:
        messages = consumer.consume(MESSAGES, timeout=0.1)
        if not messages:
            continue
        for future in [session.execute_async(batch) for batch in batches(messages, insert)]:
            future.result()
        consumer.commit(asynchronous=True)


if __name__ == "__main__":
    main()

"""The consumer that tutorials show: one prepared insert for each message, offsets committed in the background."""

import json
import os
import time

from cassandra.cluster import Cluster
from confluent_kafka import Consumer

INSERT = """
INSERT INTO readings (site_id, hour, sensor_id, ts, run, seq, value, unit, status, lat, lon)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?
"""
TIME_TO_LIVE_S = 86_400
HOUR_MS = 3_600_000


def values(reading):
    ts = reading["ts"]
    location = reading["location"]
    left_s = max(1, (ts + TIME_TO_LIVE_S * 1000 - int(time.time() * 1000)) // 1000)
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


def main():
    host, port = os.environ["CASSANDRA_CONTACT_POINTS"].rsplit(":", 1)
    session = Cluster([host], port=int(port)).connect(os.environ["CASSANDRA_KEYSPACE"])
    insert = session.prepare(INSERT)
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["KAFKA_CONSUMER_GROUP_ID"],
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([os.environ["KAFKA_TOPIC_NAME"]])
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        session.execute(insert, values(json.loads(message.value())))


if __name__ == "__main__":
    main()

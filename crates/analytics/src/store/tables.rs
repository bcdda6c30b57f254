//! The tables that the service writes.

use runtime::cassandra::schema::{Column, Table};

const AGGREGATE: [Column; 16] = [
    ("kind", "text"),
    ("sensor_id", "text"),
    ("window_start", "timestamp"),
    ("count", "bigint"),
    ("min", "double"),
    ("max", "double"),
    ("mean", "double"),
    ("stddev", "double"),
    ("first", "double"),
    ("first_ts", "timestamp"),
    ("last", "double"),
    ("last_ts", "timestamp"),
    ("not_ok", "bigint"),
    ("not_ok_share", "double"),
    ("active_s", "double"),
    ("transitions", "bigint"),
];

/// Puts the partition key before the columns that both tables share.
const fn aggregate_columns(bucket: &'static str) -> [Column; 19] {
    let mut columns = [("", ""); 19];
    (columns[0], columns[1]) = (("site_id", "text"), (bucket, "timestamp"));
    let mut place = 0;
    while place < AGGREGATE.len() {
        columns[place + 2] = AGGREGATE[place];
        place += 1;
    }
    columns[18] = ("revision", "bigint");
    columns
}

/// The windows.
pub(super) const MINUTES: Table = Table {
    name: "aggregates_1m",
    partition_key: &["site_id", "hour"],
    clustering_key: &["kind", "sensor_id", "window_start"],
    columns: &aggregate_columns("hour"),
    may_expire: true,
};

/// The larger windows.
pub(super) const ROLLUPS: Table = Table {
    name: "aggregates_1h",
    partition_key: &["site_id", "day"],
    clustering_key: &["kind", "sensor_id", "window_start"],
    columns: &aggregate_columns("day"),
    may_expire: true,
};

/// Alerts, open and past.
pub(super) const ALERTS: Table = Table {
    name: "alerts",
    partition_key: &["site_id"],
    clustering_key: &["started_at", "alert_id"],
    columns: &[
        ("site_id", "text"),
        ("started_at", "timestamp"),
        ("alert_id", "text"),
        ("sensor_id", "text"),
        ("kind", "text"),
        ("rule", "text"),
        ("severity", "text"),
        ("state", "text"),
        ("opened_at", "timestamp"),
        ("cleared_at", "timestamp"),
        ("value", "double"),
        ("threshold", "double"),
        ("provisional", "boolean"),
    ],
    may_expire: true,
};

/// What the detectors have learnt.
pub(super) const DETECTORS: Table = Table {
    name: "detectors",
    partition_key: &["group_id", "kafka_partition"],
    clustering_key: &["site_id", "kind", "sensor_id"],
    columns: &[
        ("group_id", "text"),
        ("kafka_partition", "int"),
        ("site_id", "text"),
        ("kind", "text"),
        ("sensor_id", "text"),
        ("window_start", "timestamp"),
        ("state", "blob"),
    ],
    may_expire: true,
};

/// All of them.
pub(super) const ALL: [&Table; 4] = [&MINUTES, &ROLLUPS, &ALERTS, &DETECTORS];

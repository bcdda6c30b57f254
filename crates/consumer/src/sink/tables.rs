//! The tables that the sink writes.

use runtime::cassandra::schema::Table;

/// Every reading. The static columns come last: only one row of a batch sets them.
pub(super) const READINGS: Table = Table {
    name: "readings",
    partition_key: &["site_id", "hour"],
    clustering_key: &["sensor_id", "ts", "run", "seq"],
    columns: &[
        ("site_id", "text"),
        ("hour", "timestamp"),
        ("sensor_id", "text"),
        ("ts", "timestamp"),
        ("run", "text"),
        ("seq", "bigint"),
        ("value", "double"),
        ("unit", "text"),
        ("status", "text"),
        ("lat", "double"),
        ("lon", "double"),
    ],
    may_expire: true,
};
/// How many of them are static.
pub(super) const READINGS_STATIC: usize = 2;

/// Every event.
pub(super) const EVENTS: Table = Table {
    name: "events",
    partition_key: &["site_id", "day"],
    clustering_key: &["ts", "sensor_id", "run", "seq"],
    columns: &[
        ("site_id", "text"),
        ("day", "timestamp"),
        ("sensor_id", "text"),
        ("ts", "timestamp"),
        ("run", "text"),
        ("seq", "bigint"),
        ("event", "text"),
        ("detail", "text"),
    ],
    may_expire: true,
};

/// The newest reading of each sensor.
pub(super) const LATEST: Table = Table {
    name: "latest",
    partition_key: &["site_id"],
    clustering_key: &["sensor_id"],
    columns: &[
        ("site_id", "text"),
        ("sensor_id", "text"),
        ("ts", "timestamp"),
        ("value", "double"),
        ("unit", "text"),
        ("status", "text"),
        ("run", "text"),
        ("seq", "bigint"),
    ],
    may_expire: true,
};

/// The registry of sensors.
pub(super) const SENSORS: Table = Table {
    name: "sensors",
    partition_key: &["site_id"],
    clustering_key: &["sensor_id"],
    columns: &[("site_id", "text"), ("sensor_id", "text"), ("kind", "text"), ("unit", "text")],
    // A sensor is registered once by each consumer, not with each reading.
    may_expire: false,
};

/// The registry of sites.
pub(super) const SITES: Table = Table {
    name: "sites",
    partition_key: &["site_id"],
    clustering_key: &[],
    columns: &[("site_id", "text"), ("lat", "double"), ("lon", "double")],
    may_expire: false,
};

/// Every one of them.
pub(super) const ALL: [&Table; 5] = [&READINGS, &EVENTS, &LATEST, &SENSORS, &SITES];

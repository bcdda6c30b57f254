//! How rows become CQL values: straight into the request, in the order of the tables' columns.

use domain::alert::Alert;
use runtime::cassandra::Lifetime;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

use crate::window::{Raised, SensorState, WindowRow};

type Written = Result<(), SerializationError>;

/// The cells of a row, one after the other.
struct Cells<'a, 'b>(&'a mut RowWriter<'b>);

impl Cells<'_, '_> {
    fn bytes(&mut self, value: &[u8]) -> Written {
        self.0.make_cell_writer().set_value(value).map(drop).map_err(SerializationError::new)
    }

    fn text(&mut self, value: &str) -> Written {
        self.bytes(value.as_bytes())
    }

    fn bigint(&mut self, value: i64) -> Written {
        self.bytes(&value.to_be_bytes())
    }

    fn count(&mut self, value: u64) -> Written {
        self.bigint(i64::try_from(value).unwrap_or(i64::MAX))
    }

    fn int(&mut self, value: i32) -> Written {
        self.bytes(&value.to_be_bytes())
    }

    fn double(&mut self, value: f64) -> Written {
        self.bytes(&value.to_be_bytes())
    }

    fn null(&mut self) {
        self.0.make_cell_writer().set_null();
    }

    /// A null would be a tombstone, which every reader of the partition has to pass.
    fn never_set(&mut self) {
        self.0.make_cell_writer().set_unset();
    }
}

/// A row of one of the tables of aggregates.
pub(super) struct AggregateValues<'a> {
    pub(super) row: &'a WindowRow,
    /// Start of the hour or the day of its partition, in epoch milliseconds.
    pub(super) bucket_ms: i64,
    /// Size of its window.
    pub(super) window_ms: i64,
    pub(super) lifetime: Lifetime,
}

impl SerializeRow for AggregateValues<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Written {
        let WindowRow { key, aggregate, revision } = self.row;
        let mut cells = Cells(writer);
        cells.text(&key.site_id)?;
        cells.bigint(self.bucket_ms)?;
        cells.text(key.kind.name())?;
        cells.text(&key.sensor_id)?;
        cells.bigint(key.window_start_ms)?;
        cells.count(aggregate.count)?;
        cells.double(aggregate.min)?;
        cells.double(aggregate.max)?;
        cells.double(aggregate.mean)?;
        cells.double(aggregate.stddev)?;
        cells.double(aggregate.first.value)?;
        cells.bigint(aggregate.first.ts)?;
        cells.double(aggregate.last.value)?;
        cells.bigint(aggregate.last.ts)?;
        cells.count(aggregate.not_ok)?;
        cells.double(aggregate.not_ok_share())?;
        if let Some(motion) = aggregate.motion {
            cells.double(motion.active_ms as f64 / 1e3)?;
            cells.count(motion.transitions)?;
        } else {
            cells.never_set();
            cells.never_set();
        }
        cells.count(*revision)?;
        cells.bigint(self.row.write_timestamp_us(self.window_ms))?;
        cells.int(self.lifetime.left_s(key.window_start_ms.saturating_add(self.window_ms)))
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// A row of `alerts`.
pub(super) struct AlertValues<'a> {
    pub(super) raised: &'a Raised,
    pub(super) lifetime: Lifetime,
}

impl SerializeRow for AlertValues<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Written {
        let Raised { alert, write_timestamp_us } = self.raised;
        let Alert { site_id, started_at, alert_id, sensor_id, kind, rule, .. } = alert;
        let mut cells = Cells(writer);
        cells.text(site_id)?;
        cells.bigint(*started_at)?;
        cells.text(alert_id)?;
        cells.text(sensor_id)?;
        cells.text(kind.name())?;
        cells.text(rule)?;
        cells.text(alert.severity.name())?;
        cells.text(alert.state.name())?;
        cells.bigint(alert.opened_at)?;
        match alert.cleared_at {
            Some(cleared_at) => cells.bigint(cleared_at)?,
            None => cells.null(),
        }
        cells.double(alert.value)?;
        cells.double(alert.threshold)?;
        cells.bytes(&[u8::from(alert.provisional)])?;
        cells.bigint(*write_timestamp_us)?;
        // An alert lives from its last word on.
        cells.int(self.lifetime.left_s(alert.cleared_at.unwrap_or(alert.opened_at)))
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// A row of `detectors`.
pub(super) struct StateValues<'a> {
    pub(super) group_id: &'a str,
    pub(super) partition: i32,
    pub(super) state: &'a SensorState,
    pub(super) lifetime: Lifetime,
}

impl SerializeRow for StateValues<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Written {
        let SensorState { site_id, kind, sensor_id, window_start_ms, state } = self.state;
        let mut cells = Cells(writer);
        cells.text(self.group_id)?;
        cells.int(self.partition)?;
        cells.text(site_id)?;
        cells.text(kind.name())?;
        cells.text(sensor_id)?;
        cells.bigint(*window_start_ms)?;
        cells.bytes(state)?;
        cells.bigint(window_start_ms.saturating_mul(1_000))?;
        cells.int(self.lifetime.left_s(*window_start_ms))
    }

    fn is_empty(&self) -> bool {
        false
    }
}

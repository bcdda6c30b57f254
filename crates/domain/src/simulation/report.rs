//! What a producer run declares about itself: enough to recompute every reading, and what became of
//! each.

use serde::{Deserialize, Serialize};

use super::fleet::FleetSpec;
use super::schedule::Schedule;

/// The inputs of a run: the same manifest always gives the same readings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunManifest {
    /// Id of the run, carried by each of its readings.
    pub run: String,
    /// Seed of all randomness.
    pub seed: u64,
    /// Which sensors there are.
    pub fleet: FleetSpec,
    /// When each reading is due.
    pub schedule: Schedule,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// The producer is at work, or died without a word.
    Running,
    /// Every reading of a finite run was acknowledged.
    Complete,
    /// The run ended before its last reading, or not everything was acknowledged.
    Stopped,
}

/// Readings `from..to` of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRange {
    /// First reading.
    pub from: u64,
    /// One past the last reading.
    pub to: u64,
}

/// One topic partition's part in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartitionShare {
    /// Number of the partition.
    pub partition: u32,
    /// Sites whose readings go there.
    pub sites: u64,
    /// Readings that Kafka acknowledged.
    pub acknowledged: u64,
    /// `acknowledged` in units of the mean over all partitions; 1.0 is an even spread.
    pub share_of_mean: f64,
}

/// Percentiles of a duration, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DurationSummary {
    /// Half of the readings took no longer.
    pub p50_ms: f64,
    /// 99 % took no longer.
    pub p99_ms: f64,
    /// 99.9 % took no longer.
    pub p999_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

/// What a producer stores about its run, while it runs and at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The inputs of the run.
    pub manifest: RunManifest,
    /// The topic written to.
    pub topic: String,
    /// How far the run has come.
    pub state: RunState,
    /// When this report was written, in epoch milliseconds.
    pub written_ms: i64,
    /// Readings handed to the Kafka client: numbers `0..scheduled`.
    pub scheduled: u64,
    /// Readings that Kafka acknowledged.
    pub acknowledged: u64,
    /// Readings that Kafka refused for good.
    pub failed: u64,
    /// Readings below `scheduled` that were not acknowledged when this was written: failed or under
    /// way.
    pub unacknowledged: Vec<IndexRange>,
    /// Time from the first to the last reading sent, in seconds.
    pub elapsed_s: f64,
    /// Readings per second over that time.
    pub rate_achieved: f64,
    /// How long after its due time a reading was handed to the Kafka client.
    pub lateness: DurationSummary,
    /// How long Kafka took to acknowledge, from the hand-over.
    pub ack_latency: DurationSummary,
    /// Every partition's part.
    pub partitions: Vec<PartitionShare>,
}

impl RunReport {
    /// Tells whether Kafka had acknowledged reading `index` when the report was written.
    pub fn is_acknowledged(&self, index: u64) -> bool {
        // The ranges are few, ascending and do not touch.
        let position = self.unacknowledged.partition_point(|range| range.to <= index);
        let open = self.unacknowledged.get(position).is_some_and(|range| range.from <= index);
        index < self.scheduled && !open
    }
}

//! What a producer run declares about itself: enough to recompute every reading, and what became of
//! each.

use serde::{Deserialize, Serialize};

use super::anomaly::AnomalySpec;
use super::fleet::{FleetSpec, SENSORS_PER_SITE};
use super::schedule::Schedule;
use super::transport::{FateCounts, TransportSpec};

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
    /// How much of it is anomalous.
    pub anomalies: AnomalySpec,
    /// What happens to readings on their way.
    pub transport: TransportSpec,
}

/// The part of a run's sites that one of several producers simulates: those whose number leaves the
/// remainder `number` when divided by `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Number of the part, from 0.
    pub number: u64,
    /// Number of parts, at least 1.
    pub of: u64,
}

impl Shard {
    /// All sites.
    pub const WHOLE: Self = Self { number: 0, of: 1 };

    /// Returns what names this part of a run among all.
    pub fn id(self, run: &str) -> String {
        let Self { number, of } = self;
        if self.is_whole() { run.to_owned() } else { format!("{run}.{number}-of-{of}") }
    }

    /// Tells whether the sensors of a site belong to this part.
    pub fn has_site(self, site: u64) -> bool {
        self.of == 1 || site % self.of == self.number
    }

    /// Tells whether a sensor belongs to this part.
    pub fn has_sensor(self, sensor: u64) -> bool {
        self.has_site(sensor / SENSORS_PER_SITE)
    }

    /// Tells whether this is the only part.
    pub fn is_whole(self) -> bool {
        self.of == 1
    }
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

/// What was sent in windows of equal length, held against what was due in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowProof {
    /// Whole windows that are over.
    pub windows: u64,
    /// Most readings sent in a window, in units of those due in it.
    pub most_of_due: f64,
    /// Least readings sent in a window, the same way.
    pub least_of_due: f64,
    /// Variance of the readings sent in a window over their mean: 0 is a metronome, 1 as uneven as
    /// chance (index of dispersion).
    pub dispersion: f64,
}

/// Times at which the machine let the producer sleep more than 10 ms too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stalls {
    /// How many.
    pub count: u64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
    /// All together, in milliseconds.
    pub total_ms: f64,
}

/// How evenly a run was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RateProof {
    /// In windows of 100 ms.
    pub per_100_ms: WindowProof,
    /// In windows of a second.
    pub per_second: WindowProof,
    /// What the machine adds to it.
    pub stalls: Stalls,
}

/// Which events of sensors Kafka has: they are sent in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSpan {
    /// Kafka has acknowledged every event of before this time, in epoch milliseconds.
    pub acknowledged_to_ms: i64,
    /// No event of after this time had been sent, in epoch milliseconds.
    pub sent_to_ms: i64,
}

/// What a producer stores about its run, while it runs and at the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The inputs of the run.
    pub manifest: RunManifest,
    /// The part of it that this report is about.
    pub shard: Shard,
    /// The topic written to.
    pub topic: String,
    /// How far the run has come.
    pub state: RunState,
    /// When this report was written, in epoch milliseconds.
    pub written_ms: i64,
    /// Readings whose time has come: numbers `0..scheduled`, those of other parts among them.
    pub scheduled: u64,
    /// Readings of this part that were handed to the Kafka client: not what is held back.
    #[serde(default)]
    pub sent: u64,
    /// Readings that Kafka acknowledged.
    pub acknowledged: u64,
    /// Readings that Kafka refused for good.
    pub failed: u64,
    /// Readings of this part below `scheduled` that were to be sent, and were not acknowledged when
    /// this was written: failed or under way.
    pub unacknowledged: Vec<IndexRange>,
    /// What became on their way of the readings of this part that were handled.
    pub fates: FateCounts,
    /// Events of sensors that were handed to the Kafka client.
    pub events: u64,
    /// Which of them Kafka has; `None` in a report that does not say.
    #[serde(default)]
    pub event_span: Option<EventSpan>,
    /// Time from the first to the last reading sent, in seconds.
    pub elapsed_s: f64,
    /// Readings per second over that time.
    pub rate_achieved: f64,
    /// How far behind the schedule sending was when this was written, in seconds.
    pub debt_s: f64,
    /// How evenly the readings were sent.
    pub rate_proof: RateProof,
    /// Schedule lag: from the time a reading is to be sent to its hand-over to the Kafka client.
    pub lateness: DurationSummary,
    /// Service time: from the hand-over to Kafka's acknowledgement.
    pub ack_latency: DurationSummary,
    /// Response time: from the time a reading is to be sent to Kafka's acknowledgement.
    pub response: DurationSummary,
    /// Every partition's part.
    pub partitions: Vec<PartitionShare>,
}

impl RunReport {
    /// Makes the report of a run whose first `readings` readings were all acknowledged, and of
    /// which nothing was measured.
    pub fn complete(manifest: RunManifest, topic: &str, readings: u64) -> Self {
        Self {
            written_ms: manifest.schedule.start_ms,
            manifest,
            shard: Shard::WHOLE,
            topic: topic.into(),
            state: RunState::Complete,
            scheduled: readings,
            sent: readings,
            acknowledged: readings,
            failed: 0,
            unacknowledged: Vec::new(),
            fates: FateCounts::default(),
            events: 0,
            event_span: None,
            elapsed_s: 0.0,
            rate_achieved: 0.0,
            debt_s: 0.0,
            rate_proof: RateProof::default(),
            lateness: DurationSummary::default(),
            ack_latency: DurationSummary::default(),
            response: DurationSummary::default(),
            partitions: Vec::new(),
        }
    }

    /// Returns what names this report among all: the run, and the part of it.
    pub fn id(&self) -> String {
        self.shard.id(&self.manifest.run)
    }

    /// Returns the run that a report is of, by its id.
    pub fn run_of(id: &str) -> &str {
        let is_part = |part: &str| {
            part.split_once("-of-").is_some_and(|(number, of)| {
                number.parse::<u64>().is_ok() && of.parse::<u64>().is_ok()
            })
        };
        id.rsplit_once('.').filter(|(_, part)| is_part(part)).map_or(id, |(run, _)| run)
    }

    /// Tells whether Kafka had acknowledged reading `index` when the report was written.
    pub fn is_acknowledged(&self, index: u64) -> bool {
        // The ranges are few, ascending and do not touch.
        let position = self.unacknowledged.partition_point(|range| range.to <= index);
        let open = self.unacknowledged.get(position).is_some_and(|range| range.from <= index);
        index < self.scheduled && !open
    }
}

//! What has been learnt of one sensor, and how it is stored.

use domain::alert::Severity;
use serde::{Deserialize, Serialize};

use super::episode::Episodes;
use super::peers::Peers;
use super::statistics::{Histogram, Moving};
use super::stillness::Stillness;

/// The layout of [`Watch::encode`]; another one is not read.
const VERSION: u8 = 4;

/// What one sensor has gone through: the state of each rule's episode and of each detector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    pub(super) seen_until_ms: Option<i64>,
    /// Alerts raised.
    pub(super) warnings: u64,
    /// Windows in which the sensor reported.
    pub(super) windows: u32,
    pub(super) episodes: Episodes,
    /// Of the window means, over about a week.
    pub(super) usual: Moving,
    pub(super) peers: Peers,
    /// Of the mean against the peers.
    pub(super) level_scores: Histogram,
    /// Of the range against that of the peers.
    pub(super) range: Moving,
    pub(super) range_scores: Histogram,
    /// Of the range alone.
    pub(super) range_alone: Moving,
    /// Of how far a window goes and comes back.
    pub(super) excursion: Moving,
    /// What the window before ranged over at its edge: of few kinds, and now and then.
    pub(super) edge: Option<Box<Edge>>,
    pub(super) stillness: Stillness,
    pub(super) silence: Silence,
    /// Whether a motion sensor last said that somebody moves; `None` once that is too long ago.
    pub(super) held: Option<bool>,
    /// The learnt difference from the peers, over about three days.
    pub(super) difference: Moving,
    /// Milliseconds of movement that none of the peers saw, of late.
    pub(super) lone_ms: u64,
    /// Windows in a row in which none of the peers saw any.
    pub(super) quiet_windows: u16,
}

/// A window whose first or last readings alone are far from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Edge {
    pub(super) score: f64,
    pub(super) mean: f64,
    pub(super) range: f64,
}

/// How long a sensor has been silent, and how long it usually is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Silence {
    /// Windows since it reported.
    pub(super) windows: u16,
    /// Longest gap in windows, which fades.
    pub(super) usual: f32,
}

/// One alert that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenAlert<'a> {
    /// Name of the rule or the detector.
    pub rule: &'a str,
    /// How urgent it is.
    pub severity: Severity,
    /// Start of the first window of the episode, in epoch milliseconds.
    pub started_at: i64,
    /// End of the window with which it was raised, in epoch milliseconds.
    pub opened_at: i64,
}

/// Bytes that are no stored [`Watch`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Another version of the program wrote it; what was learnt is learnt again without it.
    #[error("version {found} of a detector's state, not {VERSION}")]
    Version {
        /// The first byte.
        found: u8,
    },
    /// It is cut off or damaged.
    #[error("a detector's state of {length} bytes that cannot be read: {cause}")]
    Damaged {
        /// Number of bytes.
        length: usize,
        /// What the decoder says.
        cause: postcard::Error,
    },
}

impl Watch {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the bytes that it takes beside itself.
    pub fn heap_bytes(&self) -> usize {
        let edge = self.edge.as_deref().map_or(0, size_of_val);
        self.episodes.heap_bytes() + self.peers.heap_bytes() + edge
    }

    /// Returns its bytes: a version, then postcard, every float with all its bits.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        // Memory is all that the encoder can run out of.
        bytes.extend(postcard::to_allocvec(self).unwrap_or_default());
        bytes
    }

    /// Reads what [`Watch::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Result<Self, WatchError> {
        let damaged = |cause| WatchError::Damaged { length: bytes.len(), cause };
        match bytes {
            [] => Err(damaged(postcard::Error::DeserializeUnexpectedEnd)),
            [VERSION, state @ ..] => match postcard::take_from_bytes(state).map_err(damaged)? {
                (watch, []) => Ok(watch),
                _ => Err(damaged(postcard::Error::DeserializeBadEncoding)),
            },
            [found, ..] => Err(WatchError::Version { found: *found }),
        }
    }

    /// Returns the start of the last window that it was shown, in epoch milliseconds.
    pub fn seen_until_ms(&self) -> Option<i64> {
        self.seen_until_ms
    }

    /// Returns the alerts that are open.
    pub fn open_alerts(&self) -> impl Iterator<Item = OpenAlert<'_>> {
        self.episodes.open().map(|(episode, opened_at)| OpenAlert {
            rule: &episode.rule,
            severity: episode.severity,
            started_at: episode.started_at,
            opened_at,
        })
    }

    /// Returns the slow average of the window means, over about a week, in the unit of the kind.
    pub fn running_mean(&self) -> Option<f64> {
        (self.usual.count() > 0).then(|| self.usual.mean())
    }

    /// Returns the number of alerts raised so far.
    pub fn warnings(&self) -> u64 {
        self.warnings
    }
}

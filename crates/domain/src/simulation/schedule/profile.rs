//! A rate that changes over time: pieces on each of which it is linear, summed up exactly.

use serde::{Deserialize, Serialize};

use super::NS_PER_SECOND;

/// Longest piece, and longest time without a reading: a day. Products of the arithmetic below
/// stay within 128 bits for it.
pub const PIECE_MAX_NS: u64 = 86_400 * NS_PER_SECOND;
/// Highest rate, in thousandths of a reading a second.
pub const RATE_MAX_MILLI: u64 = 10_000_000_000;

/// The area of one reading under the rate: thousandths of a reading a second, times nanoseconds.
const READING: u128 = 1_000 * NS_PER_SECOND as u128;

/// A time in which the rate goes from one value to another in a straight line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// How long it lasts, in nanoseconds, at most [`PIECE_MAX_NS`].
    pub duration_ns: u64,
    /// Rate at its start, in thousandths of a reading a second, at most [`RATE_MAX_MILLI`].
    pub from_milli: u64,
    /// Rate at its end, the same way.
    pub to_milli: u64,
}

impl Piece {
    /// Makes a piece of constant rate.
    pub fn level(duration_ns: u64, rate_milli: u64) -> Self {
        Self { duration_ns, from_milli: rate_milli, to_milli: rate_milli }
    }

    /// Twice the area from the start up to `elapsed_ns`, times the duration: exact, no fraction.
    fn doubled_area(self, elapsed_ns: u64) -> u128 {
        let (x, duration) = (u128::from(elapsed_ns), u128::from(self.duration_ns));
        let (from, to) = (u128::from(self.from_milli), u128::from(self.to_milli));
        // x (2 D from + x (to - from)), with x <= D so that nothing is negative.
        x * (from * (2 * duration - x) + to * x)
    }

    fn area(self, elapsed_ns: u64) -> u128 {
        self.doubled_area(elapsed_ns) / (2 * u128::from(self.duration_ns))
    }

    /// Returns the least time after the start at which the area is `area` or more.
    fn time_of(self, area: u128) -> u64 {
        let wanted = area * 2 * u128::from(self.duration_ns);
        let reached = |elapsed_ns: u64| self.doubled_area(elapsed_ns) >= wanted;
        // Close by, from the root of the parabola; then step by step, in growing steps.
        let slope = (self.to_milli as f64 - self.from_milli as f64) / self.duration_ns as f64;
        let start = self.from_milli as f64;
        let root = (start * start + 2.0 * slope * area as f64).max(0.0).sqrt();
        let guess = 2.0 * area as f64 / (start + root);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let guess_ns = (guess as u64).min(self.duration_ns);
        let (mut low, mut high) = (guess_ns, guess_ns);
        let mut step = 1;
        while !reached(high) && high < self.duration_ns {
            low = high;
            high = high.saturating_add(step).min(self.duration_ns);
            step *= 2;
        }
        step = 1;
        while reached(low) && low > 0 {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if reached(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        if reached(low) { low } else { high }
    }
}

/// Why pieces make no profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// There are none.
    #[error("it has no pieces")]
    Empty,
    /// A piece is too short or too long.
    #[error("piece {0} does not last from a nanosecond to a day")]
    Duration(usize),
    /// A rate is too high.
    #[error("piece {0} has a rate above 10 000 000 readings/s")]
    Rate(usize),
    /// Less than one reading would ever be due.
    #[error("it has less than one reading")]
    Nothing,
}

/// What comes after the last piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Then {
    /// The first piece again.
    Repeat,
    /// The last rate for good.
    Hold,
}

/// A rate over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Profile {
    pieces: Vec<Piece>,
    then: Then,
    /// Where in the profile a run starts, in nanoseconds.
    offset_ns: u64,
    /// Where each piece starts, and one more for the end of the last.
    starts: Vec<Mark>,
    offset_area: u128,
}

/// A point of a profile: time and area since its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    time_ns: u64,
    area: u128,
}

/// A profile as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    pieces: Vec<Piece>,
    then: Then,
    offset_ns: u64,
}

impl TryFrom<Stored> for Profile {
    type Error = ProfileError;

    fn try_from(stored: Stored) -> Result<Self, ProfileError> {
        Self::new(stored.pieces, stored.then, stored.offset_ns)
    }
}

impl From<Profile> for Stored {
    fn from(profile: Profile) -> Self {
        let Profile { pieces, then, offset_ns, .. } = profile;
        Self { pieces, then, offset_ns }
    }
}

impl Profile {
    /// Makes a profile of pieces, one after the other; a run starts `offset_ns` into them.
    pub fn new(pieces: Vec<Piece>, then: Then, offset_ns: u64) -> Result<Self, ProfileError> {
        let mut starts = vec![Mark::default()];
        let mut end = Mark::default();
        for (number, piece) in pieces.iter().enumerate() {
            if !(1..=PIECE_MAX_NS).contains(&piece.duration_ns) {
                return Err(ProfileError::Duration(number));
            }
            if piece.from_milli.max(piece.to_milli) > RATE_MAX_MILLI {
                return Err(ProfileError::Rate(number));
            }
            end.time_ns =
                end.time_ns.checked_add(piece.duration_ns).ok_or(ProfileError::Duration(number))?;
            end.area += piece.area(piece.duration_ns);
            starts.push(end);
        }
        if pieces.is_empty() {
            return Err(ProfileError::Empty);
        }
        let goes_on = then == Then::Hold && pieces.last().is_some_and(|last| last.to_milli > 0);
        if end.area < READING && !goes_on {
            return Err(ProfileError::Nothing);
        }
        let mut profile = Self { pieces, then, offset_ns: 0, starts, offset_area: 0 };
        profile.offset_area = profile.area(offset_ns);
        profile.offset_ns = offset_ns;
        Ok(profile)
    }

    /// Returns the pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Returns how long the profile is, in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.end().time_ns
    }

    /// Returns the mean rate in readings per second, for display.
    pub fn per_second(&self) -> f64 {
        self.end().area as f64 / 1_000.0 / self.duration_ns() as f64
    }

    fn end(&self) -> Mark {
        self.starts[self.pieces.len()]
    }

    /// The rate after the last piece, if it holds.
    fn held_milli(&self) -> Option<u128> {
        let last = self.pieces[self.pieces.len() - 1];
        (self.then == Then::Hold).then_some(u128::from(last.to_milli))
    }

    /// The area under the rate from the beginning of the profile.
    fn area(&self, time_ns: u64) -> u128 {
        let end = self.end();
        if let Some(held_milli) = self.held_milli()
            && time_ns >= end.time_ns
        {
            return end.area + held_milli * u128::from(time_ns - end.time_ns);
        }
        let (rounds, rest_ns) = (time_ns / end.time_ns, time_ns % end.time_ns);
        let number = self.starts.partition_point(|mark| mark.time_ns <= rest_ns) - 1;
        let start = self.starts[number];
        let within = self.pieces[number].area(rest_ns - start.time_ns);
        u128::from(rounds) * end.area + start.area + within
    }

    /// Returns how many readings are due in the first `elapsed_ns` of a run, the first one at its
    /// start.
    pub(super) fn due_count(&self, elapsed_ns: u64) -> u64 {
        let area = self.area(self.offset_ns.saturating_add(elapsed_ns)) - self.offset_area;
        u64::try_from(area / READING).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Returns when reading `index` is due, in nanoseconds after the start of the run.
    pub(super) fn due_ns(&self, index: u64) -> u64 {
        if index == 0 {
            return 0;
        }
        let area = u128::from(index) * READING + self.offset_area;
        let end = self.end();
        if let Some(held_milli) = self.held_milli()
            && area > end.area
        {
            if held_milli == 0 {
                return u64::MAX;
            }
            let over_ns = u64::try_from((area - end.area).div_ceil(held_milli));
            let time_ns = end.time_ns.saturating_add(over_ns.unwrap_or(u64::MAX));
            return time_ns - self.offset_ns;
        }
        // An area that whole rounds make up is reached within the last of them.
        let rounds = (area - 1) / end.area;
        let rest = area - rounds * end.area;
        let number = self.starts.partition_point(|mark| mark.area < rest) - 1;
        let start = self.starts[number];
        let within_ns = start.time_ns + self.pieces[number].time_of(rest - start.area);
        let time_ns = u64::try_from(rounds * u128::from(end.time_ns) + u128::from(within_ns));
        time_ns.map_or(u64::MAX, |time_ns| time_ns - self.offset_ns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces() -> impl Strategy<Value = Vec<Piece>> {
        let rate = prop_oneof![Just(0), 1_u64..10_000, 0..=RATE_MAX_MILLI];
        let duration = prop_oneof![1_u64..1_000, 1..=PIECE_MAX_NS];
        let piece =
            (duration, rate.clone(), rate).prop_map(|(duration_ns, from_milli, to_milli)| Piece {
                duration_ns,
                from_milli,
                to_milli,
            });
        prop::collection::vec(piece, 1..6)
    }

    proptest! {
        /// Goal: `due_count` is the exact inverse of `due_ns`, for any profile, from any offset.
        /// Method: both sides of the boundary.
        #[test]
        fn due_count_inverts_due_ns(
            pieces in pieces(),
            then in prop_oneof![Just(Then::Repeat), Just(Then::Hold)],
            offset_ns in 0..=PIECE_MAX_NS,
            index in prop_oneof![0_u64..1_000, 0_u64..100_000_000_000],
        ) {
            let Ok(profile) = Profile::new(pieces, then, offset_ns) else {
                return Err(TestCaseError::reject("less than one reading"));
            };
            let due_ns = profile.due_ns(index);
            prop_assume!(due_ns < u64::MAX / 4);
            prop_assert!(profile.due_count(due_ns) > index);
            if due_ns > 0 {
                prop_assert!(profile.due_count(due_ns - 1) <= index);
            }
            prop_assert!(profile.due_ns(index + 1) >= due_ns, "due times never go back");
        }

        #[test]
        fn a_profile_is_stored_and_read_back(pieces in pieces(), offset_ns in 0..=PIECE_MAX_NS) {
            let Ok(profile) = Profile::new(pieces, Then::Hold, offset_ns) else {
                return Err(TestCaseError::reject("less than one reading"));
            };
            let text = serde_json::to_string(&profile).unwrap();
            prop_assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
        }
    }

    #[test]
    fn a_ramp_sums_up_to_its_triangle() {
        let ramp = Piece { duration_ns: 10 * NS_PER_SECOND, from_milli: 0, to_milli: 1_000_000 };
        let profile = Profile::new(vec![ramp], Then::Repeat, 0).unwrap();
        assert_eq!(profile.due_count(10 * NS_PER_SECOND), 5_001, "half of 10 s at 1000/s");
        assert_eq!(profile.due_ns(5_000), 10 * NS_PER_SECOND);
        // A quarter of the area lies in the first half of the time.
        assert_eq!(profile.due_ns(1_250), 5 * NS_PER_SECOND);
    }

    #[test]
    fn the_last_rate_can_go_on_for_good() {
        let ramp = Piece { duration_ns: 10 * NS_PER_SECOND, from_milli: 0, to_milli: 1_000_000 };
        let profile = Profile::new(vec![ramp], Then::Hold, 0).unwrap();
        assert_eq!(profile.due_ns(5_000 + 3_000), 13 * NS_PER_SECOND);
        assert_eq!(profile.due_count(13 * NS_PER_SECOND), 8_001);
        let pieces = vec![Piece::level(NS_PER_SECOND, 2_000), Piece::level(NS_PER_SECOND, 0)];
        let ending = Profile::new(pieces, Then::Hold, 0).unwrap();
        assert_eq!(ending.due_ns(2), NS_PER_SECOND);
        assert_eq!(ending.due_ns(3), u64::MAX, "nothing comes after the end");
    }

    #[test]
    fn a_pause_is_passed_over() {
        let pieces = vec![Piece::level(NS_PER_SECOND, 2_000), Piece::level(9 * NS_PER_SECOND, 0)];
        let profile = Profile::new(pieces, Then::Repeat, 0).unwrap();
        let seconds: Vec<f64> =
            (0..6).map(|index| profile.due_ns(index) as f64 / NS_PER_SECOND as f64).collect();
        assert_eq!(seconds, [0.0, 0.5, 1.0, 10.5, 11.0, 20.5]);
    }

    #[test]
    fn pieces_that_make_no_profile_are_refused() {
        let level = |duration_ns, rate_milli| Piece::level(duration_ns, rate_milli);
        for (pieces, error) in [
            (vec![], ProfileError::Empty),
            (vec![level(0, 1)], ProfileError::Duration(0)),
            (vec![level(1, 1), level(PIECE_MAX_NS + 1, 1)], ProfileError::Duration(1)),
            (vec![level(1, RATE_MAX_MILLI + 1)], ProfileError::Rate(0)),
            (vec![level(1, 0)], ProfileError::Nothing),
        ] {
            assert_eq!(Profile::new(pieces, Then::Repeat, 0), Err(error));
        }
    }
}

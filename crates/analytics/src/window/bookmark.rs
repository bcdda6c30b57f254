//! Where a partition is read on from, and what is known at that place.

use std::fmt;
use std::str::FromStr;

use super::Timing;
use super::ahead::{Ahead, Claim, Streak};

/// What became of the records of a partition: each is counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records taken in.
    pub taken: u64,
    /// Readings that are part of a window.
    pub windowed: u64,
    /// Readings that came when their window was final.
    pub late: u64,
    /// Readings that their window had already.
    pub duplicate: u64,
    /// Records that are no readings, or say that they are from the future.
    pub invalid: u64,
}

impl Counts {
    /// Tells whether every record that was taken in is accounted for.
    pub fn are_conserved(&self) -> bool {
        self.taken == self.windowed + self.late + self.duplicate + self.invalid
    }

    /// Adds up.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            taken: self.taken + other.taken,
            windowed: self.windowed + other.windowed,
            late: self.late + other.late,
            duplicate: self.duplicate + other.duplicate,
            invalid: self.invalid + other.invalid,
        }
    }
}

/// What is committed for a partition: the offset that is read from, and as its metadata, in text,
/// what has been done.
///
/// From `offset` on, records are read again because an open window needs them. Up to `position`
/// they change nothing that is final by then, and are not counted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bookmark {
    /// The lowest offset that an open window still needs.
    pub offset: u64,
    /// The watermark before that record, in epoch milliseconds.
    pub watermark_ms: i64,
    /// What was claimed there beyond the latest event time.
    pub(crate) ahead: Ahead,
    /// One past the last record that was taken in.
    pub position: u64,
    /// The watermark there.
    pub position_watermark_ms: i64,
    /// What became of the records below `position`.
    pub counts: Counts,
    /// What the windows were computed with; `None` if there are none.
    pub timing: Option<Timing>,
}

impl Bookmark {
    /// Nothing is known: the partition is read from `offset` on as if it began there.
    pub fn start(offset: u64) -> Self {
        Self {
            offset,
            watermark_ms: i64::MIN,
            ahead: Ahead::default(),
            position: offset,
            position_watermark_ms: i64::MIN,
            counts: Counts::default(),
            timing: None,
        }
    }

    /// Tells whether who goes on from here may compute with this timing: the windows that are open
    /// were begun with that of the bookmark, and are read again.
    pub fn fits(&self, timing: &Timing) -> Result<(), TimingChange> {
        let Some(begun) = self.timing.filter(|_| self.offset < self.position) else {
            return Ok(());
        };
        for ((name, old_ms), (_, new_ms)) in begun.settings().into_iter().zip(timing.settings()) {
            if old_ms != new_ms {
                return Err(TimingChange { name, old_s: old_ms / 1_000, new_s: new_ms / 1_000 });
            }
        }
        Ok(())
    }

    /// Returns what is committed beside the offset.
    pub fn metadata(&self) -> String {
        let Self { watermark_ms, position, position_watermark_ms, counts, .. } = self;
        let (claims, streak) = (claims_text(&self.ahead), streak_text(&self.ahead));
        let timing = timing_text(self.timing.as_ref());
        let Counts { taken, windowed, late, duplicate, invalid } = counts;
        format!(
            "windows-2 timing={timing} watermark={watermark_ms} claims={claims} streak={streak} \
             position={position} \
             position_watermark={position_watermark_ms} taken={taken} windowed={windowed} \
             late={late} duplicate={duplicate} invalid={invalid}"
        )
    }

    /// Reads back what was committed beside an offset.
    pub fn parse(offset: u64, metadata: &str) -> Result<Self, BookmarkError> {
        let error = || BookmarkError(metadata.to_owned());
        let mut words = metadata.split(' ');
        words.next().filter(|version| *version == "windows-2").ok_or_else(error)?;
        let mut field = |name: &str| {
            let (found, value) = words.next()?.split_once('=')?;
            (found == name).then_some(value)
        };
        let mut fields = || {
            Some(Self {
                offset,
                timing: if_any(field("timing")?, parse_timing).ok()?,
                watermark_ms: number(field("watermark")?)?,
                ahead: Ahead {
                    claims: parse_claims(field("claims")?)?,
                    streak: if_any(field("streak")?, parse_streak).ok()?,
                },
                position: number(field("position")?)?,
                position_watermark_ms: number(field("position_watermark")?)?,
                counts: Counts {
                    taken: number(field("taken")?)?,
                    windowed: number(field("windowed")?)?,
                    late: number(field("late")?)?,
                    duplicate: number(field("duplicate")?)?,
                    invalid: number(field("invalid")?)?,
                },
            })
        };
        fields().filter(|bookmark| bookmark.position >= offset).ok_or_else(error)
    }
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn timing_text(timing: Option<&Timing>) -> String {
    let Some(timing) = timing else { return String::new() };
    timing.settings().map(|(_, ms)| ms.to_string()).join(",")
}

/// Reads back what may be missing.
fn if_any<T>(
    text: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, BookmarkError> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text).map(Some).ok_or_else(|| BookmarkError(text.to_owned()))
}

fn parse_timing(text: &str) -> Option<Timing> {
    let mut numbers = text.split(',').map(number);
    let mut next = || numbers.next()?;
    Some(Timing {
        window_ms: next()?,
        rollup_ms: next()?,
        out_of_order_ms: next()?,
        lateness_ms: next()?,
        clock_ahead_max_ms: next()?,
    })
}

fn claims_text(ahead: &Ahead) -> String {
    let claims = ahead.claims.iter().flatten();
    let texts: Vec<_> = claims.map(|claim| format!("{}:{}", claim.sensor, claim.ts_ms)).collect();
    texts.join(",")
}

fn parse_claims<const N: usize>(text: &str) -> Option<[Option<Claim>; N]> {
    let mut claims = [None; N];
    for (place, text) in text.split(',').filter(|text| !text.is_empty()).enumerate() {
        let (sensor, ts_ms) = text.split_once(':')?;
        *claims.get_mut(place)? = Some(Claim { sensor: number(sensor)?, ts_ms: number(ts_ms)? });
    }
    Some(claims)
}

fn streak_text(ahead: &Ahead) -> String {
    let Some(streak) = ahead.streak else { return String::new() };
    format!("{}:{}", streak.ts_ms, streak.span_ms)
}

fn parse_streak(text: &str) -> Option<Streak> {
    let (ts_ms, span_ms) = text.split_once(':')?;
    Some(Streak { ts_ms: number(ts_ms)?, span_ms: number(span_ms)? })
}

/// Windows are open that were begun with another timing than the settings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimingChange {
    /// The first setting that differs.
    pub name: &'static str,
    /// What the windows were begun with, in seconds.
    pub old_s: i64,
    /// What it is set to, in seconds.
    pub new_s: i64,
}

impl fmt::Display for TimingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, old_s, new_s } = self;
        write!(
            f,
            "open windows were begun with {name}={old_s} and cannot be finished with {new_s}: \
             start again with {name}={old_s}, or compute the whole topic with {new_s} in an \
             ANALYTICS_GROUP_ID and a CASSANDRA_KEYSPACE of its own"
        )
    }
}

impl std::error::Error for TimingChange {}

/// Metadata of a commit that are none of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookmarkError(pub String);

impl fmt::Display for BookmarkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no bookmark of analytics", self.0)
    }
}

impl std::error::Error for BookmarkError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing = Timing { clock_ahead_max_ms: 20_000, ..Timing::BY_DEFAULT };

    #[test]
    fn another_timing_is_refused_while_windows_are_open() {
        let open = Bookmark { position: 9, timing: Some(TIMING), ..Bookmark::start(5) };
        let open = Bookmark::parse(5, &open.metadata()).unwrap();
        assert_eq!(open.fits(&TIMING), Ok(()));
        let change = |timing| open.fits(&timing).unwrap_err().to_string();
        assert_eq!(
            change(Timing { window_ms: 10_000, ..TIMING }),
            "open windows were begun with ANALYTICS_WINDOW_SEC=60 and cannot be finished with 10: \
             start again with ANALYTICS_WINDOW_SEC=60, or compute the whole topic with 10 in an \
             ANALYTICS_GROUP_ID and a CASSANDRA_KEYSPACE of its own"
        );
        for (name, timing) in [
            ("ANALYTICS_ROLLUP_SEC", Timing { rollup_ms: 300_000, ..TIMING }),
            ("ANALYTICS_OUT_OF_ORDER_SEC", Timing { out_of_order_ms: 0, ..TIMING }),
            ("ANALYTICS_ALLOWED_LATENESS_SEC", Timing { lateness_ms: 60_000, ..TIMING }),
            ("ANALYTICS_CLOCK_AHEAD_MAX_SEC", Timing { clock_ahead_max_ms: 0, ..TIMING }),
        ] {
            assert!(change(timing).contains(name), "{name}");
        }
        let none_open = Bookmark { offset: 9, ..open };
        assert_eq!(none_open.fits(&Timing { window_ms: 10_000, ..TIMING }), Ok(()));
    }

    #[test]
    fn a_bookmark_is_read_back() {
        let bookmark = Bookmark {
            offset: 17,
            watermark_ms: -5,
            position: 99,
            position_watermark_ms: 1_764_000_000_000,
            ahead: Ahead::default(),
            counts: Counts { taken: 99, windowed: 90, late: 4, duplicate: 3, invalid: 2 },
            timing: Some(TIMING),
        };
        let claim = |sensor| Some(Claim { sensor, ts_ms: -7 });
        let streak = Some(Streak { ts_ms: -7, span_ms: 40 });
        for claims in [[None, None], [claim(1), None], [claim(1), claim(u32::MAX)]] {
            for streak in [None, streak] {
                let bookmark = Bookmark { ahead: Ahead { claims, streak }, ..bookmark };
                assert_eq!(Bookmark::parse(17, &bookmark.metadata()), Ok(bookmark));
            }
        }
        assert!(bookmark.counts.are_conserved());
        assert_eq!(Bookmark::parse(5, &Bookmark::start(5).metadata()), Ok(Bookmark::start(5)));
    }

    #[test]
    fn what_is_none_is_refused() {
        let text = Bookmark::start(5).metadata();
        for bad in ["", "hello", &text.replace("taken", "token"), &text.replace("-2", "-3")] {
            assert!(Bookmark::parse(5, bad).is_err(), "{bad}");
        }
        assert!(Bookmark::parse(6, &text).is_err(), "the position is below the offset");
    }
}

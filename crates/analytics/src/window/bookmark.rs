//! Where a partition is read on from, and what is known at that place.

use std::fmt;
use std::str::FromStr;

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
    /// One past the last record that was taken in.
    pub position: u64,
    /// The watermark there.
    pub position_watermark_ms: i64,
    /// What became of the records below `position`.
    pub counts: Counts,
}

impl Bookmark {
    /// Nothing is known: the partition is read from `offset` on as if it began there.
    pub fn start(offset: u64) -> Self {
        Self {
            offset,
            watermark_ms: i64::MIN,
            position: offset,
            position_watermark_ms: i64::MIN,
            counts: Counts::default(),
        }
    }

    /// Returns what is committed beside the offset.
    pub fn metadata(&self) -> String {
        let Self { watermark_ms, position, position_watermark_ms, counts, .. } = self;
        let Counts { taken, windowed, late, duplicate, invalid } = counts;
        format!(
            "windows-1 watermark={watermark_ms} position={position} \
             position_watermark={position_watermark_ms} taken={taken} windowed={windowed} \
             late={late} duplicate={duplicate} invalid={invalid}"
        )
    }

    /// Reads back what was committed beside an offset.
    pub fn parse(offset: u64, metadata: &str) -> Result<Self, BookmarkError> {
        let error = || BookmarkError(metadata.to_owned());
        let mut words = metadata.split(' ');
        words.next().filter(|version| *version == "windows-1").ok_or_else(error)?;
        let mut field = |name: &str| {
            let (found, value) = words.next()?.split_once('=')?;
            (found == name).then_some(value)
        };
        let mut fields = || {
            Some(Self {
                offset,
                watermark_ms: number(field("watermark")?)?,
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

    #[test]
    fn a_bookmark_is_read_back() {
        let bookmark = Bookmark {
            offset: 17,
            watermark_ms: -5,
            position: 99,
            position_watermark_ms: 1_764_000_000_000,
            counts: Counts { taken: 99, windowed: 90, late: 4, duplicate: 3, invalid: 2 },
        };
        assert_eq!(Bookmark::parse(17, &bookmark.metadata()), Ok(bookmark));
        assert!(bookmark.counts.are_conserved());
        assert_eq!(Bookmark::parse(5, &Bookmark::start(5).metadata()), Ok(Bookmark::start(5)));
    }

    #[test]
    fn what_is_none_is_refused() {
        let text = Bookmark::start(5).metadata();
        for bad in ["", "hello", &text.replace("taken", "token"), &text.replace("-1", "-2")] {
            assert!(Bookmark::parse(5, bad).is_err(), "{bad}");
        }
        assert!(Bookmark::parse(6, &text).is_err(), "the position is below the offset");
    }
}

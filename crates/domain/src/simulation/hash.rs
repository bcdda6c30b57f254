//! Stateless randomness: numbers that depend on nothing but their coordinates.

/// The golden ratio in 64 bits: its multiples lie evenly.
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes three coordinates into 64 well-spread bits (finaliser of Steele, Lea and Flood's
/// `SplitMix64`, 2014).
#[inline]
pub(super) fn hash(seed: u64, stream: u64, position: u64) -> u64 {
    let stirred = mix(seed ^ mix(stream.wrapping_add(GOLDEN)));
    mix(stirred.wrapping_add(position.wrapping_mul(GOLDEN)))
}

/// Makes the randomness of a run a sensor's own.
#[inline]
pub(super) fn own(seed: u64, sensor: u64) -> u64 {
    seed ^ sensor.rotate_left(32)
}

/// Spreads one word's bits over all 64.
#[inline]
pub(super) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Maps a hash to `[0, 1)` with 53 bits.
#[inline]
pub(super) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Maps a hash to `[-1, 1)`.
#[inline]
pub(super) fn symmetric(hash: u64) -> f64 {
    2.0 * unit(hash) - 1.0
}

//! Stateless randomness: numbers that depend on nothing but their coordinates.

/// Mixes three coordinates into 64 well-spread bits (finaliser of Steele, Lea and Flood's
/// `SplitMix64`, 2014).
pub(super) fn hash(seed: u64, stream: u64, position: u64) -> u64 {
    let stirred = mix(seed ^ mix(stream.wrapping_add(0x9e37_79b9_7f4a_7c15)));
    mix(stirred.wrapping_add(position.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Maps a hash to `[0, 1)` with 53 bits.
pub(super) fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Maps a hash to `[-1, 1)`.
pub(super) fn symmetric(hash: u64) -> f64 {
    2.0 * unit(hash) - 1.0
}

/// Smooth noise in `[-1, 1]` that forgets itself after `period_ms`: value noise, computable at any
/// time alone.
pub(super) fn smooth(seed: u64, stream: u64, time_ms: i64, period_ms: i64) -> f64 {
    let cell = time_ms.div_euclid(period_ms);
    let inside = time_ms.rem_euclid(period_ms) as f64 / period_ms as f64;
    let from = symmetric(hash(seed, stream, cell.cast_unsigned()));
    let to = symmetric(hash(seed, stream, (cell + 1).cast_unsigned()));
    let eased = inside * inside * (3.0 - 2.0 * inside);
    from + (to - from) * eased
}

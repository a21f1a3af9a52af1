//! The test pattern: bytes that CPU and device can both make and check without sharing a buffer.
//!
//! Position 0 is the first byte of the range that an operation names. Byte `p` of the pattern of
//! `seed` is byte `p % 8` (little-endian) of [`pattern_word`]`(seed, p / 8)`. No two words of a run
//! are alike in practice, so a byte in the wrong place shows.

/// Increment of the word counter (the odd constant of the SplitMix64 generator, public domain).
pub const PATTERN_INCREMENT: u64 = 0x9e37_79b9_7f4a_7c15;
/// First multiplier of the SplitMix64 finalizer.
pub const PATTERN_MULTIPLIER_1: u64 = 0xbf58_476d_1ce4_e5b9;
/// Second multiplier of the SplitMix64 finalizer.
pub const PATTERN_MULTIPLIER_2: u64 = 0x94d0_49bb_1331_11eb;

/// The 8 pattern bytes that start at position `8 * index`, as a little-endian word.
#[must_use]
pub const fn pattern_word(seed: u64, index: u64) -> u64 {
    let counter = index.wrapping_add(1).wrapping_mul(PATTERN_INCREMENT);
    let mut word = seed.wrapping_add(counter);
    word = (word ^ (word >> 30)).wrapping_mul(PATTERN_MULTIPLIER_1);
    word = (word ^ (word >> 27)).wrapping_mul(PATTERN_MULTIPLIER_2);
    word ^ (word >> 31)
}

/// The pattern byte at `position`.
#[must_use]
pub const fn pattern_byte(seed: u64, position: u64) -> u8 {
    pattern_word(seed, position / 8).to_le_bytes()[(position % 8) as usize]
}

/// Writes the pattern bytes of positions `start..start + buffer.len()` into `buffer`.
pub fn fill_pattern(seed: u64, start: u64, buffer: &mut [u8]) {
    let mut position = start;
    for byte in buffer.iter_mut().take(((8 - start % 8) % 8) as usize) {
        *byte = pattern_byte(seed, position);
        position += 1;
    }
    let done = usize::try_from(position - start)
        .unwrap_or(usize::MAX)
        .min(buffer.len());
    for chunk in buffer[done..].chunks_mut(8) {
        let word = pattern_word(seed, position / 8).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
        position += 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_agrees_with_single_bytes_at_any_start() {
        for start in 0..20 {
            for len in 0..40 {
                let mut buffer = [0_u8; 40];
                fill_pattern(7, start, &mut buffer[..len]);
                for (offset, byte) in buffer[..len].iter().enumerate() {
                    assert_eq!(*byte, pattern_byte(7, start + offset as u64));
                }
            }
        }
    }

    #[test]
    fn word_is_the_published_generator() {
        // First outputs of SplitMix64 with seed 1234567, from its public description.
        assert_eq!(pattern_word(1_234_567, 0), 6_457_827_717_110_365_317);
        assert_eq!(pattern_word(1_234_567, 1), 3_203_168_211_198_807_973);
    }
}

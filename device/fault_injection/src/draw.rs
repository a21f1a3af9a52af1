//! The dice: a hash of counters, so that no draw depends on how many came before it elsewhere.

/// The word by which [`draw`] tells a channel of a device under test from others: 0 is what belongs to no
/// channel. That of the first device does not hang on how many there are.
pub(crate) fn place_word(function: u16, channel: Option<u8>) -> u64 {
    let channel = channel.map_or(0, |channel| u64::from(channel) + 1);
    u64::from(function) << 32 | channel
}

/// A number, even over all 64 bits, for hit `hit` of a rule on a channel ([`place_word`]).
pub(crate) fn draw(seed: u64, rule: u64, channel: u64, hit: u64) -> u64 {
    [rule, channel, hit]
        .into_iter()
        .fold(mix(seed), |state, word| {
            mix(state ^ mix(word.wrapping_add(GOLDEN)))
        })
}

/// A number for a name, so that a rule keeps its dice when others come before it (FNV-1a).
pub(crate) fn name_number(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: every bit of the result hangs on every bit of the input.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(GOLDEN);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::{draw, place_word};

    #[test]
    fn places_of_the_first_device_are_the_channels_alone() {
        assert_eq!(place_word(0, None), 0);
        assert_eq!(place_word(0, Some(3)), 4);
        assert_ne!(place_word(1, Some(3)), 4);
        assert_ne!(place_word(1, None), place_word(2, None));
    }

    #[test]
    fn draws_are_even_over_hits() {
        let below_half = (0..10_000).filter(|hit| draw(1, 2, 3, *hit) < u64::MAX / 2);
        let count = below_half.count();
        assert!((4_800..5_200).contains(&count), "{count} of 10000");
    }

    #[test]
    fn every_input_changes_the_draw() {
        let base = draw(1, 2, 3, 4);
        for other in [
            draw(2, 2, 3, 4),
            draw(1, 3, 3, 4),
            draw(1, 2, 4, 4),
            draw(1, 2, 3, 5),
        ] {
            assert_ne!(base, other);
        }
    }
}

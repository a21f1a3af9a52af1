//! Canary bytes round and behind a common buffer: what was overwritten is told when it is freed.

use alloc::vec::Vec;

use crate::ntoskrnl::shared::{read_bytes, write_bytes};

/// Bytes that have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Offset of the first one.
    pub(super) offset: usize,
    /// How many.
    pub(super) count: usize,
    /// The first of them.
    pub(super) seen: Vec<u8>,
}

/// Most bytes that a report shows.
const SHOWN: usize = 8;

/// Fills a range with the canary pattern.
pub(super) fn fill(address: u64, len_bytes: usize) {
    let bytes: Vec<u8> = (0..len_bytes).map(pattern).collect();
    write_bytes(address, &bytes);
}

/// What has changed in a range.
pub(super) fn damage(address: u64, len_bytes: usize) -> Option<Damage> {
    damage_in(&read_bytes(address, len_bytes))
}

fn damage_in(bytes: &[u8]) -> Option<Damage> {
    let changed = |(offset, byte): &(usize, &u8)| **byte != pattern(*offset);
    let (offset, _) = bytes.iter().enumerate().find(changed)?;
    Some(Damage {
        offset,
        count: bytes.iter().enumerate().filter(changed).count(),
        seen: bytes[offset..].iter().copied().take(SHOWN).collect(),
    })
}

/// Differs from byte to byte, so that a copy of a neighbor is seen as well.
fn pattern(offset: usize) -> u8 {
    let [low, high, ..] = offset.to_le_bytes();
    low.wrapping_mul(0x3d) ^ high ^ 0xC5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_bytes_are_counted_from_the_first() {
        let mut bytes: Vec<u8> = (0..4096).map(pattern).collect();
        assert_eq!(damage_in(&bytes), None);
        bytes[100] ^= 1;
        bytes[4095] ^= 0x80;
        let damage = damage_in(&bytes).expect("damage");
        assert_eq!((damage.offset, damage.count), (100, 2));
        assert_eq!(damage.seen.len(), 8);
    }
}

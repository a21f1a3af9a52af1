//! Canary bytes round and behind a common buffer: what was overwritten is told when it is freed.

use alloc::vec::Vec;

use crate::ntoskrnl::shared::{read_into, write_bytes};

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

/// Bytes that are handled at a time: a tail can be nearly 2 MiB.
const CHUNK: usize = 256;

/// Fills a range with the canary pattern.
pub(super) fn fill(address: u64, len_bytes: usize) {
    for (offset, len) in chunks(len_bytes) {
        let bytes: [u8; CHUNK] = core::array::from_fn(|idx| pattern(offset + idx));
        write_bytes(address + offset as u64, &bytes[..len]);
    }
}

/// What has changed in a range.
pub(super) fn damage(address: u64, len_bytes: usize) -> Option<Damage> {
    let mut found = None;
    for (offset, len) in chunks(len_bytes) {
        let mut bytes = [0; CHUNK];
        read_into(address + offset as u64, &mut bytes[..len]);
        add_damage(&mut found, offset, &bytes[..len]);
    }
    found
}

/// Offset and length of each chunk.
fn chunks(len_bytes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..len_bytes)
        .step_by(CHUNK)
        .map(move |offset| (offset, CHUNK.min(len_bytes - offset)))
}

/// Adds what has changed in `bytes`, which lie at `start`.
fn add_damage(found: &mut Option<Damage>, start: usize, bytes: &[u8]) {
    for (offset, byte) in (start..).zip(bytes) {
        if found.is_none() && *byte == pattern(offset) {
            continue;
        }
        let damage = found.get_or_insert_with(|| Damage {
            offset,
            count: 0,
            seen: Vec::new(),
        });
        damage.count += usize::from(*byte != pattern(offset));
        if damage.seen.len() < SHOWN {
            damage.seen.push(*byte);
        }
    }
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
        let mut bytes: Vec<u8> = (0..5000).map(pattern).collect();
        let address = bytes.as_ptr().expose_provenance() as u64;
        assert_eq!(damage(address, bytes.len()), None);
        bytes[100] ^= 1;
        bytes[255] ^= 1;
        bytes[4999] ^= 0x80;
        let address = bytes.as_ptr().expose_provenance() as u64;
        let damage = damage(address, bytes.len()).expect("damage");
        assert_eq!((damage.offset, damage.count), (100, 3));
        assert_eq!(damage.seen, bytes[100..108]);
    }

    #[test]
    fn filled_range_has_no_damage_and_its_neighbors_are_untouched() {
        let mut bytes: Vec<u8> = (0..1000).map(|_| 0).collect();
        let address = bytes.as_mut_ptr().expose_provenance() as u64;
        fill(address + 1, 998);
        assert_eq!(damage(address + 1, 998), None);
        assert_eq!((bytes[0], bytes[999]), (0, 0));
    }
}

//! The PE checksum: 16-bit ones-complement sum of the file with the checksum field as zero, plus the
//! file's length.

/// Computes the checksum of a file whose checksum field lies at `field_offset`.
#[must_use]
pub fn checksum(file: &[u8], field_offset: usize) -> u32 {
    let mut sum = 0u32;
    for (idx, pair) in file.chunks(2).enumerate() {
        let offset = idx * 2;
        // The field is 4-byte aligned, so it covers two whole words.
        if offset >= field_offset && offset < field_offset.saturating_add(4) {
            continue;
        }
        let word = u16::from_le_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        sum += u32::from(word);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // The length field of the format is 32 bits; files are bounded far below.
    sum.wrapping_add(u32::try_from(file.len()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_skips_its_own_field_and_adds_the_length() {
        assert_eq!(checksum(&[1, 0, 2, 0, 9, 9, 9, 9, 3, 0], 4), 6 + 10);
    }

    #[test]
    fn carry_is_folded_back_and_an_odd_byte_counts() {
        assert_eq!(checksum(&[0xff, 0xff, 2, 0, 7], 100), 2 + 7 + 5);
    }
}

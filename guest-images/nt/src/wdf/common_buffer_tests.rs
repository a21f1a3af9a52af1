//! Lengths and alignments without the HAL.

use super::*;

const RAW: Raw = Raw {
    len_bytes: 0x4000,
    virtual_address: 0xFFFF_9000_0001_3000,
    logical_address: 0x1_2345_6000,
};

#[test]
fn raw_length_grows_by_the_mask_beyond_a_page_or_for_old_clients() {
    let check = |len, mask, is_new, expected| {
        assert_eq!(
            raw_length(len, mask, is_new),
            expected,
            "{len:#x} {mask:#x}"
        );
    };
    // KD-17, the example of the documentation.
    check(10, 0x1F, true, Ok(10));
    check(10, 0x1F, false, Ok(41));
    check(10, 0xFFF, true, Ok(10));
    check(10, 0x1FFF, true, Ok(10 + 0x1FFF));
    check(u64::MAX, 0x1FFF, true, Err(status::INTEGER_OVERFLOW));
    check(u64::MAX, 0xFFF, true, Ok(u64::MAX));
}

#[test]
fn addresses_are_aligned_by_the_mask() {
    let check = |mask, virtual_address, logical_address| {
        let expected = Aligned {
            virtual_address,
            logical_address,
        };
        assert_eq!(align(RAW, mask), expected, "{mask:#x}");
    };
    check(0, RAW.virtual_address, RAW.logical_address);
    check(0x1F, RAW.virtual_address, RAW.logical_address);
    check(0xFFF, RAW.virtual_address, RAW.logical_address);
    // Beyond a page only the logical address is aligned; the virtual one keeps the distance of 0x2000.
    check(0x3FFF, RAW.virtual_address + 0x2000, 0x1_2345_8000);
    // KD-18: a mask that is none gives addresses, not an error.
    check(0x10, RAW.virtual_address, RAW.logical_address);
}

//! Version, width and description by profile and overrides.

use super::*;
use crate::hal_dma::description::settings;
use crate::ntoskrnl::shared::address_of;

/// WDF_DMA_ENABLER_CONFIG as words: size and profile, MaximumLength, six callbacks, width and version, flags.
fn config(size: u64, profile: u64, len: u64, [width, version, flags]: [u64; 3]) -> [Cell<u64>; 10] {
    let mut words = [0; 10];
    words[0] = size | profile << 32;
    words[1] = len;
    for (slot, number) in words[2..8].iter_mut().zip(0x100..) {
        *slot = number;
    }
    words[8] = width | version << 32;
    words[9] = flags;
    words.map(Cell::new)
}

fn read(config: &[Cell<u64>; 10], minor: u32) -> Result<Config, NtStatus> {
    Config::read(address_of(config), minor)
}

fn request(profile: u64, overrides: [u64; 3], minor: u32) -> Result<AdapterRequest, NtStatus> {
    read(&config(0x50, profile, 0x10000, overrides), minor)?.adapter(minor)
}

#[test]
fn bus_masters_get_version_2_unless_an_override_asks_for_more() {
    let check = |profile, overrides, expected: (u32, u32)| {
        let request = request(profile, overrides, 33).expect("valid");
        assert_eq!(
            (request.version, request.width),
            expected,
            "profile {profile}"
        );
    };
    check(1, [0, 0, 0], (2, 32));
    check(2, [0, 0, 0], (2, 32));
    check(3, [0, 0, 0], (2, 64));
    check(4, [0, 3, 0], (3, 64));
    check(2, [0, 3, 0], (3, 32));
    check(4, [40, 0, 0], (3, 40));
    check(5, [24, 0, 0], (3, 24));
    check(7, [0, 0, 0], (3, 24));
}

#[test]
fn overrides_that_contradict_are_refused() {
    let check = |profile, overrides, minor| {
        assert_eq!(
            request(profile, overrides, minor),
            Err(status::INVALID_PARAMETER)
        );
    };
    // KD-3: no override for system profiles, at most 32 bits for 32-bit ones.
    check(7, [32, 0, 0], 33);
    check(2, [33, 0, 0], 33);
    // KD-2: below what is required.
    check(4, [40, 2, 0], 33);
    check(7, [0, 2, 0], 33);
    check(4, [0, 1, 0], 33);
    // KD-4: single transfers want version 3 and KMDF 1.19.
    check(4, [0, 0, 2], 33);
    check(4, [0, 3, 2], 17);
    assert!(
        request(4, [0, 3, 2], 19)
            .expect("valid")
            .requires_single_transfer
    );
}

#[test]
fn broken_configuration_gives_the_documented_status() {
    let check = |config: [Cell<u64>; 10], minor, expected| {
        assert_eq!(read(&config, minor), Err(expected));
    };
    check(config(0x40, 2, 1, [0; 3]), 33, status::INFO_LENGTH_MISMATCH);
    check(config(0x50, 2, 1, [0; 3]), 9, status::INFO_LENGTH_MISMATCH);
    check(config(0x50, 0, 1, [0; 3]), 33, status::INVALID_PARAMETER);
    check(config(0x50, 9, 1, [0; 3]), 33, status::INVALID_PARAMETER);
    check(config(0x50, 2, 0, [0; 3]), 33, status::INVALID_PARAMETER);
    let old = read(&config(0x40, 2, 1, [32, 3, 0]), 9).expect("valid for 1.9");
    assert_eq!(
        (old.address_width, old.wdm_version),
        (0, 0),
        "behind the old structure"
    );
    assert_eq!(old.callbacks, [0x100, 0x101, 0x102, 0x103, 0x104, 0x105]);
}

#[test]
fn descriptions_are_what_the_hal_takes() {
    for profile in 1..=6 {
        for overrides in [[0, 0, 0], [0, 3, 0], [30, 0, 0]] {
            let request = request(profile, overrides, 33).expect("valid");
            let settings = settings(&request.description()).expect("the HAL agrees");
            assert_eq!(
                settings.map_registers, 17,
                "64 KiB and one for an unaligned start"
            );
            let width = if request.profile.is_64_bit() && overrides[0] == 0 {
                64
            } else {
                request.width
            };
            assert_eq!(
                settings.bounds.maximum,
                crate::hal_dma::bounds::Bounds::of_width(width).maximum
            );
        }
    }
}

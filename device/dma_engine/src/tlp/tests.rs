//! Properties of the splitting, and sizes worked out by hand.

use dmarig_abi::Iova;
use proptest::prelude::*;

use super::{TLP_PAGE_BYTES, Tlp, TlpLimits, split};
use crate::bus::Direction;

fn lengths(start: u64, len_bytes: u64, direction: Direction, limits: &TlpLimits) -> Vec<u32> {
    let tlps = split(Iova::new(start), len_bytes, direction, limits);
    tlps.map(|tlp| tlp.len_bytes).collect()
}

#[test]
fn sizes_follow_direction_page_and_boundary() {
    let check = |start, len_bytes, direction, limits: TlpLimits, expected: &[u32]| {
        assert_eq!(
            lengths(start, len_bytes, direction, &limits),
            expected,
            "{start:#x} {len_bytes:#x}"
        );
    };
    let (read, write) = (Direction::Read, Direction::Write);
    let limits = TlpLimits::new(256, 512);
    check(0x1000, 0, write, limits, &[]);
    check(0x1000, 1, write, limits, &[1]);
    check(0x1000, 600, write, limits, &[256, 256, 88]);
    check(0x1000, 600, read, limits, &[512, 88]);
    check(0x10fc, 600, write, limits, &[4, 256, 256, 84]);
    let page = TlpLimits::new(4096, 4096);
    check(0x1ffe, 4, read, page, &[2, 2]);
    check(0x1000, 0x2000, read, page, &[4096, 4096]);
    let narrow = page.with_boundary(64);
    check(0x1030, 96, read, narrow, &[16, 64, 16]);
    check(0x1000, 0x1000, read, page.with_boundary(0x1_0000), &[4096]);
}

#[test]
fn values_that_no_register_holds_are_brought_into_range() {
    let limits = TlpLimits::new(0, u32::MAX).with_boundary(0x1801);
    assert_eq!(limits.max_payload_bytes(), 128);
    assert_eq!(limits.max_read_request_bytes(), 4096);
    assert_eq!(limits.boundary_bytes(), 0x1000);
    assert_eq!(TlpLimits::default(), TlpLimits::new(200, 1023));
}

#[test]
fn longest_request_is_counted_without_overflow() {
    let limits = TlpLimits::default().with_boundary(1);
    let tlps = split(Iova::new(0), u64::MAX, Direction::Read, &limits);
    assert_eq!(tlps.remaining(), u64::MAX);
}

fn limits() -> impl Strategy<Value = TlpLimits> {
    (0..6_u32, 0..6_u32, prop::option::of(0..40_u32)).prop_map(|(payload, read, boundary)| {
        TlpLimits::new(128 << payload, 128 << read)
            .with_boundary(boundary.map_or(0, |log| 1_u64 << log))
    })
}

fn direction() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Read), Just(Direction::Write)]
}

/// Start and length, often near a page's or the space's end; the request does not pass 2^64.
fn range() -> impl Strategy<Value = (u64, u64)> {
    let start = prop_oneof![
        any::<u64>(),
        (1..0x1_0000_u64, 0..300_u64).prop_map(|(page, back)| (page << 12) - back),
        (0..0x8000_u64).prop_map(|back| u64::MAX - back),
    ];
    (start, 0..0x6000_u64).prop_map(|(start, len)| (start, len.min(u64::MAX - start)))
}

proptest! {
    #[test]
    fn every_byte_is_in_one_packet_and_in_order(
        (start, len) in range(), direction in direction(), limits in limits(),
    ) {
        let mut next = 0;
        for tlp in split(Iova::new(start), len, direction, &limits) {
            prop_assert_eq!(tlp.offset, next);
            prop_assert_eq!(tlp.iova.raw(), start + next);
            prop_assert!(tlp.len_bytes > 0);
            next += u64::from(tlp.len_bytes);
        }
        prop_assert_eq!(next, len);
    }

    #[test]
    fn no_packet_is_too_long_or_crosses(
        (start, len) in range(), direction in direction(), limits in limits(),
    ) {
        let most = match direction {
            Direction::Read => limits.max_read_request_bytes(),
            Direction::Write => limits.max_payload_bytes(),
        };
        for tlp in split(Iova::new(start), len, direction, &limits) {
            prop_assert!(tlp.len_bytes <= most);
            let last = tlp.iova.raw() + u64::from(tlp.len_bytes - 1);
            prop_assert_eq!(tlp.iova.raw() / TLP_PAGE_BYTES, last / TLP_PAGE_BYTES);
            if limits.boundary_bytes() != 0 {
                let boundary = limits.boundary_bytes();
                prop_assert_eq!(tlp.iova.raw() / boundary, last / boundary);
            }
        }
    }

    #[test]
    fn no_packet_ends_early(
        (start, len) in range(), direction in direction(), limits in limits(),
    ) {
        let granule = limits.granule_bytes(direction);
        let tlps: Vec<Tlp> = split(Iova::new(start), len, direction, &limits).collect();
        for tlp in tlps.iter().rev().skip(1) {
            let end = tlp.iova.raw() + u64::from(tlp.len_bytes);
            prop_assert_eq!(end % granule, 0);
        }
    }

    #[test]
    fn counting_and_finding_agree_with_making_them(
        (start, len) in range(), direction in direction(), limits in limits(), at in any::<u64>(),
    ) {
        let mut tlps = split(Iova::new(start), len, direction, &limits);
        let all: Vec<Tlp> = tlps.clone().collect();
        prop_assert_eq!(tlps.remaining(), all.len() as u64);
        prop_assert_eq!(tlps.carrying(len), None);
        if len > 0 {
            let at = at % len;
            let expected = all.iter().rfind(|tlp| tlp.offset <= at).copied();
            prop_assert_eq!(tlps.carrying(at), expected);
            tlps.next();
            prop_assert_eq!(tlps.remaining(), all.len() as u64 - 1);
        }
    }
}

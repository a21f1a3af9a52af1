//! What the caches keep, and what each invalidation makes them forget.

use std::num::NonZeroU32;

use dmarig_abi::{Iova, RequesterId};
use iommu::vtd::{Invalidation, InvalidationError, InvalidationMode, RemappingUnit};
use iommu::{Access, FaultKind};

use crate::tables::{DEVICE, LARGE, READ, Tables, WRITE, translate, unit};

const IOVA: u64 = 0x40_0000_0000;
const DOMAIN: u16 = 7;

/// Two pages mapped, both in the IOTLB, then both led elsewhere behind the unit's back.
fn stale(unit: &mut RemappingUnit) -> Tables {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, DOMAIN, 4);
    for page in 0..2 {
        let iova = IOVA + page * 0x1000;
        tables.map(top, 4, iova, 0x5000 + page * 0x1000, READ | WRITE);
        let target = translate(unit, &tables, iova, Access::Read);
        assert_eq!(target, Ok(0x5000 + page * 0x1000));
        tables.map(top, 4, iova, 0x9000 + page * 0x1000, READ | WRITE);
    }
    tables
}

/// Which of the two pages are still found where they were.
fn still_stale(unit: &mut RemappingUnit, tables: &Tables) -> [bool; 2] {
    [0, 0x1000].map(|page| {
        let found = translate(unit, tables, IOVA + page, Access::Read);
        let found = found.expect("both pages are mapped");
        assert!(
            [0x5000 + page, 0x9000 + page].contains(&found),
            "{found:#x}"
        );
        found == 0x5000 + page
    })
}

fn check(order: Invalidation, expected: [bool; 2]) {
    let mut unit = unit(|_| ());
    let tables = stale(&mut unit);
    unit.invalidate(order).expect("the order is valid");
    assert_eq!(still_stale(&mut unit, &tables), expected, "{order:?}");
}

fn pages(domain: u16, iova: u64, address_mask: u8) -> Invalidation {
    Invalidation::IotlbPages {
        domain,
        iova: Iova::new(iova),
        address_mask,
    }
}

#[test]
fn stale_entry_is_used_until_an_order_for_it() {
    check(Invalidation::IotlbGlobal, [false, false]);
    check(Invalidation::IotlbDomain { domain: DOMAIN }, [false, false]);
    check(Invalidation::IotlbDomain { domain: 8 }, [true, true]);
    check(pages(DOMAIN, IOVA, 0), [false, true]);
    check(pages(DOMAIN, IOVA + 0x1000, 0), [true, false]);
    check(pages(DOMAIN, IOVA, 1), [false, false]);
    check(pages(DOMAIN, IOVA, 18), [false, false]);
    check(pages(8, IOVA, 18), [true, true]);
    check(pages(DOMAIN, IOVA + (1 << 30), 18), [true, true]);
    // An order for context entries leaves the IOTLB as it is.
    check(Invalidation::ContextGlobal, [true, true]);
}

#[test]
fn iotlb_of_no_entries_is_never_stale() {
    let mut unit = unit(|config| config.iotlb_entries = 0);
    let tables = stale(&mut unit);
    assert_eq!(still_stale(&mut unit, &tables), [false, false]);
}

#[test]
fn any_part_of_a_large_leaf_invalidates_all_of_it() {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, DOMAIN, 4);
    let at = tables.entry(top, 4, IOVA, 2);
    tables.set(at, 0x20_0000 | LARGE | READ);
    let mut unit = unit(|_| ());
    assert_eq!(
        translate(&mut unit, &tables, IOVA, Access::Read),
        Ok(0x20_0000)
    );
    tables.set(at, 0x40_0000 | LARGE | READ);
    assert_eq!(
        translate(&mut unit, &tables, IOVA + 0x1000, Access::Read),
        Ok(0x20_1000)
    );
    unit.invalidate(pages(DOMAIN, IOVA + 0x1f_f000, 0))
        .expect("valid");
    assert_eq!(
        translate(&mut unit, &tables, IOVA, Access::Read),
        Ok(0x40_0000)
    );
}

#[test]
fn permission_that_was_added_needs_an_invalidation_too() {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, DOMAIN, 4);
    tables.map(top, 4, IOVA, 0x5000, READ);
    let mut unit = unit(|_| ());
    translate(&mut unit, &tables, IOVA, Access::Read).expect("it may be read");
    tables.map(top, 4, IOVA, 0x5000, READ | WRITE);
    let fault = translate(&mut unit, &tables, IOVA, Access::Write).expect_err("stale");
    assert_eq!(fault.kind, FaultKind::Permission);
    unit.invalidate(pages(DOMAIN, IOVA, 0)).expect("valid");
    assert_eq!(
        translate(&mut unit, &tables, IOVA, Access::Write),
        Ok(0x5000)
    );
}

#[test]
fn refusals_are_not_cached() {
    let mut tables = Tables::new();
    let mut unit = unit(|_| ());
    translate(&mut unit, &tables, IOVA, Access::Read).expect_err("no root entry");
    let top = tables.attach(DEVICE, DOMAIN, 4);
    translate(&mut unit, &tables, IOVA, Access::Read).expect_err("no page");
    tables.map(top, 4, IOVA, 0x5000, READ);
    assert_eq!(
        translate(&mut unit, &tables, IOVA, Access::Read),
        Ok(0x5000)
    );
}

#[test]
fn context_entry_is_kept_until_an_order_for_it() {
    let neighbor = |distance| RequesterId::from_raw(DEVICE.raw() + distance);
    let device = |requester, masked_bits| Invalidation::ContextDevice {
        requester,
        masked_bits,
    };
    let cases = [
        (Invalidation::ContextGlobal, true),
        (Invalidation::ContextDomain { domain: DOMAIN }, true),
        (Invalidation::ContextDomain { domain: 8 }, false),
        (device(DEVICE, 0), true),
        (device(neighbor(4), 0), false),
        (device(neighbor(4), 1), true),
        (device(neighbor(2), 1), false),
        (device(neighbor(2), 2), true),
        (device(neighbor(1), 2), false),
        (device(neighbor(7), 3), true),
        (device(neighbor(8), 3), false),
        (Invalidation::IotlbGlobal, false),
    ];
    for (order, is_forgotten) in cases {
        let mut unit = unit(|config| config.iotlb_entries = 0);
        let mut tables = Tables::new();
        let top = tables.attach(DEVICE, DOMAIN, 4);
        tables.map(top, 4, IOVA, 0x5000, READ);
        assert_eq!(
            translate(&mut unit, &tables, IOVA, Access::Read),
            Ok(0x5000)
        );
        let top = tables.attach(DEVICE, DOMAIN, 4);
        tables.map(top, 4, IOVA, 0x9000, READ);
        unit.invalidate(order).expect("valid");
        let expected = if is_forgotten { 0x9000 } else { 0x5000 };
        let found = translate(&mut unit, &tables, IOVA, Access::Read);
        assert_eq!(found, Ok(expected), "{order:?}");
    }
}

#[test]
fn deferred_order_hurts_until_the_wait() {
    let mut unit = unit(|config| config.invalidation = InvalidationMode::Deferred { ticks: None });
    let tables = stale(&mut unit);
    unit.invalidate(Invalidation::IotlbGlobal).expect("valid");
    for _ in 0..1000 {
        unit.tick();
    }
    assert_eq!(still_stale(&mut unit, &tables), [true, true]);
    assert_eq!((unit.n_pending(), unit.wait(), unit.n_pending()), (1, 1, 0));
    assert_eq!(still_stale(&mut unit, &tables), [false, false]);
}

#[test]
fn deferred_order_takes_effect_at_its_tick() {
    let ticks = NonZeroU32::new(3);
    let mut unit = unit(|config| config.invalidation = InvalidationMode::Deferred { ticks });
    let tables = stale(&mut unit);
    unit.invalidate(pages(DOMAIN, IOVA, 0)).expect("valid");
    unit.tick();
    unit.invalidate(pages(DOMAIN, IOVA + 0x1000, 0))
        .expect("valid");
    let mut seen = Vec::new();
    for _ in 0..3 {
        unit.tick();
        seen.push(still_stale(&mut unit, &tables));
    }
    assert_eq!(seen, [[true, true], [false, true], [false, false]]);
}

#[test]
fn orders_that_cannot_be_are_refused() {
    let mode = InvalidationMode::Deferred { ticks: None };
    let mut unit = unit(|config| config.invalidation = mode);
    let refused = |unit: &mut RemappingUnit, order| unit.invalidate(order).expect_err("refused");
    assert_eq!(
        refused(&mut unit, pages(1, 0, 19)),
        InvalidationError::AddressMask { address_mask: 19 }
    );
    let misaligned = refused(&mut unit, pages(1, 0x1000, 1));
    assert_eq!(
        misaligned.to_string(),
        "IOVA 0x1000 is no multiple of the 2^1 pages that start there"
    );
    for _ in 0..256 {
        unit.invalidate(Invalidation::IotlbGlobal).expect("room");
    }
    assert_eq!(
        refused(&mut unit, Invalidation::IotlbGlobal),
        InvalidationError::QueueFull
    );
}

#[test]
fn peek_leaves_no_trace() {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, DOMAIN, 4);
    tables.map(top, 4, IOVA, 0x5000, READ);
    let unit = unit(|_| ());
    for (iova, is_mapped) in [(IOVA, true), (IOVA + 0x1000, false)] {
        let found = unit.peek(&tables, DEVICE, Iova::new(iova), 1, Access::Read);
        assert_eq!(found.is_ok(), is_mapped);
    }
    assert_eq!(unit.faults().count(), 0);
    assert_eq!(unit.cache_counters(), iommu::vtd::CacheCounters::default());
}

#[test]
fn counters_tell_hits_from_misses() {
    let mut unit = unit(|_| ());
    let tables = stale(&mut unit);
    still_stale(&mut unit, &tables);
    let counters = unit.cache_counters();
    assert_eq!((counters.iotlb_hits, counters.iotlb_misses), (2, 2));
    assert_eq!((counters.context_hits, counters.context_misses), (3, 1));
}

//! Where each kind of table leads, and what each kind of mistake in one is called.

use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use iommu::vtd::{RemappingUnit, UnitConfig};
use iommu::{Access, FaultKind, Translate};

use crate::tables::{
    DEVICE, LARGE, MEMORY_END, READ, ROOT, Tables, WRITE, refusal_code, translate, unit,
};

const GIB: u64 = 1 << 30;
const MIB_2: u64 = 2 << 20;
/// Aligned for a leaf of any size.
const TARGET: u64 = 2 * GIB;
const IOVA: u64 = 0x12_3456_7000;

#[test]
fn leaf_of_each_size_leads_there_with_3_and_4_levels() {
    for levels in [3, 4] {
        for (level, size_bytes) in [(1, 0x1000), (2, MIB_2), (3, GIB)] {
            let mut tables = Tables::new();
            let top = tables.attach(DEVICE, 1, levels);
            let at = tables.entry(top, levels, IOVA, level);
            let large = if level > 1 { LARGE } else { 0 };
            tables.set(at, TARGET | READ | WRITE | large);
            let mut unit = unit(|_| ());
            let segment = unit
                .translate(
                    &tables,
                    DEVICE,
                    Iova::new(IOVA + 8),
                    u64::MAX >> 1,
                    Access::Write,
                )
                .expect("it is mapped");
            let in_page = (IOVA + 8) % size_bytes;
            assert_eq!(segment.offset_bytes, TARGET + in_page, "{levels} {level}");
            assert_eq!(segment.len_bytes, size_bytes - in_page, "{levels} {level}");
        }
    }
}

#[test]
fn unit_is_a_supplier_of_translations() {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, 1, 4);
    tables.map(top, 4, IOVA, 0x5000, READ);
    tables.map(top, 4, IOVA + 0x1000, 0x9000, READ);
    let mut unit = unit(|_| ());
    let mut over = unit.over(&tables);
    let pieces: Vec<_> = over
        .segments(DEVICE, Iova::new(IOVA + 0xff0), 0x2000, Access::Read)
        .map(|piece| match piece {
            Ok(segment) => (segment.iova.raw(), segment.len_bytes, segment.offset_bytes),
            Err(fault) => (fault.iova.raw(), 0, 0),
        })
        .collect();
    let expected = [
        (IOVA + 0xff0, 0x10, 0x5ff0),
        (IOVA + 0x1000, 0x1000, 0x9000),
        (IOVA + 0x2000, 0, 0),
    ];
    assert_eq!(pieces, expected);
}

/// One way to spoil tables in which everything up to [`IOVA`] is in order, and what comes of it.
fn check_spoilt(spoil: impl FnOnce(&mut Tables, [u64; 4]), access: Access, code: u8) {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, 1, 4);
    tables.map(top, 4, IOVA, 0x5000, READ | WRITE);
    let entries = [1, 2, 3, 4].map(|level| tables.entry(top, 4, IOVA, level));
    spoil(&mut tables, entries);
    let mut unit = unit(|_| ());
    assert_eq!(refusal_code(&mut unit, &tables, IOVA, access), Some(code));
}

/// Sets bits of a word.
fn or(tables: &mut Tables, at: u64, bits: u64) {
    tables.set(at, tables.word(at) | bits);
}

#[test]
fn root_entry_that_is_not_in_order_is_named() {
    let at = Tables::root_entry(DEVICE);
    check_spoilt(|tables, _| tables.set(at, 0), Access::Read, 1);
    for bit in [1, 11, 48, 63] {
        check_spoilt(|tables, _| or(tables, at, 1 << bit), Access::Read, 0xa);
    }
    check_spoilt(|tables, _| tables.set(at + 8, 1 << 40), Access::Read, 0xa);
    check_spoilt(|tables, _| tables.set(at, MEMORY_END | 1), Access::Read, 9);
}

#[test]
fn context_entry_that_is_not_in_order_is_named() {
    let check = |change: fn(&mut Tables, u64), code| {
        check_spoilt(
            |tables, _| {
                let at = tables.context_entry(DEVICE);
                change(tables, at);
            },
            Access::Write,
            code,
        );
    };
    check(|tables, at| tables.set(at, 0), 2);
    check(|tables, at| or(tables, at, 1 << 4), 0xb);
    check(|tables, at| or(tables, at, 1 << 50), 0xb);
    check(|tables, at| or(tables, at + 8, 1 << 7), 0xb);
    check(|tables, at| or(tables, at + 8, 1 << 24), 0xb);
    check(|tables, at| or(tables, at, 1 << 2), 3);
    check(|tables, at| or(tables, at, 3 << 2), 3);
    check(|tables, at| tables.set(at + 8, 1 << 8), 3);
    check(|tables, at| tables.set(at + 8, 1 << 8 | 3), 3);
    check(|tables, at| tables.set(at, MEMORY_END | 1), 3);
}

#[test]
fn page_entry_that_is_not_in_order_is_named() {
    for level in 0..4 {
        let read_only = |tables: &mut Tables, at: [u64; 4]| {
            tables.set(at[level], tables.word(at[level]) & !WRITE);
        };
        check_spoilt(read_only, Access::Write, 5);
        let write_only = |tables: &mut Tables, at: [u64; 4]| {
            tables.set(at[level], tables.word(at[level]) & !READ);
        };
        check_spoilt(write_only, Access::Read, 6);
        for bit in [11, 48, 51, 62] {
            let reserved = |tables: &mut Tables, at: [u64; 4]| or(tables, at[level], 1 << bit);
            check_spoilt(reserved, Access::Read, 0xc);
        }
    }
    for level in 1..4 {
        let nowhere = |tables: &mut Tables, at: [u64; 4]| {
            tables.set(at[level], MEMORY_END | READ | WRITE);
        };
        check_spoilt(nowhere, Access::Read, 7);
    }
    // A leaf of 2 MiB or 1 GiB must be aligned, and there are no larger ones.
    check_spoilt(
        |tables, at| tables.set(at[1], 0x1000 | LARGE | 3),
        Access::Read,
        0xc,
    );
    check_spoilt(
        |tables, at| tables.set(at[2], MIB_2 | LARGE | 3),
        Access::Read,
        0xc,
    );
    check_spoilt(|tables, at| or(tables, at[3], LARGE), Access::Read, 0xc);
}

#[test]
fn entry_that_permits_nothing_may_hold_anything() {
    let garbage = |tables: &mut Tables, at: [u64; 4]| tables.set(at[0], !3);
    check_spoilt(garbage, Access::Read, 6);
    check_spoilt(garbage, Access::Write, 5);
}

#[test]
fn leaf_size_that_the_unit_lacks_is_a_reserved_bit() {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, 1, 3);
    let at = tables.entry(top, 3, IOVA, 2);
    tables.set(at, LARGE | READ);
    let mut small = unit(|config| config.has_2_mib_leaves = false);
    assert_eq!(
        refusal_code(&mut small, &tables, IOVA, Access::Read),
        Some(0xc)
    );
}

#[test]
fn address_beyond_the_width_of_tables_or_unit_is_refused() {
    for (levels, guest_bits, first) in [(3, 48, 1 << 39), (4, 48, 1 << 48), (4, 39, 1 << 39)] {
        let mut tables = Tables::new();
        tables.attach(DEVICE, 1, levels);
        let mut unit = unit(|config| config.guest_address_bits = guest_bits);
        let below = refusal_code(&mut unit, &tables, first - 0x1000, Access::Read);
        assert_eq!(below, Some(6), "nothing is mapped there");
        let above = refusal_code(&mut unit, &tables, first, Access::Read);
        assert_eq!(above, Some(4));
    }
}

#[test]
fn requests_pass_where_the_context_entry_says_so() {
    let mut tables = Tables::new();
    tables.attach(DEVICE, 1, 4);
    let at = tables.context_entry(DEVICE);
    or(&mut tables, at, 2 << 2);
    let mut passing = unit(|_| ());
    assert_eq!(
        translate(&mut passing, &tables, IOVA, Access::Write),
        Ok(IOVA)
    );
    let mut without = unit(|config| config.has_pass_through = false);
    assert_eq!(
        refusal_code(&mut without, &tables, IOVA, Access::Write),
        Some(3)
    );
}

#[test]
fn root_table_outside_memory_is_named() {
    let tables = Tables::new();
    let root = GuestPhysAddr::new(MEMORY_END);
    let mut unit = RemappingUnit::try_new(UnitConfig::default(), root).expect("valid");
    assert_eq!(
        refusal_code(&mut unit, &tables, IOVA, Access::Read),
        Some(8)
    );
}

#[test]
fn interrupt_addresses_are_no_dma() {
    let mut tables = Tables::new();
    let top = tables.attach(DEVICE, 1, 4);
    let at = tables.entry(top, 4, 0xc000_0000, 3);
    tables.set(at, 0xc000_0000 | LARGE | READ | WRITE);
    tables.map(top, 4, IOVA, 0xfee0_0000, READ | WRITE);
    let mut unit = unit(|_| ());
    // As an input they are not translated, whatever the tables say, and leave no record.
    assert_eq!(
        refusal_code(&mut unit, &tables, 0xfee0_1000, Access::Write),
        None
    );
    // As an output they are a fault of the tables.
    assert_eq!(
        refusal_code(&mut unit, &tables, IOVA, Access::Write),
        Some(0xe)
    );
    // The rest of a leaf that holds them can be used, up to them.
    let start = Iova::new(0xfedf_f000);
    let segment = unit.translate(&tables, DEVICE, start, 0x2000, Access::Write);
    assert_eq!(segment.map(|segment| segment.len_bytes), Ok(0x1000));
}

#[test]
fn access_that_wraps_is_refused_without_a_record() {
    let mut unit = unit(|_| ());
    let fault = unit
        .translate(&Tables::new(), DEVICE, Iova::new(u64::MAX), 2, Access::Read)
        .expect_err("it wraps");
    assert_eq!(fault.kind, FaultKind::Wrap);
    assert_eq!(unit.take_faults(), []);
}

#[test]
fn requesters_have_their_own_tables() {
    let other = RequesterId::from_raw(0x0310);
    let mut tables = Tables::new();
    for (requester, domain, target) in [(DEVICE, 1, 0x5000), (other, 2, 0x6000)] {
        let top = tables.attach(requester, domain, 4);
        tables.map(top, 4, IOVA, target, READ);
    }
    let mut unit = unit(|_| ());
    for (requester, target) in [(DEVICE, 0x5000), (other, 0x6000)] {
        for _ in 0..2 {
            let found = unit.translate(&tables, requester, Iova::new(IOVA), 1, Access::Read);
            assert_eq!(found.map(|segment| segment.offset_bytes), Ok(target));
        }
    }
    assert_eq!(unit.root_table(), ROOT);
}

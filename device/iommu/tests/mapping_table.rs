//! The table's promises, one by one: what is found, what is removed, what is refused.

use dmarig_abi::{Iova, RequesterId};
use iommu::{
    Access, Fault, FaultKind, Mapping, MappingError, MappingTable, Permissions, Removed, Run,
    Segment, Translate,
};

const PAGE: u64 = 0x1000;
const REQUESTER: RequesterId = RequesterId::from_raw(0x0100);
const MIB_2: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

fn mapping(iova: u64, len_bytes: u64, offset_bytes: u64) -> Mapping<u32> {
    Mapping {
        iova: Iova::new(iova),
        len_bytes,
        backing: 7,
        offset_bytes,
        permissions: Permissions::ReadWrite,
    }
}

fn map(table: &mut MappingTable<u32>, iova: u64, len_bytes: u64, offset_bytes: u64) {
    table
        .map(&mapping(iova, len_bytes, offset_bytes), |_| {})
        .expect("the mapping is valid");
}

fn unmap(table: &mut MappingTable<u32>, iova: u64, len_bytes: u64) -> Vec<Removed<u32>> {
    let mut removed = Vec::new();
    let pages = table
        .unmap(Iova::new(iova), len_bytes, |leaf| removed.push(leaf))
        .expect("the range is valid");
    assert_eq!(
        pages,
        removed.iter().map(|leaf| leaf.size_pages).sum::<u64>()
    );
    removed
}

fn translate(
    mut table: &MappingTable<u32>,
    iova: u64,
    len_bytes: u64,
    access: Access,
) -> Result<Vec<(u64, u64, u64)>, Fault> {
    table
        .segments(REQUESTER, Iova::new(iova), len_bytes, access)
        .map(|piece| piece.map(|s: Segment<u32>| (s.iova.raw(), s.len_bytes, s.offset_bytes)))
        .collect()
}

#[test]
fn identity_map_of_many_gib_is_a_few_leaves() {
    let mut table = MappingTable::new();
    map(&mut table, 0, 64 * GIB, 0);
    assert_eq!(table.leaf_count(), 64);
    map(&mut table, 0, 1 << 63, 0);
    assert_eq!(table.leaf_count(), 64, "64 leaves of 2^57 bytes");
    assert!(table.heap_bytes() < 10_000, "{}", table.heap_bytes());
}

#[test]
fn access_inside_one_mapping_gives_one_segment() {
    let mut table = MappingTable::new();
    map(&mut table, 0x10_0000, 16 * PAGE, 0x5000);
    let found = translate(&table, 0x10_0ffe, 0x2004, Access::Write);
    assert_eq!(found, Ok(vec![(0x10_0ffe, 0x2004, 0x5ffe)]));
}

#[test]
fn scattered_pages_give_segments_and_contiguous_ones_merge() {
    let mut table = MappingTable::new();
    map(&mut table, 0x1000, PAGE, 0x8000);
    map(&mut table, 0x2000, PAGE, 0x9000);
    map(&mut table, 0x3000, PAGE, 0x1000);
    let found = translate(&table, 0x1800, 0x2000, Access::Read);
    assert_eq!(
        found,
        Ok(vec![(0x1800, 0x1800, 0x8800), (0x3000, 0x800, 0x1000)])
    );
}

#[test]
fn fault_names_the_first_refused_byte_and_its_reason() {
    let mut table = MappingTable::new();
    let mut read_only = mapping(0x1000, PAGE, 0);
    read_only.permissions = Permissions::Read;
    table.map(&read_only, |_| {}).expect("the mapping is valid");
    map(&mut table, 0, PAGE, 0);

    let fault = |iova, kind| Fault {
        iova: Iova::new(iova),
        kind,
    };
    let check = |iova, len_bytes, access, expected| {
        assert_eq!(translate(&table, iova, len_bytes, access), Err(expected));
    };
    check(
        0xff0,
        0x20,
        Access::Write,
        fault(0x1000, FaultKind::Permission),
    );
    check(
        0x1ff0,
        0x20,
        Access::Read,
        fault(0x2000, FaultKind::Unmapped),
    );
    check(0x7000, 1, Access::Read, fault(0x7000, FaultKind::Unmapped));
    check(u64::MAX, 2, Access::Read, fault(u64::MAX, FaultKind::Wrap));
}

#[test]
fn last_byte_of_the_address_space_can_be_mapped_and_unmapped() {
    let mut table = MappingTable::new();
    let top = u64::MAX - PAGE + 1;
    map(&mut table, top, PAGE, 0x3000);
    let found = translate(&table, u64::MAX, 1, Access::Read);
    assert_eq!(found, Ok(vec![(u64::MAX, 1, 0x3fff)]));
    assert_eq!(table.runs(Iova::new(0)).count(), 1);
    // The unmap that QEMU sends when VT-d is switched off: it ends at 2^64.
    assert_eq!(
        unmap(&mut table, 0xfef0_0000, 0xffff_ffff_0110_0000).len(),
        1
    );
    assert_eq!(table.leaf_count(), 0);
}

#[test]
fn unmap_of_nothing_is_no_error_and_no_change() {
    let mut table = MappingTable::new();
    map(&mut table, 0x4000, PAGE, 0);
    let epoch = table.epoch();
    for shift in 21..48 {
        assert_eq!(unmap(&mut table, 1 << shift, 1 << shift), vec![]);
    }
    assert_eq!((table.epoch(), table.leaf_count()), (epoch, 1));
}

#[test]
fn unmap_over_hundreds_of_mappings_removes_all_and_their_neighbors_stay() {
    let mut table = MappingTable::new();
    for page in 0..600 {
        map(
            &mut table,
            MIB_2 - 44 * PAGE + page * PAGE,
            PAGE,
            (600 - page) * PAGE,
        );
    }
    let removed = unmap(&mut table, MIB_2, MIB_2);
    assert_eq!(removed.len(), 512);
    assert!(removed.is_sorted_by_key(|leaf| leaf.iova));
    assert_eq!(table.leaf_count(), 600 - 512);
    assert!(translate(&table, MIB_2 - 1, 1, Access::Read).is_ok());
    assert!(translate(&table, MIB_2, 1, Access::Read).is_err());
    assert!(translate(&table, 2 * MIB_2, 1, Access::Read).is_ok());
}

#[test]
fn cut_through_a_large_leaf_splits_it() {
    let mut table = MappingTable::new();
    map(&mut table, 0, 4 * GIB, 0);
    let removed = unmap(&mut table, GIB + 5 * PAGE, 3 * PAGE);
    assert_eq!(removed.len(), 3);
    assert_eq!(removed[0].offset_bytes, GIB + 5 * PAGE);

    let before = translate(&table, 0, GIB + 5 * PAGE, Access::Read);
    assert_eq!(before, Ok(vec![(0, GIB + 5 * PAGE, 0)]));
    let after = translate(&table, GIB + 8 * PAGE, GIB, Access::Read);
    assert_eq!(after, Ok(vec![(GIB + 8 * PAGE, GIB, GIB + 8 * PAGE)]));
    assert_eq!(table.leaf_count(), 3 + 511 + 509);
}

#[test]
fn map_over_existing_mappings_replaces_them_and_reports_what_was_there() {
    let mut table = MappingTable::new();
    map(&mut table, 0, MIB_2, 0);
    let mut removed_pages = 0;
    let mut newer = mapping(0x3000, 2 * PAGE, 0x10_0000);
    newer.backing = 8;
    table
        .map(&newer, |leaf| {
            assert_eq!(leaf.backing, 7);
            removed_pages += leaf.size_pages;
        })
        .expect("the mapping is valid");
    assert_eq!(removed_pages, 2);
    let found = translate(&table, 0x2000, 4 * PAGE, Access::Read);
    assert_eq!(
        found,
        Ok(vec![
            (0x2000, PAGE, 0x2000),
            (0x3000, 2 * PAGE, 0x10_0000),
            (0x5000, PAGE, 0x5000)
        ])
    );
}

#[test]
fn unmap_all_leaves_nothing_and_gives_the_memory_back() {
    let mut table = MappingTable::new();
    for number in 0..1000 {
        map(&mut table, number * GIB, PAGE, 0);
    }
    assert_eq!(table.unmap_all(|_| {}), 1000);
    assert_eq!(table.leaf_count(), 0);
    assert!(table.heap_bytes() < 200);
    assert_eq!(table.runs(Iova::new(0)).count(), 0);
}

#[test]
fn pages_unmapped_one_by_one_give_the_memory_back_too() {
    let mut table = MappingTable::new();
    map(&mut table, 0x1000, PAGE, 0);
    let before = table.heap_bytes();
    for number in 1..1000 {
        map(&mut table, number * GIB, PAGE, 0);
    }
    for number in 1..1000 {
        unmap(&mut table, number * GIB, PAGE);
    }
    assert!(table.heap_bytes() < before + 1000, "{}", table.heap_bytes());
}

#[test]
fn bad_ranges_are_refused_with_a_reason_and_change_nothing() {
    let mut table = MappingTable::new();
    let mut check = |iova, len_bytes, offset_bytes, text: &str| {
        let error = table
            .map(&mapping(iova, len_bytes, offset_bytes), |_| {})
            .expect_err(text);
        assert!(error.to_string().contains(text), "{error}");
    };
    check(0x1000, 0, 0, "is empty");
    check(0x1000, 0x800, 0, "smaller mappings are not supported");
    check(0x1001, PAGE, 0, "must be multiples of 0x1000");
    check(0x1000, PAGE, 0x10, "must be multiples of 0x1000");
    check(u64::MAX - PAGE + 1, 2 * PAGE, 0, "passes the end");
    check(0, 2 * PAGE, u64::MAX - PAGE + 1, "passes the end");
    assert_eq!((table.leaf_count(), table.epoch()), (0, 0));
}

#[test]
fn full_table_refuses_what_would_add_leaves_and_still_unmaps() {
    let mut table = MappingTable::with_max_leaves(2);
    map(&mut table, 0, MIB_2, 0);
    map(&mut table, 2 * MIB_2, PAGE, 0);
    let full = Err(MappingError::Full { leaves: 2 });
    assert_eq!(table.map(&mapping(0x10_0000_0000, PAGE, 0), |_| {}), full);
    let cut = table.unmap(Iova::new(0x1000), PAGE, |_| {});
    assert_eq!(cut, Err(MappingError::Full { leaves: 2 }));
    assert_eq!(unmap(&mut table, 0, MIB_2).len(), 1);
}

#[test]
fn every_change_counts_in_the_epoch() {
    let mut table = MappingTable::new();
    map(&mut table, 0, PAGE, 0);
    map(&mut table, 0, PAGE, 0);
    unmap(&mut table, 0, PAGE);
    unmap(&mut table, 0, PAGE);
    assert_eq!(table.epoch(), 3);
}

#[test]
fn runs_join_neighbors_and_start_inside_a_mapping() {
    let mut table = MappingTable::new();
    map(&mut table, 0x1000, PAGE, 0);
    map(&mut table, 0x2000, MIB_2, 0x1000);
    map(&mut table, 0x40_0000, PAGE, 0);
    let run = |iova, size_pages, offset_bytes| Run {
        iova: Iova::new(iova),
        size_pages,
        backing: 7,
        offset_bytes,
        permissions: Permissions::ReadWrite,
    };
    let all: Vec<_> = table.runs(Iova::new(0)).collect();
    assert_eq!(all, [run(0x1000, 513, 0), run(0x40_0000, 1, 0)]);
    let first = table.runs(Iova::new(0x20_0000)).next();
    assert_eq!(first, Some(run(0x20_0000, 2, 0x1f_f000)));
    assert_eq!(table.runs(Iova::new(0x40_1000)).next(), None);
}

#[test]
fn a_million_scattered_pages_cost_less_than_100_bytes_each() {
    const COUNT: usize = 1_000_000;
    let mut table = MappingTable::new();
    // One page in two, in an order that jumps about: a guard page follows each mapping.
    for number in 0..COUNT as u64 {
        let slot = number * 387_420_489 % COUNT as u64;
        map(&mut table, (1 << 32) + slot * 2 * PAGE, PAGE, number * PAGE);
    }
    assert_eq!(table.leaf_count(), COUNT);
    let bytes = table.heap_bytes() / COUNT;
    assert!(bytes <= 100, "{bytes} bytes each");
}

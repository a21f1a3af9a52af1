//! The mapping table at 10, 65,000 and 1,000,000 scattered 4 KiB mappings.
//!
//! Cases: `look_up` (translate 64 bytes at a random mapped page), `map_unmap` (one page in, one page
//! out), `unmap_map_dense` (one page of 65,000 neighbors, out and in again), `unmap_all` (65,000
//! mappings); for the same look-ups a `BTreeMap` of ranges as the peer, and an array without a search as
//! the floor.
//! The heap bytes of each mapping are printed first.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dmarig_abi::Iova;
use iommu::{Access, Mapping, MappingTable, Permissions};

const PAGE: u64 = 0x1000;
const COUNTS: [u64; 3] = [10, 65_000, 1_000_000];
/// Addresses that the look-ups walk through, more than any cache of ours could hold by accident.
const LOOK_UPS: usize = 1 << 16;

/// Page `number` of a scattered set: every second page above 4 GiB, the backing's pages shuffled.
fn mapping(number: u64, count: u64) -> Mapping<u32> {
    Mapping {
        iova: Iova::new((1 << 32) + number * 2 * PAGE),
        len_bytes: PAGE,
        backing: 1,
        offset_bytes: number * 387_420_489 % count * PAGE,
        permissions: Permissions::ReadWrite,
    }
}

fn filled(count: u64) -> MappingTable<u32> {
    let mut table = MappingTable::new();
    for number in 0..count {
        table
            .map(&mapping(number, count), |_| {})
            .expect("the mapping is valid");
    }
    table
}

/// Random mapped addresses (SplitMix64, so that no pattern helps the prefetcher).
fn addresses(count: u64) -> Vec<Iova> {
    let random = |index| dmarig_abi::pattern::pattern_word(1, index) % count;
    (0..LOOK_UPS as u64)
        .map(|index| Iova::new(mapping(random(index), count).iova.raw() + 0x40))
        .collect()
}

fn look_up(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("look_up");
    for count in COUNTS {
        let table = filled(count);
        println!(
            "{count} mappings: {} heap bytes each",
            table.heap_bytes() as u64 / count
        );
        let addresses = addresses(count);
        let mut next = 0;
        group.bench_function(format!("radix/{count}"), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % LOOK_UPS;
                table.translate_first(black_box(addresses[next]), 64, Access::Read)
            });
        });
        // What any table of so many entries pays: one of 16 bytes each, with no search at all.
        let array: Vec<[u64; 2]> = (0..count).map(|number| [number, 0]).collect();
        group.bench_function(format!("floor array/{count}"), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % LOOK_UPS;
                let page = (black_box(addresses[next]).raw() - (1 << 32)) / PAGE / 2;
                usize::try_from(page)
                    .ok()
                    .and_then(|page| array.get(page).copied())
            });
        });
        let tree: BTreeMap<u64, u64> = (0..count)
            .map(|number| mapping(number, count))
            .map(|mapping| (mapping.iova.raw(), mapping.offset_bytes))
            .collect();
        group.bench_function(format!("btree/{count}"), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % LOOK_UPS;
                tree.range(..=black_box(addresses[next]).raw()).next_back()
            });
        });
    }
    group.finish();
}

fn map_unmap(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("map_unmap");
    for count in COUNTS {
        let mut table = filled(count);
        let addresses = addresses(count);
        let mut next = 0;
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter(|| {
                next = (next + 1) % LOOK_UPS;
                let mut free = mapping(0, count);
                // The free page behind a mapped one.
                free.iova = Iova::new(addresses[next].align_down(PAGE).raw() + PAGE);
                let is_mapped = table.map(black_box(&free), |_| {});
                (is_mapped, table.unmap(free.iova, PAGE, |_| {}))
            });
        });
    }
    group.finish();
}

/// One page of a wide range of single pages, out and in again.
fn unmap_map_dense(criterion: &mut Criterion) {
    let dense = |number: u64| Mapping {
        iova: Iova::new((1 << 32) + number * PAGE),
        ..mapping(number, 65_000)
    };
    let mut table = MappingTable::new();
    for number in 0..65_000 {
        table.map(&dense(number), |_| {}).expect("valid");
    }
    let mut next = 0;
    criterion.bench_function("unmap_map_dense/65000", |bencher| {
        bencher.iter(|| {
            next = (next + 7919) % 65_000;
            let mapping = black_box(dense(next));
            let unmapped = table.unmap(mapping.iova, PAGE, |_| {});
            (unmapped, table.map(&mapping, |_| {}))
        });
    });
}

fn unmap_all(criterion: &mut Criterion) {
    criterion.bench_function("unmap_all/65000", |bencher| {
        bencher.iter_batched_ref(
            || filled(65_000),
            |table| {
                table.unmap_all(|removed| {
                    black_box(removed);
                })
            },
            BatchSize::PerIteration,
        );
    });
}

criterion_group!(benches, look_up, map_unmap, unmap_map_dense, unmap_all);
criterion_main!(benches);

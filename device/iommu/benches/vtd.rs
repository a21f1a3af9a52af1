//! The remapping unit's walk, cold and warm, beside a look-up in the mapping table, in one run.
//!
//! 65,000 pages of 4 KiB lie scattered under tables of four levels in flat memory. Cases: `walk` (no
//! IOTLB, context entry cached: four reads), `walk_and_context` (no cache: four more), `iotlb_warm` (64
//! pages that the IOTLB holds), `iotlb_thrashed` (random ones of 65,000, of which it holds 1024; a look-up,
//! a walk, a fill), `large_leaf_warm` (all of it under one leaf of 1 GiB), `mapping_table` and
//! `mapping_table/64_pages` (the same pages as a platform would announce them).

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use iommu::vtd::{PhysicalMemory, RemappingUnit, UnitConfig};
use iommu::{Access, Mapping, MappingTable, Permissions};

const PAGE: u64 = 0x1000;
const PAGES: u64 = 65_000;
/// A power of two of addresses, walked through in order.
const LOOK_UPS: usize = 1 << 14;
const DEVICE: RequesterId = RequesterId::from_raw(0x0100);
const CONTEXTS: u64 = 0x1000;
const TOP: u64 = 0x2000;
const BASE: u64 = 1 << 32;

/// Physical memory from 0 on.
struct Flat(Vec<u64>);

impl PhysicalMemory for Flat {
    fn read_u64(&self, address: GuestPhysAddr) -> Option<u64> {
        let index = usize::try_from(address.raw() / 8).ok()?;
        self.0.get(index).copied()
    }
}

impl Flat {
    fn set(&mut self, at: u64, word: u64) {
        let index = usize::try_from(at / 8).expect("it fits");
        if index >= self.0.len() {
            self.0.resize(index + 512, 0);
        }
        self.0[index] = word;
    }

    fn get(&self, at: u64) -> u64 {
        self.read_u64(GuestPhysAddr::new(at)).unwrap_or(0)
    }
}

/// Page `number` of a scattered set: every second page above 4 GiB.
fn iova(number: u64) -> u64 {
    BASE + number * 2 * PAGE
}

fn target(number: u64) -> u64 {
    (1 << 31) + number * 387_420_489 % PAGES * PAGE
}

fn tables() -> Flat {
    let mut memory = Flat(Vec::new());
    let mut next = TOP + PAGE;
    memory.set(16, CONTEXTS | 1);
    memory.set(CONTEXTS, TOP | 1);
    memory.set(CONTEXTS + 8, 1 << 8 | 2);
    for number in 0..PAGES {
        let mut table = TOP;
        for shift in [39, 30, 21] {
            let at = table + (iova(number) >> shift & 511) * 8;
            if memory.get(at) == 0 {
                memory.set(at, next | 3);
                next += PAGE;
            }
            table = memory.get(at) & !0xfff;
        }
        memory.set(table + (iova(number) >> 12 & 511) * 8, target(number) | 3);
    }
    memory
}

fn unit(context_entries: usize, iotlb_entries: usize) -> RemappingUnit {
    let config = UnitConfig {
        context_entries,
        iotlb_entries,
        ..UnitConfig::default()
    };
    RemappingUnit::try_new(config, GuestPhysAddr::new(0)).expect("valid")
}

fn addresses(pages: u64) -> Vec<Iova> {
    let random = |index| dmarig_abi::pattern::pattern_word(1, index) % pages;
    (0..LOOK_UPS as u64)
        .map(|index| Iova::new(iova(random(index)) + 0x40))
        .collect()
}

fn translate(criterion: &mut Criterion) {
    let memory = tables();
    let (all, few) = (addresses(PAGES), addresses(64));
    let mut group = criterion.benchmark_group("translate");
    let mut bench = |name: &str, mut unit: RemappingUnit, memory: &Flat, addresses: &[Iova]| {
        let mut next = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                next = (next + 1) % LOOK_UPS;
                let at = black_box(addresses[next]);
                unit.translate(memory, DEVICE, at, 64, Access::Read)
                    .expect("it is mapped")
            });
        });
    };
    bench("walk_and_context", unit(0, 0), &memory, &all);
    bench("walk", unit(64, 0), &memory, &all);
    bench("iotlb_thrashed", unit(64, 1024), &memory, &all);
    bench("iotlb_warm", unit(64, 1024), &memory, &few);
    let mut large = tables();
    let first = large.get(TOP) & !0xfff;
    large.set(first + 4 * 8, (1 << 31) & !(1 << 30) | 1 << 7 | 3);
    bench("large_leaf_warm", unit(64, 1024), &large, &few);
    let mut table = MappingTable::new();
    for number in 0..PAGES {
        let mapping = Mapping {
            iova: Iova::new(iova(number)),
            len_bytes: PAGE,
            backing: 1_u32,
            offset_bytes: target(number),
            permissions: Permissions::ReadWrite,
        };
        table.map(&mapping, |_| {}).expect("valid");
    }
    for (name, addresses) in [("mapping_table", &all), ("mapping_table/64_pages", &few)] {
        let mut next = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                next = (next + 1) % LOOK_UPS;
                table.translate_first(black_box(addresses[next]), 64, Access::Read)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, translate);
criterion_main!(benches);

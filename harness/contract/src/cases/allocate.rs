//! AllocateCommonBuffer, AllocateCommonBufferEx and the end of their buffers (AC, AX, FC), and the kinds of
//! AllocateCommonBufferWithBounds (AB-4 to AB-8).

use crate::bench::{Bench, Buffer};
use crate::case::{Case, Tag};
use crate::cases::BOTH;
use crate::device_description::DeviceDescription;
use crate::finding::CaseEnd;
use crate::oracle::PAGE_SIZE;
use crate::step::{Routine, Step};

const GIB: u64 = 0x4000_0000;
const MIB: u64 = 0x10_0000;
const LAST_32_BIT: u64 = 0xffff_ffff;
const MM_NON_CACHED: u32 = 0;
const MM_CACHED: u32 = 1;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("AC-1/address-or-null", "4 pages: address and logical address", BOTH, |bench| plain(bench, 64, 0x4000)),
    Case::new("AC-2/contiguous-for-the-device", "64 pages are one range for the device", BOTH, |bench| plain(bench, 64, 0x4_0000)),
    Case::new("AC-3/cache-flag-ignored", "CacheEnabled FALSE: data moves all the same", BOTH, cache_flag_ignored),
    Case::new("AC-4/one-byte", "buffers of 1 byte have a page each", BOTH, one_byte),
    Case::new("AC-5/logical-address", "the device goes by the logical address", BOTH, |bench| plain(bench, 64, 0x2000)),
    Case::new("AC-6/all-map-registers", "as many pages as there are map registers", BOTH, all_map_registers),
    Case::new("AC-7/page-aligned", "lengths of 1, 4095, 4097 and 70000 bytes start a page", BOTH, page_aligned),
    Case::new("AC-8/32-bit", "a 32-bit adapter's buffer lies below 4 GiB", BOTH, |bench| plain(bench, 32, 0x4000)),
    Case::new("AC-8/24-bit", "a 24-bit adapter's buffer lies below 16 MiB", BOTH, |bench| plain(bench, 24, 0x4000)),
    Case::new("AC-9/length-zero", "what comes of length 0 is noted", BOTH, length_zero).tagged(&[Tag::Undefined]),
    Case::new("AC-11/initial-content", "what a new buffer holds is noted", BOTH, initial_content),
    Case::new("AX-1/address-or-null", "4 pages: address and logical address", BOTH, |bench| by(bench, 64, Routine::EX)),
    Case::new("AX-2/maximum", "the buffer lies below the maximum", BOTH, maximum),
    Case::new("AX-2/impossible-maximum", "a maximum inside the first page gives NULL", BOTH, |bench| null(bench, Routine::Ex { cache_enabled: true, maximum: Some(0x7ff), node: 0 })),
    Case::new("AX-3/uncached", "CacheEnabled FALSE: uncached, data moves both ways", BOTH, |bench| by(bench, 64, Routine::Ex { cache_enabled: false, maximum: None, node: 0 })),
    Case::new("AX-4/preferred-node", "a preferred node is a wish: data moves both ways", BOTH, preferred_node),
    Case::new("AX-5/same-values", "freed with the values of the allocation, cached and not", BOTH, same_values),
    Case::new("AB-4/bounds-are-logical", "bounds where a driver's memory need not be", BOTH, bounds_are_logical),
    Case::new("AB-5/lengths", "lengths of 1 byte, a page and a byte, 64 KiB", BOTH, lengths),
    Case::new("AB-6/unknown-flags", "what comes of unknown flags is noted", BOTH, |bench| observed(bench, Routine::WithBounds { minimum: None, maximum: None, flags: 0x8000_0000, cache_type: None, node: 0 })).tagged(&[Tag::Undefined]),
    Case::new("AB-7/cached", "MmCached", BOTH, |bench| of_cache_type(bench, Some(MM_CACHED))),
    Case::new("AB-7/non-cached", "MmNonCached", BOTH, |bench| of_cache_type(bench, Some(MM_NON_CACHED))),
    Case::new("AB-7/no-type", "no cache type: the platform's own", BOTH, |bench| of_cache_type(bench, None)),
    Case::new("AB-7/other-types", "what comes of MmWriteCombined and unknown types is noted", BOTH, other_types).tagged(&[Tag::Undefined]),
    Case::new("AB-8/preferred-node", "a preferred node is a wish: data moves both ways", BOTH, preferred_node_with_bounds),
    Case::new("FC-1/each-routine", "buffers of each routine are freed at PASSIVE_LEVEL", BOTH, each_routine),
    Case::new("FC-2/in-any-order", "8 buffers are freed in another order than made; the rest stays", BOTH, in_any_order),
    Case::new("FC-3/gone-for-the-device", "after the free the range no longer translates", BOTH, each_routine),
];

fn by(bench: &mut Bench<'_>, width: u32, routine: Routine) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(width)?;
    bench.allocate_and_exercise(adapter, 0x4000, routine, u64::MAX >> (64 - width))
}

fn null(bench: &mut Bench<'_>, routine: Routine) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench.allocate_null(adapter, 0x1000, routine)
}

fn observed(bench: &mut Bench<'_>, routine: Routine) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench.observe_allocation(adapter, 0x1000, routine)
}

fn plain(bench: &mut Bench<'_>, width: u32, length_bytes: u64) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(width)?;
    let last = u64::MAX >> (64 - width);
    bench.allocate_and_exercise(adapter, length_bytes, Routine::PLAIN, last)
}

fn cache_flag_ignored(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let routine = Routine::Plain {
        cache_enabled: false,
    };
    by(bench, 64, routine)
}

fn one_byte(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let mut buffers: Vec<Buffer> = Vec::new();
    for _ in 0..4 {
        buffers.push(bench.allocate_by(adapter, 1, Routine::PLAIN, u64::MAX)?);
        bench.take_as_before()?;
    }
    for buffer in &buffers {
        bench.exercise(buffer)?;
    }
    let mut pages: Vec<u64> = buffers.iter().map(|b| b.logical_address.raw()).collect();
    pages.sort_unstable();
    pages.dedup();
    crate::bench::expect("pages of 4 buffers", 4, pages.len() as u64)
}

fn all_map_registers(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let description = DeviceDescription {
        maximum_length_bytes: 0x2_0000,
        ..DeviceDescription::version_3(64)
    };
    let (adapter, opened) = bench.adapter_by(description)?;
    let length = opened.result.value[0].min(0x100) * PAGE_SIZE;
    bench.allocate_and_exercise(adapter, length, Routine::PLAIN, u64::MAX)
}

fn page_aligned(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for length in [1, 4095, 4097, 70_000] {
        bench.allocate_and_exercise(adapter, length, Routine::PLAIN, u64::MAX)?;
    }
    Ok(())
}

fn length_zero(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for routine in [Routine::PLAIN, Routine::EX, Routine::WITH_BOUNDS] {
        bench.observe_allocation(adapter, 0, routine)?;
    }
    Ok(())
}

fn initial_content(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.allocate_by(adapter, 0x1000, Routine::PLAIN, u64::MAX)?;
    let step = Step::cpu_read(buffer.slot, 0, 16);
    let read = bench.require("the CPU's read of a new buffer", step)?;
    bench.observe(format!("seen: {:02x?}", read.data));
    bench.free(&buffer)
}

fn maximum(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for maximum in [64 * MIB - 1, 128 * MIB - 1, 2 * GIB - 1, LAST_32_BIT] {
        let routine = Routine::Ex {
            cache_enabled: true,
            maximum: Some(maximum),
            node: 0,
        };
        bench.allocate_and_exercise(adapter, 0x4000, routine, u64::MAX)?;
    }
    Ok(())
}

fn preferred_node(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let routine = Routine::Ex {
        cache_enabled: true,
        maximum: None,
        node: 0,
    };
    by(bench, 64, routine)
}

fn preferred_node_with_bounds(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    by(bench, 64, Routine::WITH_BOUNDS)
}

fn same_values(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for cache_enabled in [true, false] {
        let routine = Routine::Ex {
            cache_enabled,
            maximum: Some(LAST_32_BIT),
            node: 0,
        };
        for _ in 0..2 {
            bench.allocate_and_exercise(adapter, 0x3000, routine, u64::MAX)?;
        }
    }
    Ok(())
}

fn bounds_are_logical(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    // With remapping no memory is there at all; without it the memory itself must lie there.
    let (minimum, maximum) = if bench.is_remapped() {
        (40 * GIB, 41 * GIB - 1)
    } else {
        (64 * MIB, 128 * MIB - 1)
    };
    let routine = Routine::WithBounds {
        minimum: Some(minimum),
        maximum: Some(maximum),
        flags: 0,
        cache_type: None,
        node: 0,
    };
    by(bench, 64, routine)
}

fn lengths(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for length in [1, 0x1001, 0x1_0000] {
        bench.allocate_and_exercise(adapter, length, Routine::WITH_BOUNDS, u64::MAX)?;
    }
    Ok(())
}

fn of_cache_type(bench: &mut Bench<'_>, cache_type: Option<u32>) -> Result<(), CaseEnd> {
    let routine = Routine::WithBounds {
        minimum: None,
        maximum: None,
        flags: 0,
        cache_type,
        node: 0,
    };
    by(bench, 64, routine)
}

fn other_types(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const MM_WRITE_COMBINED: u32 = 2;
    const MM_NOT_MAPPED: u32 = u32::MAX;
    let adapter = bench.adapter(64)?;
    for cache_type in [MM_WRITE_COMBINED, 3, 6, MM_NOT_MAPPED] {
        let routine = Routine::WithBounds {
            minimum: None,
            maximum: None,
            flags: 0,
            cache_type: Some(cache_type),
            node: 0,
        };
        bench.observe_allocation(adapter, 0x1000, routine)?;
    }
    Ok(())
}

fn each_routine(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for routine in [Routine::PLAIN, Routine::EX, Routine::WITH_BOUNDS] {
        bench.allocate_and_exercise(adapter, 0x2345, routine, u64::MAX)?;
    }
    let source = bench.locked_mdl(2)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}

fn in_any_order(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const SEED: u64 = 0xFC02;
    let adapter = bench.adapter(64)?;
    let mut buffers = Vec::new();
    for _ in 0..8 {
        let buffer = bench.allocate_by(adapter, 0x2000, Routine::EX, u64::MAX)?;
        bench.cpu_fill(&buffer, SEED + u64::from(buffer.slot))?;
        bench.take_as_before()?;
        buffers.push(buffer);
    }
    for index in [3, 0, 5, 2] {
        let buffer = &buffers[index];
        bench.require("FreeCommonBuffer", Step::buffer_free(buffer.slot))?;
        bench.check_gone(buffer)?;
    }
    for index in [1, 4, 6, 7] {
        let buffer = &buffers[index];
        let seed = SEED + u64::from(buffer.slot);
        bench.cpu_check("the end of its neighbors", buffer, seed)?;
        bench.exercise(buffer)?;
    }
    Ok(())
}

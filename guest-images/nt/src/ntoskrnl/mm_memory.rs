//! Contiguous memory, device memory, addresses.

use alloc::collections::BTreeMap;
use core::ops::Range;

use super::mm_mdl::cache_of;
use super::shared::counted_string;
use super::verifier::{self, DETECTED_VIOLATION, Documented};
use crate::arch::guarded::Guarded;
use crate::call_faults;
use crate::hal_dma::adapter::{check_frames_released, frames_behind};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::memory::{self, Cache, ContiguousRequest, GuestPhysAddr, Pfn, Protection, VirtAddr};

/// PAGE_NOCACHE
const PAGE_NOCACHE: u32 = 0x200;
/// PAGE_WRITECOMBINE
const PAGE_WRITECOMBINE: u32 = 0x400;

/// Contiguous blocks and device mappings that are not freed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// MmAllocateContiguous*.
    pub contiguous: usize,
    /// MmMapIoSpace*.
    pub io_mappings: usize,
}

static N_CONTIGUOUS: Guarded<usize> = Guarded::new(0);

/// Mappings of device memory: page of the address to physical range.
static IO_MAPPINGS: Guarded<BTreeMap<u64, Range<u64>>> = Guarded::new(BTreeMap::new());

/// What is not freed, for the leak report.
#[must_use]
pub(crate) fn counts() -> Counts {
    Counts {
        contiguous: N_CONTIGUOUS.with(|count| *count),
        io_mappings: IO_MAPPINGS.with(|mappings| mappings.len()),
    }
}

/// Mappings of device memory that show part of a physical range.
#[must_use]
pub(crate) fn io_mappings_of(range: &Range<u64>) -> usize {
    let overlaps = |it: &&Range<u64>| it.start < range.end && range.start < it.end;
    IO_MAPPINGS.with(|mappings| mappings.values().filter(overlaps).count())
}

/// `MmAllocateContiguousMemory` (wdm.h). IRQL <= DISPATCH_LEVEL. Null where no run is free. The content is
/// poison; the mapping executable, as documented.
pub(super) extern "win64" fn mm_allocate_contiguous_memory(len_bytes: u64, highest: u64) -> u64 {
    verifier::at_most_dispatch("MmAllocateContiguousMemory");
    contiguous(
        len_bytes,
        0,
        highest,
        0,
        Cache::Cached,
        Protection::ReadWriteExecute,
    )
}

/// `MmAllocateContiguousMemorySpecifyCache` (wdm.h). As [`mm_allocate_contiguous_memory`], with bounds, a
/// boundary (power of two, 0 = none) and a cache type.
pub(super) extern "win64" fn mm_allocate_contiguous_memory_specify_cache(
    len_bytes: u64,
    low: u64,
    high: u64,
    boundary: u64,
    cache: u32,
) -> u64 {
    verifier::at_most_dispatch("MmAllocateContiguousMemorySpecifyCache");
    let protection = Protection::ReadWriteExecute;
    contiguous(len_bytes, low, high, boundary, cache_of(cache), protection)
}

/// `MmAllocateContiguousNodeMemory` (wdm.h). As above, with a page protection (PAGE_READWRITE is not
/// executable) and a node, of which there is one.
pub(super) extern "win64" fn mm_allocate_contiguous_node_memory(
    len_bytes: u64,
    low: u64,
    high: u64,
    boundary: u64,
    protect: u32,
    _node: u32,
) -> u64 {
    verifier::at_most_dispatch("MmAllocateContiguousNodeMemory");
    let Some(protection) = protection_of(protect) else {
        return 0;
    };
    contiguous(
        len_bytes,
        low,
        high,
        boundary,
        protect_cache(protect),
        protection,
    )
}

fn contiguous(
    len_bytes: u64,
    low: u64,
    high: u64,
    boundary: u64,
    cache: Cache,
    protection: Protection,
) -> u64 {
    if boundary != 0 && !boundary.is_power_of_two() {
        return 0;
    }
    let request = ContiguousRequest {
        len_bytes,
        low: GuestPhysAddr::new(low),
        high: GuestPhysAddr::new(high),
        boundary,
        cache,
        protection,
    };
    memory::allocate_contiguous(&request).map_or(0, |address| {
        N_CONTIGUOUS.with(|count| *count += 1);
        address.as_u64()
    })
}

/// `MmFreeContiguousMemory` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn mm_free_contiguous_memory(address: u64) {
    verifier::at_most_dispatch("MmFreeContiguousMemory");
    // Looked up first: when it is freed, nothing leads to the frames any more.
    if let Some(len_bytes) = memory::contiguous_len(address) {
        let frames = frames_behind(address, len_bytes);
        check_frames_released("MmFreeContiguousMemory", frames);
    }
    let freed = VirtAddr::try_new(address)
        .ok()
        .and_then(|at| memory::free_contiguous(at).ok());
    if freed.is_some() {
        N_CONTIGUOUS.with(|count| *count -= 1);
    } else {
        verifier::undocumented_violation(
            "contiguous-memory-freed-twice",
            format_args!("MmFreeContiguousMemory of {address:#x}, which is not allocated"),
        );
    }
}

/// `MmFreeContiguousMemorySpecifyCache` (wdm.h). As [`mm_free_contiguous_memory`].
pub(super) extern "win64" fn mm_free_contiguous_memory_specify_cache(
    address: u64,
    _len_bytes: u64,
    _cache: u32,
) {
    mm_free_contiguous_memory(address);
}

/// `MmMapIoSpaceEx` (wdm.h). IRQL <= DISPATCH_LEVEL. Null for bad arguments or want of addresses.
/// Documented misuse: 0xC4/0x73 (IRQL), 0xC4/0x83 (RAM that nobody locked).
pub(super) extern "win64" fn mm_map_io_space_ex(start: u64, len_bytes: u64, protect: u32) -> u64 {
    verifier::at_most_or("MmMapIoSpaceEx", DISPATCH_LEVEL, 0x73);
    match protection_of(protect) {
        Some(protection) => io_space(start, len_bytes, protect_cache(protect), protection),
        None => 0,
    }
}

/// `MmMapIoSpace` (wdm.h). As [`mm_map_io_space_ex`], with a cache type; executable, as documented.
pub(super) extern "win64" fn mm_map_io_space(start: u64, len_bytes: u64, cache: u32) -> u64 {
    verifier::at_most_or("MmMapIoSpace", DISPATCH_LEVEL, 0x73);
    io_space(
        start,
        len_bytes,
        cache_of(cache),
        Protection::ReadWriteExecute,
    )
}

fn io_space(start: u64, len_bytes: u64, cache: Cache, protection: Protection) -> u64 {
    let start_frame = Pfn::containing(GuestPhysAddr::new(start));
    if memory::is_ram(start_frame) {
        verifier::violation(
            "io-space-is-ram",
            format_args!("MmMapIoSpace of RAM at {start:#x}"),
            Documented {
                code: DETECTED_VIOLATION,
                parameters: [0x83, start, len_bytes, 0],
            },
        );
    }
    let mapped = memory::map_physical(GuestPhysAddr::new(start), len_bytes, cache, protection);
    mapped.map_or(0, |address| {
        let range = start..start.saturating_add(len_bytes);
        IO_MAPPINGS.with(|mappings| mappings.insert(page_of(address.as_u64()), range));
        address.as_u64()
    })
}

/// `MmUnmapIoSpace` (wdm.h). IRQL <= DISPATCH_LEVEL. Documented misuse: 0xC4/0x7B (IRQL).
pub(super) extern "win64" fn mm_unmap_io_space(address: u64, len_bytes: u64) {
    verifier::at_most_or("MmUnmapIoSpace", DISPATCH_LEVEL, 0x7B);
    let pages = VirtAddr::try_new(address)
        .ok()
        .and_then(|at| memory::unmap(at).ok());
    match pages {
        Some(pages) => {
            IO_MAPPINGS.with(|mappings| mappings.remove(&page_of(address)));
            if pages != memory::pages_spanned(address, len_bytes) {
                verifier::undocumented_violation(
                    "io-space-length-differs",
                    format_args!(
                        "MmUnmapIoSpace({address:#x}, {len_bytes:#x}): {pages} pages are mapped"
                    ),
                );
            }
        }
        None => verifier::undocumented_violation(
            "io-space-unmapped-twice",
            format_args!("MmUnmapIoSpace of {address:#x}, which is not mapped"),
        ),
    }
}

const fn page_of(address: u64) -> u64 {
    address - address % memory::PAGE_SIZE
}

/// `MmGetPhysicalAddress` (ntddk.h). Any IRQL. 0 for an address that is not mapped. Not for programming DMA.
pub(super) extern "win64" fn mm_get_physical_address(va: u64) -> u64 {
    VirtAddr::try_new(va)
        .ok()
        .and_then(memory::translate)
        .map_or(0, GuestPhysAddr::raw)
}

/// `MmIsAddressValid` (ntddk.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn mm_is_address_valid(va: u64) -> u8 {
    verifier::at_most_dispatch("MmIsAddressValid");
    u8::from(mm_get_physical_address(va) != 0)
}

/// `MmGetSystemRoutineAddress` (wdm.h). IRQL PASSIVE_LEVEL. Null for a routine that nt lacks.
pub(super) extern "win64" fn mm_get_system_routine_address(name: u64) -> u64 {
    verifier::at_most("MmGetSystemRoutineAddress", PASSIVE_LEVEL);
    let name = counted_string(name);
    let address = super::exports::find(&name);
    if address.is_none() {
        verifier::finding(
            "system-routine-missing",
            format_args!("MmGetSystemRoutineAddress({name})"),
        );
    }
    address.map_or(0, |address| call_faults::bind_export(&name, address))
}

fn protection_of(protect: u32) -> Option<Protection> {
    match protect & 0xff {
        0x02 => Some(Protection::ReadOnly),
        0x04 => Some(Protection::ReadWrite),
        0x20 => Some(Protection::Execute),
        0x40 => Some(Protection::ReadWriteExecute),
        _ => None,
    }
}

fn protect_cache(protect: u32) -> Cache {
    match protect {
        protect if protect & PAGE_NOCACHE != 0 => Cache::NonCached,
        protect if protect & PAGE_WRITECOMBINE != 0 => Cache::WriteCombined,
        _ => Cache::Cached,
    }
}

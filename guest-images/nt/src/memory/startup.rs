//! Memory comes up: heap, frames, then page tables that map what exists and nothing else.
#![expect(unsafe_code, reason = "takes over all RAM and loads CR3")]

use alloc::vec::Vec;
use core::ops::Range;

use super::direct_map::DirectMap;
use super::entry::{self, Cache, Protection};
use super::frames::Frames;
use super::heap::HEAP;
use super::space::Space;
use super::{GuestPhysAddr, PAGE_SIZE, Pfn, kernel_space, layout};
use crate::arch::tlb;

/// Part of RAM that becomes the Rust heap, and its bounds.
const HEAP_DIVISOR: u64 = 16;
const HEAP_BYTES: Range<u64> = 0x40_0000..0x400_0000;
/// Below 1 MiB lie firmware structures; it is left alone.
const LOW_MEMORY: u64 = 0x10_0000;
/// Below it lies all that a device of 24 address bits reaches.
const ISA_MEMORY: u64 = 0x100_0000;
/// What a level-2 leaf maps.
const LARGE_PAGE: u64 = 0x20_0000;
const PAGE_BYTES: usize = 0x1000;
/// Most ranges of the firmware's map that are looked at.
pub const MAX_RANGES: usize = 32;

/// One part of the kernel's image: page-aligned upper-half addresses and what the CPU may do there.
pub type Section = (Range<u64>, Protection);

/// Takes over all RAM: `ram` as the firmware lists it, but for what `in_use` holds (byte ranges).
/// Returns `None` if there is too little.
///
/// # Safety
/// Called once, on the boot tables, with the true map of this machine.
pub unsafe fn initialize(
    ram: &[Range<u64>],
    in_use: &[Range<u64>],
    kernel: &[Section],
) -> Option<()> {
    let memory_bytes: u64 = ram.iter().map(|range| range.end - range.start).sum();
    let limit = ram.iter().map(|range| range.end).max()?;
    let kernel_end = kernel.iter().map(|(section, _)| section.end).max()?;
    let mut taken = [const { 0..0 }; MAX_RANGES + 3];
    taken[0] = 0..LOW_MEMORY;
    taken[1] = LOW_MEMORY..kernel_end.checked_sub(layout::KERNEL_BASE)?;
    for (slot, range) in taken[2..].iter_mut().zip(in_use) {
        *slot = range.clone();
    }

    let heap_bytes = (memory_bytes / HEAP_DIVISOR).clamp(HEAP_BYTES.start, HEAP_BYTES.end);
    // Not where narrow devices look for memory, if there is other room.
    let heap = find_room(ram, &taken, heap_bytes, ISA_MEMORY)
        .or_else(|| find_room(ram, &taken, heap_bytes, 0))?;
    let heap_start = layout::DIRECT_MAP.start + heap.start;
    let heap_len = usize::try_from(heap_bytes).ok()?;
    // SAFETY: the boot tables map the first 512 GiB at the direct map; the range is RAM that nobody uses.
    unsafe {
        HEAP.give(
            core::ptr::with_exposed_provenance_mut(usize::try_from(heap_start).ok()?),
            heap_len,
        );
    }

    let whole_frames = |range: &Range<u64>| range.start.div_ceil(PAGE_SIZE)..range.end / PAGE_SIZE;
    let touched_frames =
        |range: &Range<u64>| range.start / PAGE_SIZE..range.end.div_ceil(PAGE_SIZE);
    let ram_frames: Vec<Range<u64>> = ram.iter().map(whole_frames).collect();
    let mut reserved: Vec<Range<u64>> = taken.iter().map(touched_frames).collect();
    reserved.push(touched_frames(&heap));
    // SAFETY: all RAM stays mapped at the direct map for ever, now by the boot tables, then by our own.
    let map = unsafe { DirectMap::new(layout::DIRECT_MAP.start, limit) };
    let mut space = Space::new(map, Frames::new(&ram_frames, &reserved))?;
    map_ram(&mut space, &ram_frames)?;
    map_kernel(&mut space, kernel)?;
    let root = space.tables.root().start().raw();
    kernel_space::install(space, memory_bytes);
    // SAFETY: the direct map and the kernel's image appear where they were; nothing below is used any more.
    unsafe { tlb::activate(root) };
    Some(())
}

/// First fit of `len_bytes` in RAM from `floor` on, page aligned, beside what is taken.
fn find_room(
    ram: &[Range<u64>],
    taken: &[Range<u64>],
    len_bytes: u64,
    floor: u64,
) -> Option<Range<u64>> {
    for range in ram {
        let mut start = range.start.max(floor).next_multiple_of(PAGE_SIZE);
        while start + len_bytes <= range.end {
            let candidate = start..start + len_bytes;
            let collision = taken
                .iter()
                .find(|taken| taken.start < candidate.end && candidate.start < taken.end);
            match collision {
                None => return Some(candidate),
                Some(taken) => start = taken.end.next_multiple_of(PAGE_SIZE),
            }
        }
    }
    None
}

fn map_ram(space: &mut Space, ram_frames: &[Range<u64>]) -> Option<()> {
    for range in ram_frames {
        let mut at = range.start * PAGE_SIZE;
        let end = range.end * PAGE_SIZE;
        while at < end {
            let is_large = at.is_multiple_of(LARGE_PAGE) && at + LARGE_PAGE <= end;
            let frame = Pfn::containing(GuestPhysAddr::new(at));
            let entry = entry::encode(frame, Cache::Cached, Protection::ReadWrite);
            let (level, step) = if is_large {
                (2, LARGE_PAGE)
            } else {
                (1, PAGE_SIZE)
            };
            space
                .set_leaf(layout::DIRECT_MAP.start + at, level, entry)
                .ok()?;
            at += step;
        }
    }
    Some(())
}

fn map_kernel(space: &mut Space, sections: &[Section]) -> Option<()> {
    for (range, protection) in sections {
        for address in range.clone().step_by(PAGE_BYTES) {
            let frame = Pfn::containing(GuestPhysAddr::new(address - layout::KERNEL_BASE));
            let entry = entry::encode(frame, Cache::Cached, *protection);
            space.set_leaf(address, 1, entry).ok()?;
        }
    }
    Some(())
}

//! MDLs: their allocation and the I/O manager's part.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::kernel_memory;
use super::mm_mdl;
use super::objects::Irp;
use super::shared::{address_of, optional, read_u64, shared, write_u64};
use super::verifier::{self, DETECTED_VIOLATION, Documented};
use crate::arch::guarded::Guarded;
use crate::hal_dma::transfer::check_unlocked;
use crate::mdl::{
    self, ALLOCATED_FIXED_SIZE, MAX_MDL_BYTES, MDL_HEADER_BYTES, Mdl, PAGES_LOCKED, PARTIAL,
    PARTIAL_HAS_BEEN_MAPPED, SOURCE_IS_NONPAGED_POOL,
};

const MDL_TAG: u32 = u32::from_le_bytes(*b"Mdl ");
/// Longest chain that is followed; a loop ends here.
pub(crate) const MAX_CHAIN: usize = 4096;

static LIVE: Guarded<BTreeSet<u64>> = Guarded::new(BTreeSet::new());

/// MDLs of IoAllocateMdl that are still there, for the leak report.
#[must_use]
pub(crate) fn live_count() -> usize {
    LIVE.with(|live| live.len())
}

/// The frame numbers behind an MDL's header, read one by one.
pub(crate) fn pfns(mdl: &Mdl) -> impl Iterator<Item = u64> {
    let array = address_of(mdl) + MDL_HEADER_BYTES;
    (0..mdl.n_pages()).map(move |idx| read_u64(array + idx * 8))
}

/// Collects what a driver decides the number of; `None` where the heap is too small for it.
pub(crate) fn collect<T>(items: impl Iterator<Item = T>, count: usize) -> Option<Vec<T>> {
    let mut collected = Vec::new();
    collected.try_reserve_exact(count).ok()?;
    collected.extend(items.take(count));
    Some(collected)
}

/// Writes frame numbers behind an MDL's header.
pub(crate) fn set_pfns(mdl: &Mdl, pfns: impl IntoIterator<Item = u64>) {
    let array = address_of(mdl) + MDL_HEADER_BYTES;
    for (address, pfn) in (array..).step_by(8).zip(pfns) {
        write_u64(address, pfn);
    }
}

/// `IoAllocateMdl` (wdm.h). IRQL <= DISPATCH_LEVEL. Null where memory is short or the length is beyond
/// 4 GiB - PAGE_SIZE. The frame numbers stay unset.
pub(crate) extern "win64" fn io_allocate_mdl(
    va: u64,
    len_bytes: u32,
    secondary: u8,
    _charge_quota: u8,
    irp: u64,
) -> u64 {
    verifier::at_most_dispatch("IoAllocateMdl");
    if u64::from(len_bytes) > MAX_MDL_BYTES {
        return 0;
    }
    let n_pages = mdl::pages_spanned(va, len_bytes.into());
    let Some(address) = kernel_memory::allocate(MDL_HEADER_BYTES + 8 * n_pages, MDL_TAG) else {
        return 0;
    };
    let mdl: &Mdl = shared(address);
    mdl.initialize(va, len_bytes);
    LIVE.with(|live| live.insert(address));
    if let Some(irp) = optional::<Irp>(irp) {
        link_to_irp(irp, mdl, secondary != 0);
    }
    address
}

fn link_to_irp(irp: &Irp, mdl: &Mdl, is_secondary: bool) {
    let mut link = &irp.mdl_address;
    if is_secondary {
        for _ in 0..MAX_CHAIN {
            match optional::<Mdl>(link.get() as u64) {
                Some(entry) => link = &entry.next,
                None => break,
            }
        }
    }
    link.set(mdl);
}

/// `IoFreeMdl` (wdm.h). IRQL <= DISPATCH_LEVEL. Frees this MDL only, and unmaps a mapped partial one.
/// Documented misuse: 0xC4/0xB8 (still mapped).
pub(crate) extern "win64" fn io_free_mdl(mdl: u64) {
    verifier::at_most_dispatch("IoFreeMdl");
    if !LIVE.with(|live| live.remove(&mdl)) {
        verifier::undocumented_violation(
            "mdl-freed-twice",
            format_args!("IoFreeMdl of {mdl:#x}, which IoAllocateMdl did not give or is free"),
        );
        return;
    }
    let structure: &Mdl = shared(mdl);
    if structure.has(PARTIAL) && structure.has(PARTIAL_HAS_BEEN_MAPPED) {
        mm_mdl::unmap(structure.mapped_system_va.get(), structure);
    }
    check_idle(structure);
    check_unlocked("IoFreeMdl", mdl);
    kernel_memory::free(mdl);
}

fn check_idle(mdl: &Mdl) {
    let own_mapping = mdl.has(mdl::MAPPED_TO_SYSTEM_VA) && !mdl.has(PARTIAL);
    if own_mapping {
        verifier::violation(
            "mdl-freed-while-mapped",
            format_args!("IoFreeMdl of {:#x}, which is mapped", address_of(mdl)),
            Documented {
                code: DETECTED_VIOLATION,
                parameters: [0xB8, address_of(mdl), 0, 0],
            },
        );
    } else if mdl.has(PAGES_LOCKED) && !mdl.has(PARTIAL | SOURCE_IS_NONPAGED_POOL) {
        verifier::undocumented_violation(
            "mdl-freed-while-locked",
            format_args!("IoFreeMdl of {:#x} before MmUnlockPages", address_of(mdl)),
        );
    }
}

/// `IoBuildPartialMdl` (wdm.h). IRQL <= DISPATCH_LEVEL. `len_bytes` 0 means to the source's end. The source's
/// pages must be known: locked, nonpaged, or of a partial MDL.
pub(crate) extern "win64" fn io_build_partial_mdl(
    source: u64,
    target: u64,
    va: u64,
    len_bytes: u32,
) {
    verifier::at_most_dispatch("IoBuildPartialMdl");
    let (source, target): (&Mdl, &Mdl) = (shared(source), shared(target));
    if !source.has(PAGES_LOCKED | SOURCE_IS_NONPAGED_POOL | PARTIAL) {
        verifier::undocumented_violation(
            "partial-mdl-of-unlocked-source",
            format_args!(
                "IoBuildPartialMdl of MDL {:#x} with flags {:#x}, which has no pages yet",
                address_of(source),
                source.flags.get()
            ),
        );
        return;
    }
    let offset = va.wrapping_sub(source.virtual_address());
    let source_len = u64::from(source.byte_count.get());
    let len = match len_bytes {
        0 => source_len.saturating_sub(offset),
        len => u64::from(len),
    };
    let room = (i64::from(target.size.get()).unsigned_abs()).saturating_sub(MDL_HEADER_BYTES) / 8;
    let n_pages = mdl::pages_spanned(va, len);
    if offset > source_len || len > source_len - offset || n_pages > room {
        verifier::undocumented_violation(
            "partial-mdl-out-of-range",
            format_args!(
                "IoBuildPartialMdl: {len:#x} bytes at offset {offset:#x} of {source_len:#x}, \
                room for {room:#x} pages"
            ),
        );
        return;
    }
    // Both bounded by the source's 32-bit length.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let (own_flags, size) = (target.flags.get() & ALLOCATED_FIXED_SIZE, target.size.get());
    target.initialize(va, len);
    target.size.set(size);
    target
        .flags
        .set(mdl::partial_flags(own_flags, source.flags.get()));
    target.process.set(source.process.get());
    target
        .mapped_system_va
        .set(source.mapped_system_va.get().wrapping_add(offset));
    let first = (u64::from(source.byte_offset.get()) + offset) >> mdl::PAGE_SHIFT;
    let skip = usize::try_from(first).unwrap_or(usize::MAX);
    set_pfns(
        target,
        pfns(source)
            .skip(skip)
            .take(usize::try_from(n_pages).unwrap_or(0)),
    );
}

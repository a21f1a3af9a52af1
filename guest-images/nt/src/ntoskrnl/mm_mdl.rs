//! MDL routines of the memory manager: build, lock, map, pages without addresses.

use super::io_mdl::{collect, pfns, set_pfns};
use super::kernel_memory;
use super::shared::{address_of, shared};
use super::status::{self, NtStatus};
use super::verifier::{self, DETECTED_VIOLATION, Documented};
use crate::arch::guarded::Guarded;
use crate::hal_dma::adapter::{check_frames_released, check_released};
use crate::hal_dma::transfer::check_unlocked;
use crate::ke::irql::{self, APC_LEVEL, DISPATCH_LEVEL};
use crate::mdl::{
    self, IO_SPACE, MAPPED_TO_SYSTEM_VA, MAX_MDL_BYTES, MDL_HEADER_BYTES, Mdl, PAGE_BYTES,
    PAGE_SHIFT, PAGES_LOCKED, PARTIAL, PARTIAL_HAS_BEEN_MAPPED, SOURCE_IS_NONPAGED_POOL,
    WRITE_OPERATION,
};
use crate::memory::pool::PoolKind;
use crate::memory::{
    self, Access, Cache, GuestPhysAddr, PageLayout, PageRequest, Pfn, Protection, VirtAddr,
};

const PAGES_TAG: u32 = u32::from_le_bytes(*b"MmPg");
/// MdlMappingNoWrite
const NO_WRITE: u32 = 0x8000_0000;
/// MdlMappingNoExecute
const NO_EXECUTE: u32 = 0x4000_0000;
/// MM_DONT_ZERO_ALLOCATION
const DONT_ZERO: u32 = 1;
/// MM_ALLOCATE_FULLY_REQUIRED
const FULLY_REQUIRED: u32 = 4;
/// MM_ALLOCATE_PREFER_CONTIGUOUS
const PREFER_CONTIGUOUS: u32 = 0x10;
/// MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS
const REQUIRE_CONTIGUOUS_CHUNKS: u32 = 0x20;

/// Page lists of MmAllocatePagesForMdlEx that still own their pages, by MDL.
static PAGE_LISTS: Guarded<alloc::collections::BTreeSet<u64>> =
    Guarded::new(alloc::collections::BTreeSet::new());
/// System mappings made for MDLs, for the leak report.
static MAPPINGS: Guarded<usize> = Guarded::new(0);

/// Page lists of MmAllocatePagesForMdlEx whose pages are not freed, for the leak report.
#[must_use]
pub(crate) fn page_list_count() -> usize {
    PAGE_LISTS.with(|lists| lists.len())
}

/// System mappings of MDLs that are still there, for the leak report.
#[must_use]
pub(crate) fn mapping_count() -> usize {
    MAPPINGS.with(|mappings| *mappings)
}

/// `MmBuildMdlForNonPagedPool` (wdm.h). IRQL <= DISPATCH_LEVEL. Fills in the frames of memory that never
/// moves; nothing is to be locked, unlocked, mapped or unmapped afterwards. Documented misuse: 0xC4/0x7F (paged
/// pool).
pub(crate) extern "win64" fn mm_build_mdl_for_nonpaged_pool(mdl: u64) {
    verifier::at_most_dispatch("MmBuildMdlForNonPagedPool");
    let mdl: &Mdl = shared(mdl);
    if mdl.has(PAGES_LOCKED | SOURCE_IS_NONPAGED_POOL | PARTIAL | MAPPED_TO_SYSTEM_VA) {
        verifier::undocumented_violation(
            "mdl-built-twice",
            format_args!(
                "MmBuildMdlForNonPagedPool of MDL {:#x} with flags {:#x}, whose pages are set",
                address_of(mdl),
                mdl.flags.get()
            ),
        );
        return;
    }
    let broken = match () {
        () if frames_of(mdl).any(|frame| frame.is_none()) => Some("mdl-of-unmapped-memory"),
        () if is_paged(mdl) => Some("mdl-of-paged-pool"),
        () => None,
    };
    if let Some(id) = broken {
        let va = mdl.virtual_address();
        verifier::violation(
            id,
            format_args!("MmBuildMdlForNonPagedPool over {va:#x}"),
            Documented {
                code: DETECTED_VIOLATION,
                parameters: [0x7F, address_of(mdl), va, 0],
            },
        );
        return;
    }
    if frames_of(mdl).flatten().any(|frame| !memory::is_ram(frame)) {
        mdl.add_flags(IO_SPACE);
    }
    set_pfns(mdl, frames_of(mdl).flatten().map(Pfn::raw));
    mdl.process.set(0);
    mdl.mapped_system_va.set(mdl.virtual_address());
    mdl.add_flags(SOURCE_IS_NONPAGED_POOL);
}

/// The work of `MmProbeAndLockPages` (wdm.h). IRQL <= APC_LEVEL, or DISPATCH_LEVEL for memory that is
/// never paged, which is all but paged pool. A status of failure is raised in the caller
/// (STATUS_ACCESS_VIOLATION). Documented misuse: 0xC4/0x70 (IRQL), 0xC4/0xB0 (flags).
pub(crate) extern "win64" fn probe_and_lock_pages(mdl: u64, mode: u64, operation: u64) -> NtStatus {
    verifier::at_most_or("MmProbeAndLockPages", DISPATCH_LEVEL, 0x70);
    let mdl: &Mdl = shared(mdl);
    if mdl.has(PAGES_LOCKED | SOURCE_IS_NONPAGED_POOL | PARTIAL) {
        verifier::violation(
            "mdl-locked-twice",
            format_args!(
                "MmProbeAndLockPages of MDL {:#x} with flags {:#x}",
                address_of(mdl),
                mdl.flags.get()
            ),
            Documented {
                code: DETECTED_VIOLATION,
                parameters: [0xB0, address_of(mdl), mdl.flags.get().into(), 0],
            },
        );
        return status::SUCCESS;
    }
    check_irql_of_lock(mdl, mode);
    // IoReadAccess = 0; the others write.
    let is_write = low_half(operation) != 0;
    let access = if is_write {
        Access::Write
    } else {
        Access::Read
    };
    let len = u64::from(mdl.byte_count.get());
    if memory::probe(mdl.virtual_address(), len, access).is_err() {
        return status::ACCESS_VIOLATION;
    }
    if frames_of(mdl).any(|frame| frame.is_none()) {
        return status::ACCESS_VIOLATION;
    }
    set_pfns(mdl, frames_of(mdl).flatten().map(Pfn::raw));
    mdl.process.set(0);
    mdl.clear_flags(WRITE_OPERATION);
    mdl.add_flags(PAGES_LOCKED | if is_write { WRITE_OPERATION } else { 0 });
    status::SUCCESS
}

/// Paged memory could not be brought in at DISPATCH_LEVEL: 0xC4/0x70.
fn check_irql_of_lock(mdl: &Mdl, mode: u64) {
    let current = irql::current();
    if current > APC_LEVEL && is_paged(mdl) {
        verifier::violation(
            "paged-pool-locked-at-dispatch",
            format_args!(
                "MmProbeAndLockPages over the paged pool at {:#x}, at IRQL {current}",
                mdl.virtual_address()
            ),
            Documented {
                code: DETECTED_VIOLATION,
                parameters: [0x70, current.into(), address_of(mdl), mode & 0xff],
            },
        );
    }
}

/// Whether an MDL's buffer starts in paged pool.
fn is_paged(mdl: &Mdl) -> bool {
    VirtAddr::try_new(mdl.virtual_address())
        .ok()
        .and_then(memory::pool::find_containing)
        .is_some_and(|allocation| allocation.kind == PoolKind::Paged)
}

/// `MmUnlockPages` (wdm.h). IRQL <= DISPATCH_LEVEL. Releases the system mapping, too. Documented misuse:
/// 0xC4/0x7C (never locked), 0xC4/0x7D (nonpaged pool), 0xC4/0xB4 (partial).
pub(crate) extern "win64" fn mm_unlock_pages(mdl: u64) {
    verifier::at_most_or("MmUnlockPages", DISPATCH_LEVEL, 0x78);
    let mdl: &Mdl = shared(mdl);
    let broken = match () {
        () if mdl.has(SOURCE_IS_NONPAGED_POOL) => Some(0x7D),
        () if mdl.has(PARTIAL) => Some(0xB4),
        () if !mdl.has(PAGES_LOCKED) => Some(0x7C),
        () => None,
    };
    if let Some(first_parameter) = broken {
        verifier::violation(
            "mdl-unlocked-wrongly",
            format_args!(
                "MmUnlockPages of MDL {:#x} with flags {:#x}",
                address_of(mdl),
                mdl.flags.get()
            ),
            Documented {
                code: DETECTED_VIOLATION,
                parameters: [first_parameter, address_of(mdl), mdl.flags.get().into(), 0],
            },
        );
        return;
    }
    check_unlocked("MmUnlockPages", address_of(mdl));
    if mdl.has(MAPPED_TO_SYSTEM_VA) {
        unmap(mdl.mapped_system_va.get(), mdl);
    }
    mdl.clear_flags(PAGES_LOCKED | IO_SPACE);
}

/// `MmMapLockedPagesSpecifyCache` (wdm.h), also behind MmGetSystemAddressForMdlSafe. IRQL <=
/// DISPATCH_LEVEL. Null where no address range is left; kernel mode only. Documented misuse: 0xC4/0x76
/// (IRQL), 0xC4/0xB2 (mapped already), 0xC4/0x85 (pages not locked), 0xC4/0x89 (no RAM), 0xC4/0x82 (BugCheckOnFailure).
pub(crate) extern "win64" fn mm_map_locked_pages_specify_cache(
    mdl: u64,
    mode: u8,
    cache: u32,
    _requested: u64,
    bug_check_on_failure: u32,
    priority: u32,
) -> u64 {
    verifier::at_most_or("MmMapLockedPagesSpecifyCache", DISPATCH_LEVEL, 0x76);
    let mdl: &Mdl = shared(mdl);
    if mode != 0 {
        verifier::finding(
            "mdl-mapped-to-user",
            format_args!("MDL {:#x}: there is no user mode here", address_of(mdl)),
        );
        return 0;
    }
    if bug_check_on_failure != 0 {
        misuse(mdl, "mdl-bug-check-on-failure", 0x82);
    }
    if !mdl.has(PAGES_LOCKED | PARTIAL) {
        misuse(mdl, "mdl-mapped-before-lock", 0x85);
        return 0;
    }
    if mdl.has(MAPPED_TO_SYSTEM_VA | SOURCE_IS_NONPAGED_POOL) {
        misuse(mdl, "mdl-mapped-twice", 0xB2);
        return mdl.mapped_system_va.get();
    }
    if !mdl.has(IO_SPACE) && pfns(mdl).any(|pfn| !memory::is_ram(Pfn::new(pfn))) {
        misuse(mdl, "mdl-page-is-no-ram", 0x89);
        return 0;
    }
    map(mdl, cache, priority).unwrap_or(0)
}

fn map(mdl: &Mdl, cache: u32, priority: u32) -> Option<u64> {
    let n_pages = usize::try_from(mdl.n_pages()).ok()?;
    let frames = collect(pfns(mdl).map(Pfn::new), n_pages)?;
    let protection = match (priority & NO_WRITE != 0, priority & NO_EXECUTE != 0) {
        (true, _) => Protection::ReadOnly,
        (false, true) => Protection::ReadWrite,
        (false, false) => Protection::ReadWriteExecute,
    };
    let start = memory::map_pages(&frames, cache_of(cache), protection).ok()?;
    MAPPINGS.with(|mappings| *mappings += 1);
    let va = start
        .as_u64()
        .wrapping_add(u64::from(mdl.byte_offset.get()));
    mdl.mapped_system_va.set(va);
    mdl.add_flags(MAPPED_TO_SYSTEM_VA);
    if mdl.has(PARTIAL) {
        mdl.add_flags(PARTIAL_HAS_BEEN_MAPPED);
    }
    Some(va)
}

/// `MmUnmapLockedPages` (wdm.h). IRQL <= DISPATCH_LEVEL. Documented misuse: 0xC4/0x79 (IRQL), 0xC4/0xB6 (not
/// mapped), 0xC4/0xB5 (the mapping is that of a partial MDL's source).
pub(super) extern "win64" fn mm_unmap_locked_pages(va: u64, mdl: u64) {
    verifier::at_most_or("MmUnmapLockedPages", DISPATCH_LEVEL, 0x79);
    let mdl: &Mdl = shared(mdl);
    if !mdl.has(MAPPED_TO_SYSTEM_VA) || mdl.mapped_system_va.get() != va {
        misuse(mdl, "mdl-unmapped-twice", 0xB6);
        return;
    }
    if mdl.has(PARTIAL) && !mdl.has(PARTIAL_HAS_BEEN_MAPPED) {
        misuse(mdl, "partial-mdl-unmapped", 0xB5);
        return;
    }
    unmap(va, mdl);
}

/// Removes an MDL's own system mapping.
pub(super) fn unmap(va: u64, mdl: &Mdl) {
    // A partial MDL that shares its source's mapping has none of its own.
    let is_own = !mdl.has(PARTIAL) || mdl.has(PARTIAL_HAS_BEEN_MAPPED);
    if is_own {
        check_released("unmapping the MDL", va, mdl.byte_count.get().into());
    }
    if is_own && memory::unmap(VirtAddr::new(va)).is_ok() {
        MAPPINGS.with(|mappings| *mappings -= 1);
    }
    mdl.clear_flags(MAPPED_TO_SYSTEM_VA | PARTIAL_HAS_BEEN_MAPPED | mdl::FREE_EXTRA_PTES);
}

/// `MmAllocatePagesForMdlEx` (wdm.h). IRQL <= DISPATCH_LEVEL. Null where nothing can be had; fewer pages
/// than asked unless MM_ALLOCATE_FULLY_REQUIRED. Pages are scattered on purpose, and zeroed unless
/// MM_DONT_ZERO_ALLOCATION.
pub(super) extern "win64" fn mm_allocate_pages_for_mdl_ex(
    low: u64,
    high: u64,
    skip: u64,
    total: u64,
    _cache: u32,
    flags: u32,
) -> u64 {
    verifier::at_most_or("MmAllocatePagesForMdlEx", DISPATCH_LEVEL, 0x7E);
    let Some(layout) = layout_of(skip, total, flags) else {
        return 0;
    };
    if total == 0 || total > MAX_MDL_BYTES || low > high {
        return 0;
    }
    let request = PageRequest {
        pages: total.div_ceil(PAGE_BYTES),
        low: GuestPhysAddr::new(low),
        high: GuestPhysAddr::new(high),
        layout,
    };
    let pages = memory::allocate_pages(&request);
    let is_short = (pages.len() as u64) < request.pages;
    let must_be_full = flags & FULLY_REQUIRED != 0 || layout == PageLayout::Contiguous;
    if pages.is_empty() || (is_short && must_be_full) {
        release(&pages);
        return 0;
    }
    let mdl = page_list(&pages, if is_short { None } else { Some(total) });
    if mdl == 0 {
        release(&pages);
        return 0;
    }
    if flags & DONT_ZERO == 0 {
        memory::zero_pages(&pages);
    }
    PAGE_LISTS.with(|lists| lists.insert(mdl));
    mdl
}

/// `MmAllocatePagesForMdl` (wdm.h): as [`mm_allocate_pages_for_mdl_ex`], cached, no flags.
pub(super) extern "win64" fn mm_allocate_pages_for_mdl(
    low: u64,
    high: u64,
    skip: u64,
    total: u64,
) -> u64 {
    mm_allocate_pages_for_mdl_ex(low, high, skip, total, 1, 0)
}

fn layout_of(skip: u64, total: u64, flags: u32) -> Option<PageLayout> {
    match (flags & REQUIRE_CONTIGUOUS_CHUNKS != 0, skip) {
        (true, 0) => Some(PageLayout::Contiguous),
        (true, skip) => {
            let is_sound =
                skip.is_power_of_two() && skip >= PAGE_BYTES && total.is_multiple_of(skip);
            is_sound.then_some(PageLayout::Chunks(skip >> PAGE_SHIFT))
        }
        (false, _) if flags & PREFER_CONTIGUOUS != 0 => Some(PageLayout::Chunks(1)),
        (false, _) => Some(PageLayout::Scattered),
    }
}

/// Builds the MDL of a page list; 0 where memory is short. It lies in the driver's pool, for ExFreePool
/// frees it.
fn page_list(pages: &[Pfn], len_bytes: Option<u64>) -> u64 {
    let page_bytes = pages.len() as u64 * PAGE_BYTES;
    let len = u32::try_from(len_bytes.unwrap_or(page_bytes)).unwrap_or(u32::MAX);
    let size = MDL_HEADER_BYTES + 8 * pages.len() as u64;
    let Some(address) = kernel_memory::allocate(size, PAGES_TAG) else {
        return 0;
    };
    let mdl: &Mdl = shared(address);
    mdl.initialize(0, len);
    mdl.add_flags(PAGES_LOCKED);
    set_pfns(mdl, pages.iter().map(|page| page.raw()));
    address
}

fn release(pages: &[Pfn]) {
    if let Err(frame) = memory::free_pages(pages) {
        verifier::undocumented_violation(
            "pages-freed-twice",
            format_args!("frame {:#x} of a page list is not allocated", frame.raw()),
        );
    }
}

/// `MmFreePagesFromMdl` (wdm.h). IRQL <= DISPATCH_LEVEL. Drops the system mapping, too; the MDL itself is
/// freed by ExFreePool.
pub(super) extern "win64" fn mm_free_pages_from_mdl(mdl: u64) {
    verifier::at_most_or("MmFreePagesFromMdl", DISPATCH_LEVEL, 0x7E);
    if !PAGE_LISTS.with(|lists| lists.remove(&mdl)) {
        verifier::undocumented_violation(
            "pages-freed-twice",
            format_args!("MmFreePagesFromMdl of {mdl:#x}, which owns no pages"),
        );
        return;
    }
    check_unlocked("MmFreePagesFromMdl", mdl);
    let mdl: &Mdl = shared(mdl);
    check_frames_released("MmFreePagesFromMdl", pfns(mdl));
    if mdl.has(MAPPED_TO_SYSTEM_VA) {
        unmap(mdl.mapped_system_va.get(), mdl);
    }
    for pfn in pfns(mdl) {
        release(&[Pfn::new(pfn)]);
    }
    mdl.clear_flags(PAGES_LOCKED);
}

/// `MmAdvanceMdl` (wdm.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER_2 beyond the end.
pub(super) extern "win64" fn mm_advance_mdl(mdl: u64, bytes: u32) -> NtStatus {
    verifier::at_most_dispatch("MmAdvanceMdl");
    let mdl: &Mdl = shared(mdl);
    if bytes >= mdl.byte_count.get() {
        return status::INVALID_PARAMETER_2;
    }
    let new_offset = u64::from(mdl.byte_offset.get()) + u64::from(bytes);
    let pages = new_offset >> PAGE_SHIFT;
    // Before the header changes, which says how many there are; each is read before its place is written.
    let n_passed = usize::try_from(pages).unwrap_or(usize::MAX);
    set_pfns(mdl, pfns(mdl).skip(n_passed));
    mdl.start_va
        .set(mdl.start_va.get().wrapping_add(pages << PAGE_SHIFT));
    mdl.byte_offset.set(mdl::page_offset(new_offset));
    mdl.byte_count.set(mdl.byte_count.get() - bytes);
    if mdl.has(MAPPED_TO_SYSTEM_VA | SOURCE_IS_NONPAGED_POOL) {
        let va = mdl.mapped_system_va.get().wrapping_add(bytes.into());
        mdl.mapped_system_va.set(va);
    }
    status::SUCCESS
}

/// `MmSizeOfMdl` (wdm.h). Any IRQL. Bytes of an MDL for a buffer.
pub(super) extern "win64" fn mm_size_of_mdl(base: u64, len_bytes: u64) -> u64 {
    MDL_HEADER_BYTES + 8 * mdl::pages_spanned(base, len_bytes)
}

/// `MmProtectMdlSystemAddress` (wdm.h). IRQL <= APC_LEVEL. STATUS_SUCCESS or
/// STATUS_INVALID_PARAMETER.
pub(super) extern "win64" fn mm_protect_mdl_system_address(mdl: u64, protect: u32) -> NtStatus {
    verifier::at_most("MmProtectMdlSystemAddress", APC_LEVEL);
    let mdl: &Mdl = shared(mdl);
    let protection = match protect & 0xff {
        0x02 => Protection::ReadOnly,
        0x04 => Protection::ReadWrite,
        0x10 | 0x20 => Protection::Execute,
        0x40 => Protection::ReadWriteExecute,
        _ => return status::INVALID_PARAMETER,
    };
    let start = VirtAddr::new(mdl.mapped_system_va.get() & !(PAGE_BYTES - 1));
    match memory::protect(start, mdl.n_pages(), protection) {
        Ok(()) => status::SUCCESS,
        Err(_) => status::INVALID_PARAMETER,
    }
}

/// The frames behind an MDL's virtual addresses, page by page; `None` where nothing is mapped.
fn frames_of(mdl: &Mdl) -> impl Iterator<Item = Option<Pfn>> {
    let start = mdl.start_va.get();
    (0..mdl.n_pages()).map(move |idx| {
        let va = VirtAddr::try_new(start.wrapping_add(idx * PAGE_BYTES)).ok()?;
        memory::translate(va).map(Pfn::containing)
    })
}

fn misuse(mdl: &Mdl, id: &str, first_parameter: u64) {
    verifier::violation(
        id,
        format_args!(
            "MDL {:#x} with flags {:#x}",
            address_of(mdl),
            mdl.flags.get()
        ),
        Documented {
            code: DETECTED_VIOLATION,
            parameters: [first_parameter, address_of(mdl), mdl.flags.get().into(), 0],
        },
    );
}

/// MEMORY_CACHING_TYPE; unknown values count as cached.
pub(super) fn cache_of(value: u32) -> Cache {
    match value {
        0 | 4 => Cache::NonCached,
        2 | 5 => Cache::WriteCombined,
        _ => Cache::Cached,
    }
}

fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

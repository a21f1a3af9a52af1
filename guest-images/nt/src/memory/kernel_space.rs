//! The kernel's one address space: [`Space`] behind a lock, as the rest of the kernel uses it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

use super::direct_map::DirectMap;
use super::entry::{self, Cache, Protection};
use super::frames::{FrameLimits, MemoryOrder};
use super::radix::TableFrames;
use super::space::{FRESH_POISON, Part, Space};
use super::{GuestPhysAddr, PAGE_SIZE, Pfn, VirtAddr, layout, pages_spanned};
use crate::arch::guarded::Guarded;

/// What is asked of [`probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Execute.
    Execute,
}

/// Why memory was not mapped or allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// No frame, no address range or no page table left.
    Exhausted,
    /// Length zero, or an address that wraps.
    BadRange,
    /// No mapping or allocation starts here.
    NotMapped,
}

/// A request for physically contiguous memory.
#[derive(Clone, Copy, Debug)]
pub struct ContiguousRequest {
    /// Length; rounded up to pages.
    pub len_bytes: u64,
    /// Lowest address that may be used.
    pub low: GuestPhysAddr,
    /// Highest address that may be used, inclusive.
    pub high: GuestPhysAddr,
    /// The run must not cross a multiple of this power of two; 0 for no limit.
    pub boundary: u64,
    /// Cache attribute.
    pub cache: Cache,
    /// CPU access.
    pub protection: Protection,
}

/// How the frames of a [`PageRequest`] lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageLayout {
    /// No two neighbors in the list are neighbors in memory, as far as memory allows.
    Scattered,
    /// Chunks of so many pages, each contiguous and aligned to its length (a power of two).
    Chunks(u64),
    /// One run.
    Contiguous,
}

/// A request for frames without an address, as MmAllocatePagesForMdlEx makes it.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// Number of pages.
    pub pages: u64,
    /// Lowest address that may be used.
    pub low: GuestPhysAddr,
    /// Highest address that may be used, inclusive.
    pub high: GuestPhysAddr,
    /// How they lie.
    pub layout: PageLayout,
}

pub(super) struct KernelSpace {
    pub space: Space,
    /// Starts of the contiguous allocations among the system PTEs: they own their frames.
    contiguous: BTreeSet<u64>,
    memory_bytes: u64,
}

static KERNEL_SPACE: Guarded<Option<KernelSpace>> = Guarded::new(None);

/// Puts the space in place, once, while booting.
pub(super) fn install(space: Space, memory_bytes: u64) {
    KERNEL_SPACE.with(|slot| {
        *slot = Some(KernelSpace {
            space,
            contiguous: BTreeSet::new(),
            memory_bytes,
        });
    });
}

/// For tests on the host: a space of 16 MiB on an arena, the same for all tests of the process.
#[cfg(test)]
pub(super) fn install_arena() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    const PAGES: u64 = 4096;
    ONCE.call_once(|| {
        let frames = super::frames::Frames::new(core::slice::from_ref(&(0..PAGES)), &[]);
        let space = Space::new(DirectMap::arena(PAGES), frames).expect("room for the root");
        install(space, PAGES * PAGE_SIZE);
    });
}

#[track_caller]
pub(super) fn with<R>(body: impl FnOnce(&mut KernelSpace) -> R) -> R {
    KERNEL_SPACE.with(|slot| {
        body(
            slot.as_mut()
                .expect("memory comes up first, before anybody asks for it"),
        )
    })
}

/// Maps frames, in the order given, to fresh system addresses with a guard page behind.
///
/// # Errors
/// [`MemoryError::BadRange`] for an empty list, [`MemoryError::Exhausted`].
pub fn map_pages(
    pages: &[Pfn],
    cache: Cache,
    protection: Protection,
) -> Result<VirtAddr, MemoryError> {
    with(|kernel| {
        kernel
            .space
            .map_frames(Part::SystemPtes, pages, cache, protection)
    })
}

/// The most that one call of [`map_physical`] maps.
const MAX_PHYSICAL_MAPPING: u64 = 1 << 30;

/// Maps a physical range (registers or RAM); the result keeps the byte offset in the page.
///
/// # Errors
/// As [`map_pages`]; [`MemoryError::BadRange`] also for more than 1 GiB and for addresses that wrap.
pub fn map_physical(
    start: GuestPhysAddr,
    len_bytes: u64,
    cache: Cache,
    protection: Protection,
) -> Result<VirtAddr, MemoryError> {
    let is_sane = len_bytes > 0 && len_bytes <= MAX_PHYSICAL_MAPPING && start.raw() >> 52 == 0;
    if !is_sane {
        return Err(MemoryError::BadRange);
    }
    let first = Pfn::containing(start).raw();
    let pages: Vec<Pfn> = (first..first + pages_spanned(start.raw(), len_bytes))
        .map(Pfn::new)
        .collect();
    let address = map_pages(&pages, cache, protection)?;
    Ok(address + start.raw() % PAGE_SIZE)
}

/// Removes a mapping made by [`map_pages`] or [`map_physical`]; returns its length in pages.
///
/// # Errors
/// [`MemoryError::NotMapped`] if no such mapping starts in the page of `address`.
pub fn unmap(address: VirtAddr) -> Result<u64, MemoryError> {
    let start = address.align_down(PAGE_SIZE);
    with(|kernel| {
        if kernel.contiguous.contains(&start.as_u64()) {
            return Err(MemoryError::NotMapped);
        }
        let frames = kernel.space.unmap_frames(Part::SystemPtes, start)?;
        Ok(frames.len() as u64)
    })
}

/// What the page tables yield for an address.
#[must_use]
pub fn translate(address: VirtAddr) -> Option<GuestPhysAddr> {
    with(|kernel| kernel.space.translate(address.as_u64()))
}

/// Checks that a range of kernel memory may be accessed so. In the host build every non-null address
/// may.
///
/// # Errors
/// The first address that may not.
pub fn probe(address: u64, len_bytes: u64, access: Access) -> Result<(), u64> {
    if !cfg!(feature = "kernel") {
        return if address == 0 { Err(0) } else { Ok(()) };
    }
    if address < layout::SYSTEM_RANGE_START {
        return Err(address);
    }
    let is_allowed = |entry| match access {
        Access::Read => true,
        Access::Write => entry::is_writable(entry),
        Access::Execute => entry::is_executable(entry),
    };
    with(|kernel| kernel.space.first_refused(address, len_bytes, is_allowed)).map_or(Ok(()), Err)
}

/// As [`probe`] for one byte, on the way out of a crash: false as well where the crash came while the books
/// were open.
#[must_use]
pub fn is_readable_now(address: u64) -> bool {
    let first_refused = KERNEL_SPACE.try_with(|slot| {
        let kernel = slot.as_ref()?;
        Some(kernel.space.first_refused(address, 1, |_| true))
    });
    first_refused
        .flatten()
        .is_some_and(|refused| refused.is_none())
}

/// Changes the protection of whole pages, as the sections of an image ask for it.
///
/// # Errors
/// [`MemoryError::NotMapped`] if a page of the range is not mapped.
pub fn protect(address: VirtAddr, pages: u64, protection: Protection) -> Result<(), MemoryError> {
    with(|kernel| kernel.space.protect(address, pages, protection))
}

/// Allocates zeroed, writable memory of `pages` pages in the region of images.
///
/// # Errors
/// As [`map_pages`].
pub fn allocate_image(pages: u64) -> Result<VirtAddr, MemoryError> {
    with(|kernel| {
        kernel
            .space
            .allocate_backed(Part::Images, pages, Protection::ReadWrite, 0)
    })
}

/// Unmaps and frees an image.
///
/// # Errors
/// [`MemoryError::NotMapped`] if no image starts there.
pub fn free_image(address: VirtAddr) -> Result<(), MemoryError> {
    with(|kernel| kernel.space.free_backed(Part::Images, address)).map(|_| ())
}

/// Allocates a kernel stack of `pages` pages with a guard page on either side; gives its lowest address.
///
/// # Errors
/// As [`map_pages`].
pub fn allocate_stack(pages: u64) -> Result<VirtAddr, MemoryError> {
    with(|kernel| {
        kernel
            .space
            .allocate_backed(Part::Stacks, pages, Protection::ReadWrite, 0)
    })
}

/// Unmaps and frees a stack.
///
/// # Errors
/// [`MemoryError::NotMapped`] if no stack starts there.
pub fn free_stack(address: VirtAddr) -> Result<(), MemoryError> {
    with(|kernel| kernel.space.free_backed(Part::Stacks, address)).map(|_| ())
}

/// Allocates and maps physically contiguous memory. Its content is a poison pattern.
///
/// # Errors
/// [`MemoryError::BadRange`] or [`MemoryError::Exhausted`].
pub fn allocate_contiguous(request: &ContiguousRequest) -> Result<VirtAddr, MemoryError> {
    let is_sane =
        request.len_bytes > 0 && (request.boundary == 0 || request.boundary.is_power_of_two());
    if !is_sane {
        return Err(MemoryError::BadRange);
    }
    let pages = pages_spanned(0, request.len_bytes);
    // A run of whole pages inside a boundary below the page size does not exist.
    if request.boundary != 0 && request.boundary / PAGE_SIZE < pages {
        return Err(MemoryError::Exhausted);
    }
    let limits = FrameLimits {
        boundary: request.boundary / PAGE_SIZE,
        ..limits_between(request.low, request.high).ok_or(MemoryError::Exhausted)?
    };
    with(|kernel| {
        let first = kernel
            .space
            .frames
            .take_run(pages, &limits)
            .ok_or(MemoryError::Exhausted)?;
        let frames: Vec<Pfn> = (first.raw()..first.raw() + pages).map(Pfn::new).collect();
        for frame in &frames {
            kernel.space.map.fill(*frame, FRESH_POISON);
        }
        let mapped =
            kernel
                .space
                .map_frames(Part::SystemPtes, &frames, request.cache, request.protection);
        match mapped {
            Ok(address) => {
                kernel.contiguous.insert(address.as_u64());
            }
            Err(_) => kernel
                .space
                .release_frames(&frames)
                .expect("they were just taken"),
        }
        mapped
    })
}

/// Frees what [`allocate_contiguous`] gave; returns its length in bytes, whole pages.
///
/// # Errors
/// [`MemoryError::NotMapped`] if no such allocation starts there.
pub fn free_contiguous(address: VirtAddr) -> Result<u64, MemoryError> {
    with(|kernel| {
        if !kernel.contiguous.remove(&address.as_u64()) {
            return Err(MemoryError::NotMapped);
        }
        let pages = kernel.space.free_backed(Part::SystemPtes, address)?;
        Ok(pages * PAGE_SIZE)
    })
}

/// Length in bytes of the contiguous allocation that starts at `address`.
#[must_use]
pub fn contiguous_len(address: u64) -> Option<u64> {
    with(|kernel| {
        if !kernel.contiguous.contains(&address) {
            return None;
        }
        let pages = kernel.space.region(Part::SystemPtes).pages_at(address)?;
        Some(pages * PAGE_SIZE)
    })
}

/// Starts of the live contiguous allocations, for the leak report.
#[must_use]
pub fn contiguous_allocations() -> Vec<VirtAddr> {
    with(|kernel| {
        let starts = kernel.contiguous.iter();
        starts
            .filter_map(|start| VirtAddr::try_new(*start).ok())
            .collect()
    })
}

/// Allocates frames without mapping them; may give fewer than asked. Their content is a poison
/// pattern ([`zero_pages`] clears it).
#[must_use]
pub fn allocate_pages(request: &PageRequest) -> Vec<Pfn> {
    let Some(limits) = limits_between(request.low, request.high) else {
        return Vec::new();
    };
    with(|kernel| {
        let frames = kernel
            .space
            .take_laid_out(request.pages, request.layout, &limits);
        for frame in &frames {
            kernel.space.map.fill(*frame, FRESH_POISON);
        }
        frames
    })
}

/// Fills frames with zeros.
///
/// # Panics
/// If a frame is not RAM.
pub fn zero_pages(pages: &[Pfn]) {
    with(|kernel| {
        for frame in pages {
            assert!(
                kernel.space.frames.is_used(*frame),
                "{frame:?} is nobody's RAM"
            );
            kernel.space.map.fill(*frame, 0);
        }
    });
}

/// Frees frames given by [`allocate_pages`].
///
/// # Errors
/// The first frame that is not allocated; the ones before it are free then.
pub fn free_pages(pages: &[Pfn]) -> Result<(), Pfn> {
    with(|kernel| kernel.space.release_frames(pages))
}

/// Whether the frame is RAM, as opposed to a device or a hole.
#[must_use]
pub fn is_ram(pfn: Pfn) -> bool {
    with(|kernel| kernel.space.frames.is_ram(pfn))
}

/// Maps a zeroed frame read-only at [`layout::SHARED_DATA`] and gives it. Once, while booting.
///
/// # Errors
/// [`MemoryError::Exhausted`], or [`MemoryError::BadRange`] if it is there already.
pub fn map_shared_data() -> Result<Pfn, MemoryError> {
    with(|kernel| {
        let frame = kernel
            .space
            .table_frames()
            .take()
            .ok_or(MemoryError::Exhausted)?;
        let entry = entry::encode(frame, Cache::Cached, Protection::ReadOnly);
        kernel.space.set_leaf(layout::SHARED_DATA, 1, entry)?;
        Ok(frame)
    })
}

/// Chooses from which side of 4 GiB frames without limits come from now on.
pub fn prefer(order: MemoryOrder) {
    with(|kernel| kernel.space.prefer(order));
}

/// Frames that nobody uses.
#[must_use]
pub fn free_frame_count() -> u64 {
    with(|kernel| kernel.space.frames.free_count())
}

/// Bytes of RAM that the firmware reported.
#[must_use]
pub fn memory_bytes() -> u64 {
    with(|kernel| kernel.memory_bytes)
}

/// Copies part of a frame of RAM out, from wherever it is mapped or not.
///
/// # Panics
/// If the part leaves the frame, or the frame is not RAM: bugs of the caller.
pub fn copy_from_frame(frame: Pfn, offset: u64, bytes: &mut [u8]) {
    with(|kernel| kernel.space.map.copy_out(frame, offset, bytes));
}

/// Copies into part of a frame of RAM.
///
/// # Panics
/// As [`copy_from_frame`].
pub fn copy_to_frame(frame: Pfn, offset: u64, bytes: &[u8]) {
    with(|kernel| kernel.space.map.copy_in(frame, offset, bytes));
}

/// Fills part of a frame of RAM; the range is of offsets in it.
///
/// # Panics
/// As [`copy_from_frame`].
pub fn fill_frame(frame: Pfn, range: Range<u64>, byte: u8) {
    with(|kernel| kernel.space.map.fill_bytes(frame, range, byte));
}

/// Offset of the first byte in part of a frame of RAM that is not `byte`.
///
/// # Panics
/// As [`copy_from_frame`].
#[must_use]
pub fn first_byte_other_than(frame: Pfn, range: Range<u64>, byte: u8) -> Option<u64> {
    with(|kernel| kernel.space.map.first_byte_other_than(frame, range, byte))
}

/// Runs `body` with the window on frames and the source of tables, for trees of tables other than the
/// CPU's.
pub(crate) fn with_tables<R>(body: impl FnOnce(&DirectMap, &mut dyn TableFrames) -> R) -> R {
    with(|kernel| {
        let map = kernel.space.map;
        body(&map, &mut kernel.space.table_frames())
    })
}

/// The frames that lie wholly between two addresses, the upper one inclusive.
fn limits_between(low: GuestPhysAddr, high: GuestPhysAddr) -> Option<FrameLimits> {
    let first = low.raw().div_ceil(PAGE_SIZE);
    // The frame that holds `high` counts if `high` is its last byte.
    let end = high
        .raw()
        .checked_add(1)
        .map_or(u64::MAX / PAGE_SIZE, |end| end / PAGE_SIZE);
    (first < end).then(|| FrameLimits {
        low: Pfn::new(first),
        high: Pfn::new(end - 1),
        ..FrameLimits::ANYWHERE
    })
}

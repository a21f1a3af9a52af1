//! The kernel's address space: what is mapped where.

use alloc::vec::Vec;

use super::{GuestPhysAddr, Pfn, VirtAddr};

/// Cache attribute of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Uncached: device registers.
    NonCached,
    /// Write-back.
    Cached,
    /// Write-combining (uncached in this kernel).
    WriteCombined,
}

/// What the CPU may do with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    Execute,
    /// Read, write and execute.
    ReadWriteExecute,
}

/// What is asked of [`probe`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Write.
    Write,
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

/// Maps frames, in the order given, to fresh system addresses with a guard page behind.
///
/// # Errors
/// [`MemoryError::BadRange`] for an empty list, [`MemoryError::Exhausted`].
pub fn map_pages(
    _pages: &[Pfn],
    _cache: Cache,
    _protection: Protection,
) -> Result<VirtAddr, MemoryError> {
    todo!()
}

/// Maps a physical range (registers or RAM); the result keeps the byte offset in the page.
///
/// # Errors
/// As [`map_pages`].
pub fn map_physical(
    _start: GuestPhysAddr,
    _len_bytes: u64,
    _cache: Cache,
    _protection: Protection,
) -> Result<VirtAddr, MemoryError> {
    todo!()
}

/// Removes a mapping made by [`map_pages`] or [`map_physical`]; returns its length in pages.
///
/// # Errors
/// [`MemoryError::NotMapped`] if no mapping starts in the page of `address`.
pub fn unmap(_address: VirtAddr) -> Result<u64, MemoryError> {
    todo!()
}

/// What the page tables yield for an address.
#[must_use]
pub fn translate(_address: VirtAddr) -> Option<GuestPhysAddr> {
    todo!()
}

/// Checks that a range of kernel memory may be accessed; otherwise gives the first bad address.
///
/// # Errors
/// The first address that may not be accessed so.
pub fn probe(_address: u64, _len_bytes: u64, _access: Access) -> Result<(), u64> {
    todo!()
}

/// Changes the protection of whole pages of an image.
///
/// # Errors
/// [`MemoryError::NotMapped`] if a page of the range is not mapped.
pub fn protect(
    _address: VirtAddr,
    _pages: u64,
    _protection: Protection,
) -> Result<(), MemoryError> {
    todo!()
}

/// Allocates zeroed, writable memory of `pages` pages in the region of images.
///
/// # Errors
/// As [`map_pages`].
pub fn allocate_image(_pages: u64) -> Result<VirtAddr, MemoryError> {
    todo!()
}

/// Unmaps and frees an image.
///
/// # Errors
/// [`MemoryError::NotMapped`] if no image starts there.
pub fn free_image(_address: VirtAddr) -> Result<(), MemoryError> {
    todo!()
}

/// Allocates and maps physically contiguous memory. Its content is a poison pattern.
///
/// # Errors
/// [`MemoryError::BadRange`] or [`MemoryError::Exhausted`].
pub fn allocate_contiguous(_request: &ContiguousRequest) -> Result<VirtAddr, MemoryError> {
    todo!()
}

/// Frees what [`allocate_contiguous`] gave; returns its length in bytes.
///
/// # Errors
/// [`MemoryError::NotMapped`] if no such allocation starts there.
pub fn free_contiguous(_address: VirtAddr) -> Result<u64, MemoryError> {
    todo!()
}

/// Allocates frames without mapping them; may give fewer than asked. Their content is a poison
/// pattern ([`zero_pages`] clears it).
#[must_use]
pub fn allocate_pages(_request: &PageRequest) -> Vec<Pfn> {
    todo!()
}

/// Fills frames with zeros.
pub fn zero_pages(_pages: &[Pfn]) {
    todo!()
}

/// Frees frames given by [`allocate_pages`].
///
/// # Errors
/// The first frame that is not allocated; the ones before it are free then.
pub fn free_pages(_pages: &[Pfn]) -> Result<(), Pfn> {
    todo!()
}

/// Whether the frame is RAM, as opposed to a device or a hole.
#[must_use]
pub fn is_ram(_pfn: Pfn) -> bool {
    todo!()
}

/// Bytes of RAM that the firmware reported.
#[must_use]
pub fn memory_bytes() -> u64 {
    todo!()
}

//! [`DirectMap`]: all of RAM at one fixed distance, through which tables and whole frames are reached.
#![expect(unsafe_code, reason = "reads and writes frames by address")]

use core::ops::Range;
use core::ptr::copy_nonoverlapping;

use super::{GuestPhysAddr, PAGE_SIZE, Pfn, VirtAddr};

/// 64-bit words in a frame.
const WORDS_PER_FRAME: u64 = PAGE_SIZE / 8;

/// A window on physical memory. Frames reached through it hold plain words that no Rust reference names:
/// page tables, and memory that has no owner.
#[derive(Clone, Copy, Debug)]
pub struct DirectMap {
    base: u64,
    limit: u64,
}

impl DirectMap {
    /// A window on physical addresses below `limit`, which appear at `base` on.
    ///
    /// # Safety
    /// All RAM below `limit` is mapped writable at `base` plus its address for as long as the value lives,
    /// and the caller of the methods owns the frames that it names.
    #[must_use]
    pub const unsafe fn new(base: u64, limit: u64) -> Self {
        Self { base, limit }
    }

    /// For tests on the host: physical memory of so many pages, kept for ever.
    #[cfg(test)]
    pub(crate) fn arena(pages: u64) -> Self {
        let bytes = usize::try_from((pages + 1) * PAGE_SIZE).expect("a test's memory is small");
        let arena = std::vec::Vec::leak(std::vec![0u64; bytes / 8]).as_mut_ptr();
        let base = (arena.expose_provenance() as u64).next_multiple_of(PAGE_SIZE);
        // SAFETY: the arena is leaked, writable, and reached through this map alone.
        unsafe { Self::new(base, pages * PAGE_SIZE) }
    }

    /// One past the highest physical address in the window.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Reads an aligned word.
    ///
    /// # Panics
    /// Outside the window, or misaligned: both are bugs of the caller.
    #[must_use]
    pub fn read_u64(&self, at: GuestPhysAddr) -> u64 {
        // SAFETY: `pointer` has checked bounds and alignment.
        unsafe { self.pointer(at).read_volatile() }
    }

    /// Writes an aligned word.
    ///
    /// # Panics
    /// As [`DirectMap::read_u64`].
    pub fn write_u64(&self, at: GuestPhysAddr, value: u64) {
        // SAFETY: `pointer` has checked bounds and alignment.
        unsafe { self.pointer(at).write_volatile(value) }
    }

    /// Fills a frame with one word.
    ///
    /// # Panics
    /// As [`DirectMap::read_u64`].
    pub fn fill(&self, frame: Pfn, word: u64) {
        let first = VirtAddr::from_ptr(self.pointer(frame.start()));
        // The last word is checked as well, so the frame lies in the window as a whole.
        self.pointer(GuestPhysAddr::new(frame.start().raw() + PAGE_SIZE - 8));
        for idx in 0..WORDS_PER_FRAME {
            // SAFETY: word `idx` of the frame just checked.
            unsafe { (first + idx * 8).as_mut_ptr::<u64>().write(word) };
        }
    }

    /// The first word of a frame that is not `word`.
    ///
    /// # Panics
    /// As [`DirectMap::read_u64`].
    #[must_use]
    pub fn first_other_than(&self, frame: Pfn, word: u64) -> Option<GuestPhysAddr> {
        (0..WORDS_PER_FRAME)
            .map(|idx| GuestPhysAddr::new(frame.start().raw() + idx * 8))
            .find(|at| self.read_u64(*at) != word)
    }

    /// Fills part of a frame with one byte; the range is of offsets in it.
    ///
    /// # Panics
    /// As [`DirectMap::read_u64`].
    pub fn fill_bytes(&self, frame: Pfn, range: Range<u64>, byte: u8) {
        for offset in range {
            // SAFETY: `byte_pointer` has checked the bounds.
            unsafe { self.byte_pointer(frame, offset).write_volatile(byte) };
        }
    }

    /// Offset of the first byte in part of a frame that is not `byte`.
    ///
    /// # Panics
    /// As [`DirectMap::read_u64`].
    #[must_use]
    pub fn first_byte_other_than(&self, frame: Pfn, range: Range<u64>, byte: u8) -> Option<u64> {
        let mut range = range;
        // SAFETY: `byte_pointer` has checked the bounds.
        range.find(|offset| unsafe { self.byte_pointer(frame, *offset).read_volatile() } != byte)
    }

    /// Copies part of a frame out.
    ///
    /// # Panics
    /// As [`DirectMap::read_u64`].
    pub fn copy_out(&self, frame: Pfn, offset: u64, bytes: &mut [u8]) {
        let source = self.part_pointer(frame, offset, bytes.len());
        // SAFETY: `part_pointer` has checked the bounds; the target is ours, and no frame.
        unsafe { copy_nonoverlapping(source, bytes.as_mut_ptr(), bytes.len()) };
    }

    /// Copies into part of a frame.
    ///
    /// # Panics
    /// As [`DirectMap::read_u64`].
    pub fn copy_in(&self, frame: Pfn, offset: u64, bytes: &[u8]) {
        let target = self.part_pointer(frame, offset, bytes.len());
        // SAFETY: as in `copy_out`.
        unsafe { copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
    }

    /// The address at which the CPU finds a physical one.
    ///
    /// # Panics
    /// As [`DirectMap::read_u64`].
    #[must_use]
    pub fn address_of(&self, at: GuestPhysAddr) -> u64 {
        self.pointer(at.align_down(8)).addr() as u64 + at.raw() % 8
    }

    fn part_pointer(&self, frame: Pfn, offset: u64, len: usize) -> *mut u8 {
        let is_inside = offset < PAGE_SIZE && len as u64 <= PAGE_SIZE - offset;
        assert!(is_inside, "{len:#x} bytes at {offset:#x} leave the frame");
        self.byte_pointer(frame, offset)
    }

    fn byte_pointer(&self, frame: Pfn, offset: u64) -> *mut u8 {
        assert!(
            offset < PAGE_SIZE,
            "offset {offset:#x} is outside the frame"
        );
        (VirtAddr::from_ptr(self.pointer(frame.start())) + offset).as_mut_ptr()
    }

    fn pointer(&self, at: GuestPhysAddr) -> *mut u64 {
        assert!(
            at.is_aligned(8) && at.raw() < self.limit,
            "physical address {at} is outside the direct map"
        );
        VirtAddr::new_truncate(self.base + at.raw()).as_mut_ptr()
    }
}

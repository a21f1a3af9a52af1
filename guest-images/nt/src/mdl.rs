//! The MDL: a buffer's pages as Windows drivers see them (layout and flags of windows-dma-ddi section 1.2).
//!
//! Drivers read and write the structure directly through macros, so it is made of `Cell`s; the pages
//! follow it in memory. Pure rules lie here, the routines that work on MDLs in `ntoskrnl::mm` and
//! `ntoskrnl::io_mdl`.

use core::cell::Cell;
use core::mem::offset_of;

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 0x1000;
/// log2 of [`PAGE_BYTES`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes of the header; 8 bytes of page frame number per page follow.
pub const MDL_HEADER_BYTES: u64 = 0x30;
/// Largest byte count of an MDL: 4 GiB less one page.
pub const MAX_MDL_BYTES: u64 = 0xffff_f000;

/// `MDL_MAPPED_TO_SYSTEM_VA`
pub const MAPPED_TO_SYSTEM_VA: u16 = 0x0001;
/// `MDL_PAGES_LOCKED`
pub const PAGES_LOCKED: u16 = 0x0002;
/// `MDL_SOURCE_IS_NONPAGED_POOL`
pub const SOURCE_IS_NONPAGED_POOL: u16 = 0x0004;
/// `MDL_ALLOCATED_FIXED_SIZE`
pub const ALLOCATED_FIXED_SIZE: u16 = 0x0008;
/// `MDL_PARTIAL`
pub const PARTIAL: u16 = 0x0010;
/// `MDL_PARTIAL_HAS_BEEN_MAPPED`
pub const PARTIAL_HAS_BEEN_MAPPED: u16 = 0x0020;
/// `MDL_IO_PAGE_READ`
pub const IO_PAGE_READ: u16 = 0x0040;
/// `MDL_WRITE_OPERATION`
pub const WRITE_OPERATION: u16 = 0x0080;
/// `MDL_FREE_EXTRA_PTES`
pub const FREE_EXTRA_PTES: u16 = 0x0200;
/// `MDL_IO_SPACE`
pub const IO_SPACE: u16 = 0x0800;

/// The header of an MDL.
#[repr(C)]
pub struct Mdl {
    /// Next MDL of the chain.
    pub next: Cell<*const Mdl>,
    /// Header plus page array in bytes; 16 bits, so not to be relied on.
    pub size: Cell<i16>,
    /// Flags, the constants above.
    pub flags: Cell<u16>,
    _reserved: u32,
    /// Process of a user buffer; null here.
    pub process: Cell<u64>,
    /// Where the pages are mapped, with the byte offset; valid by two of the flags only.
    pub mapped_system_va: Cell<u64>,
    /// Virtual address of the first page.
    pub start_va: Cell<u64>,
    /// Length in bytes.
    pub byte_count: Cell<u32>,
    /// Offset of the first byte in its page.
    pub byte_offset: Cell<u32>,
}

const _: () = assert!(size_of::<Mdl>() == 0x30);
const _: () = assert!(offset_of!(Mdl, flags) == 0x0a && offset_of!(Mdl, mapped_system_va) == 0x18);
const _: () = assert!(offset_of!(Mdl, byte_count) == 0x28 && offset_of!(Mdl, byte_offset) == 0x2c);

impl Mdl {
    /// Writes the header as `MmInitializeMdl` does, and clears what that leaves open.
    pub fn initialize(&self, va: u64, len_bytes: u32) {
        let n_pages = pages_spanned(va, u64::from(len_bytes));
        let size = MDL_HEADER_BYTES + 8 * n_pages;
        self.next.set(core::ptr::null());
        // The field is too narrow for large MDLs on Windows, too; it then holds the largest value.
        self.size.set(i16::try_from(size).unwrap_or(i16::MAX));
        self.flags.set(0);
        self.process.set(0);
        self.mapped_system_va.set(0);
        self.start_va.set(va & !(PAGE_BYTES - 1));
        self.byte_offset.set(page_offset(va));
        self.byte_count.set(len_bytes);
    }

    /// Whether any of `flags` is set.
    #[must_use]
    pub fn has(&self, flags: u16) -> bool {
        self.flags.get() & flags != 0
    }

    /// Sets `flags`.
    pub fn add_flags(&self, flags: u16) {
        self.flags.set(self.flags.get() | flags);
    }

    /// Clears `flags`.
    pub fn clear_flags(&self, flags: u16) {
        self.flags.set(self.flags.get() & !flags);
    }

    /// Pages that the MDL spans.
    #[must_use]
    pub fn n_pages(&self) -> u64 {
        pages_spanned(
            u64::from(self.byte_offset.get()),
            u64::from(self.byte_count.get()),
        )
    }

    /// `MmGetMdlVirtualAddress`.
    #[must_use]
    pub fn virtual_address(&self) -> u64 {
        self.start_va
            .get()
            .wrapping_add(u64::from(self.byte_offset.get()))
    }
}

/// Pages that `len_bytes` bytes from `address` on touch.
#[must_use]
pub fn pages_spanned(address: u64, len_bytes: u64) -> u64 {
    u64::from(page_offset(address))
        .saturating_add(len_bytes)
        .div_ceil(PAGE_BYTES)
}

/// Offset of `address` in its page.
#[must_use]
pub fn page_offset(address: u64) -> u32 {
    (address & (PAGE_BYTES - 1)) as u32
}

/// What the flags of a partial MDL become, from its own and its source's (model of section 3).
#[must_use]
pub fn partial_flags(own: u16, source: u16) -> u16 {
    let inherited = MAPPED_TO_SYSTEM_VA | SOURCE_IS_NONPAGED_POOL | IO_PAGE_READ | IO_SPACE;
    (own & ALLOCATED_FIXED_SIZE) | (source & inherited) | PARTIAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_from_the_page_offset() {
        let check = |address, len, expected| assert_eq!(pages_spanned(address, len), expected);
        check(0, 0, 0);
        check(0, 1, 1);
        check(0, 4096, 1);
        check(1, 4096, 2);
        check(0xfff, 2, 2);
        check(0x1800, 0xffff_f000, 0x10_0000);
        check(0xfff, u64::MAX, 1 << 52);
    }

    #[test]
    fn initialized_mdl_has_the_macros_fields() {
        let mdl = Mdl {
            next: Cell::new(core::ptr::null()),
            size: Cell::new(0),
            flags: Cell::new(0xffff),
            _reserved: 0,
            process: Cell::new(9),
            mapped_system_va: Cell::new(9),
            start_va: Cell::new(0),
            byte_count: Cell::new(0),
            byte_offset: Cell::new(0),
        };

        mdl.initialize(0xffff_8000_0000_1234, 0x2000);

        assert_eq!(mdl.start_va.get(), 0xffff_8000_0000_1000);
        assert_eq!((mdl.byte_offset.get(), mdl.n_pages()), (0x234, 3));
        assert_eq!(
            (mdl.size.get(), mdl.flags.get(), mdl.process.get()),
            (0x48, 0, 0)
        );
        assert_eq!(mdl.virtual_address(), 0xffff_8000_0000_1234);
    }

    #[test]
    fn partial_shares_the_mapping_and_not_the_lock() {
        let flags = partial_flags(
            ALLOCATED_FIXED_SIZE | PAGES_LOCKED,
            PAGES_LOCKED | MAPPED_TO_SYSTEM_VA,
        );
        assert_eq!(flags, ALLOCATED_FIXED_SIZE | MAPPED_TO_SYSTEM_VA | PARTIAL);
    }
}

//! Page arithmetic: [`Pfn`] beside [`GuestPhysAddr`] and [`VirtAddr`].

use core::fmt;

pub use dmarig_abi::GuestPhysAddr;
pub use x86_64::VirtAddr;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 0x1000;
/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;

/// Page frame number: a physical address divided by [`PAGE_SIZE`], as MDLs hold it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(u64);

impl Pfn {
    /// Wraps a frame number.
    #[must_use]
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The frame that holds `address`.
    #[must_use]
    pub const fn containing(address: GuestPhysAddr) -> Self {
        Self(address.raw() >> PAGE_SHIFT)
    }

    /// The frame number.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// First address of the frame.
    #[must_use]
    pub const fn start(self) -> GuestPhysAddr {
        GuestPhysAddr::new(self.0 << PAGE_SHIFT)
    }

    /// The frame `pages` further on.
    #[must_use]
    pub const fn checked_add(self, pages: u64) -> Option<Self> {
        match self.0.checked_add(pages) {
            Some(raw) => Some(Self(raw)),
            None => None,
        }
    }
}

impl fmt::Debug for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pfn({:#x})", self.0)
    }
}

/// Pages that `len_bytes` bytes from `address` touch.
#[must_use]
pub const fn pages_spanned(address: u64, len_bytes: u64) -> u64 {
    let offset = address % PAGE_SIZE;
    (len_bytes >> PAGE_SHIFT) + (offset + len_bytes % PAGE_SIZE).div_ceil(PAGE_SIZE)
}

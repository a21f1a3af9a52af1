//! [`Registers`]: a mapped block of device registers.
#![expect(unsafe_code, reason = "volatile access to device registers")]

use crate::memory::{self, Cache, GuestPhysAddr, MemoryError, Protection, VirtAddr};

/// Device registers, mapped uncached for as long as the value lives.
#[derive(Debug)]
pub struct Registers {
    base: VirtAddr,
    len_bytes: u64,
}

impl Registers {
    /// Maps `len_bytes` bytes of registers at `start`.
    ///
    /// # Errors
    /// As [`memory::map_physical`].
    pub fn map(start: GuestPhysAddr, len_bytes: u64) -> Result<Self, MemoryError> {
        let base = memory::map_physical(start, len_bytes, Cache::NonCached, Protection::ReadWrite)?;
        Ok(Self { base, len_bytes })
    }

    /// Reads a register.
    ///
    /// # Panics
    /// Outside the block or misaligned: a bug of the caller.
    #[must_use]
    pub fn read<T: Register>(&self, offset: u64) -> T {
        // SAFETY: `pointer` has checked that the register lies in the mapped block.
        unsafe { self.pointer::<T>(offset).read_volatile() }
    }

    /// Writes a register.
    ///
    /// # Panics
    /// As [`Registers::read`].
    pub fn write<T: Register>(&self, offset: u64, value: T) {
        // SAFETY: `pointer` has checked that the register lies in the mapped block; what it does is the
        // device's business.
        unsafe { self.pointer::<T>(offset).write_volatile(value) }
    }

    fn pointer<T>(&self, offset: u64) -> *mut T {
        let len = size_of::<T>() as u64;
        let is_inside = offset
            .checked_add(len)
            .is_some_and(|end| end <= self.len_bytes);
        assert!(
            is_inside && offset.is_multiple_of(len),
            "register {offset:#x} of {len} bytes in a block of {:#x}",
            self.len_bytes
        );
        (self.base + offset).as_mut_ptr()
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        memory::unmap(self.base).expect("the block was mapped by `map`");
    }
}

/// Widths of registers.
pub trait Register: Copy + sealed::Sealed {}
impl Register for u8 {}
impl Register for u16 {}
impl Register for u32 {}
impl Register for u64 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}

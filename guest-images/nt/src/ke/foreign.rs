//! [`Foreign`]: a checked pointer to a structure in driver memory.
#![expect(unsafe_code, reason = "reads and writes memory that drivers own")]

use core::fmt;
use core::marker::PhantomData;

use super::bugcheck::{self, code};
use crate::memory::{self, Access, VirtAddr};

/// A pointer to a `T` in memory that a driver owns: mapped, writable and aligned when it was checked.
///
/// Two of them may name the same structure, so fields are read and written one by one, never borrowed.
pub struct Foreign<T> {
    address: u64,
    target: PhantomData<*mut T>,
}

/// Field types of foreign structures: any bit pattern is a value.
pub trait Plain: Copy + sealed::Sealed {}
impl Plain for u8 {}
impl Plain for u16 {}
impl Plain for u32 {}
impl Plain for i32 {}
impl Plain for u64 {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for i32 {}
    impl Sealed for u64 {}
}

impl<T> Foreign<T> {
    /// Checks that `address` is aligned, mapped, writable kernel memory of the size of `T`.
    ///
    /// # Errors
    /// The first address that cannot be accessed.
    pub fn try_new(address: u64) -> Result<Self, u64> {
        if !address.is_multiple_of(align_of::<T>() as u64) {
            return Err(address);
        }
        memory::probe(address, size_of::<T>() as u64, Access::Write)?;
        Ok(Self {
            address,
            target: PhantomData,
        })
    }

    /// As [`Foreign::try_new`]; a bad address is bug check 0x50 (PAGE_FAULT_IN_NONPAGED_AREA), which is what
    /// touching it would have been.
    #[must_use]
    pub fn checked(address: u64) -> Self {
        match Self::try_new(address) {
            Ok(pointer) => pointer,
            Err(bad) => bugcheck::raise(code::PAGE_FAULT_IN_NONPAGED_AREA, [bad, 2, 0, 0]),
        }
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.address
    }

    /// The structure as a raw pointer.
    #[must_use]
    pub fn as_ptr(self) -> *mut T {
        VirtAddr::new_truncate(self.address).as_mut_ptr()
    }

    /// The same address as a structure that starts this one, for example its dispatcher header.
    #[must_use]
    pub fn cast<U>(self) -> Foreign<U> {
        const { assert!(size_of::<U>() <= size_of::<T>() && align_of::<U>() <= align_of::<T>()) };
        Foreign {
            address: self.address,
            target: PhantomData,
        }
    }

    /// Whether the memory is still there.
    #[must_use]
    pub fn is_valid(self) -> bool {
        Self::try_new(self.address).is_ok()
    }

    /// Reads the field at `offset` (`offset_of!`).
    ///
    /// # Panics
    /// If the field does not lie in the structure: a bug of the caller.
    #[must_use]
    pub fn read<F: Plain>(self, offset: usize) -> F {
        // SAFETY: `field` has checked bounds and alignment; the memory was checked when `self` was made.
        unsafe { self.field::<F>(offset).read_volatile() }
    }

    /// Writes the field at `offset` (`offset_of!`).
    ///
    /// # Panics
    /// As [`Foreign::read`].
    pub fn write<F: Plain>(self, offset: usize, value: F) {
        // SAFETY: as in `read`.
        unsafe { self.field::<F>(offset).write_volatile(value) }
    }

    fn field<F>(self, offset: usize) -> *mut F {
        let is_inside = offset + size_of::<F>() <= size_of::<T>();
        assert!(is_inside && offset.is_multiple_of(align_of::<F>()));
        VirtAddr::new_truncate(self.address + offset as u64).as_mut_ptr()
    }
}

impl<T> Clone for Foreign<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Foreign<T> {}

impl<T> PartialEq for Foreign<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}

impl<T> Eq for Foreign<T> {}

impl<T> fmt::Debug for Foreign<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Foreign({:#x})", self.address)
    }
}

// SAFETY: it is an address; every access goes through the checked methods, on the one CPU.
unsafe impl<T> Send for Foreign<T> {}

/// Kernel-owned structures of foreign layout, kept for ever: events of system threads.
pub(super) fn leak<T>(value: T) -> Foreign<T> {
    let pointer = alloc::boxed::Box::into_raw(alloc::boxed::Box::new(value));
    Foreign {
        address: pointer.expose_provenance() as u64,
        target: PhantomData,
    }
}

/// Takes back what [`leak`] gave.
///
/// # Safety
/// `pointer` came from [`leak`], and no copy of it is used any more.
pub(super) unsafe fn reclaim<T>(pointer: Foreign<T>) {
    // SAFETY: the caller's promise.
    drop(unsafe { alloc::boxed::Box::from_raw(pointer.as_ptr()) });
}

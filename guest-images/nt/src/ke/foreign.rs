//! [`Foreign`]: a checked pointer to a structure in driver memory.

use core::fmt;
use core::marker::PhantomData;

/// A pointer to a `T` in memory that a driver owns: mapped, writable and aligned when it was checked.
///
/// Two of them may name the same structure, so fields are read and written one by one, never borrowed.
pub struct Foreign<T> {
    address: u64,
    target: PhantomData<*mut T>,
}

impl<T> Foreign<T> {
    /// Checks that `address` is mapped, writable kernel memory of the size of `T`.
    ///
    /// # Errors
    /// The first address that cannot be accessed.
    pub fn try_new(_address: u64) -> Result<Self, u64> {
        todo!()
    }

    /// As [`Foreign::try_new`]; a bad address is bug check 0x50 (PAGE_FAULT_IN_NONPAGED_AREA).
    #[must_use]
    pub fn checked(_address: u64) -> Self {
        todo!()
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.address
    }

    /// The structure as a raw pointer.
    #[must_use]
    pub const fn as_ptr(self) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.address as usize)
    }

    /// The same address as a structure that starts this one, for example its dispatcher header.
    #[must_use]
    pub const fn cast<U>(self) -> Foreign<U> {
        const {
            assert!(
                size_of::<U>() <= size_of::<T>(),
                "the target is part of the source"
            )
        };
        Foreign {
            address: self.address,
            target: PhantomData,
        }
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

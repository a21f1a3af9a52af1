//! [`Routine`]: a function of a driver, called with the Microsoft x64 convention.
#![expect(unsafe_code, reason = "calls into driver code")]

use core::mem::transmute;

/// The address of a driver's routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Routine(u64);

macro_rules! call {
    ($name:ident, $($argument:ident),*) => {
        /// Calls the routine; the result is RAX, of which the routine's own type says how many bits count.
        ///
        /// # Safety
        /// The address is code of a loaded image that takes these arguments, and the state of the kernel
        /// (IRQL, locks) is what that routine is promised. No [`Guarded`](super::guarded::Guarded) is held.
        pub unsafe fn $name(self, $($argument: u64),*) -> u64 {
            type Function = unsafe extern "win64" fn($(call!(@type $argument)),*) -> u64;
            // SAFETY: the caller promises code at this address; any number of integer arguments has
            // this one calling convention.
            let function = unsafe { transmute::<u64, Function>(self.0) };
            // SAFETY: the caller's promise.
            unsafe { function($($argument),*) }
        }
    };
    (@type $argument:ident) => { u64 };
}

impl Routine {
    /// Wraps an address; `None` for null, which many DDIs take for "no routine".
    #[must_use]
    pub const fn new(address: u64) -> Option<Self> {
        if address == 0 {
            None
        } else {
            Some(Self(address))
        }
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }

    call!(call0,);
    call!(call1, a);
    call!(call2, a, b);
    call!(call3, a, b, c);
    call!(call4, a, b, c, d);
    call!(call5, a, b, c, d, e);
    call!(call6, a, b, c, d, e, f);
}

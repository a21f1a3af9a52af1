//! [`Guarded`]: the kernel's own lock for its state.
#![expect(unsafe_code, reason = "interior mutability of kernel statics")]

use core::cell::UnsafeCell;
use core::panic::Location;
use core::sync::atomic::{AtomicBool, Ordering};

use super::interrupts;

/// Kernel state that interrupt handlers and threads share. On the one CPU, interrupts off is the lock;
/// the flag finds our own bug of entering twice (and serializes the threads of host tests).
pub struct Guarded<T> {
    is_entered: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `with` hands out one exclusive reference at a time: `is_entered` refuses a second one.
unsafe impl<T: Send> Sync for Guarded<T> {}

impl<T> Guarded<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self {
            is_entered: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Runs `body` on the value, interrupts off. `body` must neither wait nor enter the same guard.
    ///
    /// # Panics
    /// If the guard is entered already, which on one CPU is our own bug.
    #[track_caller]
    pub fn with<R>(&self, body: impl FnOnce(&mut T) -> R) -> R {
        let caller = Location::caller();
        interrupts::without(|| {
            self.enter(caller);
            // SAFETY: the flag was clear and is set now, so this is the only reference.
            let result = body(unsafe { &mut *self.value.get() });
            self.is_entered.store(false, Ordering::Release);
            result
        })
    }

    /// As [`Guarded::with`] for the way out of a crash: `None` where the crash came while the guard was
    /// entered.
    pub fn try_with<R>(&self, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        interrupts::without(|| {
            if self.is_entered.swap(true, Ordering::Acquire) {
                return None;
            }
            // SAFETY: the flag was clear and is set now, so this is the only reference.
            let result = body(unsafe { &mut *self.value.get() });
            self.is_entered.store(false, Ordering::Release);
            Some(result)
        })
    }

    fn enter(&self, caller: &Location<'_>) {
        while self.is_entered.swap(true, Ordering::Acquire) {
            if cfg!(feature = "kernel") {
                panic!("kernel state entered twice, from {caller}");
            }
            core::hint::spin_loop();
        }
    }
}

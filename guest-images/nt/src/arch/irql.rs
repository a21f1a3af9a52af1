//! IRQL is CR8, for drivers read and write it inline; the local APIC masks by it.

/// An interrupt request level, 0 to 15.
pub type Irql = u8;

/// Ordinary threads.
pub const PASSIVE_LEVEL: Irql = 0;
/// Asynchronous procedure calls are off.
pub const APC_LEVEL: Irql = 1;
/// No thread switch; DPCs run here.
pub const DISPATCH_LEVEL: Irql = 2;
/// The clock's interrupt.
pub const CLOCK_LEVEL: Irql = 13;
/// Everything is masked.
pub const HIGH_LEVEL: Irql = 15;

/// The current IRQL.
#[must_use]
pub fn current() -> Irql {
    imp::read()
}

/// Sets the IRQL with no check of direction; `ke::irql` has the checked routines.
pub fn set(irql: Irql) {
    imp::write(irql & 15);
}

#[cfg(feature = "kernel")]
#[expect(unsafe_code, reason = "mov to and from CR8")]
mod imp {
    use core::arch::asm;

    pub(super) fn read() -> u8 {
        let value: u64;
        // SAFETY: ring 0; reading CR8 has no effect.
        unsafe { asm!("mov {}, cr8", out(reg) value, options(nomem, nostack, preserves_flags)) };
        value.to_le_bytes()[0]
    }

    pub(super) fn write(irql: u8) {
        // SAFETY: ring 0, 4-bit value. Not `nomem`: pending interrupts may run here and now.
        unsafe { asm!("mov cr8, {}", in(reg) u64::from(irql), options(nostack)) };
    }
}

#[cfg(all(not(feature = "kernel"), not(test)))]
mod imp {
    use core::sync::atomic::{AtomicU8, Ordering};

    static LEVEL: AtomicU8 = AtomicU8::new(0);

    pub(super) fn read() -> u8 {
        LEVEL.load(Ordering::Relaxed)
    }

    pub(super) fn write(irql: u8) {
        LEVEL.store(irql, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod imp {
    use std::cell::Cell;

    std::thread_local! {
        static LEVEL: Cell<u8> = const { Cell::new(0) };
    }

    pub(super) fn read() -> u8 {
        LEVEL.get()
    }

    pub(super) fn write(irql: u8) {
        LEVEL.set(irql);
    }
}

//! KSPIN_LOCK: on one CPU, raising the IRQL is the lock; the word finds misuse.

use core::mem::offset_of;

use super::Foreign;
use super::bugcheck::{self, code};
use super::irql::{self, DISPATCH_LEVEL, Irql};

/// KSPIN_LOCK, 8 bytes: 0 or 1, for drivers may zero it instead of initializing it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct SpinLock {
    is_held: u64,
}

const IS_HELD: usize = offset_of!(SpinLock, is_held);

/// KeInitializeSpinLock.
pub fn initialize(lock: Foreign<SpinLock>) {
    lock.write(IS_HELD, 0u64);
}

/// KeAcquireSpinLockRaiseToDpc: returns the old IRQL.
#[must_use]
pub fn acquire(lock: Foreign<SpinLock>) -> Irql {
    let old = irql::raise(DISPATCH_LEVEL);
    acquire_at_dpc_level(lock);
    old
}

/// KeReleaseSpinLock.
pub fn release(lock: Foreign<SpinLock>, old: Irql) {
    release_from_dpc_level(lock);
    irql::lower(old);
}

/// KeAcquireSpinLockAtDpcLevel; a held lock is bug check 0x0F, for on one CPU it would never come.
pub fn acquire_at_dpc_level(lock: Foreign<SpinLock>) {
    if !try_acquire_at_dpc_level(lock) {
        bugcheck::raise(code::SPIN_LOCK_ALREADY_OWNED, [lock.address(), 0, 0, 0]);
    }
}

/// KeReleaseSpinLockFromDpcLevel; a free lock is bug check 0x10.
pub fn release_from_dpc_level(lock: Foreign<SpinLock>) {
    if lock.read::<u64>(IS_HELD) == 0 {
        bugcheck::raise(code::SPIN_LOCK_NOT_OWNED, [lock.address(), 0, 0, 0]);
    }
    lock.write(IS_HELD, 0u64);
}

/// KeTryToAcquireSpinLockAtDpcLevel.
#[must_use]
pub fn try_acquire_at_dpc_level(lock: Foreign<SpinLock>) -> bool {
    let is_free = lock.read::<u64>(IS_HELD) == 0;
    if is_free {
        lock.write(IS_HELD, 1u64);
    }
    is_free
}

#[cfg(test)]
mod tests {
    use super::super::foreign::leak;
    use super::*;

    #[test]
    fn acquire_raises_and_release_puts_the_irql_back() {
        let lock = leak(SpinLock::default());
        let old = acquire(lock);
        assert_eq!((old, irql::current()), (0, DISPATCH_LEVEL));
        assert!(!try_acquire_at_dpc_level(lock));
        release(lock, old);
        assert_eq!(irql::current(), 0);
    }

    #[test]
    #[should_panic(expected = "bug check 0xf")]
    fn second_acquire_is_a_bug_check() {
        let lock = leak(SpinLock::default());
        acquire_at_dpc_level(lock);
        acquire_at_dpc_level(lock);
    }

    #[test]
    #[should_panic(expected = "bug check 0x10")]
    fn release_of_a_free_lock_is_a_bug_check() {
        release_from_dpc_level(leak(SpinLock::default()));
    }
}

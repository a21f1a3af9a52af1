//! KSPIN_LOCK: on one CPU, raising the IRQL is the lock; the word finds misuse.

use super::Foreign;
use super::irql::Irql;

/// KSPIN_LOCK, 8 bytes.
#[derive(Debug)]
#[repr(C)]
pub struct SpinLock {
    owner: u64,
}

/// KeInitializeSpinLock.
pub fn initialize(_lock: Foreign<SpinLock>) {
    todo!()
}

/// KeAcquireSpinLockRaiseToDpc: returns the old IRQL.
#[must_use]
pub fn acquire(_lock: Foreign<SpinLock>) -> Irql {
    todo!()
}

/// KeReleaseSpinLock.
pub fn release(_lock: Foreign<SpinLock>, _old: Irql) {
    todo!()
}

/// KeAcquireSpinLockAtDpcLevel; a held lock is bug check 0x0F, for on one CPU it would never come.
pub fn acquire_at_dpc_level(_lock: Foreign<SpinLock>) {
    todo!()
}

/// KeReleaseSpinLockFromDpcLevel; a free lock is bug check 0x10.
pub fn release_from_dpc_level(_lock: Foreign<SpinLock>) {
    todo!()
}

/// KeTryToAcquireSpinLockAtDpcLevel.
#[must_use]
pub fn try_acquire_at_dpc_level(_lock: Foreign<SpinLock>) -> bool {
    todo!()
}

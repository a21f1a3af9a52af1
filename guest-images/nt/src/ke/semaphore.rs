//! KSEMAPHORE.

use super::Foreign;
use super::wait::DispatcherHeader;

/// KSEMAPHORE, 0x20 bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Semaphore {
    header: DispatcherHeader,
    limit: i32,
}

/// The count would pass the limit (STATUS_SEMAPHORE_LIMIT_EXCEEDED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded;

/// KeInitializeSemaphore.
pub fn initialize(_semaphore: Foreign<Semaphore>, _count: i32, _limit: i32) {
    todo!()
}

/// KeReleaseSemaphore: returns the previous count.
///
/// # Errors
/// [`LimitExceeded`]; the count is as before.
pub fn release(_semaphore: Foreign<Semaphore>, _adjustment: i32) -> Result<i32, LimitExceeded> {
    todo!()
}

/// KeReadStateSemaphore.
#[must_use]
pub fn read_state(_semaphore: Foreign<Semaphore>) -> i32 {
    todo!()
}

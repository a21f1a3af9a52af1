//! KSEMAPHORE.

use core::mem::offset_of;

use super::Foreign;
use super::dispatcher::{DispatcherHeader, ObjectType};
use super::scheduler;

/// KSEMAPHORE, 0x20 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Semaphore {
    header: DispatcherHeader,
    limit: i32,
}

const _: () = assert!(size_of::<Semaphore>() == 0x20);

/// The count would pass the limit (STATUS_SEMAPHORE_LIMIT_EXCEEDED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded;

/// KeInitializeSemaphore.
pub fn initialize(semaphore: Foreign<Semaphore>, count: i32, limit: i32) {
    header(semaphore).initialize(ObjectType::SEMAPHORE, size_of::<Semaphore>(), count);
    semaphore.write(offset_of!(Semaphore, limit), limit);
}

/// KeReleaseSemaphore: returns the previous count.
///
/// # Errors
/// [`LimitExceeded`]; the count is as before. A negative adjustment counts as too much as well.
pub fn release(semaphore: Foreign<Semaphore>, adjustment: i32) -> Result<i32, LimitExceeded> {
    let previous = header(semaphore).state();
    let limit = semaphore.read::<i32>(offset_of!(Semaphore, limit));
    let count = previous
        .checked_add(adjustment)
        .filter(|count| *count <= limit && *count >= previous)
        .ok_or(LimitExceeded)?;
    scheduler::signal(header(semaphore), count);
    Ok(previous)
}

/// KeReadStateSemaphore.
#[must_use]
pub fn read_state(semaphore: Foreign<Semaphore>) -> i32 {
    header(semaphore).state()
}

fn header(semaphore: Foreign<Semaphore>) -> Foreign<DispatcherHeader> {
    semaphore.cast()
}

#[cfg(test)]
mod tests {
    use super::super::foreign::leak;
    use super::*;

    #[test]
    fn release_counts_up_to_the_limit_and_not_beyond() {
        let semaphore = leak(Semaphore::default());
        initialize(semaphore, 1, 3);
        assert_eq!(release(semaphore, 2), Ok(1));
        assert_eq!(release(semaphore, 1), Err(LimitExceeded));
        assert_eq!(release(semaphore, i32::MAX), Err(LimitExceeded));
        assert_eq!(release(semaphore, -1), Err(LimitExceeded));
        assert_eq!(read_state(semaphore), 3);
    }
}

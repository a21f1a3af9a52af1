//! WDFWAITLOCK (indices 312 to 314): a synchronization event that is set while the lock is free, and its owner.

use core::cell::Cell;

use super::attributes::{Attributes, Rules};
use super::creation::{give, parent_or_driver};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{self, at_most, not_null, reason};
use crate::arch::processor;
use crate::ke::event::{self, Event, EventKind};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ke::{Foreign, wait};
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::optional;
use crate::ntoskrnl::status::{self, NtStatus};

const TAG: u32 = u32::from_le_bytes(*b"WdfW");

pub(super) static KIND: Kind = Kind {
    on_destroy: forget,
    ..Kind::new("WDFWAITLOCK")
};

/// The state of one lock.
#[derive(Clone, Copy)]
struct WaitLock {
    /// Address of the KEVENT.
    event: u64,
    /// The thread that holds it; `None` while it is free.
    owner: Option<u64>,
}

static LOCKS: Family<WaitLock> = Family::new();

fn forget(handle: Handle) {
    if let Some(lock) = LOCKS.remove(handle) {
        kernel_memory::free(lock.event);
    }
}

/// `WdfWaitLockCreate` (wdfsync.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says. The driver is the parent where none is named.
pub(super) extern "win64" fn create(globals: u64, attributes: u64, out: u64) -> NtStatus {
    let function = "WdfWaitLockCreate";
    not_null(function, "Lock", out);
    at_most(function, DISPATCH_LEVEL);
    let created = Attributes::read(attributes, Rules::PLAIN).and_then(|attributes| {
        let parent = parent_or_driver(function, globals, &attributes);
        let event = kernel_memory::allocate(size_of::<Event>() as u64, TAG)
            .ok_or(status::INSUFFICIENT_RESOURCES)?;
        let handle = object::create(&KIND, &attributes, parent)
            .inspect_err(|_| kernel_memory::free(event))?;
        event::initialize(Foreign::checked(event), EventKind::Synchronization, true);
        LOCKS.insert(handle, WaitLock { event, owner: None });
        Ok(handle)
    });
    give(out, created)
}

/// `WdfWaitLockAcquire` (wdfsync.h). IRQL PASSIVE_LEVEL; DISPATCH_LEVEL with a time-out of zero. STATUS_SUCCESS, or
/// STATUS_TIMEOUT where the time is over (100 ns units, negative is relative; null waits for ever). A thread that holds
/// the lock and waits for ever is bug check 0x10D/2.
pub(super) extern "win64" fn acquire(_globals: u64, lock: u64, timeout: u64) -> NtStatus {
    let function = "WdfWaitLockAcquire";
    let handle = object::check(function, lock, &KIND);
    let timeout = optional::<Cell<i64>>(timeout).map(Cell::get);
    let limit = match timeout {
        Some(0) => DISPATCH_LEVEL,
        _ => PASSIVE_LEVEL,
    };
    at_most(function, limit);
    take(function, handle, timeout)
}

fn take(function: &str, handle: Handle, timeout: Option<i64>) -> NtStatus {
    let thread = processor::current_thread();
    let Some(WaitLock { event, owner }) = LOCKS.get(handle) else {
        return status::INVALID_PARAMETER;
    };
    if owner == Some(thread) && timeout.is_none() {
        violation::raise(
            "wdf-lock-recursive",
            format_args!("{function}: this thread holds {handle}"),
            [reason::RECURSIVE_LOCK, handle.raw(), thread, 0],
        );
    }
    let status = wait::wait_single(Foreign::<Event>::checked(event).cast(), timeout);
    if status == status::SUCCESS {
        LOCKS.with(handle, |lock| lock.owner = Some(thread));
    }
    status
}

/// `WdfWaitLockRelease` (wdfsync.h). IRQL <= DISPATCH_LEVEL. A lock that this thread does not hold is bug check
/// 0x10D/0xB.
pub(super) extern "win64" fn release(_globals: u64, lock: u64) {
    let function = "WdfWaitLockRelease";
    let handle = object::check(function, lock, &KIND);
    at_most(function, DISPATCH_LEVEL);
    give_back(function, handle);
}

fn give_back(function: &str, handle: Handle) {
    let thread = processor::current_thread();
    let event = LOCKS.with(handle, |lock| {
        let is_owner = lock.owner == Some(thread);
        is_owner.then(|| {
            lock.owner = None;
            lock.event
        })
    });
    match event.flatten() {
        Some(event) => {
            event::set(Foreign::checked(event));
        }
        None => violation::raise(
            "wdf-lock-invalid",
            format_args!("{function}: {handle} is not held by this thread"),
            [reason::INVALID_LOCK_OPERATION, handle.raw(), 1, 0],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;
    use crate::ntoskrnl::shared::address_of;

    fn lock() -> u64 {
        let out = Cell::new(0u64);
        assert_eq!(create(0, 0, address_of(&out)), status::SUCCESS);
        out.get()
    }

    #[test]
    fn held_lock_times_out_and_a_released_one_is_had_again() {
        let lock = lock();
        let at_once = Cell::new(0i64);
        assert_eq!(acquire(0, lock, 0), status::SUCCESS);
        assert_eq!(acquire(0, lock, address_of(&at_once)), status::TIMEOUT);
        release(0, lock);
        assert_eq!(acquire(0, lock, address_of(&at_once)), status::SUCCESS);
        release(0, lock);
        tree::delete(Handle::from_raw(lock));
    }

    #[test]
    #[should_panic(expected = "bug check 0x10d [\n    0x2")]
    fn second_acquisition_without_a_time_out_is_a_bug_check() {
        let lock = Handle::from_raw(lock());
        take("test", lock, None);
        take("test", lock, None);
    }

    #[test]
    #[should_panic(expected = "bug check 0x10d [\n    0xb")]
    fn release_of_a_free_lock_is_a_bug_check() {
        give_back("test", Handle::from_raw(lock()));
    }
}

//! WDFSPINLOCK (indices 315 to 317). On one CPU the raised IRQL is the lock; the owner finds misuse.

use super::attributes::{Attributes, Rules};
use super::creation::{give, parent_or_driver};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{self, at_most, not_null, reason};
use crate::arch::processor;
use crate::ke::irql::{self, DISPATCH_LEVEL, Irql};
use crate::ntoskrnl::status::NtStatus;

pub(super) static KIND: Kind = Kind {
    on_destroy: forget,
    ..Kind::new("WDFSPINLOCK")
};

/// The state of one lock.
#[derive(Clone, Copy)]
struct SpinLock {
    /// The thread that holds it; `None` while it is free.
    owner: Option<u64>,
    /// The level to go back to.
    old: Irql,
}

static LOCKS: Family<SpinLock> = Family::new();

fn forget(handle: Handle) {
    LOCKS.remove(handle);
}

/// `WdfSpinLockCreate` (wdfsync.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says. The driver is the parent where none is named.
pub(super) extern "win64" fn create(globals: u64, attributes: u64, out: u64) -> NtStatus {
    let function = "WdfSpinLockCreate";
    not_null(function, "SpinLock", out);
    at_most(function, DISPATCH_LEVEL);
    let created = Attributes::read(attributes, Rules::PLAIN).and_then(|attributes| {
        let parent = parent_or_driver(function, globals, &attributes);
        object::create(&KIND, &attributes, parent)
    });
    if let Ok(handle) = created {
        LOCKS.insert(
            handle,
            SpinLock {
                owner: None,
                old: 0,
            },
        );
    }
    give(out, created)
}

/// `WdfSpinLockAcquire` (wdfsync.h). IRQL <= DISPATCH_LEVEL; comes back at DISPATCH_LEVEL. A lock that is held, which on
/// one CPU would never come, is bug check 0x10D/2.
pub(super) extern "win64" fn acquire(_globals: u64, lock: u64) {
    let function = "WdfSpinLockAcquire";
    let handle = object::check(function, lock, &KIND);
    at_most(function, DISPATCH_LEVEL);
    take(function, handle);
}

fn take(function: &str, handle: Handle) {
    let thread = processor::current_thread();
    let old = irql::raise(DISPATCH_LEVEL.max(irql::current()));
    let is_free = LOCKS.with(handle, |lock| {
        let is_free = lock.owner.is_none();
        if is_free {
            *lock = SpinLock {
                owner: Some(thread),
                old,
            };
        }
        is_free
    });
    if is_free == Some(false) {
        violation::raise(
            "wdf-lock-recursive",
            format_args!("{function}: {handle} is held already"),
            [reason::RECURSIVE_LOCK, handle.raw(), thread, 0],
        );
    }
}

/// `WdfSpinLockRelease` (wdfsync.h). IRQL DISPATCH_LEVEL. A lock that this thread does not hold is bug check
/// 0x10D/0xB.
pub(super) extern "win64" fn release(_globals: u64, lock: u64) {
    let function = "WdfSpinLockRelease";
    give_back(function, object::check(function, lock, &KIND));
}

fn give_back(function: &str, handle: Handle) {
    let thread = processor::current_thread();
    let old = LOCKS.with(handle, |lock| {
        let is_owner = lock.owner == Some(thread);
        is_owner.then(|| {
            lock.owner = None;
            lock.old
        })
    });
    match old.flatten() {
        Some(old) => irql::lower(old),
        None => violation::raise(
            "wdf-lock-invalid",
            format_args!("{function}: {handle} is not held by this thread"),
            [reason::INVALID_LOCK_OPERATION, handle.raw(), 1, 0],
        ),
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::super::tree;
    use super::*;
    use crate::ke::irql::PASSIVE_LEVEL;
    use crate::ntoskrnl::shared::address_of;
    use crate::ntoskrnl::status;

    fn lock() -> u64 {
        let out = Cell::new(0u64);
        assert_eq!(create(0, 0, address_of(&out)), status::SUCCESS);
        out.get()
    }

    #[test]
    fn lock_raises_to_dispatch_level_and_goes_back() {
        let (outer, inner) = (lock(), lock());
        acquire(0, outer);
        acquire(0, inner);
        assert_eq!(irql::current(), DISPATCH_LEVEL);
        release(0, inner);
        assert_eq!(irql::current(), DISPATCH_LEVEL, "the outer one is held");
        release(0, outer);
        assert_eq!(irql::current(), PASSIVE_LEVEL);
        for lock in [outer, inner] {
            tree::delete(Handle::from_raw(lock));
        }
    }

    #[test]
    #[should_panic(expected = "bug check 0x10d [\n    0x2")]
    fn held_lock_is_a_bug_check() {
        let lock = Handle::from_raw(lock());
        take("test", lock);
        take("test", lock);
    }

    #[test]
    #[should_panic(expected = "bug check 0x10d [\n    0xb")]
    fn release_of_a_free_lock_is_a_bug_check() {
        give_back("test", Handle::from_raw(lock()));
    }
}

//! The callback locks of devices and queues: what WdfObjectAcquireLock takes, and what the framework holds while it
//! calls back under a synchronization scope.
//!
//! An object with execution level passive has a lock that waits (IRQL stays PASSIVE_LEVEL); any other has a spin
//! lock (IRQL goes to DISPATCH_LEVEL).

use super::attributes::{ExecutionLevel, Scope};
use super::family::Family;
use super::object::{self, Handle};
use super::violation::{self, reason};
use crate::arch::processor;
use crate::ke::event::{self, Event, EventKind};
use crate::ke::irql::{self, DISPATCH_LEVEL, Irql};
use crate::ke::{Foreign, wait};
use crate::ntoskrnl::kernel_memory;

const TAG: u32 = u32::from_le_bytes(*b"WdfL");

/// The lock of one object.
struct Lock {
    how: How,
    /// The thread that holds it; 0 for none.
    owner: u64,
}

#[derive(Clone, Copy)]
enum How {
    /// A synchronization event, set while the lock is free.
    Wait(u64),
    /// Raised IRQL; the level to go back to.
    Spin(Irql),
}

static LOCKS: Family<Lock> = Family::new();

/// Gives a device or queue its lock. False where memory is short.
pub fn attach(handle: Handle) -> bool {
    let how = match object::execution_level(handle) {
        ExecutionLevel::Passive => {
            let Some(address) = kernel_memory::allocate(size_of::<Event>() as u64, TAG) else {
                return false;
            };
            event::initialize(Foreign::checked(address), EventKind::Synchronization, true);
            How::Wait(address)
        }
        _ => How::Spin(0),
    };
    LOCKS.insert(handle, Lock { how, owner: 0 });
    true
}

/// Takes the lock of a device or queue away; for `on_destroy`.
pub fn detach(handle: Handle) {
    if let Some(Lock {
        how: How::Wait(address),
        ..
    }) = LOCKS.remove(handle)
    {
        kernel_memory::free(address);
    }
}

/// The object whose lock guards the callbacks of `handle`: the nearest `queue` or `device` that its synchronization
/// scope names and that has a lock. `None` for no scope.
#[must_use]
pub fn guard_of(handle: Handle) -> Option<Handle> {
    let has_lock = |handle: &Handle| LOCKS.with(*handle, |_| ()).is_some();
    let mut line = core::iter::successors(Some(handle), |handle| object::parent_of(*handle));
    match object::synchronization_scope(handle) {
        Scope::Queue => line.find(has_lock),
        Scope::Device => line.filter(has_lock).last(),
        Scope::None | Scope::Inherit => None,
    }
}

/// Takes the lock of an object: WdfObjectAcquireLock. An object without one is bug check 0x10D/0xB, one that this
/// thread holds 0x10D/2.
pub fn acquire(function: &str, handle: Handle) {
    let thread = processor::current_thread();
    let Some((how, owner)) = LOCKS.with(handle, |lock| (lock.how, lock.owner)) else {
        invalid(function, handle, "has no lock");
    };
    if owner == thread.max(1) {
        violation::raise(
            "wdf-lock-recursive",
            format_args!("{function}: this thread holds the lock of {handle}"),
            [reason::RECURSIVE_LOCK, handle.raw(), thread, 0],
        );
    }
    let how = match how {
        How::Wait(address) => {
            wait::wait_single(Foreign::<Event>::checked(address).cast(), None);
            how
        }
        // On one CPU nobody else runs at DISPATCH_LEVEL: whoever holds it has been interrupted by nothing that takes it.
        How::Spin(_) => How::Spin(irql::raise(DISPATCH_LEVEL)),
    };
    LOCKS.with(handle, |lock| {
        *lock = Lock {
            how,
            owner: thread.max(1),
        };
    });
}

/// Gives the lock of an object back: WdfObjectReleaseLock. One that this thread does not hold is bug check
/// 0x10D/0xB.
pub fn release(function: &str, handle: Handle) {
    let thread = processor::current_thread().max(1);
    let how = LOCKS.with(handle, |lock| {
        (lock.owner == thread).then(|| {
            lock.owner = 0;
            lock.how
        })
    });
    match how.flatten() {
        Some(How::Wait(address)) => {
            event::set(Foreign::checked(address));
        }
        Some(How::Spin(old)) => irql::lower(old),
        None => invalid(function, handle, "has no lock that this thread holds"),
    }
}

/// Runs `body` under the lock that guards the callbacks of `handle`, if any.
pub fn guarded<R>(handle: Handle, body: impl FnOnce() -> R) -> R {
    let guard = guard_of(handle);
    if let Some(guard) = guard {
        acquire("callback lock", guard);
    }
    let result = body();
    if let Some(guard) = guard {
        release("callback lock", guard);
    }
    result
}

/// As [`guarded`], without the lock where this thread holds it already.
pub fn guarded_unless_held<R>(handle: Handle, body: impl FnOnce() -> R) -> R {
    if guard_of(handle).is_some_and(is_held_here) {
        return body();
    }
    guarded(handle, body)
}

/// Whether this thread holds the lock of an object.
#[must_use]
pub fn is_held_here(handle: Handle) -> bool {
    let thread = processor::current_thread().max(1);
    LOCKS.with(handle, |lock| lock.owner == thread) == Some(true)
}

fn invalid(function: &str, handle: Handle, what: &str) -> ! {
    violation::raise(
        "wdf-lock-invalid",
        format_args!("{function}: {handle} {what}"),
        [reason::INVALID_LOCK_OPERATION, handle.raw(), 0, 0],
    )
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;

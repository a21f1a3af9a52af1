//! KMUTANT, as KMUTEX.

use core::mem::offset_of;

use super::Foreign;
use super::dispatcher::{DispatcherHeader, ObjectType, Taken};
use super::scheduler;
use crate::arch::processor;

/// KMUTANT, 0x38 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Mutex {
    header: DispatcherHeader,
    mutant_list_entry: [u64; 2],
    owner_thread: u64,
    abandoned: u8,
    apc_disable: u8,
}

const _: () = assert!(size_of::<Mutex>() == 0x38);

const OWNER: usize = offset_of!(Mutex, owner_thread);
const ABANDONED: usize = offset_of!(Mutex, abandoned);

/// The caller is not the owner (STATUS_MUTANT_NOT_OWNED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOwned;

/// KeInitializeMutex.
pub fn initialize(mutex: Foreign<Mutex>) {
    header(mutex).initialize(ObjectType::MUTANT, size_of::<Mutex>(), 1);
    mutex.write(OWNER, 0u64);
    mutex.write(ABANDONED, 0u8);
    mutex.write(offset_of!(Mutex, apc_disable), 1u8);
}

/// KeReleaseMutex: returns the previous state.
///
/// # Errors
/// [`NotOwned`]; nothing has changed.
pub fn release(mutex: Foreign<Mutex>) -> Result<i32, NotOwned> {
    if owner(mutex) != processor::current_thread() {
        return Err(NotOwned);
    }
    let previous = header(mutex).state();
    if previous >= 0 {
        mutex.write(OWNER, 0u64);
    }
    scheduler::signal(header(mutex), previous.saturating_add(1));
    Ok(previous)
}

/// KeReadStateMutex.
#[must_use]
pub fn read_state(mutex: Foreign<Mutex>) -> i32 {
    header(mutex).state()
}

/// The owning thread, 0 for none.
pub(super) fn owner(mutex: Foreign<Mutex>) -> u64 {
    mutex.read(OWNER)
}

/// One more hold of `thread`.
pub(super) fn take(mutex: Foreign<Mutex>, thread: u64) -> Taken {
    header(mutex).set_state(header(mutex).state().saturating_sub(1));
    mutex.write(OWNER, thread);
    let was_abandoned = mutex.read::<u8>(ABANDONED) != 0;
    mutex.write(ABANDONED, 0u8);
    if was_abandoned {
        Taken::Abandoned
    } else {
        Taken::Normal
    }
}

fn header(mutex: Foreign<Mutex>) -> Foreign<DispatcherHeader> {
    mutex.cast()
}

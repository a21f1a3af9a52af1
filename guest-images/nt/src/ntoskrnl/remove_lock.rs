//! Remove locks (IO_REMOVE_LOCK): a device goes only after the last holder has let go.
//!
//! The common part is the same in free and checked builds: removed flag, count, event.

use core::cell::Cell;

use super::shared::{CellStructure, address_of, shared};
use super::status::{self, NtStatus};
use super::verifier;
use crate::arch::interrupts;
use crate::ke::event::{self, Event, EventKind};
use crate::ke::irql::PASSIVE_LEVEL;
use crate::ke::{Foreign, wait};

#[repr(C)]
struct RemoveLock {
    removed: Cell<u8>,
    reserved: [Cell<u8>; 3],
    count: Cell<i32>,
    event: [Cell<u64>; 3],
}

const _: () = assert!(size_of::<RemoveLock>() == 0x20);

// SAFETY: cells of integers only.
#[expect(unsafe_code, reason = "the promise of CellStructure")]
unsafe impl CellStructure for RemoveLock {}

impl RemoveLock {
    fn event(&self) -> Foreign<Event> {
        Foreign::checked(address_of(&self.event))
    }

    /// Counts in one step, for an interrupt's DPC may count too; gives the new value.
    fn add(&self, change: i32) -> i32 {
        interrupts::without(|| {
            let count = self.count.get().wrapping_add(change);
            self.count.set(count);
            count
        })
    }

    /// Lets go once; the last one after the removal wakes the waiter.
    fn release(&self) -> i32 {
        let count = self.add(-1);
        if count == 0 && self.removed.get() != 0 {
            event::set(self.event());
        }
        if count < 0 || (count == 0 && self.removed.get() == 0) {
            verifier::undocumented_violation(
                "remove-lock-released-too-often",
                format_args!("remove lock {:#x}: count {count}", address_of(self)),
            );
        }
        count
    }
}

/// `IoInitializeRemoveLockEx` (behind IoInitializeRemoveLock, wdm.h). IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn io_initialize_remove_lock_ex(
    lock: u64,
    _tag: u32,
    _max_minutes: u32,
    _high_watermark: u32,
    _size: u32,
) {
    verifier::at_most("IoInitializeRemoveLockEx", PASSIVE_LEVEL);
    let lock: &RemoveLock = shared(lock);
    lock.removed.set(0);
    lock.count.set(1);
    event::initialize(lock.event(), EventKind::Synchronization, false);
}

/// `IoAcquireRemoveLockEx` (behind IoAcquireRemoveLock). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, or
/// STATUS_DELETE_PENDING once the device is being removed.
pub(super) extern "win64" fn io_acquire_remove_lock_ex(
    lock: u64,
    _tag: u64,
    _file: u64,
    _line: u32,
    _size: u32,
) -> NtStatus {
    verifier::at_most_dispatch("IoAcquireRemoveLockEx");
    let lock: &RemoveLock = shared(lock);
    interrupts::without(|| {
        if lock.removed.get() != 0 {
            return status::DELETE_PENDING;
        }
        lock.add(1);
        status::SUCCESS
    })
}

/// `IoReleaseRemoveLockEx` (behind IoReleaseRemoveLock). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn io_release_remove_lock_ex(lock: u64, _tag: u64, _size: u32) {
    verifier::at_most_dispatch("IoReleaseRemoveLockEx");
    shared::<RemoveLock>(lock).release();
}

/// `IoReleaseRemoveLockAndWaitEx` (behind IoReleaseRemoveLockAndWait). IRQL PASSIVE_LEVEL. Returns after
/// every other holder has let go.
pub(super) extern "win64" fn io_release_remove_lock_and_wait_ex(lock: u64, _tag: u64, _size: u32) {
    verifier::at_most("IoReleaseRemoveLockAndWaitEx", PASSIVE_LEVEL);
    let lock: &RemoveLock = shared(lock);
    lock.removed.set(1);
    // The caller's own hold, then the one of the initialization.
    lock.release();
    if lock.release() > 0 {
        wait::wait_single(lock.event().cast(), None);
    }
}

//! Events, semaphores, mutexes, waits, threads' delays: shells over `ke`.

use alloc::vec::Vec;
use core::cell::Cell;

use super::shared::{optional, read_u64};
use super::status::{self, NtStatus};
use super::verifier;
use crate::ke::event::{self, Event, EventKind};
use crate::ke::irql::{APC_LEVEL, DISPATCH_LEVEL, current};
use crate::ke::wait::{self, DispatcherHeader, MAXIMUM_WAIT_OBJECTS, ObjectType, WaitKind};
use crate::ke::{Foreign, mutex, semaphore};

const MUTANT_NOT_OWNED: NtStatus = NtStatus(0xC000_0046);
const SEMAPHORE_LIMIT_EXCEEDED: NtStatus = NtStatus(0xC000_0047);

/// `KeInitializeEvent` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_initialize_event(event: u64, kind: u32, is_set: u8) {
    let kind = if kind == 0 {
        EventKind::Notification
    } else {
        EventKind::Synchronization
    };
    event::initialize(Foreign::checked(event), kind, is_set != 0);
}

/// `KeSetEvent` (wdm.h). IRQL <= DISPATCH_LEVEL. The previous state. A following wait is not joined to it.
pub(super) extern "win64" fn ke_set_event(event: u64, _increment: i32, _wait: u8) -> i32 {
    verifier::at_most_dispatch("KeSetEvent");
    checked_event("KeSetEvent", event).map_or(0, event::set)
}

/// `KeResetEvent` (wdm.h). IRQL <= DISPATCH_LEVEL. The previous state.
pub(super) extern "win64" fn ke_reset_event(event: u64) -> i32 {
    verifier::at_most_dispatch("KeResetEvent");
    checked_event("KeResetEvent", event).map_or(0, event::reset)
}

/// `KeClearEvent` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_clear_event(event: u64) {
    verifier::at_most_dispatch("KeClearEvent");
    checked_event("KeClearEvent", event).map(event::reset);
}

/// The event; none, and a violation, where it was never initialized, was moved, or is another object.
fn checked_event(routine: &str, address: u64) -> Option<Foreign<Event>> {
    let event = Foreign::<Event>::checked(address);
    let is_event = event.cast::<DispatcherHeader>().is_one_of(&[
        ObjectType::NOTIFICATION_EVENT,
        ObjectType::SYNCHRONIZATION_EVENT,
    ]);
    if !is_event {
        verifier::undocumented_violation(
            "object-not-initialized",
            format_args!("{routine} of {address:#x}, which is no initialized event"),
        );
        return None;
    }
    Some(event)
}

/// `KeReadStateEvent` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_read_state_event(event: u64) -> i32 {
    event::read_state(Foreign::checked(event))
}

/// `KeInitializeSemaphore` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_initialize_semaphore(semaphore: u64, count: i32, limit: i32) {
    semaphore::initialize(Foreign::checked(semaphore), count, limit);
}

/// `KeReleaseSemaphore` (wdm.h). IRQL <= DISPATCH_LEVEL. The previous count; raises
/// STATUS_SEMAPHORE_LIMIT_EXCEEDED on Windows, here a finding.
pub(super) extern "win64" fn ke_release_semaphore(
    semaphore: u64,
    _increment: i32,
    adjustment: i32,
    _wait: u8,
) -> i32 {
    verifier::at_most_dispatch("KeReleaseSemaphore");
    let semaphore = Foreign::checked(semaphore);
    semaphore::release(semaphore, adjustment).unwrap_or_else(|_| {
        misused("semaphore-limit-exceeded", SEMAPHORE_LIMIT_EXCEEDED);
        semaphore::read_state(semaphore)
    })
}

/// `KeInitializeMutex` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_initialize_mutex(mutex: u64, _level: u32) {
    mutex::initialize(Foreign::checked(mutex));
}

/// `KeReleaseMutex` (wdm.h). IRQL <= DISPATCH_LEVEL. The previous state; raises STATUS_MUTANT_NOT_OWNED on
/// Windows, here a finding.
pub(super) extern "win64" fn ke_release_mutex(mutex: u64, _wait: u8) -> i32 {
    verifier::at_most_dispatch("KeReleaseMutex");
    let mutex = Foreign::checked(mutex);
    mutex::release(mutex).unwrap_or_else(|_| {
        misused("mutex-not-owned", MUTANT_NOT_OWNED);
        mutex::read_state(mutex)
    })
}

fn misused(id: &str, raised: NtStatus) {
    verifier::undocumented_violation(id, format_args!("Windows would raise {raised}"));
}

/// `KeWaitForSingleObject` (wdm.h). IRQL <= APC_LEVEL; DISPATCH_LEVEL with a time-out of zero only.
/// STATUS_SUCCESS or STATUS_TIMEOUT.
pub(super) extern "win64" fn ke_wait_for_single_object(
    object: u64,
    _reason: u32,
    _mode: u8,
    _alertable: u8,
    timeout: u64,
) -> NtStatus {
    let timeout = optional::<Cell<i64>>(timeout).map(Cell::get);
    check_wait("KeWaitForSingleObject", timeout);
    wait::wait_single(Foreign::checked(object), timeout)
}

/// `KeWaitForMultipleObjects` (wdm.h). As [`ke_wait_for_single_object`], 1 to 64 objects.
pub(super) extern "win64" fn ke_wait_for_multiple_objects(
    count: u32,
    objects: u64,
    kind: u32,
    _reason: u32,
    _mode: u8,
    _alertable: u8,
    timeout: u64,
    _blocks: u64,
) -> NtStatus {
    let timeout = optional::<Cell<i64>>(timeout).map(Cell::get);
    check_wait("KeWaitForMultipleObjects", timeout);
    if count == 0 || count as usize > MAXIMUM_WAIT_OBJECTS {
        verifier::undocumented_violation("wait-count", format_args!("{count} objects to wait for"));
        return status::INVALID_PARAMETER;
    }
    let objects: Vec<Foreign<DispatcherHeader>> = (0..u64::from(count))
        .map(|idx| Foreign::checked(read_u64(objects + idx * 8)))
        .collect();
    let kind = if kind == 0 {
        WaitKind::All
    } else {
        WaitKind::Any
    };
    wait::wait_multiple(&objects, kind, timeout)
}

/// `KeDelayExecutionThread` (wdm.h). IRQL <= APC_LEVEL. STATUS_SUCCESS.
pub(super) extern "win64" fn ke_delay_execution_thread(
    _mode: u8,
    _alertable: u8,
    interval: u64,
) -> NtStatus {
    verifier::at_most("KeDelayExecutionThread", APC_LEVEL);
    wait::delay(super::shared::shared::<Cell<i64>>(interval).get())
}

fn check_wait(routine: &str, timeout: Option<i64>) {
    if timeout == Some(0) {
        verifier::at_most(routine, DISPATCH_LEVEL);
    } else if current() <= DISPATCH_LEVEL {
        verifier::at_most(routine, APC_LEVEL);
    }
}

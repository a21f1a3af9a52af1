//! Handles and object references: threads, registry keys, device objects.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::cell::Cell;

use super::io_device;
use super::shared::{optional, write_u64};
use super::status::{self, NtStatus};
use super::verifier;
use crate::arch::guarded::Guarded;
use crate::arch::win64::Routine;
use crate::ke::Foreign;
use crate::ke::irql::{APC_LEVEL, PASSIVE_LEVEL};
use crate::ke::thread::{self, Start, Thread};
use crate::ke::wait;

/// What a handle stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// A registry key, by its identity.
    Key(String),
    /// A system thread, by its address; the handle holds a reference.
    Thread(u64),
}

struct Handles {
    objects: BTreeMap<u64, Object>,
    next: u64,
    /// References of drivers on threads.
    threads: BTreeMap<u64, u32>,
}

/// Kernel handles are negative on Windows, and multiples of 4.
const FIRST_HANDLE: u64 = 0xFFFF_FFFF_8000_0004;

static HANDLES: Guarded<Handles> = Guarded::new(Handles {
    objects: BTreeMap::new(),
    next: FIRST_HANDLE,
    threads: BTreeMap::new(),
});

/// Opens a handle.
pub(super) fn open(object: Object) -> u64 {
    HANDLES.with(|handles| {
        let handle = handles.next;
        // A handle is never used twice, so that a stale one is always found out.
        handles.next += 4;
        handles.objects.insert(handle, object);
        handle
    })
}

/// The object of a handle.
pub(super) fn find(handle: u64) -> Option<Object> {
    HANDLES.with(|handles| handles.objects.get(&handle).cloned())
}

/// Open handles, for the leak report.
#[must_use]
pub(crate) fn open_count() -> usize {
    HANDLES.with(|handles| handles.objects.len())
}

/// `ZwClose` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS or STATUS_INVALID_HANDLE.
pub(super) extern "win64" fn zw_close(handle: u64) -> NtStatus {
    verifier::at_most("ZwClose", PASSIVE_LEVEL);
    match HANDLES.with(|handles| handles.objects.remove(&handle)) {
        Some(Object::Thread(thread)) => {
            thread::dereference(Foreign::checked(thread));
            status::SUCCESS
        }
        Some(Object::Key(_)) => status::SUCCESS,
        None => {
            verifier::undocumented_violation(
                "handle-invalid",
                format_args!("ZwClose of {handle:#x}, which is no open handle"),
            );
            status::INVALID_HANDLE
        }
    }
}

/// `ZwWaitForSingleObject` (ntifs.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_TIMEOUT,
/// STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH (only threads can be waited for here).
pub(super) extern "win64" fn zw_wait_for_single_object(
    handle: u64,
    _alertable: u8,
    timeout: u64,
) -> NtStatus {
    verifier::at_most("ZwWaitForSingleObject", PASSIVE_LEVEL);
    let timeout = optional::<Cell<i64>>(timeout).map(Cell::get);
    match find(handle) {
        Some(Object::Thread(address)) => {
            // The handle may be closed while the wait lasts.
            thread::reference(Foreign::checked(address));
            let result = wait::wait_single(Foreign::checked(address), timeout);
            thread::dereference(Foreign::checked(address));
            result
        }
        Some(Object::Key(_)) => status::OBJECT_TYPE_MISMATCH,
        None => status::INVALID_HANDLE,
    }
}

/// `ObReferenceObjectByHandle` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_HANDLE,
/// STATUS_OBJECT_TYPE_MISMATCH (only threads have an object here).
pub(super) extern "win64" fn ob_reference_object_by_handle(
    handle: u64,
    _access: u32,
    _object_type: u64,
    _mode: u8,
    object: u64,
    _information: u64,
) -> NtStatus {
    verifier::at_most("ObReferenceObjectByHandle", PASSIVE_LEVEL);
    match find(handle) {
        Some(Object::Thread(address)) => {
            reference_thread(address);
            write_u64(object, address);
            status::SUCCESS
        }
        Some(Object::Key(_)) => status::OBJECT_TYPE_MISMATCH,
        None => status::INVALID_HANDLE,
    }
}

/// `ObfReferenceObject` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn obf_reference_object(object: u64) -> u64 {
    verifier::at_most_dispatch("ObfReferenceObject");
    let is_thread = HANDLES.with(|handles| handles.threads.contains_key(&object));
    if is_thread {
        reference_thread(object);
    } else if !io_device::reference(object) {
        unknown("ObfReferenceObject", object);
    }
    0
}

/// `ObfDereferenceObject` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn obf_dereference_object(object: u64) -> u64 {
    verifier::at_most_dispatch("ObfDereferenceObject");
    let was_thread = HANDLES.with(|handles| {
        let Some(references) = handles.threads.get_mut(&object) else {
            return false;
        };
        *references -= 1;
        if *references == 0 {
            handles.threads.remove(&object);
        }
        true
    });
    if was_thread {
        thread::dereference(Foreign::checked(object));
    } else if !io_device::dereference(object) {
        unknown("ObfDereferenceObject", object);
    }
    0
}

/// `PsCreateSystemThread` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS or
/// STATUS_INSUFFICIENT_RESOURCES.
pub(super) extern "win64" fn ps_create_system_thread(
    handle: u64,
    _access: u32,
    _attributes: u64,
    _process: u64,
    _client_id: u64,
    routine: u64,
    context: u64,
) -> NtStatus {
    verifier::at_most("PsCreateSystemThread", PASSIVE_LEVEL);
    let Some(routine) = Routine::new(routine) else {
        return status::INVALID_PARAMETER;
    };
    match thread::create("driver", Start::Driver(routine, context)) {
        Ok(thread) => {
            // The reference that `create` gives is the handle's.
            write_u64(handle, open(Object::Thread(thread.address())));
            status::SUCCESS
        }
        Err(error) => error,
    }
}

/// `PsTerminateSystemThread` (ntddk.h). IRQL PASSIVE_LEVEL. Does not return.
pub(super) extern "win64" fn ps_terminate_system_thread(status: NtStatus) -> NtStatus {
    verifier::at_most("PsTerminateSystemThread", APC_LEVEL);
    thread::exit_current(status)
}

fn reference_thread(address: u64) {
    thread::reference(Foreign::<Thread>::checked(address));
    HANDLES.with(|handles| *handles.threads.entry(address).or_insert(0) += 1);
}

fn unknown(routine: &str, object: u64) {
    verifier::undocumented_violation(
        "object-unknown",
        format_args!("{routine} of {object:#x}, which is no object"),
    );
}

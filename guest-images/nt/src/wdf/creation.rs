//! What the creation functions of the families share: the parent by default, the device above, the lock of
//! callbacks, and the way of the handle to the driver.

use core::cell::Cell;

use super::attributes::{Attributes, ExecutionLevel, Scope};
use super::object::{self, Handle};
use super::{device, globals, lock};
use crate::ntoskrnl::shared::{shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};

/// A 32-bit member of a driver's structure.
#[must_use]
pub(super) fn word(at: u64, offset: u64) -> u32 {
    shared::<Cell<u32>>(at.wrapping_add(offset)).get()
}

/// The parent that the attributes name, or the client's WDFDRIVER.
#[must_use]
pub(super) fn parent_or_driver(
    function: &str,
    globals: u64,
    attributes: &Attributes,
) -> Option<Handle> {
    match attributes.parent {
        0 => globals::driver(globals),
        parent => Some(object::check_any(function, parent)),
    }
}

/// The object itself or the nearest one above it that is a WDFDEVICE.
#[must_use]
pub(super) fn device_above(handle: Handle) -> Option<Handle> {
    object::nearest(handle, &device::KIND)
}

/// The object whose lock guards the callbacks of a timer, DPC or work item below `parent` that asks for
/// AutomaticSerialization (FxObject::_GetEffectiveLock).
///
/// # Errors
/// STATUS_INVALID_DEVICE_REQUEST where the parent has no device above it, STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL
/// where the lock's level is not that of the callbacks.
pub(super) fn serializer(
    parent: Handle,
    is_serialized: bool,
    has_passive_callbacks: bool,
) -> Result<Option<Handle>, NtStatus> {
    if device_above(parent).is_none() {
        return Err(status::INVALID_DEVICE_REQUEST);
    }
    let scope = object::synchronization_scope(parent);
    if !is_serialized || matches!(scope, Scope::None | Scope::Inherit) {
        return Ok(None);
    }
    let is_passive = object::execution_level(parent) == ExecutionLevel::Passive;
    if is_passive != has_passive_callbacks {
        return Err(status::WDF_INCOMPATIBLE_EXECUTION_LEVEL);
    }
    Ok(lock::guard_of(parent))
}

/// Runs `body` under the lock that [`serializer`] gave.
pub(super) fn under<R>(guard: Option<Handle>, body: impl FnOnce() -> R) -> R {
    if let Some(guard) = guard {
        lock::acquire("callback lock", guard);
    }
    let result = body();
    if let Some(guard) = guard {
        lock::release("callback lock", guard);
    }
    result
}

/// Gives the driver its new handle, or null with the status.
pub(super) fn give(out: u64, created: Result<Handle, NtStatus>) -> NtStatus {
    let (handle, status) = match created {
        Ok(handle) => (handle.raw(), status::SUCCESS),
        Err(status) => (0, status),
    };
    if out != 0 {
        write_u64(out, handle);
    }
    status
}

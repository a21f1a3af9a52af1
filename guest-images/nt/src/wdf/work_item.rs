//! WDFWORKITEM (indices 379 to 382): a callback at PASSIVE_LEVEL, once for each time it is enqueued while it does not
//! wait.

use super::attributes::{Attributes, ParentRule, Rules};
use super::creation::{give, serializer, under, word};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::passive;
use super::violation::{at_most, not_null};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ntoskrnl::driver;
use crate::ntoskrnl::shared::{read_u64, shared};
use crate::ntoskrnl::status::{self, NtStatus};
use core::cell::Cell;

/// Size of WDF_WORKITEM_CONFIG.
const CONFIG_BYTES: u32 = 0x18;

static KIND: Kind = Kind {
    is_passive: true,
    on_dispose: run_down,
    on_destroy: forget,
    ..Kind::new("WDFWORKITEM")
};

#[derive(Clone, Copy)]
struct WorkItem {
    callback: u64,
    parent: Handle,
    /// Whose lock guards the callback.
    guard: Option<Handle>,
    is_running_down: bool,
}

static ITEMS: Family<WorkItem> = Family::new();

/// `WdfWorkItemCreate` (wdfworkitem.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH,
/// STATUS_INVALID_PARAMETER without a callback, STATUS_INVALID_DEVICE_REQUEST where the parent has no device above it,
/// STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL where it is to be serialized with callbacks at DISPATCH_LEVEL,
/// STATUS_INSUFFICIENT_RESOURCES, or what [`Attributes::read`] says.
pub(super) extern "win64" fn create(
    _globals: u64,
    config: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfWorkItemCreate";
    not_null(function, "Config", config);
    not_null(function, "WorkItem", out);
    at_most(function, DISPATCH_LEVEL);
    give(out, make(function, config, attributes))
}

fn make(function: &str, config: u64, attributes: u64) -> Result<Handle, NtStatus> {
    let rules = Rules {
        parent: ParentRule::Required,
        ..Rules::PLAIN
    };
    let attributes = Attributes::read(attributes, rules)?;
    let parent = object::check_any(function, attributes.parent);
    if word(config, 0) != CONFIG_BYTES {
        return Err(status::INFO_LENGTH_MISMATCH);
    }
    let callback = read_u64(config.wrapping_add(0x08));
    if callback == 0 {
        return Err(status::INVALID_PARAMETER);
    }
    let is_serialized = shared::<Cell<u8>>(config.wrapping_add(0x10)).get() != 0;
    let guard = serializer(parent, is_serialized, true)?;
    let handle = object::create(&KIND, &attributes, Some(parent))?;
    let item = WorkItem {
        callback,
        parent,
        guard,
        is_running_down: false,
    };
    ITEMS.insert(handle, item);
    passive::attach(handle, run);
    Ok(handle)
}

fn run(handle: Handle) {
    if let Some(item) = ITEMS.get(handle) {
        under(item.guard, || {
            driver::event(item.callback, "EvtWorkItem", &[handle.raw()]);
        });
    }
}

/// The deletion waits for the callback, unless it comes from there.
fn run_down(handle: Handle) {
    ITEMS.with(handle, |item| item.is_running_down = true);
    if !passive::is_in_callback(handle) {
        passive::wait_for(handle);
    }
}

fn forget(handle: Handle) {
    passive::detach(handle);
    ITEMS.remove(handle);
}

/// `WdfWorkItemEnqueue` (wdfworkitem.h). IRQL <= DISPATCH_LEVEL. Nothing happens where it waits already, or is being
/// deleted.
pub(super) extern "win64" fn enqueue(_globals: u64, item: u64) {
    let function = "WdfWorkItemEnqueue";
    let handle = object::check(function, item, &KIND);
    at_most(function, DISPATCH_LEVEL);
    if ITEMS.get(handle).is_some_and(|item| !item.is_running_down) {
        passive::enqueue(handle);
    }
}

/// `WdfWorkItemGetParentObject` (wdfworkitem.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn parent_object(_globals: u64, item: u64) -> u64 {
    let handle = object::check("WdfWorkItemGetParentObject", item, &KIND);
    ITEMS.get(handle).map_or(0, |item| item.parent.raw())
}

/// `WdfWorkItemFlush` (wdfworkitem.h). IRQL PASSIVE_LEVEL. Returns when the callback has run as often as it was asked
/// for. From the callback itself it would wait for ever: a finding, and it returns.
pub(super) extern "win64" fn flush(_globals: u64, item: u64) {
    let function = "WdfWorkItemFlush";
    let handle = object::check(function, item, &KIND);
    at_most(function, PASSIVE_LEVEL);
    if passive::is_in_callback(handle) {
        object::misuse(
            "wdf-wait-for-itself",
            format_args!("{function} of {handle} from its own callback"),
        );
        return;
    }
    passive::wait_for(handle);
}

#[cfg(test)]
#[path = "work_item_tests.rs"]
mod tests;

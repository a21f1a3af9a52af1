//! WDFDPC (indices 111 to 115): a KDPC that calls the driver with a handle.

use super::attributes::{Attributes, ParentRule, Rules};
use super::creation::{give, serializer, under, word};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{at_most, not_null};
use crate::arch::win64::Routine;
use crate::ke::Foreign;
use crate::ke::dpc::{self, Dpc};
use crate::ke::irql::{DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL};
use crate::ntoskrnl::driver;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{read_u64, shared};
use crate::ntoskrnl::status::{self, NtStatus};
use core::cell::Cell;

const TAG: u32 = u32::from_le_bytes(*b"WdfP");
/// Size of WDF_DPC_CONFIG.
const CONFIG_BYTES: u32 = 0x18;

static KIND: Kind = Kind {
    on_dispose: run_down,
    on_destroy: forget,
    ..Kind::new("WDFDPC")
};

#[derive(Clone, Copy)]
struct DpcObject {
    /// Address of the KDPC.
    dpc: u64,
    callback: u64,
    parent: Handle,
    /// Whose lock guards the callback.
    guard: Option<Handle>,
}

static DPCS: Family<DpcObject> = Family::new();

/// `WdfDpcCreate` (wdfdpc.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH,
/// STATUS_INVALID_DEVICE_REQUEST where the parent has no device above it, STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL where
/// it is to be serialized with callbacks at PASSIVE_LEVEL, STATUS_INSUFFICIENT_RESOURCES, or what [`Attributes::read`]
/// says.
pub(super) extern "win64" fn create(
    _globals: u64,
    config: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfDpcCreate";
    not_null(function, "Config", config);
    not_null(function, "Dpc", out);
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
    let is_serialized = shared::<Cell<u8>>(config.wrapping_add(0x10)).get() != 0;
    let guard = serializer(parent, is_serialized, false)?;
    let dpc = kernel_memory::allocate(size_of::<Dpc>() as u64, TAG)
        .ok_or(status::INSUFFICIENT_RESOURCES)?;
    let handle = object::create(&KIND, &attributes, Some(parent))
        .inspect_err(|_| kernel_memory::free(dpc))?;
    let routine = Routine::new((run as *const ()).expose_provenance() as u64);
    dpc::initialize(
        Foreign::checked(dpc),
        routine.expect("our own routine is not null"),
        handle.raw(),
    );
    let record = DpcObject {
        dpc,
        callback,
        parent,
        guard,
    };
    DPCS.insert(handle, record);
    Ok(handle)
}

/// The KDEFERRED_ROUTINE.
extern "win64" fn run(_dpc: u64, context: u64, _argument1: u64, _argument2: u64) {
    let handle = Handle::from_raw(context);
    if let Some(record) = DPCS.get(handle)
        && record.callback != 0
    {
        under(record.guard, || {
            driver::event(record.callback, "EvtDpcFunc", &[handle.raw()]);
        });
    }
}

fn run_down(handle: Handle) {
    if let Some(record) = DPCS.get(handle) {
        dpc::remove(Foreign::checked(record.dpc));
    }
}

fn forget(handle: Handle) {
    if let Some(record) = DPCS.remove(handle) {
        // It may have been enqueued after the deletion began.
        dpc::remove(Foreign::checked(record.dpc));
        kernel_memory::free(record.dpc);
    }
}

fn checked(function: &str, raw: u64) -> Option<DpcObject> {
    DPCS.get(object::check(function, raw, &KIND))
}

/// `WdfDpcEnqueue` (wdfdpc.h). Any IRQL. FALSE where it is queued already.
pub(super) extern "win64" fn enqueue(_globals: u64, dpc: u64) -> u8 {
    let function = "WdfDpcEnqueue";
    at_most(function, HIGH_LEVEL);
    let record = checked(function, dpc);
    record.map_or(0, |record| {
        u8::from(dpc::insert(Foreign::checked(record.dpc), 0, 0))
    })
}

/// `WdfDpcCancel` (wdfdpc.h). Any IRQL; PASSIVE_LEVEL with `wait`, which returns when the callback is over. TRUE where it
/// was queued.
pub(super) extern "win64" fn cancel(_globals: u64, dpc: u64, wait: u8) -> u8 {
    let function = "WdfDpcCancel";
    let record = checked(function, dpc);
    if wait != 0 {
        at_most(function, PASSIVE_LEVEL);
    }
    let was_queued = record.is_some_and(|record| dpc::remove(Foreign::checked(record.dpc)));
    if wait != 0 {
        dpc::flush();
    }
    u8::from(was_queued)
}

/// `WdfDpcGetParentObject` (wdfdpc.h). Any IRQL.
pub(super) extern "win64" fn parent_object(_globals: u64, dpc: u64) -> u64 {
    checked("WdfDpcGetParentObject", dpc).map_or(0, |record| record.parent.raw())
}

/// `WdfDpcWdmGetDpc` (wdfdpc.h). Any IRQL. The KDPC.
pub(super) extern "win64" fn wdm_dpc(_globals: u64, dpc: u64) -> u64 {
    checked("WdfDpcWdmGetDpc", dpc).map_or(0, |record| record.dpc)
}

#[cfg(test)]
#[path = "dpc_tests.rs"]
mod tests;

//! Calls into driver code. Every one goes through here.
#![expect(unsafe_code, reason = "calls routines whose addresses drivers gave")]

use super::objects::{DeviceObject, DriverObject, Irp};
use super::shared::address_of;
use super::status::{self, NtStatus};
use super::verifier;
use crate::arch::win64::Routine;
use crate::ke::irql;
use crate::memory::{self, Access};
use crate::wdf::violation::check_return_level;

/// Calls the entry point of an image.
pub(crate) fn entry(routine: u64, driver: &DriverObject, registry_path: u64) -> NtStatus {
    call(
        routine,
        "DriverEntry",
        address_of(driver),
        registry_path,
        0,
        0,
    )
    .map_or(MISSING, narrow)
}

/// Calls AddDevice.
pub(crate) fn add_device(driver: &DriverObject, routine: u64, pdo: &DeviceObject) -> NtStatus {
    call(
        routine,
        "AddDevice",
        address_of(driver),
        address_of(pdo),
        0,
        0,
    )
    .map_or(MISSING, narrow)
}

/// Calls DriverUnload.
pub(crate) fn unload(driver: &DriverObject) {
    call(
        driver.driver_unload.get(),
        "DriverUnload",
        address_of(driver),
        0,
        0,
        0,
    );
}

/// Calls a dispatch routine.
pub(crate) fn dispatch(routine: u64, device: &DeviceObject, irp: &Irp) -> NtStatus {
    call(
        routine,
        "dispatch routine",
        address_of(device),
        address_of(irp),
        0,
        0,
    )
    .map_or(MISSING, narrow)
}

/// Calls an IO_COMPLETION_ROUTINE.
pub(crate) fn completion(routine: u64, device: u64, irp: &Irp, context: u64) -> NtStatus {
    call(
        routine,
        "completion routine",
        device,
        address_of(irp),
        context,
        0,
    )
    .map_or(status::SUCCESS, narrow)
}

/// Calls a cancel routine.
pub(crate) fn cancel(routine: u64, device: u64, irp: &Irp) {
    call(routine, "cancel routine", device, address_of(irp), 0, 0);
}

/// Calls a work item routine: (device or I/O object, context).
pub(crate) fn work(routine: u64, object: u64, context: u64) {
    call(routine, "work item routine", object, context, 0, 0);
}

/// Calls a REQUEST_POWER_COMPLETE routine (five arguments).
pub(crate) fn power_complete(
    routine: u64,
    device: u64,
    minor: u8,
    state: u32,
    context: u64,
    iosb: u64,
) {
    if let Some(routine) = Routine::new(routine)
        && is_code(routine, "power completion routine")
    {
        // SAFETY: the driver gave this routine for this purpose; no kernel lock is held.
        unsafe { routine.call5(device, minor.into(), state.into(), context, iosb) };
    }
}

/// Calls an event callback of the framework, with up to six arguments; `None` where there is no such code.
pub(crate) fn event(routine: u64, role: &str, arguments: &[u64]) -> Option<u64> {
    let routine = Routine::new(routine).filter(|routine| is_code(*routine, role))?;
    let argument = |idx: usize| arguments.get(idx).copied().unwrap_or(0);
    let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(argument);
    let level = irql::current();
    // SAFETY: the driver gave this routine for this role, whose arguments these are; surplus ones are ignored
    // by the convention. No kernel lock is held where drivers are called.
    let result = unsafe { routine.call6(a, b, c, d, e, f) };
    check_return_level(role, level);
    Some(result)
}

/// The NTSTATUS that a callback gave; one that is not there has succeeded.
pub(crate) fn event_status(routine: u64, role: &str, arguments: &[u64]) -> NtStatus {
    event(routine, role, arguments).map_or(status::SUCCESS, narrow)
}

/// Calls an exception filter: (EXCEPTION_POINTERS*, frame).
pub(crate) fn filter(routine: u64, pointers: u64, frame: u64) -> i32 {
    call(routine, "exception filter", pointers, frame, 0, 0)
        .map_or(0, |result| narrow(result).0.cast_signed())
}

/// Calls a `__finally` block: (is abnormal, frame).
pub(crate) fn finally(routine: u64, frame: u64) {
    call(routine, "termination handler", 1, frame, 0, 0);
}

/// Calls a language handler.
pub(crate) fn language_handler(
    routine: u64,
    record: u64,
    frame: u64,
    context: u64,
    dispatcher: u64,
) -> u32 {
    call(
        routine,
        "language handler",
        record,
        frame,
        context,
        dispatcher,
    )
    .map_or(1, |result| narrow(result).0)
}

const MISSING: NtStatus = status::INVALID_DEVICE_REQUEST;

fn call(routine: u64, role: &str, a: u64, b: u64, c: u64, d: u64) -> Option<u64> {
    let Some(routine) = Routine::new(routine) else {
        verifier::undocumented_violation(
            "routine-missing",
            format_args!("the driver's {role} is null"),
        );
        return None;
    };
    if !is_code(routine, role) {
        return None;
    }
    // SAFETY: the driver gave this routine for this role, whose arguments these are; surplus register
    // arguments are ignored by the convention. No kernel lock is held where drivers are called.
    Some(unsafe { routine.call4(a, b, c, d) })
}

/// Whether the routine lies in executable memory; one that does not is named, and left out where findings do
/// not stop the run.
fn is_code(routine: Routine, role: &str) -> bool {
    // On the host a test's own functions stand in for the driver's.
    let is_code = cfg!(not(feature = "kernel"))
        || memory::probe(routine.address(), 1, Access::Execute).is_ok();
    if !is_code {
        verifier::undocumented_violation(
            "routine-is-no-code",
            format_args!(
                "the driver's {role} {:#x} is not executable",
                routine.address()
            ),
        );
    }
    is_code
}

/// The 32 bits of RAX that an NTSTATUS or int counts.
fn narrow(result: u64) -> NtStatus {
    let [a, b, c, d, ..] = result.to_le_bytes();
    NtStatus(u32::from_le_bytes([a, b, c, d]))
}

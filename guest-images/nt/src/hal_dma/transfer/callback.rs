//! Calls of a driver's AdapterControl and AdapterListControl routines.
#![expect(unsafe_code, reason = "calls a driver's routine")]

use crate::arch::win64::Routine;
use crate::ke::bugcheck::{self, code};
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ntoskrnl::objects::DeviceObject;
use crate::ntoskrnl::shared::optional;

/// Calls `routine(DeviceObject, CurrentIrp, what, Context)`, which both kinds of routines take, at DISPATCH_LEVEL;
/// gives RAX.
///
/// A routine that returns at another IRQL is bug check 0xC8, as for DPCs.
pub(super) fn call(routine: Routine, device_object: u64, what: u64, context: u64) -> u64 {
    let device = optional::<DeviceObject>(device_object);
    let irp = device.map_or(0, |device| device.current_irp.get() as u64);
    let (result, level) = irql::at(DISPATCH_LEVEL, || {
        // SAFETY: a DRIVER_CONTROL or DRIVER_LIST_CONTROL as the driver gave it, at its documented IRQL; no guard
        // is held.
        let result = unsafe { routine.call4(device_object, irp, what, context) };
        (result, irql::current())
    });
    if level != DISPATCH_LEVEL {
        let levels = u64::from(level) << 16 | u64::from(DISPATCH_LEVEL) << 8;
        let parameters = [levels, routine.address(), 0, 0];
        bugcheck::raise_at(code::IRQL_UNEXPECTED_VALUE, parameters, routine.address());
    }
    result
}

//! IRPs: allocation, the walk down by IofCallDriver, the walk up by IofCompleteRequest.

use alloc::collections::BTreeMap;

use super::driver;
use super::io_calls::{Breach, Calls, Left};
use super::kernel_memory;
use super::objects::{
    DeviceObject, DriverObject, IRP_MJ_DEVICE_CONTROL, IRP_MJ_INTERNAL_DEVICE_CONTROL,
    IoStackLocation, IoStatusBlock, Irp, SL_INVOKE_ON_CANCEL, SL_INVOKE_ON_ERROR,
    SL_INVOKE_ON_SUCCESS, SL_PENDING_RETURNED,
};
use super::shared::{address_of, optional, read_bytes, shared, write_bytes};
use super::status::{self, NtStatus};
use super::verifier;
use crate::arch::guarded::Guarded;
use crate::arch::images::Symbolic;
use crate::ke::{Foreign, bugcheck, event};

const IRP_TAG: u32 = u32::from_le_bytes(*b"Irp ");
const BUFFER_TAG: u32 = u32::from_le_bytes(*b"IrpB");
const NO_MORE_IRP_STACK_LOCATIONS: u32 = 0x35;
const MULTIPLE_IRP_COMPLETE_REQUESTS: u32 = 0x44;
const STACK_LOCATION_BYTES: i64 = 0x48;
const IRP_BYTES: i64 = 0xd0;
/// Largest number of stack locations that fits the IRP's size field comfortably.
const MAX_STACK: i8 = 64;

/// What becomes of an IRP at the end of its walk up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// IoAllocateIrp: the driver's own completion routine takes it back.
    Driver,
    /// Built by the I/O manager: status to the issuer, event, free. Of an owned system buffer, up to
    /// `copy_out` bytes go to the user buffer first.
    Manager { owns_buffer: bool, copy_out: u64 },
}

const MANAGER: Owner = Owner::Manager {
    owns_buffer: false,
    copy_out: 0,
};

static CALLS: Guarded<Calls> = Guarded::new(Calls::new());

static IRPS: Guarded<BTreeMap<u64, Owner>> = Guarded::new(BTreeMap::new());

/// IRPs that are still allocated, for the leak report.
#[must_use]
pub(crate) fn live_count() -> usize {
    IRPS.with(|irps| irps.len())
}

/// An IRP of the I/O or PnP manager, without parameters; completed, it sets `event`, fills `iosb` and
/// frees itself.
pub(crate) fn build(
    top: &DeviceObject,
    event: u64,
    iosb: u64,
) -> Option<(&'static Irp, &'static IoStackLocation)> {
    let irp = allocate(top.stack_size.get(), MANAGER)?;
    irp.user_event.set(event);
    irp.user_iosb.set(iosb as *const IoStatusBlock);
    Some((irp, next_stack(irp)))
}

/// Sends an IRP to a device: the work of IofCallDriver.
pub(crate) fn call(device: &DeviceObject, irp: &Irp) -> NtStatus {
    let location = irp.current_location.get().wrapping_sub(1);
    irp.current_location.set(location);
    if location <= 0 {
        bugcheck::raise(NO_MORE_IRP_STACK_LOCATIONS, [address_of(irp), 0, 0, 0]);
    }
    let stack = next_stack(irp);
    irp.current_stack_location.set(stack);
    stack.device_object.set(device);
    let driver: &DriverObject = shared(device.driver_object.get() as u64);
    let major = usize::from(stack.major_function.get());
    let Some(routine) = driver.major_function.get(major) else {
        verifier::undocumented_violation(
            "irp-unknown-major-function",
            format_args!("IRP with major function {major:#x}"),
        );
        return complete_with(irp, status::INVALID_DEVICE_REQUEST);
    };
    let number = CALLS.with(|calls| calls.begin(address_of(irp), address_of(stack), routine.get()));
    let returned = driver::dispatch(routine.get(), device, irp);
    // The IRP may be gone by now.
    report_breach(CALLS.with(|calls| calls.returned(number, returned)));
    returned
}

fn report_breach(breach: Option<Breach>) {
    if let Some(breach) = breach {
        verifier::undocumented_violation(
            "irp-pending-rule",
            format_args!("dispatch routine {} {breach}", Symbolic(breach.routine)),
        );
    }
}

/// Completes with a status and no information.
pub(crate) fn complete_with(irp: &Irp, status: NtStatus) -> NtStatus {
    irp.status.set(status);
    irp.information.set(0);
    complete(irp);
    status
}

/// Completes an IRP: the work of IofCompleteRequest.
pub(crate) fn complete(irp: &Irp) {
    if irp.current_location.get() > irp.stack_count.get().saturating_add(1) {
        bugcheck::raise(MULTIPLE_IRP_COMPLETE_REQUESTS, [address_of(irp), 0, 0, 0]);
    }
    if irp.status.get() == status::PENDING {
        verifier::undocumented_violation(
            "irp-completed-with-pending",
            format_args!("IRP {:#x} completed with STATUS_PENDING", address_of(irp)),
        );
    }
    while irp.current_location.get() <= irp.stack_count.get() {
        if step_up(irp) == status::MORE_PROCESSING_REQUIRED {
            return;
        }
    }
    irp.current_location
        .set(irp.stack_count.get().saturating_add(2));
    finish(irp);
}

/// Leaves one stack location; gives what its completion routine said.
fn step_up(irp: &Irp) -> NtStatus {
    let left: &IoStackLocation = shared(irp.current_stack_location.get() as u64);
    let control = left.control.get();
    let end = Left {
        status: irp.status.get(),
        is_marked: control & SL_PENDING_RETURNED != 0,
    };
    report_breach(CALLS.with(|calls| calls.left(address_of(irp), address_of(left), end)));
    irp.pending_returned.set(control & SL_PENDING_RETURNED);
    let location = irp.current_location.get().wrapping_add(1);
    irp.current_location.set(location);
    let above_address = stack_at(irp, 1);
    irp.current_stack_location
        .set(above_address as *const IoStackLocation);
    let above =
        (location <= irp.stack_count.get()).then(|| shared::<IoStackLocation>(above_address));
    if !wants_completion(irp, control) {
        if let Some(above) = above {
            let pending = control & SL_PENDING_RETURNED;
            above.control.set(above.control.get() | pending);
        }
        return status::SUCCESS;
    }
    let device = above.map_or(0, |above| above.device_object.get() as u64);
    driver::completion(
        left.completion_routine.get(),
        device,
        irp,
        left.context.get(),
    )
}

fn wants_completion(irp: &Irp, control: u8) -> bool {
    let wanted = match (irp.cancel.get() != 0, irp.status.get().is_success()) {
        (true, _) if control & SL_INVOKE_ON_CANCEL != 0 => SL_INVOKE_ON_CANCEL,
        (_, true) => SL_INVOKE_ON_SUCCESS,
        (_, false) => SL_INVOKE_ON_ERROR,
    };
    control & wanted != 0
}

/// The issuer's part, after the last completion routine.
fn finish(irp: &Irp) {
    let owner = IRPS.with(|irps| irps.get(&address_of(irp)).copied());
    let Some(Owner::Manager {
        owns_buffer,
        copy_out,
    }) = owner
    else {
        verifier::undocumented_violation(
            "irp-completed-past-its-owner",
            format_args!(
                "IRP {:#x} of IoAllocateIrp completed to the end: its completion routine must return \
                 STATUS_MORE_PROCESSING_REQUIRED",
                address_of(irp)
            ),
        );
        return;
    };
    if copy_out > 0 && irp.status.get().is_success() {
        let len = irp.information.get().min(copy_out);
        let data = read_bytes(irp.system_buffer.get(), usize::try_from(len).unwrap_or(0));
        write_bytes(irp.user_buffer.get(), &data);
    }
    if let Some(iosb) = optional::<IoStatusBlock>(irp.user_iosb.get() as u64) {
        iosb.status.set(irp.status.get());
        iosb.information.set(irp.information.get());
    }
    let event = irp.user_event.get();
    if owns_buffer {
        kernel_memory::free(irp.system_buffer.get());
    }
    free(irp);
    if event != 0 {
        event::set(Foreign::checked(event));
    }
}

fn allocate(stack_size: i8, owner: Owner) -> Option<&'static Irp> {
    if !(1..=MAX_STACK).contains(&stack_size) {
        return None;
    }
    let size = IRP_BYTES + i64::from(stack_size) * STACK_LOCATION_BYTES;
    let address = kernel_memory::allocate(size.unsigned_abs(), IRP_TAG)?;
    let irp: &Irp = shared(address);
    initialize(irp, stack_size);
    IRPS.with(|irps| irps.insert(address, owner));
    Some(irp)
}

fn initialize(irp: &Irp, stack_size: i8) {
    let stack_bytes = i64::from(stack_size) * STACK_LOCATION_BYTES;
    let stack = address_of(irp).wrapping_add_signed(IRP_BYTES);
    irp.kind.set(6);
    irp.size
        .set(u16::try_from(IRP_BYTES + stack_bytes).unwrap_or(u16::MAX));
    irp.stack_count.set(stack_size);
    irp.current_location.set(stack_size + 1);
    irp.current_stack_location
        .set(stack.wrapping_add_signed(stack_bytes) as *const IoStackLocation);
}

fn free(irp: &Irp) {
    let address = address_of(irp);
    if IRPS.with(|irps| irps.remove(&address)).is_none() {
        verifier::undocumented_violation(
            "irp-freed-twice",
            format_args!("IoFreeIrp of {address:#x}, which is no live IRP"),
        );
        return;
    }
    CALLS.with(|calls| calls.forget(address));
    kernel_memory::free(address);
}

/// IoGetNextIrpStackLocation: the one below the current.
pub(crate) fn next_stack(irp: &Irp) -> &'static IoStackLocation {
    shared(stack_at(irp, -1))
}

/// Address of a stack location relative to the current one. Above the top one lies nothing.
fn stack_at(irp: &Irp, locations: i64) -> u64 {
    let distance = locations * STACK_LOCATION_BYTES;
    (irp.current_stack_location.get() as u64).wrapping_add_signed(distance)
}

/// `IofCallDriver` (wdm.h). IRQL <= DISPATCH_LEVEL. Returns what the dispatch routine returns. Bug check
/// 0x35 where the IRP has no stack location left.
pub(super) extern "win64" fn iof_call_driver(device: u64, irp: u64) -> NtStatus {
    verifier::at_most_dispatch("IofCallDriver");
    call(shared(device), shared(irp))
}

/// `IofCompleteRequest` (wdm.h). IRQL <= DISPATCH_LEVEL. Bug check 0x44 for an IRP that is complete.
pub(super) extern "win64" fn iof_complete_request(irp: u64, _boost: i8) {
    verifier::at_most_dispatch("IofCompleteRequest");
    complete(shared(irp));
}

/// `IoAllocateIrp` (wdm.h). IRQL <= DISPATCH_LEVEL. Null where memory or the stack size does not allow it.
pub(super) extern "win64" fn io_allocate_irp(stack_size: i8, _charge_quota: u8) -> u64 {
    verifier::at_most_dispatch("IoAllocateIrp");
    allocate(stack_size, Owner::Driver).map_or(0, address_of)
}

/// `IoFreeIrp` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn io_free_irp(irp: u64) {
    verifier::at_most_dispatch("IoFreeIrp");
    free(shared(irp));
}

/// `IoReuseIrp` (wdm.h). IRQL <= DISPATCH_LEVEL. Initializes an IRP of IoAllocateIrp anew.
pub(super) extern "win64" fn io_reuse_irp(irp: u64, status: NtStatus) {
    verifier::at_most_dispatch("IoReuseIrp");
    let irp: &Irp = shared(irp);
    let (stack_size, size) = (irp.stack_count.get(), irp.size.get());
    super::shared::fill(address_of(irp), u64::from(size), 0);
    initialize(irp, stack_size);
    irp.status.set(status);
}

/// `IoCancelIrp` (wdm.h). IRQL <= DISPATCH_LEVEL. TRUE where a cancel routine was there and has run.
pub(crate) extern "win64" fn io_cancel_irp(irp: u64) -> u8 {
    verifier::at_most_dispatch("IoCancelIrp");
    let irp: &Irp = shared(irp);
    irp.cancel.set(1);
    let routine = irp.cancel_routine.replace(0);
    if routine == 0 {
        return 0;
    }
    let old = super::ke_execution::acquire_cancel_lock();
    irp.cancel_irql.set(old);
    let stack: &IoStackLocation = shared(irp.current_stack_location.get() as u64);
    // The routine releases the cancel spin lock with `CancelIrql`.
    driver::cancel(routine, stack.device_object.get() as u64, irp);
    1
}

/// `IoBuildDeviceIoControlRequest` (wdm.h): arguments five to nine come on the stack. IRQL
/// PASSIVE_LEVEL. Null where memory is short. Supports METHOD_BUFFERED and METHOD_NEITHER; direct
/// methods give null and a finding.
pub(super) extern "win64" fn io_build_device_io_control_request(
    code: u32,
    device: u64,
    input: u64,
    input_len: u32,
    output: u64,
    output_len: u32,
    is_internal: u8,
    event: u64,
    iosb: u64,
) -> u64 {
    verifier::at_most("IoBuildDeviceIoControlRequest", crate::ke::irql::APC_LEVEL);
    let device: &DeviceObject = shared(device);
    let Some((irp, stack)) = build(device, event, iosb) else {
        return 0;
    };
    stack.major_function.set(match is_internal {
        0 => IRP_MJ_DEVICE_CONTROL,
        _ => IRP_MJ_INTERNAL_DEVICE_CONTROL,
    });
    stack.parameters[0].set(output_len.into());
    stack.parameters[1].set(input_len.into());
    stack.parameters[2].set(code.into());
    irp.user_buffer.set(output);
    let is_ready = match code & 3 {
        0 => attach_buffer(irp, input, input_len, output_len),
        3 => {
            stack.parameters[3].set(input);
            true
        }
        _ => {
            verifier::finding(
                "ioctl-direct-method",
                format_args!(
                    "IoBuildDeviceIoControlRequest({code:#x}): direct methods are not supported"
                ),
            );
            false
        }
    };
    if is_ready {
        return address_of(irp);
    }
    free(irp);
    0
}

fn attach_buffer(irp: &Irp, input: u64, input_len: u32, output_len: u32) -> bool {
    let len = input_len.max(output_len);
    if len == 0 {
        return true;
    }
    let Some(buffer) = kernel_memory::allocate(len.into(), BUFFER_TAG) else {
        return false;
    };
    write_bytes(buffer, &read_bytes(input, input_len as usize));
    irp.system_buffer.set(buffer);
    let owner = Owner::Manager {
        owns_buffer: true,
        copy_out: output_len.into(),
    };
    IRPS.with(|irps| irps.insert(address_of(irp), owner));
    true
}

#[cfg(test)]
#[path = "io_irp_tests.rs"]
mod tests;

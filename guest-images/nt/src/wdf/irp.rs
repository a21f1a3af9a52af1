//! How the framework sends its IRPs on.

use super::device;
use super::object::Handle;
use crate::ke::event::{self, Event, EventKind};
use crate::ke::{Foreign, wait};
use crate::ntoskrnl::objects::{
    IoStackLocation, Irp, SL_INVOKE_ON_CANCEL, SL_INVOKE_ON_ERROR, SL_INVOKE_ON_SUCCESS,
};
use crate::ntoskrnl::shared::shared;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::{io_irp, kernel_memory};

const TAG: u32 = u32::from_le_bytes(*b"WdfI");
const STACK_LOCATION_BYTES: u64 = 0x48;

/// Sends an IRP to the device below and forgets it (IoSkipCurrentIrpStackLocation).
pub(super) fn pass_down(device: Handle, irp: &Irp) -> NtStatus {
    let Some(lower) = device::with(device, |device| device.lower) else {
        return io_irp::complete_with(irp, status::NO_SUCH_DEVICE);
    };
    pass_down_to(lower, irp)
}

/// As [`pass_down`], to a device object.
pub(super) fn pass_down_to(lower: u64, irp: &Irp) -> NtStatus {
    irp.current_location.set(irp.current_location.get() + 1);
    let above = irp.current_stack_location.get() as u64 + STACK_LOCATION_BYTES;
    irp.current_stack_location
        .set(above as *const IoStackLocation);
    io_irp::call(shared(lower), irp)
}

/// Completes an IRP with a status, and gives it.
pub(super) fn complete(irp: &Irp, status: NtStatus) -> NtStatus {
    irp.status.set(status);
    io_irp::complete(irp);
    status
}

/// Sends an IRP to the device below, waits until that has completed it, and takes it back. IRQL PASSIVE_LEVEL.
pub(super) fn forward_and_wait(device: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    let lower = device::with(device, |device| device.lower);
    let event = kernel_memory::allocate(size_of::<Event>() as u64, TAG);
    let (Some(lower), Some(event)) = (lower, event) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    event::initialize(Foreign::checked(event), EventKind::Notification, false);
    let next = io_irp::next_stack(irp);
    next.major_function.set(stack.major_function.get());
    next.minor_function.set(stack.minor_function.get());
    next.flags.set(stack.flags.get());
    for (to, from) in next.parameters.iter().zip(&stack.parameters) {
        to.set(from.get());
    }
    next.file_object.set(stack.file_object.get());
    next.control
        .set(SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_ERROR | SL_INVOKE_ON_CANCEL);
    next.completion_routine
        .set((came_back as *const ()).expose_provenance() as u64);
    next.context.set(event);
    io_irp::call(shared(lower), irp);
    wait::wait_single(Foreign::<Event>::checked(event).cast(), None);
    kernel_memory::free(event);
    irp.status.get()
}

/// The completion routine of [`forward_and_wait`].
extern "win64" fn came_back(_device: u64, _irp: u64, event: u64) -> NtStatus {
    event::set(Foreign::checked(event));
    status::MORE_PROCESSING_REQUIRED
}

//! The I/O part of a device: requests that are neither PnP nor power, and what PnP and power want of the queues.

use super::device;
use super::irp;
use super::object::Handle;
use crate::ntoskrnl::io_irp;
use crate::ntoskrnl::objects::{IRP_MJ_SYSTEM_CONTROL, IoStackLocation, Irp};
use crate::ntoskrnl::status::{self, NtStatus};

const IRP_MJ_CREATE: u8 = 0x00;
const IRP_MJ_CLOSE: u8 = 0x02;
const IRP_MJ_CLEANUP: u8 = 0x12;

/// A request that is neither PnP nor power. WMI goes down; files of a device without file callbacks open and close;
/// without a queue there is nobody for anything else.
pub(super) fn dispatch(device: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    match stack.major_function.get() {
        IRP_MJ_SYSTEM_CONTROL => irp::pass_down(device, irp),
        _ if device::record(device).is_some_and(|device| device.init.is_filter) => {
            irp::pass_down(device, irp)
        }
        IRP_MJ_CREATE | IRP_MJ_CLOSE | IRP_MJ_CLEANUP => {
            io_irp::complete_with(irp, status::SUCCESS)
        }
        _ => io_irp::complete_with(irp, status::INVALID_DEVICE_REQUEST),
    }
}

/// The device is in D0: power-managed queues deliver again.
pub(super) fn resume(_device: Handle) {}

/// The device leaves D0: power-managed queues stop, and the driver is told of the requests that it holds.
pub(super) fn hold(_device: Handle) {}

/// The device is going away: power-managed queues are purged.
pub(super) fn purge_managed(_device: Handle) {}

/// The device is gone: all other queues are purged.
pub(super) fn purge_rest(_device: Handle) {}

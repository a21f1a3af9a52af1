//! The I/O part of a device: which queue its requests go to, and what PnP and power want of the queues.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::device;
use super::object::Handle;
use super::request::{IRP_MJ_CREATE, IRP_MJ_READ, IRP_MJ_WRITE};
use super::{file_object, irp, queue, request};
use crate::arch::guarded::Guarded;
use crate::ntoskrnl::io_irp;
use crate::ntoskrnl::objects::{
    IRP_MJ_DEVICE_CONTROL, IRP_MJ_INTERNAL_DEVICE_CONTROL, IRP_MJ_SYSTEM_CONTROL, IoStackLocation,
    Irp,
};
use crate::ntoskrnl::status::{self, NtStatus};

const IRP_MJ_CLOSE: u8 = 0x02;
const IRP_MJ_CLEANUP: u8 = 0x12;
/// WdfRequestStopActionSuspend
const SUSPEND: u32 = 1;

/// The queues of a device by the IRP_MJ code of their requests; the default queue has [`DEFAULT`].
static ROUTES: Guarded<BTreeMap<(Handle, u8), Handle>> = Guarded::new(BTreeMap::new());
const DEFAULT: u8 = u8::MAX;

/// Whether requests with that IRP_MJ code may have a queue (WDF_REQUEST_TYPE has the same numbers).
#[must_use]
pub(super) fn has_queue(major: u8) -> bool {
    matches!(
        major,
        IRP_MJ_CREATE
            | IRP_MJ_READ
            | IRP_MJ_WRITE
            | IRP_MJ_DEVICE_CONTROL
            | IRP_MJ_INTERNAL_DEVICE_CONTROL
    )
}

/// The default queue of a device.
#[must_use]
pub(super) fn default_queue(device: Handle) -> Option<Handle> {
    ROUTES.with(|routes| routes.get(&(device, DEFAULT)).copied())
}

/// Makes a queue the default queue of its device.
pub(super) fn set_default_queue(device: Handle, queue: Handle) {
    ROUTES.with(|routes| routes.insert((device, DEFAULT), queue));
}

/// Has a queue take the requests with that IRP_MJ code; false where another one does.
pub(super) fn route(device: Handle, major: u8, queue: Handle) -> bool {
    ROUTES.with(|routes| *routes.entry((device, major)).or_insert(queue) == queue)
}

/// Takes a queue away from its device.
pub(super) fn forget_queue(queue: Handle) {
    ROUTES.with(|routes| routes.retain(|_, found| *found != queue));
}

fn queue_for(device: Handle, major: u8) -> Option<Handle> {
    ROUTES.with(|routes| {
        let own = routes.get(&(device, major));
        // An open goes to a queue only where the driver says so.
        let default = routes
            .get(&(device, DEFAULT))
            .filter(|_| major != IRP_MJ_CREATE);
        own.or(default).copied()
    })
}

/// A request that is neither PnP nor power: WMI goes down; what has a queue goes there; without one a filter passes it
/// down, files open and close, and there is nobody for anything else.
pub(super) fn dispatch(device: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    let major = stack.major_function.get();
    if major == IRP_MJ_SYSTEM_CONTROL {
        return irp::pass_down(device, irp);
    }
    if has_queue(major)
        && let Some(queue) = queue_for(device, major)
    {
        return enqueue(device, queue, irp, stack);
    }
    let is_filter = device::with(device, |device| device.init.is_filter) == Some(true);
    let has_files = device::with(device, |device| device.init.file_objects.is_some()) == Some(true);
    match major {
        _ if is_filter && !has_files => irp::pass_down(device, irp),
        IRP_MJ_CREATE => file_object::open(device, irp, stack),
        IRP_MJ_CLEANUP => file_object::clean_up(device, irp, stack),
        IRP_MJ_CLOSE => file_object::close(device, irp, stack),
        _ if is_filter => irp::pass_down(device, irp),
        _ => io_irp::complete_with(irp, status::INVALID_DEVICE_REQUEST),
    }
}

/// Puts an IRP into a queue; one that accepts none is STATUS_INVALID_DEVICE_STATE.
fn enqueue(device: Handle, queue: Handle, irp: &Irp, stack: &IoStackLocation) -> NtStatus {
    if queue::with(queue, |queue| queue.accepts) != Some(true) {
        return io_irp::complete_with(irp, status::INVALID_DEVICE_STATE);
    }
    let request = match request::create(device, irp) {
        Ok(request) => request,
        Err(status) => return io_irp::complete_with(irp, status),
    };
    request::mark_pending(stack);
    if queue::add(queue, request).is_err() {
        request::complete_by_framework(request, status::INVALID_DEVICE_STATE);
    }
    status::PENDING
}

/// The device is in D0: power-managed queues deliver again.
pub(super) fn resume(device: Handle) {
    managed(device, true).into_iter().for_each(queue::power_up);
}

/// The device leaves D0: power-managed queues stop, and the driver is told of the requests that it holds.
pub(super) fn hold(device: Handle) {
    for queue in managed(device, true) {
        queue::power_down(queue, SUSPEND);
    }
}

/// The device is going away: power-managed queues are purged.
pub(super) fn purge_managed(device: Handle) {
    managed(device, true).into_iter().for_each(queue::purge);
}

/// The device is gone: all other queues are purged.
pub(super) fn purge_rest(device: Handle) {
    managed(device, false).into_iter().for_each(queue::purge);
}

/// The queues of a device that are power-managed, or are not.
fn managed(device: Handle, is_power_managed: bool) -> Vec<Handle> {
    let mut queues = queue::of_device(device);
    queues.retain(|queue| {
        queue::with(*queue, |queue| queue.is_power_managed) == Some(is_power_managed)
    });
    queues
}

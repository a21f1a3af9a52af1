//! WdfRequest... that complete, cancel, forward and tell (indices 254 to 257, 263 to 266, 275 to 285, 393). IRQL <=
//! DISPATCH_LEVEL. A completed request is bug check 0x10D/6/2.

use super::creation::device_above;
use super::object::{self, Handle};
use super::queue;
use super::request::{self, checked};
use super::violation::{at_most, not_null};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::ntoskrnl::shared::address_of;
use crate::ntoskrnl::status::{self, NtStatus};

/// `WdfRequestGetStatus` (wdfrequest.h). The status of the IRP as it stands.
pub(super) extern "win64" fn status(_globals: u64, request: u64) -> NtStatus {
    checked("WdfRequestGetStatus", request).1.status.get()
}

/// `WdfRequestMarkCancelable` (wdfrequest.h). A request that is cancelled already gets its callback before this
/// returns.
pub(super) extern "win64" fn mark_cancelable(_globals: u64, request: u64, callback: u64) {
    let function = "WdfRequestMarkCancelable";
    let handle = owned(function, request);
    not_null(function, "EvtRequestCancel", callback);
    if request::queue_of(handle).is_none() {
        object::misuse(
            "wdf-request-not-owned",
            format_args!("{function}: {handle} comes from no queue"),
        );
        return;
    }
    request::mark_or_cancel(handle, callback);
}

/// `WdfRequestMarkCancelableEx` (wdfrequest.h). STATUS_SUCCESS; STATUS_CANCELLED where it is cancelled already: the
/// callback does not come, and the driver completes it. STATUS_INVALID_DEVICE_REQUEST where it comes from no queue.
pub(super) extern "win64" fn mark_cancelable_ex(
    _globals: u64,
    request: u64,
    callback: u64,
) -> NtStatus {
    let function = "WdfRequestMarkCancelableEx";
    let handle = owned(function, request);
    not_null(function, "EvtRequestCancel", callback);
    if request::queue_of(handle).is_none() {
        return status::INVALID_DEVICE_REQUEST;
    }
    outcome(request::mark_cancelable(handle, callback))
}

/// `WdfRequestUnmarkCancelable` (wdfrequest.h). STATUS_SUCCESS; STATUS_CANCELLED where the callback completes it;
/// STATUS_INVALID_PARAMETER where it is not marked.
pub(super) extern "win64" fn unmark_cancelable(_globals: u64, request: u64) -> NtStatus {
    let function = "WdfRequestUnmarkCancelable";
    at_most(function, DISPATCH_LEVEL);
    let (handle, _) = checked(function, request);
    outcome(request::unmark_cancelable(handle))
}

/// `WdfRequestIsCanceled` (wdfrequest.h). A request that is marked cancelable is a finding.
pub(super) extern "win64" fn is_canceled(_globals: u64, request: u64) -> u8 {
    let function = "WdfRequestIsCanceled";
    let handle = owned(function, request);
    if request::is_cancelable(handle) {
        object::misuse(
            "wdf-request-cancelable",
            format_args!("{function}: {handle} is marked cancelable"),
        );
    }
    u8::from(request::is_cancel_asked(handle))
}

/// `WdfRequestComplete` (wdfrequest.h). IoStatus.Information stays what WdfRequestSetInformation made it.
pub(super) extern "win64" fn complete(_globals: u64, request: u64, status: NtStatus) {
    let function = "WdfRequestComplete";
    at_most(function, DISPATCH_LEVEL);
    let (handle, irp) = checked(function, request);
    request::complete(function, handle, irp, status);
}

/// `WdfRequestCompleteWithPriorityBoost` (wdfrequest.h). There are no priorities to boost.
pub(super) extern "win64" fn complete_with_boost(
    _globals: u64,
    request: u64,
    status: NtStatus,
    _boost: i8,
) {
    let function = "WdfRequestCompleteWithPriorityBoost";
    at_most(function, DISPATCH_LEVEL);
    let (handle, irp) = checked(function, request);
    request::complete(function, handle, irp, status);
}

/// `WdfRequestCompleteWithInformation` (wdfrequest.h). More information than bytes of a successful read or write is
/// bug check 0x10D/6/4.
pub(super) extern "win64" fn complete_with_information(
    _globals: u64,
    request: u64,
    status: NtStatus,
    information: u64,
) {
    let function = "WdfRequestCompleteWithInformation";
    at_most(function, DISPATCH_LEVEL);
    let (handle, irp) = checked(function, request);
    irp.information.set(information);
    request::complete(function, handle, irp, status);
}

/// `WdfRequestGetParameters` (wdfrequest.h). A structure that is too short is a finding, and stays as it is.
pub(super) extern "win64" fn parameters(_globals: u64, request: u64, out: u64) {
    let function = "WdfRequestGetParameters";
    let (handle, _) = checked(function, request);
    not_null(function, "Parameters", out);
    at_most(function, DISPATCH_LEVEL);
    if request::has_parameters_size(out) {
        request::write_parameters(handle, out);
    } else {
        object::misuse(
            "wdf-structure-size",
            format_args!("{function}: WDF_REQUEST_PARAMETERS has less than 0x28 bytes"),
        );
    }
}

/// `WdfRequestSetInformation` (wdfrequest.h).
pub(super) extern "win64" fn set_information(_globals: u64, request: u64, information: u64) {
    let (_, irp) = checked("WdfRequestSetInformation", request);
    irp.information.set(information);
}

/// `WdfRequestGetInformation` (wdfrequest.h).
pub(super) extern "win64" fn information(_globals: u64, request: u64) -> u64 {
    checked("WdfRequestGetInformation", request)
        .1
        .information
        .get()
}

/// `WdfRequestGetFileObject` (wdfrequest.h). Null where the device has no file objects, or the request none.
pub(super) extern "win64" fn file_object(_globals: u64, request: u64) -> u64 {
    let (handle, _) = checked("WdfRequestGetFileObject", request);
    request::file_object(handle)
}

/// `WdfRequestGetRequestorMode` (wdfrequest.h). KernelMode (0) or UserMode (1).
pub(super) extern "win64" fn requestor_mode(_globals: u64, request: u64) -> u8 {
    checked("WdfRequestGetRequestorMode", request)
        .1
        .requestor_mode
        .get()
}

/// `WdfRequestForwardToIoQueue` (wdfrequest.h). STATUS_SUCCESS: the queue has it, and it may be gone.
/// STATUS_INVALID_DEVICE_REQUEST for its own queue, a queue of another device, or a request that the driver does not
/// have; STATUS_WDF_BUSY where the queue accepts none.
pub(super) extern "win64" fn forward(_globals: u64, request: u64, queue: u64) -> NtStatus {
    let function = "WdfRequestForwardToIoQueue";
    at_most(function, DISPATCH_LEVEL);
    let target = object::check(function, queue, &queue::KIND);
    let (handle, _) = checked(function, request);
    let source = request::queue_of(handle);
    let is_same_device = device_above(target) == device_above(handle);
    if source == Some(target) || !is_same_device || !may_go(handle) {
        return status::INVALID_DEVICE_REQUEST;
    }
    if queue::with(target, |queue| queue.accepts) != Some(true) {
        return status::WDF_BUSY;
    }
    if let Some(source) = source {
        queue::leave(source, handle);
    }
    let added = queue::add(target, handle);
    if let Some(source) = source {
        queue::deliver(source);
    }
    outcome(added)
}

/// `WdfRequestRequeue` (wdfrequest.h): back to the head of its manual queue. STATUS_SUCCESS,
/// STATUS_INVALID_DEVICE_REQUEST where its queue is not manual or the driver does not have it.
pub(super) extern "win64" fn requeue(_globals: u64, request: u64) -> NtStatus {
    let function = "WdfRequestRequeue";
    at_most(function, DISPATCH_LEVEL);
    let (handle, _) = checked(function, request);
    let Some(queue) = request::queue_of(handle) else {
        return status::INVALID_DEVICE_REQUEST;
    };
    let is_manual = queue::with(queue, |queue| {
        queue.dispatch_type == queue::DispatchType::Manual
    });
    if is_manual != Some(true) || !may_go(handle) {
        return status::INVALID_DEVICE_REQUEST;
    }
    put_back(queue, handle);
    status::SUCCESS
}

/// `WdfRequestStopAcknowledge` (wdfrequest.h), in EvtIoStop. With `is_requeued` the queue has the request again, at its
/// head. Where nobody has asked it is a finding.
pub(super) extern "win64" fn stop_acknowledge(_globals: u64, request: u64, is_requeued: u8) {
    let function = "WdfRequestStopAcknowledge";
    at_most(function, DISPATCH_LEVEL);
    let (handle, _) = checked(function, request);
    if !request::acknowledge_stop(handle) {
        object::misuse(
            "wdf-request-not-stopped",
            format_args!("{function}: EvtIoStop was not called for {handle}"),
        );
    } else if is_requeued != 0
        && let Some(queue) = request::queue_of(handle)
    {
        put_back(queue, handle);
    }
}

/// `WdfRequestGetIoQueue` (wdfrequest.h). The queue that it came from; null for none.
pub(super) extern "win64" fn io_queue(_globals: u64, request: u64) -> u64 {
    let (handle, _) = checked("WdfRequestGetIoQueue", request);
    request::queue_of(handle).map_or(0, Handle::raw)
}

/// `WdfRequestWdmGetIrp` (wdfrequest.h).
pub(super) extern "win64" fn wdm_irp(_globals: u64, request: u64) -> u64 {
    address_of(checked("WdfRequestWdmGetIrp", request).1)
}

/// Whether the driver has the request and has not marked it cancelable.
fn may_go(handle: Handle) -> bool {
    request::is_with_driver(handle) && !request::is_cancelable(handle)
}

fn put_back(queue: Handle, request: Handle) {
    queue::leave(queue, request);
    queue::with(queue, |record| record.waiting.push_front(request));
    request::set_waiting(request, queue);
    if request::is_cancel_asked(request) && queue::take_waiting(queue, request) {
        queue::cancel_on_queue(queue, request);
    }
    queue::deliver(queue);
}

/// A request that the driver has; one that waits in a queue is a finding.
fn owned(function: &str, request: u64) -> Handle {
    at_most(function, DISPATCH_LEVEL);
    let (handle, _) = checked(function, request);
    if !request::is_with_driver(handle) {
        object::misuse(
            "wdf-request-not-owned",
            format_args!("{function}: {handle} waits in a queue"),
        );
    }
    handle
}

fn outcome(result: Result<(), NtStatus>) -> NtStatus {
    result.err().unwrap_or(status::SUCCESS)
}

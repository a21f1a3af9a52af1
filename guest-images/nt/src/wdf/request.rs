//! WDFREQUEST: an IRP on its way through the framework. The functions are in [`super::request_functions`], its
//! buffers in [`super::request_buffers`].
//!
//! A request waits in a queue or is with the driver. In a queue the IRP's cancel routine is [`cancel_waiting`]; with
//! the driver it has one only while the driver says so (WdfRequestMarkCancelable).

use alloc::collections::VecDeque;

use super::attributes::Attributes;
use super::device;
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{self, reason};
use super::{lock, queue, request_buffers, tree};
use crate::arch::guarded::Guarded;
use crate::ke::irql;
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::io_irp;
use crate::ntoskrnl::objects::{
    IRP_MJ_DEVICE_CONTROL, IRP_MJ_INTERNAL_DEVICE_CONTROL, IoStackLocation, Irp,
    SL_PENDING_RETURNED,
};
use crate::ntoskrnl::shared::{address_of, read_into, shared, write_bytes, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};

/// IRP_MJ_CREATE, IRP_MJ_READ, IRP_MJ_WRITE.
pub(super) const IRP_MJ_CREATE: u8 = 0x00;
pub(super) const IRP_MJ_READ: u8 = 0x03;
pub(super) const IRP_MJ_WRITE: u8 = 0x04;
/// Size of WDF_REQUEST_PARAMETERS.
const PARAMETERS_BYTES: u16 = 0x28;
/// Second parameter of WDF_REQUEST_FATAL_ERROR (wdfbugcodes.h).
const NULL_IRP: u64 = 2;
const INFORMATION_LENGTH_MISMATCH: u64 = 4;
/// Handles of completed requests that are remembered.
const MAX_REMEMBERED: usize = 1024;

pub(super) static KIND: Kind = Kind {
    is_deletable: false,
    on_dispose: request_buffers::release,
    on_destroy: forget,
    ..Kind::new("WDFREQUEST")
};

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Waiting,
    WithDriver,
    Completed,
}

/// EvtIoStop and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    None,
    Asked,
    Acknowledged,
}

/// What the framework keeps of a request.
#[derive(Clone, Copy)]
pub(super) struct Request {
    irp: u64,
    pub(super) device: Handle,
    /// The queue that it is in, or came from.
    queue: Option<Handle>,
    place: Place,
    was_presented: bool,
    /// EvtRequestCancel while the driver has marked it; 0 otherwise.
    cancel: u64,
    /// Whether EvtRequestCancel has been called.
    was_cancelled: bool,
    stop: Stop,
    pub(super) buffers: request_buffers::Buffers,
}

static REQUESTS: Family<Request> = Family::new();
static COMPLETED: Guarded<VecDeque<u64>> = Guarded::new(VecDeque::new());

/// What came, with the arguments of its callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    Create,
    Read { len_bytes: u64 },
    Write { len_bytes: u64 },
    Control { output: u64, input: u64, code: u64 },
    InternalControl { output: u64, input: u64, code: u64 },
}

impl Arrival {
    /// What a stack location asks for; `None` for what has no queues.
    pub(super) fn of_stack(stack: &IoStackLocation) -> Option<Self> {
        let [a, b, c] = [0, 1, 2].map(|idx: usize| stack.parameters[idx].get() & 0xFFFF_FFFF);
        Some(match stack.major_function.get() {
            IRP_MJ_CREATE => Self::Create,
            IRP_MJ_READ => Self::Read { len_bytes: a },
            IRP_MJ_WRITE => Self::Write { len_bytes: a },
            IRP_MJ_DEVICE_CONTROL => Self::Control {
                output: a,
                input: b,
                code: c,
            },
            IRP_MJ_INTERNAL_DEVICE_CONTROL => Self::InternalControl {
                output: a,
                input: b,
                code: c,
            },
            _ => return None,
        })
    }

    /// Whether it reads or writes nothing.
    pub(super) fn has_no_bytes(&self) -> bool {
        matches!(
            self,
            Self::Read { len_bytes: 0 } | Self::Write { len_bytes: 0 }
        )
    }

    /// The arguments of the callback with that role, behind queue and request.
    pub(super) fn arguments(&self, role: &str, handles: [u64; 2]) -> [u64; 5] {
        let [queue, request] = handles;
        match *self {
            _ if role == "EvtIoDefault" => [queue, request, 0, 0, 0],
            Self::Create => [queue, request, 0, 0, 0],
            Self::Read { len_bytes } | Self::Write { len_bytes } => {
                [queue, request, len_bytes, 0, 0]
            }
            Self::Control {
                output,
                input,
                code,
            }
            | Self::InternalControl {
                output,
                input,
                code,
            } => [queue, request, output, input, code],
        }
    }
}

/// Makes the request of an IRP that has come to a device.
///
/// # Errors
/// As [`object::create`].
pub(super) fn create(device: Handle, irp: &Irp) -> Result<Handle, NtStatus> {
    let attributes = device::with(device, |device| device.init.request_attributes);
    let attributes = attributes.unwrap_or(Attributes::NONE);
    let handle = object::create(&KIND, &attributes, Some(device))?;
    REQUESTS.insert(
        handle,
        Request {
            irp: address_of(irp),
            device,
            queue: None,
            place: Place::WithDriver,
            was_presented: false,
            cancel: 0,
            was_cancelled: false,
            stop: Stop::None,
            buffers: request_buffers::Buffers::default(),
        },
    );
    Ok(handle)
}

/// Marks an IRP pending: from now on its dispatch routine returns STATUS_PENDING.
pub(super) fn mark_pending(stack: &IoStackLocation) {
    stack.control.set(stack.control.get() | SL_PENDING_RETURNED);
}

fn forget(handle: Handle) {
    REQUESTS.remove(handle);
}

pub(super) fn with<R>(handle: Handle, body: impl FnOnce(&mut Request) -> R) -> Option<R> {
    REQUESTS.with(handle, body)
}

/// The request that a driver means and its IRP. One that is completed is bug check 0x10D/6/2.
#[must_use]
pub(super) fn checked<'call>(function: &str, raw: u64) -> (Handle, &'call Irp) {
    if COMPLETED.with(|completed| completed.contains(&raw)) {
        refuse_completed(function, raw);
    }
    let handle = object::check(function, raw, &KIND);
    match irp_of(handle) {
        Some(irp) => (handle, irp),
        None => refuse_completed(function, raw),
    }
}

fn refuse_completed(function: &str, raw: u64) -> ! {
    violation::raise(
        "wdf-request-completed",
        format_args!("{function}: request {raw:#x} is completed"),
        [reason::REQUEST_FATAL_ERROR, NULL_IRP, raw, 0],
    )
}

/// The IRP of a request that is not completed.
#[must_use]
pub(super) fn irp_of<'call>(handle: Handle) -> Option<&'call Irp> {
    let irp = with(handle, |request| {
        (request.place != Place::Completed).then_some(request.irp)
    });
    irp.flatten().map(shared)
}

/// The current stack location of an IRP.
#[must_use]
pub(super) fn stack_of<'call>(irp: &Irp) -> &'call IoStackLocation {
    shared(irp.current_stack_location.get() as u64)
}

/// What came; `None` where the request is completed.
#[must_use]
pub(super) fn arrival(handle: Handle) -> Option<Arrival> {
    Arrival::of_stack(stack_of(irp_of(handle)?))
}

/// The WDFFILEOBJECT of a request, as a number; 0 for none.
#[must_use]
pub(super) fn file_object(handle: Handle) -> u64 {
    let wdm = irp_of(handle).map_or(0, |irp| stack_of(irp).file_object.get());
    super::file_object::of_wdm(wdm).map_or(0, Handle::raw)
}

/// The queue that a request is in, or came from.
#[must_use]
pub(super) fn queue_of(handle: Handle) -> Option<Handle> {
    with(handle, |request| request.queue).flatten()
}

/// Whether the driver has had the request.
#[must_use]
pub(super) fn was_presented(handle: Handle) -> bool {
    with(handle, |request| request.was_presented) == Some(true)
}

/// Whether the driver has it now.
#[must_use]
pub(super) fn is_with_driver(handle: Handle) -> bool {
    with(handle, |request| request.place == Place::WithDriver) == Some(true)
}

/// Whether its issuer wants it back.
#[must_use]
pub(super) fn is_cancel_asked(handle: Handle) -> bool {
    irp_of(handle).is_some_and(|irp| irp.cancel.get() != 0)
}

/// The request waits in a queue.
pub(super) fn set_waiting(handle: Handle, queue: Handle) {
    with(handle, |request| {
        request.queue = Some(queue);
        request.place = Place::Waiting;
        request.stop = Stop::None;
    });
    if let Some(irp) = irp_of(handle) {
        let routine = (cancel_waiting as *const ()).expose_provenance() as u64;
        irp.cancel_routine.set(routine);
    }
}

/// The driver has the request.
pub(super) fn set_owned(handle: Handle) {
    if let Some(irp) = irp_of(handle) {
        irp.cancel_routine.set(0);
    }
    with(handle, |request| {
        request.place = Place::WithDriver;
        request.was_presented = true;
    });
}

fn of_irp(irp: u64) -> Option<Handle> {
    let of_irp =
        REQUESTS.find(|_, request| request.irp == irp && request.place != Place::Completed);
    of_irp.first().copied()
}

/// DRIVER_CANCEL of an IRP that waits in a queue.
extern "win64" fn cancel_waiting(_device: u64, irp: u64) {
    let irp: &Irp = shared(irp);
    irql::lower(irp.cancel_irql.get());
    if let Some(request) = of_irp(address_of(irp))
        && let Some(queue) = queue_of(request)
        && queue::take_waiting(queue, request)
    {
        queue::cancel_on_queue(queue, request);
        queue::deliver(queue);
    }
}

/// DRIVER_CANCEL of an IRP that the driver has marked cancelable.
extern "win64" fn cancel_marked(_device: u64, irp: u64) {
    let irp: &Irp = shared(irp);
    irql::lower(irp.cancel_irql.get());
    if let Some(request) = of_irp(address_of(irp)) {
        call_cancel(request);
    }
}

/// Calls EvtRequestCancel, once.
fn call_cancel(handle: Handle) {
    let routine = with(handle, |request| {
        let routine = core::mem::take(&mut request.cancel);
        request.was_cancelled |= routine != 0;
        routine
    });
    if let Some(routine) = routine.filter(|routine| *routine != 0) {
        let guard = queue_of(handle).unwrap_or(handle);
        lock::guarded_unless_held(guard, || {
            call::event(routine, "EvtRequestCancel", &[handle.raw()]);
        });
    }
}

/// Marks a request cancelable. One that is cancelled already is not marked: STATUS_CANCELLED.
///
/// # Errors
/// STATUS_CANCELLED.
pub(super) fn mark_cancelable(handle: Handle, routine: u64) -> Result<(), NtStatus> {
    let Some(irp) = irp_of(handle) else {
        return Err(status::CANCELLED);
    };
    if irp.cancel.get() != 0 {
        return Err(status::CANCELLED);
    }
    with(handle, |request| request.cancel = routine);
    let cancel_routine = (cancel_marked as *const ()).expose_provenance() as u64;
    irp.cancel_routine.set(cancel_routine);
    Ok(())
}

/// As [`mark_cancelable`]; a request that is cancelled already gets its callback at once.
pub(super) fn mark_or_cancel(handle: Handle, routine: u64) {
    if mark_cancelable(handle, routine).is_err() {
        with(handle, |request| request.cancel = routine);
        call_cancel(handle);
    }
}

/// Whether the driver has marked it cancelable.
#[must_use]
pub(super) fn is_cancelable(handle: Handle) -> bool {
    with(handle, |request| request.cancel != 0) == Some(true)
}

/// Takes the mark away.
///
/// # Errors
/// STATUS_CANCELLED where EvtRequestCancel was called or is about to be, STATUS_INVALID_PARAMETER where it is not marked.
pub(super) fn unmark_cancelable(handle: Handle) -> Result<(), NtStatus> {
    let (is_marked, was_cancelled) = with(handle, |request| {
        (request.cancel != 0, request.was_cancelled)
    })
    .unwrap_or_default();
    let irp = irp_of(handle);
    let has_routine = irp.is_some_and(|irp| irp.cancel_routine.get() != 0);
    if was_cancelled || (is_marked && !has_routine) {
        return Err(status::CANCELLED);
    }
    if !is_marked {
        return Err(status::INVALID_PARAMETER);
    }
    irp.inspect(|irp| irp.cancel_routine.set(0));
    with(handle, |request| request.cancel = 0);
    Ok(())
}

/// Cancels a request that the driver has and has marked: for a queue that is purged.
pub(super) fn cancel_owned(handle: Handle) {
    if is_cancelable(handle)
        && let Some(irp) = irp_of(handle)
        && irp.cancel_routine.replace(0) != 0
    {
        irp.cancel.set(1);
        call_cancel(handle);
    }
}

/// EvtIoStop is about to be called for it; false where it has left the driver.
pub(super) fn begin_stop(handle: Handle) -> bool {
    with(handle, |request| {
        let is_with_driver = request.place == Place::WithDriver;
        if is_with_driver {
            request.stop = Stop::Asked;
        }
        is_with_driver
    }) == Some(true)
}

/// WdfRequestStopAcknowledge; false where nobody has asked.
pub(super) fn acknowledge_stop(handle: Handle) -> bool {
    with(handle, |request| {
        let was_asked = request.stop == Stop::Asked;
        if was_asked {
            request.stop = Stop::Acknowledged;
        }
        was_asked
    }) == Some(true)
}

/// Whether the device may leave D0 with this request in the driver.
#[must_use]
pub(super) fn is_stop_acknowledged(handle: Handle) -> bool {
    with(handle, |request| request.stop == Stop::Acknowledged).unwrap_or(true)
}

/// The device is back in D0; whether the driver kept the request over it.
pub(super) fn end_stop(handle: Handle) -> bool {
    let stop = with(handle, |request| {
        core::mem::replace(&mut request.stop, Stop::None)
    });
    stop == Some(Stop::Acknowledged)
}

/// Completes a request that the framework has, without information.
pub(super) fn complete_by_framework(handle: Handle, status: NtStatus) {
    if let Some(irp) = irp_of(handle) {
        irp.information.set(0);
        finish(handle, irp, status);
    }
}

/// Completes a request for the driver; IoStatus.Information is set already. More information than bytes of a read or
/// write is bug check 0x10D/6/4.
pub(super) fn complete(function: &str, handle: Handle, irp: &Irp, status: NtStatus) {
    if !is_with_driver(handle) {
        object::misuse(
            "wdf-request-not-owned",
            format_args!("{function}: {handle} waits in a queue"),
        );
        return;
    }
    if is_cancelable(handle) {
        object::misuse(
            "wdf-request-cancelable",
            format_args!(
                "{function}: {handle} is marked cancelable and may be cancelled meanwhile"
            ),
        );
        let _ = unmark_cancelable(handle);
    }
    check_information(function, handle, irp, status);
    finish(handle, irp, converted(status));
}

fn check_information(function: &str, handle: Handle, irp: &Irp, status: NtStatus) {
    let limit = match Arrival::of_stack(stack_of(irp)) {
        Some(Arrival::Read { len_bytes } | Arrival::Write { len_bytes }) => len_bytes,
        _ => return,
    };
    let information = irp.information.get();
    if status.is_success() && information > limit {
        violation::raise(
            "wdf-request-information",
            format_args!("{function}: {handle} has {limit:#x} bytes, information {information:#x}"),
            [
                reason::REQUEST_FATAL_ERROR,
                INFORMATION_LENGTH_MISMATCH,
                handle.raw(),
                0,
            ],
        );
    }
}

/// The framework's own status codes do not leave it (FxRequest::CompleteInternal).
fn converted(status: NtStatus) -> NtStatus {
    const FACILITY_MASK: u32 = 0x0FFF_0000;
    const FRAMEWORK: u32 = 0x0020_0000;
    match status {
        status::WDF_PAUSED | status::WDF_BUSY => status::DEVICE_BUSY,
        status::WDF_NOT_ENOUGH_MAP_REGISTERS => status::INSUFFICIENT_RESOURCES,
        other if other.0 & FACILITY_MASK == FRAMEWORK => status::INVALID_DEVICE_REQUEST,
        other => other,
    }
}

/// The object goes first, as in the framework, then the IRP, and then the queue delivers the next one.
fn finish(handle: Handle, irp: &Irp, status: NtStatus) {
    let queue = queue_of(handle);
    irp.cancel_routine.set(0);
    check_references(handle);
    tree::delete(handle);
    with(handle, |request| request.place = Place::Completed);
    COMPLETED.with(|completed| {
        if completed.len() == MAX_REMEMBERED {
            completed.pop_front();
        }
        completed.push_back(handle.raw());
    });
    if stack_of(irp).major_function.get() == IRP_MJ_CREATE {
        super::file_object::open_completed(irp, status);
    }
    irp.status.set(status);
    io_irp::complete(irp);
    if let Some(queue) = queue {
        queue::leave(queue, handle);
        queue::deliver(queue);
    }
}

/// References on the memory of a request must not outlive it: bug check 0x10D/3.
fn check_references(handle: Handle) {
    let buffers = with(handle, |request| request.buffers).unwrap_or_default();
    let memories = [buffers.input, buffers.output];
    let kept = memories.into_iter().flatten().find_map(|memory| {
        let references = object::with(memory, |object| object.references)?;
        (references > 1).then_some((memory, references))
    });
    if let Some((memory, references)) = kept {
        violation::raise(
            "wdf-request-memory-referenced",
            format_args!("{handle} is completed with references on its memory {memory}"),
            [
                reason::VERIFIER_FATAL_ERROR,
                handle.raw(),
                u64::from(references - 1),
                0,
            ],
        );
    }
}

/// Whether WDF_REQUEST_PARAMETERS has its size.
#[must_use]
pub(super) fn has_parameters_size(at: u64) -> bool {
    let mut size = [0; 2];
    read_into(at, &mut size);
    u16::from_le_bytes(size) >= PARAMETERS_BYTES
}

/// Fills WDF_REQUEST_PARAMETERS.
pub(super) fn write_parameters(handle: Handle, at: u64) {
    let Some(stack) = irp_of(handle).map(stack_of) else {
        return;
    };
    write_bytes(at, &PARAMETERS_BYTES.to_le_bytes());
    write_bytes(at + 2, &[stack.minor_function.get()]);
    write_bytes(at + 4, &u32::from(stack.major_function.get()).to_le_bytes());
    let parameters = [0, 1, 2, 3].map(|idx: usize| stack.parameters[idx].get());
    let low = |value: u64| value & 0xFFFF_FFFF;
    let [a, b, c, d] = parameters;
    let values = match Arrival::of_stack(stack) {
        // Length and key have 32 bits in the stack location.
        Some(Arrival::Read { .. } | Arrival::Write { .. }) => [low(a), low(b), c, 0],
        Some(Arrival::Control { .. } | Arrival::InternalControl { .. }) => {
            [low(a), low(b), low(c), d]
        }
        _ => parameters,
    };
    for (offset, value) in (8..).step_by(8).zip(values) {
        write_u64(at + offset, value);
    }
}

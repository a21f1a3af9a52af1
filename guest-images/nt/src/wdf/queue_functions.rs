//! WdfIoQueue... (indices 152 to 166, 418, 419). IRQL <= DISPATCH_LEVEL, the synchronous ones PASSIVE_LEVEL.

use core::cell::Cell;

use super::attributes::{Attributes, ParentRule, Rules, Scope};
use super::creation::{device_above, give, word};
use super::device;
use super::object::{self, Handle};
use super::queue::{self, Callbacks, DispatchType, KIND, Notice, Queue};
use super::violation::{at_most, not_null};
use super::{io_package, lock, request, tree};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ntoskrnl::shared::{optional, read_u64, shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};

/// Sizes of WDF_IO_QUEUE_CONFIG: up to KMDF 1.7, up to 1.9, since.
const CONFIG_SIZES: [u32; 3] = [0x50, 0x58, 0x60];

/// Bits of WDF_IO_QUEUE_STATE.
mod state {
    pub(super) const ACCEPTS: u32 = 0x01;
    pub(super) const DISPATCHES: u32 = 0x02;
    pub(super) const NO_REQUESTS: u32 = 0x04;
    pub(super) const DRIVER_NO_REQUESTS: u32 = 0x08;
    pub(super) const PNP_HELD: u32 = 0x10;
}

/// `WdfIoQueueCreate` (wdfio.h). STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER for the dispatch
/// type or callbacks that do not fit it, STATUS_WDF_NO_CALLBACK, STATUS_INVALID_PARAMETER_4 without a place for the
/// handle of a queue that is not the default, STATUS_INVALID_DEVICE_STATE for a second default queue,
/// STATUS_INVALID_DEVICE_REQUEST for a parent without that device above it, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says.
pub(super) extern "win64" fn create(
    _globals: u64,
    device: u64,
    config: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfIoQueueCreate";
    let device = object::check(function, device, &device::KIND);
    not_null(function, "Config", config);
    at_most(function, DISPATCH_LEVEL);
    give(out, make(device, config, attributes, out != 0))
}

fn make(device: Handle, config: u64, attributes: u64, has_out: bool) -> Result<Handle, NtStatus> {
    let size = word(config, 0);
    if !CONFIG_SIZES.contains(&size) {
        return Err(status::INFO_LENGTH_MISMATCH);
    }
    let is_default = byte(config, 0x0D) != 0;
    if !is_default && !has_out {
        return Err(status::INVALID_PARAMETER_4);
    }
    if is_default && io_package::default_queue(device).is_some() {
        return Err(status::INVALID_DEVICE_STATE);
    }
    let rules = Rules {
        parent: ParentRule::Optional,
        execution_level: true,
        scope: true,
    };
    let attributes = Attributes::read(attributes, rules)?;
    let parent = attributes.parent_or("WdfIoQueueCreate", device);
    if device_above(parent) != Some(device) {
        return Err(status::INVALID_DEVICE_REQUEST);
    }
    let record = read_config(device, config, size)?;
    let handle = object::create(&KIND, &attributes, Some(parent))?;
    let level_differs = object::execution_level(handle) != object::execution_level(device);
    if object::synchronization_scope(handle) == Scope::Device && level_differs {
        tree::discard(handle);
        return Err(status::INVALID_PARAMETER);
    }
    if !lock::attach(handle) {
        tree::discard(handle);
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    queue::insert(handle, record);
    if is_default {
        object::set_deletable(handle, false);
        io_package::set_default_queue(device, handle);
    }
    Ok(handle)
}

/// WDF_IO_QUEUE_CONFIG, whose size has been checked.
fn read_config(device: Handle, config: u64, size: u32) -> Result<Queue, NtStatus> {
    let routine = |offset: u64| read_u64(config.wrapping_add(offset));
    let callbacks = Callbacks {
        default: routine(0x10),
        read: routine(0x18),
        write: routine(0x20),
        control: routine(0x28),
        internal_control: routine(0x30),
        stop: routine(0x38),
        resume: routine(0x40),
        canceled_on_queue: routine(0x48),
    };
    let limit = match size {
        0x50 => 0,
        _ => word(config, 0x50),
    };
    let is_manual = word(config, 4) == 3;
    let dispatch_type = match word(config, 4) {
        1 => DispatchType::Sequential,
        2 => DispatchType::Parallel((limit != 0 && limit != u32::MAX).then_some(limit)),
        3 => DispatchType::Manual,
        _ => return Err(status::INVALID_PARAMETER),
    };
    if !is_manual && !callbacks.takes_requests() {
        return Err(status::WDF_NO_CALLBACK);
    }
    let has_misplaced_limit = limit != 0 && !matches!(dispatch_type, DispatchType::Parallel(_));
    if (is_manual && callbacks.takes_requests()) || has_misplaced_limit {
        return Err(status::INVALID_PARAMETER);
    }
    let is_filter = device::with(device, |device| device.init.is_filter) == Some(true);
    let is_power_managed = match word(config, 8) {
        0 => false,
        1 => true,
        _ => !is_filter,
    };
    let is_in_d0 = device::with(device, |device| device.power_state) == Some(device::POWER_D0);
    let mut queue = Queue::new(device, dispatch_type, callbacks);
    queue.is_power_managed = is_power_managed;
    queue.has_power = !is_power_managed || is_in_d0;
    queue.allows_zero_length = byte(config, 0x0C) != 0;
    Ok(queue)
}

fn byte(at: u64, offset: u64) -> u8 {
    shared::<Cell<u8>>(at.wrapping_add(offset)).get()
}

/// `WdfIoQueueGetState` (wdfio.h). WDF_IO_QUEUE_STATE; the numbers of requests that wait and that the driver has.
pub(super) extern "win64" fn state(
    _globals: u64,
    queue: u64,
    waiting_out: u64,
    owned_out: u64,
) -> u32 {
    let handle = checked("WdfIoQueueGetState", queue);
    let Some((state, n_waiting, n_owned)) = queue::with(handle, |record| {
        let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
        let state = bit(record.accepts, state::ACCEPTS)
            | bit(record.dispatches, state::DISPATCHES)
            | bit(record.waiting.is_empty(), state::NO_REQUESTS)
            | bit(record.owned.is_empty(), state::DRIVER_NO_REQUESTS)
            | bit(!record.has_power, state::PNP_HELD);
        (state, record.waiting.len(), record.owned.len())
    }) else {
        return 0;
    };
    for (out, count) in [(waiting_out, n_waiting), (owned_out, n_owned)] {
        if let Some(out) = optional::<Cell<u32>>(out) {
            out.set(u32::try_from(count).unwrap_or(u32::MAX));
        }
    }
    state
}

/// `WdfIoQueueStart` (wdfio.h): accepts and delivers again.
pub(super) extern "win64" fn start(_globals: u64, queue: u64) {
    let handle = checked("WdfIoQueueStart", queue);
    queue::with(handle, |record| {
        (record.accepts, record.dispatches) = (true, true);
        record.is_ready |= !record.waiting.is_empty();
    });
    queue::deliver(handle);
}

/// `WdfIoQueueStop` (wdfio.h): accepts, and delivers no more. `callback` comes when the driver has no request.
pub(super) extern "win64" fn stop(_globals: u64, queue: u64, callback: u64, context: u64) {
    let handle = checked("WdfIoQueueStop", queue);
    queue::with(handle, |record| {
        record.dispatches = false;
        record.stopped = notice(callback, context);
    });
    queue::deliver(handle);
}

/// `WdfIoQueueStopSynchronously` (wdfio.h): as [`stop`]; returns when the driver has no request.
pub(super) extern "win64" fn stop_synchronously(_globals: u64, queue: u64) {
    let handle = checked_passive("WdfIoQueueStopSynchronously", queue);
    queue::with(handle, |record| record.dispatches = false);
    queue::wait_until(handle, |record| record.owned.is_empty());
}

/// `WdfIoQueueGetDevice` (wdfio.h).
pub(super) extern "win64" fn device(_globals: u64, queue: u64) -> u64 {
    let handle = checked("WdfIoQueueGetDevice", queue);
    queue::with(handle, |record| record.device.raw()).unwrap_or(0)
}

/// `WdfIoQueueRetrieveNextRequest` (wdfio.h). STATUS_SUCCESS, STATUS_NO_MORE_ENTRIES, STATUS_WDF_PAUSED where the queue
/// does not deliver, STATUS_INVALID_DEVICE_STATE for a parallel queue.
pub(super) extern "win64" fn retrieve_next(_globals: u64, queue: u64, out: u64) -> NtStatus {
    let function = "WdfIoQueueRetrieveNextRequest";
    let handle = checked(function, queue);
    not_null(function, "OutRequest", out);
    give(
        out,
        queue::retrieve(handle, status::NO_MORE_ENTRIES, |_| true),
    )
}

/// `WdfIoQueueRetrieveRequestByFileObject` (wdfio.h). As [`retrieve_next`].
pub(super) extern "win64" fn retrieve_by_file_object(
    _globals: u64,
    queue: u64,
    file_object: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfIoQueueRetrieveRequestByFileObject";
    let handle = checked(function, queue);
    not_null(function, "OutRequest", out);
    let file_object = object::check_any(function, file_object).raw();
    let is_of_file = |request| request::file_object(request) == file_object;
    give(
        out,
        queue::retrieve(handle, status::NO_MORE_ENTRIES, is_of_file),
    )
}

/// `WdfIoQueueFindRequest` (wdfio.h). The first request behind `found`, of a file object if one is given, stays in the
/// queue and is referenced. STATUS_SUCCESS, STATUS_NO_MORE_ENTRIES, STATUS_NOT_FOUND where `found` has left the queue,
/// STATUS_INVALID_PARAMETER_4 for the size of the parameters.
pub(super) extern "win64" fn find_request(
    _globals: u64,
    queue: u64,
    found: u64,
    file_object: u64,
    parameters: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfIoQueueFindRequest";
    let handle = checked(function, queue);
    not_null(function, "OutRequest", out);
    write_u64(out, 0);
    if parameters != 0 && !request::has_parameters_size(parameters) {
        return status::INVALID_PARAMETER_4;
    }
    let waiting = queue::with(handle, |record| record.waiting.clone()).unwrap_or_default();
    let first = match found {
        0 => 0,
        found => {
            let found = object::check(function, found, &request::KIND);
            match waiting.iter().position(|request| *request == found) {
                Some(position) => position + 1,
                None => return status::NOT_FOUND,
            }
        }
    };
    let is_wanted =
        |request: &&Handle| file_object == 0 || request::file_object(**request) == file_object;
    let Some(request) = waiting.iter().skip(first).find(is_wanted).copied() else {
        return status::NO_MORE_ENTRIES;
    };
    object::reference(request);
    if parameters != 0 {
        request::write_parameters(request, parameters);
    }
    write_u64(out, request.raw());
    status::SUCCESS
}

/// `WdfIoQueueRetrieveFoundRequest` (wdfio.h). STATUS_SUCCESS, STATUS_NOT_FOUND where it has left the queue,
/// STATUS_WDF_PAUSED, STATUS_INVALID_DEVICE_REQUEST for a queue that is not manual.
pub(super) extern "win64" fn retrieve_found(
    _globals: u64,
    queue: u64,
    found: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfIoQueueRetrieveFoundRequest";
    let handle = checked(function, queue);
    let found = object::check(function, found, &request::KIND);
    not_null(function, "OutRequest", out);
    let is_manual = queue::with(handle, |record| {
        record.dispatch_type == DispatchType::Manual
    });
    if is_manual != Some(true) {
        return give(out, Err(status::INVALID_DEVICE_REQUEST));
    }
    let is_found = |request: Handle| request == found;
    give(out, queue::retrieve(handle, status::NOT_FOUND, is_found))
}

/// `WdfIoQueueDrainSynchronously` (wdfio.h): as [`drain`]; returns when there is no request.
pub(super) extern "win64" fn drain_synchronously(_globals: u64, queue: u64) {
    let handle = checked_passive("WdfIoQueueDrainSynchronously", queue);
    queue::with(handle, |record| record.accepts = false);
    wait_until_empty(handle);
}

/// `WdfIoQueueDrain` (wdfio.h): accepts no more and delivers the rest. `callback` comes when there is no request.
pub(super) extern "win64" fn drain(_globals: u64, queue: u64, callback: u64, context: u64) {
    let handle = checked("WdfIoQueueDrain", queue);
    queue::with(handle, |record| {
        record.accepts = false;
        record.emptied = notice(callback, context);
    });
    queue::deliver(handle);
}

/// `WdfIoQueuePurgeSynchronously` (wdfio.h): as [`purge`]; returns when there is no request.
pub(super) extern "win64" fn purge_synchronously(_globals: u64, queue: u64) {
    let handle = checked_passive("WdfIoQueuePurgeSynchronously", queue);
    queue::purge(handle);
    wait_until_empty(handle);
}

/// `WdfIoQueuePurge` (wdfio.h): accepts no more and cancels the rest. `callback` comes when there is no request.
pub(super) extern "win64" fn purge(_globals: u64, queue: u64, callback: u64, context: u64) {
    let handle = checked("WdfIoQueuePurge", queue);
    queue::with(handle, |record| record.emptied = notice(callback, context));
    queue::purge(handle);
    queue::deliver(handle);
}

/// `WdfIoQueueStopAndPurge` (wdfio.h): delivers no more, cancels what is there, and accepts.
pub(super) extern "win64" fn stop_and_purge(
    _globals: u64,
    queue: u64,
    callback: u64,
    context: u64,
) {
    let handle = checked("WdfIoQueueStopAndPurge", queue);
    purge_stopped(handle);
    queue::with(handle, |record| record.stopped = notice(callback, context));
    queue::deliver(handle);
}

/// `WdfIoQueueStopAndPurgeSynchronously` (wdfio.h): as [`stop_and_purge`]; returns when the driver has no request.
pub(super) extern "win64" fn stop_and_purge_synchronously(_globals: u64, queue: u64) {
    let handle = checked_passive("WdfIoQueueStopAndPurgeSynchronously", queue);
    purge_stopped(handle);
    queue::wait_until(handle, |record| record.owned.is_empty());
}

fn purge_stopped(handle: Handle) {
    queue::with(handle, |record| record.dispatches = false);
    queue::purge(handle);
    queue::with(handle, |record| record.accepts = true);
}

/// `WdfIoQueueReadyNotify` (wdfio.h). STATUS_SUCCESS, STATUS_INVALID_DEVICE_REQUEST for a queue that is not manual, that
/// has a routine already, or whose routine is taken away without one or while it delivers.
pub(super) extern "win64" fn ready_notify(
    _globals: u64,
    queue: u64,
    callback: u64,
    context: u64,
) -> NtStatus {
    let handle = checked("WdfIoQueueReadyNotify", queue);
    let is_set = queue::with(handle, |record| {
        let is_manual = record.dispatch_type == DispatchType::Manual;
        let may_change = match (notice(callback, context), record.ready) {
            (Some(_), None) => true,
            (None, Some(_)) => !record.dispatches,
            _ => false,
        };
        if is_manual && may_change {
            record.ready = notice(callback, context);
            record.is_ready = !record.waiting.is_empty();
        }
        is_manual && may_change
    });
    if is_set != Some(true) {
        return status::INVALID_DEVICE_REQUEST;
    }
    queue::deliver(handle);
    status::SUCCESS
}

/// `WdfDeviceGetDefaultQueue` (wdfdevice.h). Null where there is none.
pub(super) extern "win64" fn default_queue(_globals: u64, device: u64) -> u64 {
    let function = "WdfDeviceGetDefaultQueue";
    let device = object::check(function, device, &device::KIND);
    at_most(function, DISPATCH_LEVEL);
    io_package::default_queue(device).map_or(0, Handle::raw)
}

/// `WdfDeviceConfigureRequestDispatching` (wdfdevice.h). `kind` is WDF_REQUEST_TYPE. STATUS_SUCCESS,
/// STATUS_INVALID_PARAMETER for a kind that has no queues, STATUS_INVALID_DEVICE_REQUEST for a queue of another device,
/// STATUS_WDF_BUSY where the kind has a queue already.
pub(super) extern "win64" fn configure_dispatching(
    _globals: u64,
    device: u64,
    queue: u64,
    kind: u32,
) -> NtStatus {
    let function = "WdfDeviceConfigureRequestDispatching";
    let device = object::check(function, device, &device::KIND);
    let handle = checked(function, queue);
    if queue::with(handle, |record| record.device) != Some(device) {
        return status::INVALID_DEVICE_REQUEST;
    }
    let Some(kind) = u8::try_from(kind)
        .ok()
        .filter(|kind| io_package::has_queue(*kind))
    else {
        return status::INVALID_PARAMETER;
    };
    match io_package::route(device, kind, handle) {
        true => status::SUCCESS,
        false => status::WDF_BUSY,
    }
}

fn notice(routine: u64, context: u64) -> Option<Notice> {
    (routine != 0).then_some(Notice { routine, context })
}

fn wait_until_empty(handle: Handle) {
    queue::wait_until(handle, |record| {
        record.owned.is_empty() && record.waiting.is_empty()
    });
}

fn checked(function: &str, queue: u64) -> Handle {
    let handle = object::check(function, queue, &KIND);
    at_most(function, DISPATCH_LEVEL);
    handle
}

fn checked_passive(function: &str, queue: u64) -> Handle {
    let handle = object::check(function, queue, &KIND);
    at_most(function, PASSIVE_LEVEL);
    handle
}

//! WDFQUEUE: which requests wait, which the driver has, and when the next one is delivered. The functions are in
//! [`super::queue_functions`].
//!
//! A request waits in its queue until the queue dispatches, has power, and its type allows another request with the
//! driver. The callbacks come in the thread that made it so, under the lock of the queue's scope; in the worker
//! thread where that thread's IRQL is too high for the queue or it holds the lock already.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::attributes::ExecutionLevel;
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::request::{self, Arrival};
use super::{lock, passive};
use crate::arch::processor;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ke::wait;
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::status::{self, NtStatus};

/// One millisecond, in units of 100 ns.
const MILLISECOND: i64 = -10_000;

pub(super) static KIND: Kind = Kind {
    is_passive: true,
    on_dispose: run_down,
    on_destroy: forget,
    ..Kind::new("WDFQUEUE")
};

/// WDF_IO_QUEUE_DISPATCH_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DispatchType {
    /// One request at a time.
    Sequential,
    /// So many at a time; `None` is no limit.
    Parallel(Option<u32>),
    /// The driver fetches them.
    Manual,
}

/// The callbacks of WDF_IO_QUEUE_CONFIG; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Callbacks {
    pub(super) default: u64,
    pub(super) read: u64,
    pub(super) write: u64,
    pub(super) control: u64,
    pub(super) internal_control: u64,
    pub(super) stop: u64,
    pub(super) resume: u64,
    pub(super) canceled_on_queue: u64,
}

/// A callback with its context: EvtIoQueueState.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) routine: u64,
    pub(super) context: u64,
}

/// What the framework keeps of a queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) device: Handle,
    pub(super) dispatch_type: DispatchType,
    pub(super) callbacks: Callbacks,
    pub(super) allows_zero_length: bool,
    pub(super) is_power_managed: bool,
    /// Whether the device's power lets it deliver; always where it is not power-managed.
    pub(super) has_power: bool,
    pub(super) accepts: bool,
    pub(super) dispatches: bool,
    /// Requests that wait, first come first.
    pub(super) waiting: VecDeque<Handle>,
    /// Requests that the driver has.
    pub(super) owned: Vec<Handle>,
    /// WdfIoQueueReadyNotify, and whether a request has come since it was called last.
    pub(super) ready: Option<Notice>,
    pub(super) is_ready: bool,
    /// WdfIoQueueStop: called when the driver has no request.
    pub(super) stopped: Option<Notice>,
    /// WdfIoQueueDrain and WdfIoQueuePurge: called when there is no request at all.
    pub(super) emptied: Option<Notice>,
    /// Threads that are delivering.
    delivering: Vec<u64>,
}

static QUEUES: Family<Queue> = Family::new();

impl Queue {
    /// An empty queue that accepts and dispatches.
    pub(super) fn new(device: Handle, dispatch_type: DispatchType, callbacks: Callbacks) -> Self {
        Self {
            device,
            dispatch_type,
            callbacks,
            allows_zero_length: false,
            is_power_managed: false,
            has_power: true,
            accepts: true,
            dispatches: true,
            waiting: VecDeque::new(),
            owned: Vec::new(),
            ready: None,
            is_ready: false,
            stopped: None,
            emptied: None,
            delivering: Vec::new(),
        }
    }

    fn may_dispatch(&self) -> bool {
        self.dispatches && self.has_power
    }

    /// Whether another request may go to the driver by itself.
    fn has_room(&self) -> bool {
        match self.dispatch_type {
            DispatchType::Sequential => self.owned.is_empty(),
            DispatchType::Parallel(limit) => {
                limit.is_none_or(|limit| self.owned.len() < limit as usize)
            }
            DispatchType::Manual => false,
        }
    }

    /// Whether [`Queue::next_step`] would give a step.
    fn is_due(&self) -> bool {
        let is_idle = self.owned.is_empty();
        let has_emptied = self.waiting.is_empty() && self.emptied.is_some();
        if is_idle && (self.stopped.is_some() || has_emptied) {
            return true;
        }
        let is_wanted = match self.dispatch_type {
            DispatchType::Manual => self.is_ready && self.ready.is_some(),
            _ => self.has_room(),
        };
        self.may_dispatch() && !self.waiting.is_empty() && is_wanted
    }

    /// What is due next, taken out of the record.
    fn next_step(&mut self) -> Option<Step> {
        if self.owned.is_empty()
            && let Some(stopped) = self.stopped.take()
        {
            return Some(Step::Notify(stopped));
        }
        if self.owned.is_empty() && self.waiting.is_empty() && self.emptied.is_some() {
            return self.emptied.take().map(Step::Notify);
        }
        if !self.is_due() {
            return None;
        }
        if self.dispatch_type == DispatchType::Manual {
            self.is_ready = false;
            return self.ready.map(Step::Notify);
        }
        let request = self.waiting.pop_front()?;
        self.owned.push(request);
        Some(Step::Present(request))
    }
}

/// One callback that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Present(Handle),
    Notify(Notice),
}

/// Adds the record of a queue.
pub(super) fn insert(handle: Handle, queue: Queue) {
    QUEUES.insert(handle, queue);
    passive::attach(handle, deliver);
}

/// Runs `body` on the record of a queue, interrupts off.
pub(super) fn with<R>(handle: Handle, body: impl FnOnce(&mut Queue) -> R) -> Option<R> {
    QUEUES.with(handle, body)
}

/// The queues of a device.
#[must_use]
pub(super) fn of_device(device: Handle) -> Vec<Handle> {
    QUEUES.find(|_, queue| queue.device == device)
}

/// Puts a request at the end of a queue. The request may be delivered, completed and gone when it returns.
///
/// # Errors
/// STATUS_WDF_BUSY where the queue takes none: the caller keeps the request.
pub(super) fn add(queue: Handle, request: Handle) -> Result<(), NtStatus> {
    let is_taken = with(queue, |record| {
        if record.accepts {
            record.is_ready |= record.waiting.is_empty();
            record.waiting.push_back(request);
        }
        record.accepts
    });
    if is_taken != Some(true) {
        return Err(status::WDF_BUSY);
    }
    request::set_waiting(request, queue);
    // The issuer may have cancelled it before it could be taken off the queue.
    if request::is_cancel_asked(request) && take_waiting(queue, request) {
        cancel_on_queue(queue, request);
    }
    deliver(queue);
    Ok(())
}

/// Takes a request out of those that wait; false where it does not.
pub(super) fn take_waiting(queue: Handle, request: Handle) -> bool {
    with(queue, |record| {
        let position = record.waiting.iter().position(|found| *found == request);
        position
            .and_then(|idx| record.waiting.remove(idx))
            .is_some()
    }) == Some(true)
}

/// The driver has the request no more: it was completed, or goes to another queue.
pub(super) fn leave(queue: Handle, request: Handle) {
    with(queue, |record| {
        record.owned.retain(|found| *found != request)
    });
}

/// A request that waited and was cancelled. One that the driver has had before goes back to it, if it wants it;
/// any other is completed with STATUS_CANCELLED.
pub(super) fn cancel_on_queue(queue: Handle, request: Handle) {
    let routine = with(queue, |record| record.callbacks.canceled_on_queue).unwrap_or(0);
    if routine == 0 || !request::was_presented(request) {
        request::complete_by_framework(request, status::CANCELLED);
        return;
    }
    with(queue, |record| record.owned.push(request));
    request::set_owned(request);
    object::reference(queue);
    lock::guarded_unless_held(queue, || {
        let arguments = [queue.raw(), request.raw()];
        call::event(routine, "EvtIoCanceledOnQueue", &arguments);
    });
    super::tree::dereference(queue);
}

/// Delivers what may be delivered.
pub(super) fn deliver(queue: Handle) {
    let has_work = with(queue, |record| record.is_due());
    if has_work != Some(true) {
        return;
    }
    let is_too_high = object::execution_level(queue) == ExecutionLevel::Passive
        && irql::current() > PASSIVE_LEVEL;
    if is_too_high || lock::guard_of(queue).is_some_and(lock::is_held_here) {
        let is_delivering_here = with(queue, |record| {
            record.delivering.contains(&processor::current_thread())
        });
        // The loop below, which is above on this stack, goes on with it.
        if is_delivering_here != Some(true) {
            passive::enqueue(queue);
        }
        return;
    }
    let thread = processor::current_thread();
    let begins = with(queue, |record| {
        let begins = !record.delivering.contains(&thread);
        if begins {
            record.delivering.push(thread);
        }
        begins
    });
    if begins != Some(true) {
        return;
    }
    object::reference(queue);
    while let Some(Some(step)) = with(queue, Queue::next_step) {
        match step {
            Step::Present(request) => present(queue, request),
            Step::Notify(notice) => notify(queue, notice),
        }
    }
    with(queue, |record| {
        record.delivering.retain(|found| *found != thread)
    });
    super::tree::dereference(queue);
}

fn notify(queue: Handle, notice: Notice) {
    lock::guarded(queue, || {
        let arguments = [queue.raw(), notice.context];
        call::event(notice.routine, "EvtIoQueueState", &arguments);
    });
}

/// Gives a request, which is in `owned` already, to the callback of its kind.
fn present(queue: Handle, request: Handle) {
    let Some((callbacks, allows_zero_length)) = with(queue, |record| {
        (record.callbacks, record.allows_zero_length)
    }) else {
        return;
    };
    request::set_owned(request);
    let Some(arrival) = request::arrival(request) else {
        return;
    };
    let (routine, role) = callbacks.for_request(&arrival);
    if arrival.has_no_bytes() && !allows_zero_length {
        request::complete_by_framework(request, status::SUCCESS);
    } else if routine == 0 {
        request::complete_by_framework(request, status::INVALID_DEVICE_REQUEST);
    } else {
        let arguments = arrival.arguments(role, [queue.raw(), request.raw()]);
        lock::guarded(queue, || call::event(routine, role, &arguments));
    }
}

impl Callbacks {
    /// The callback for a request; 0 where there is none.
    fn for_request(&self, arrival: &Arrival) -> (u64, &'static str) {
        let (routine, role) = match arrival {
            Arrival::Read { .. } => (self.read, "EvtIoRead"),
            Arrival::Write { .. } => (self.write, "EvtIoWrite"),
            Arrival::Control { .. } => (self.control, "EvtIoDeviceControl"),
            Arrival::InternalControl { .. } => {
                (self.internal_control, "EvtIoInternalDeviceControl")
            }
            Arrival::Create => (0, ""),
        };
        match routine {
            0 => (self.default, "EvtIoDefault"),
            routine => (routine, role),
        }
    }

    /// Whether any callback takes requests.
    pub(super) fn takes_requests(&self) -> bool {
        let takers = [
            self.default,
            self.read,
            self.write,
            self.control,
            self.internal_control,
        ];
        takers.into_iter().any(|routine| routine != 0)
    }
}

/// Takes a request of a manual or sequential queue for the driver: the first that `wanted` says yes to.
///
/// # Errors
/// STATUS_INVALID_DEVICE_STATE for a parallel queue, STATUS_WDF_PAUSED, or `none` where there is no such request.
pub(super) fn retrieve(
    queue: Handle,
    none: NtStatus,
    wanted: impl Fn(Handle) -> bool,
) -> Result<Handle, NtStatus> {
    loop {
        let (allows_zero_length, waiting) = with(queue, |record| {
            if matches!(record.dispatch_type, DispatchType::Parallel(_)) {
                return Err(status::INVALID_DEVICE_STATE);
            }
            if !record.may_dispatch() {
                return Err(status::WDF_PAUSED);
            }
            let waiting: Vec<Handle> = record.waiting.iter().copied().collect();
            Ok((record.allows_zero_length, waiting))
        })
        .unwrap_or(Err(status::DELETE_PENDING))?;
        let found = waiting.into_iter().find(|request| wanted(*request));
        let Some(request) = found else {
            // The next request that comes is news again.
            with(queue, |record| record.is_ready = record.waiting.is_empty());
            return Err(none);
        };
        let is_ours = with(queue, |record| {
            let position = record.waiting.iter().position(|found| *found == request);
            let taken = position.and_then(|idx| record.waiting.remove(idx));
            record.owned.extend(taken);
            taken.is_some()
        });
        if is_ours != Some(true) {
            continue;
        }
        request::set_owned(request);
        let has_no_bytes = request::arrival(request).is_some_and(|it| it.has_no_bytes());
        if has_no_bytes && !allows_zero_length {
            request::complete_by_framework(request, status::SUCCESS);
            continue;
        }
        return Ok(request);
    }
}

/// Takes power away from a power-managed queue: EvtIoStop for what the driver has, and waits until it has let go or
/// agreed to keep it. IRQL PASSIVE_LEVEL. `action`: WdfRequestStopActionSuspend (1) or Purge (2).
pub(super) fn power_down(queue: Handle, action: u32) {
    let Some((stop, owned)) = with(queue, |record| {
        record.has_power = false;
        (record.callbacks.stop, record.owned.clone())
    }) else {
        return;
    };
    for request in owned {
        if stop == 0 || !request::begin_stop(request) {
            continue;
        }
        let cancelable = if request::is_cancelable(request) {
            CANCELABLE
        } else {
            0
        };
        lock::guarded(queue, || {
            let arguments = [queue.raw(), request.raw(), (action | cancelable).into()];
            call::event(stop, "EvtIoStop", &arguments);
        });
    }
    // Without EvtIoStop, or an acknowledgement, the device stays until the driver has completed its requests.
    while with(queue, |record| record.owned.clone())
        .unwrap_or_default()
        .into_iter()
        .any(|request| !request::is_stop_acknowledged(request))
    {
        wait::delay(MILLISECOND);
    }
}

/// WdfRequestStopRequestCancelable.
const CANCELABLE: u32 = 0x1000_0000;

/// Gives power back: EvtIoResume for what the driver has kept, then delivery.
pub(super) fn power_up(queue: Handle) {
    let Some((resume, owned)) = with(queue, |record| {
        record.has_power = true;
        (record.callbacks.resume, record.owned.clone())
    }) else {
        return;
    };
    for request in owned {
        if request::end_stop(request) && resume != 0 {
            lock::guarded(queue, || {
                call::event(resume, "EvtIoResume", &[queue.raw(), request.raw()]);
            });
        }
    }
    deliver(queue);
}

/// Accepts no more, completes what waits with STATUS_CANCELLED, and cancels what the driver has and can be cancelled.
pub(super) fn purge(queue: Handle) {
    with(queue, |record| record.accepts = false);
    while let Some(Some(request)) = with(queue, |record| record.waiting.pop_front()) {
        cancel_on_queue(queue, request);
    }
    for request in with(queue, |record| record.owned.clone()).unwrap_or_default() {
        request::cancel_owned(request);
    }
}

/// Returns when `is_done` says so of the record; IRQL PASSIVE_LEVEL.
pub(super) fn wait_until(queue: Handle, is_done: impl Fn(&Queue) -> bool) {
    while with(queue, |record| is_done(record)) == Some(false) {
        wait::delay(MILLISECOND);
    }
}

fn run_down(handle: Handle) {
    purge(handle);
    // On the host nobody else could complete them.
    if cfg!(feature = "kernel") {
        wait_until(handle, |record| record.owned.is_empty());
    }
    with(handle, |record| {
        (record.stopped, record.emptied) = (None, None);
    });
    passive::wait_for(handle);
    super::io_package::forget_queue(handle);
}

fn forget(handle: Handle) {
    passive::detach(handle);
    QUEUES.remove(handle);
    lock::detach(handle);
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

//! More steps that only the KMDF driver knows: deferred work, locks, queues, requests, and what a device
//! has besides.

use dmarig_abi::operation as op;
use dmarig_abi::operation_kmdf_io as io;

use super::kmdf::{Creation, on};
use super::{Step, step};
use crate::framework::QueueConfig;

/// What runs later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deferred {
    /// WDFWORKITEM.
    WorkItem,
    /// WDFTIMER with a period in ms; 0 is none.
    Timer(u32),
    /// WDFDPC.
    Dpc,
}

/// What a queue's callbacks do with a new request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueMode {
    /// They complete it with this status, and its output filled.
    Complete(u32),
    /// They keep it for [`Step::request_take_kept`].
    Keep,
    /// They forward it to the queue in this slot.
    Forward(u32),
}

/// A request to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// IRP_MJ_READ of so many bytes.
    Read(u64),
    /// IRP_MJ_WRITE.
    Write(Vec<u8>),
    /// IRP_MJ_DEVICE_CONTROL: code, input, bytes of output.
    Control(u32, Vec<u8>, u64),
    /// IRP_MJ_INTERNAL_DEVICE_CONTROL.
    InternalControl(u32, Vec<u8>, u64),
}

impl Step {
    /// Creates a work item, timer or DPC below the device.
    #[must_use]
    pub fn deferred_create(dst: u32, device: u32, kind: Deferred) -> Self {
        let (kind, period_ms) = match kind {
            Deferred::WorkItem => (io::KMDF_DEFERRED_WORK_ITEM, 0),
            Deferred::Timer(period_ms) => (io::KMDF_DEFERRED_TIMER, period_ms),
            Deferred::Dpc => (io::KMDF_DEFERRED_DPC, 0),
        };
        let arg = [kind, period_ms.into(), 0, 0, 0];
        step(io::OP_KMDF_DEFERRED_CREATE, dst, device, 0, arg)
    }

    /// Enqueues it, or starts the timer to end in so many microseconds.
    #[must_use]
    pub fn deferred_start(object: u32, due_us: u64) -> Self {
        let due = 0_u64.wrapping_sub(due_us * 10);
        on(io::OP_KMDF_DEFERRED_START, object, [due, 0, 0, 0, 0])
    }

    /// Flushes, stops or cancels it, and waits for its routine.
    #[must_use]
    pub fn deferred_stop(object: u32) -> Self {
        on(io::OP_KMDF_DEFERRED_STOP, object, [1, 0, 0, 0, 0])
    }

    /// WdfSpinLockCreate.
    #[must_use]
    pub fn spin_lock_create(dst: u32, device: u32) -> Self {
        step(io::OP_KMDF_LOCK_CREATE, dst, device, 0, [0; 5])
    }

    /// WdfWaitLockCreate.
    #[must_use]
    pub fn wait_lock_create(dst: u32, device: u32) -> Self {
        step(io::OP_KMDF_LOCK_CREATE, dst, device, 0, [1, 0, 0, 0, 0])
    }

    /// Acquires and releases a spin lock.
    #[must_use]
    pub fn spin_lock_try(lock: u32) -> Self {
        on(io::OP_KMDF_SPIN_LOCK_TRY, lock, [0; 5])
    }

    /// Acquires and releases an object's own lock.
    #[must_use]
    pub fn object_lock_try(object: u32) -> Self {
        on(io::OP_KMDF_OBJECT_LOCK_TRY, object, [0; 5])
    }

    /// WdfWaitLockAcquire with a time-out.
    #[must_use]
    pub fn wait_lock_acquire(lock: u32, timeout_us: u64) -> Self {
        let timeout = 0_u64.wrapping_sub(timeout_us * 10);
        on(io::OP_KMDF_WAIT_LOCK_ACQUIRE, lock, [timeout, 0, 0, 0, 0])
    }

    /// WdfWaitLockRelease.
    #[must_use]
    pub fn wait_lock_release(lock: u32) -> Self {
        on(io::OP_KMDF_WAIT_LOCK_RELEASE, lock, [0; 5])
    }

    /// WdfIoQueueCreate.
    #[must_use]
    pub fn queue_create(
        dst: u32,
        device: u32,
        config: QueueConfig,
        mode: QueueMode,
        creation: Creation,
    ) -> Self {
        let (mode, argument) = match mode {
            QueueMode::Complete(status) => (io::KMDF_QUEUE_COMPLETE, status),
            QueueMode::Keep => (io::KMDF_QUEUE_KEEP, 0),
            QueueMode::Forward(queue) => (io::KMDF_QUEUE_FORWARD, queue),
        };
        let arg = [mode, argument.into(), 0, 0, 0];
        let mut step = step(io::OP_KMDF_QUEUE_CREATE, dst, device, 0, arg);
        step.data = config.to_bytes();
        creation.apply(step)
    }

    /// One of `KMDF_QUEUE_CONTROL_*`.
    #[must_use]
    pub fn queue_control(queue: u32, control: u64) -> Self {
        on(io::OP_KMDF_QUEUE_CONTROL, queue, [control, 0, 0, 0, 0])
    }

    /// Sends a request to the device's own stack.
    #[must_use]
    pub fn request_send(dst: u32, device: u32, request: Request) -> Self {
        let (kind, code, input, output) = match request {
            Request::Read(length) => (io::KMDF_REQUEST_READ, 0, Vec::new(), length),
            Request::Write(data) => (io::KMDF_REQUEST_WRITE, 0, data, 0),
            Request::Control(code, input, output) => {
                (io::KMDF_REQUEST_DEVICE_CONTROL, code, input, output)
            }
            Request::InternalControl(code, input, output) => {
                (io::KMDF_REQUEST_INTERNAL_CONTROL, code, input, output)
            }
        };
        let arg = [kind, code.into(), output, 0, 0];
        let mut step = step(io::OP_KMDF_REQUEST_SEND, dst, device, 0, arg);
        step.data = input;
        step
    }

    /// Waits for a request that was sent.
    #[must_use]
    pub fn request_wait(sent: u32, milliseconds: u64) -> Self {
        on(io::OP_KMDF_REQUEST_WAIT, sent, [milliseconds, 0, 0, 0, 0])
    }

    /// IoCancelIrp of a request that was sent.
    #[must_use]
    pub fn request_cancel(sent: u32) -> Self {
        on(io::OP_KMDF_REQUEST_CANCEL, sent, [0; 5])
    }

    /// WdfIoQueueRetrieveNextRequest.
    #[must_use]
    pub fn request_retrieve(dst: u32, queue: u32) -> Self {
        step(io::OP_KMDF_REQUEST_TAKE, dst, queue, 0, [0; 5])
    }

    /// The oldest request that the queue's callbacks have kept.
    #[must_use]
    pub fn request_take_kept(dst: u32, queue: u32) -> Self {
        step(io::OP_KMDF_REQUEST_TAKE, dst, queue, 0, [1, 0, 0, 0, 0])
    }

    /// Parameters and input of a request.
    #[must_use]
    pub fn request_query(request: u32) -> Self {
        on(io::OP_KMDF_REQUEST_QUERY, request, [0; 5])
    }

    /// WdfRequestCompleteWithInformation, the output filled with `data` before.
    #[must_use]
    pub fn request_complete(request: u32, status: u32, information: u64, data: Vec<u8>) -> Self {
        let arg = [status.into(), information, 0, 0, 0];
        let mut step = on(io::OP_KMDF_REQUEST_COMPLETE, request, arg);
        step.data = data;
        step
    }

    /// WdfRequestForwardToIoQueue.
    #[must_use]
    pub fn request_forward(request: u32, queue: u32) -> Self {
        step(
            io::OP_KMDF_REQUEST_FORWARD,
            op::SLOT_NONE,
            request,
            queue,
            [0; 5],
        )
    }

    /// WdfRequestMarkCancelableEx.
    #[must_use]
    pub fn request_mark_cancelable(request: u32) -> Self {
        on(io::OP_KMDF_REQUEST_CANCELABLE, request, [0; 5])
    }

    /// WdfRequestUnmarkCancelable.
    #[must_use]
    pub fn request_unmark_cancelable(request: u32) -> Self {
        on(io::OP_KMDF_REQUEST_CANCELABLE, request, [1, 0, 0, 0, 0])
    }

    /// The device's translated resources.
    #[must_use]
    pub fn resources(device: u32) -> Self {
        on(io::OP_KMDF_RESOURCES, device, [0; 5])
    }

    /// A round trip through the driver's Parameters key.
    #[must_use]
    pub fn registry_parameters(device: u32, value: u32) -> Self {
        on(io::OP_KMDF_REGISTRY, device, [0, value.into(), 0, 0, 0])
    }

    /// A round trip through the device's hardware key.
    #[must_use]
    pub fn registry_device(device: u32, value: u32) -> Self {
        on(io::OP_KMDF_REGISTRY, device, [1, value.into(), 0, 0, 0])
    }

    /// Creates and enables a device interface.
    #[must_use]
    pub fn device_interface(device: u32) -> Self {
        on(io::OP_KMDF_INTERFACE, device, [0; 5])
    }

    /// Configuration space by BUS_INTERFACE_STANDARD.
    #[must_use]
    pub fn bus_data(device: u32, offset: u64, length_bytes: u64) -> Self {
        on(
            io::OP_KMDF_BUS_DATA,
            device,
            [offset, length_bytes, 0, 0, 0],
        )
    }
}

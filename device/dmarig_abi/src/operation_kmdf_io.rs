//! More operations of the KMDF driver alone: deferred work and locks, queues and requests, and what a
//! device has besides. Flags and attributes are those of [`operation_kmdf`](crate::operation_kmdf).

/// Creates a work item, timer or DPC below the device of DUT `a` (or the parent in the attributes, which
/// are data with `KMDF_FLAG_ATTRIBUTES`): `arg[0]` = one of `KMDF_DEFERRED_*`, `arg[1]` = period of a
/// timer in ms. Its routine logs `KMDF_EVENT_DEFERRED`. Slot `dst` = object.
pub const OP_KMDF_DEFERRED_CREATE: u16 = 0x0230;
/// WdfWorkItemEnqueue, WdfTimerStart with due time `arg[0]` (100 ns, as signed), or WdfDpcEnqueue of
/// object `a`: `value[0]` = what it returned (a work item's: 1).
pub const OP_KMDF_DEFERRED_START: u16 = 0x0231;
/// WdfWorkItemFlush, or WdfTimerStop or WdfDpcCancel with Wait = `arg[0]`, of object `a`: `value[0]` =
/// what it returned (a work item's: 1). `value[1]` = times its routine has run by then.
pub const OP_KMDF_DEFERRED_STOP: u16 = 0x0232;
/// Kind: WDFWORKITEM.
pub const KMDF_DEFERRED_WORK_ITEM: u64 = 0;
/// Kind: WDFTIMER.
pub const KMDF_DEFERRED_TIMER: u64 = 1;
/// Kind: WDFDPC.
pub const KMDF_DEFERRED_DPC: u64 = 2;

/// WdfSpinLockCreate (`arg[0]` = 0) or WdfWaitLockCreate (1) for DUT `a`. Slot `dst` = object.
pub const OP_KMDF_LOCK_CREATE: u16 = 0x0238;
/// Acquires and releases spin lock `a`: `value[0]` = IRQL in between, `value[1]` = IRQL afterwards.
pub const OP_KMDF_SPIN_LOCK_TRY: u16 = 0x0239;
/// WdfWaitLockAcquire of wait lock `a` with a time-out of `arg[0]` (100 ns, as signed); status.
pub const OP_KMDF_WAIT_LOCK_ACQUIRE: u16 = 0x023a;
/// WdfWaitLockRelease of wait lock `a`.
pub const OP_KMDF_WAIT_LOCK_RELEASE: u16 = 0x023b;
/// WdfObjectAcquireLock and WdfObjectReleaseLock of object `a`: `value` as of the spin lock's.
pub const OP_KMDF_OBJECT_LOCK_TRY: u16 = 0x023c;

/// WdfIoQueueCreate for DUT `a`; data = WDF_IO_QUEUE_CONFIG (0x60 bytes), in which each callback but
/// NULL is the driver's own, then attributes with `KMDF_FLAG_ATTRIBUTES`. What the callbacks for new
/// requests do: `arg[0]` = one of `KMDF_QUEUE_*`, `arg[1]` = status of a completion, or slot of the
/// queue to forward to. Slot `dst` = object.
pub const OP_KMDF_QUEUE_CREATE: u16 = 0x0240;
/// Queue `a`: `arg[0]` = one of `KMDF_QUEUE_CONTROL_*`. `value[0]` = WdfIoQueueGetState afterwards,
/// `value[1]` = requests in the queue, `value[2]` = requests that the driver owns.
pub const OP_KMDF_QUEUE_CONTROL: u16 = 0x0241;
/// Sends a request to the device of DUT `a`, and does not wait: `arg[0]` = one of `KMDF_REQUEST_*`,
/// `arg[1]` = control code, `arg[2]` = bytes to be read or given back, at most
/// [`KMDF_REQUEST_MAX_BYTES`]; data = what is written or given in. Slot `dst` = sent request.
pub const OP_KMDF_REQUEST_SEND: u16 = 0x0242;
/// Waits for sent request `a`, at most `arg[0]` ms (up to 5000): status, `length` = Information, the data
/// = what came back; the slot is empty then. `OUTCOME_TIMEOUT` when it is not completed.
pub const OP_KMDF_REQUEST_WAIT: u16 = 0x0243;
/// IoCancelIrp of sent request `a`: `value[0]`.
pub const OP_KMDF_REQUEST_CANCEL: u16 = 0x0244;
/// Takes a request of queue `a`: WdfIoQueueRetrieveNextRequest; or, with `arg[0]` = 1, the oldest one that
/// its callbacks have kept. Slot `dst` = request. Without one: its status, or `OUTCOME_NULL`.
pub const OP_KMDF_REQUEST_TAKE: u16 = 0x0245;
/// Request `a`: `value[0]` = type, `value[1]` = length (of a control request the output's), `value[2]` =
/// control code, `length` = bytes of input, status of WdfRequestRetrieveInputBuffer or
/// ...OutputBuffer by type, the data = the input.
pub const OP_KMDF_REQUEST_QUERY: u16 = 0x0246;
/// WdfRequestCompleteWithInformation of request `a`: `arg[0]` status, `arg[1]` information; the data
/// go to its output buffer before. The slot is empty then.
pub const OP_KMDF_REQUEST_COMPLETE: u16 = 0x0247;
/// WdfRequestForwardToIoQueue of request `a` to queue `b`: status; the slot is empty after a success.
pub const OP_KMDF_REQUEST_FORWARD: u16 = 0x0248;
/// WdfRequestMarkCancelableEx (`arg[0]` = 0), WdfRequestUnmarkCancelable (1) or WdfRequestIsCanceled (2)
/// of request `a`: status, `value[0]` = the last's answer. The cancel routine completes the request with
/// STATUS_CANCELLED, logs `KMDF_EVENT_REQUEST_CANCELED` and empties the slot.
pub const OP_KMDF_REQUEST_CANCELABLE: u16 = 0x0249;

/// New requests: completed with the status of `arg[1]`, reads and control requests with their output
/// filled by [`KMDF_FILL_BYTE`].
pub const KMDF_QUEUE_COMPLETE: u64 = 0;
/// New requests: kept for `OP_KMDF_REQUEST_TAKE`, at most [`KMDF_KEPT_REQUESTS`].
pub const KMDF_QUEUE_KEEP: u64 = 1;
/// New requests: forwarded to the queue of slot `arg[1]`.
pub const KMDF_QUEUE_FORWARD: u64 = 2;
/// Requests that a queue's callbacks may keep; later ones are completed with STATUS_DEVICE_BUSY.
pub const KMDF_KEPT_REQUESTS: usize = 16;
/// What output buffers are filled with.
pub const KMDF_FILL_BYTE: u8 = 0x5a;
/// Most bytes of a request.
pub const KMDF_REQUEST_MAX_BYTES: u64 = 4096;

/// Nothing: state and counts alone.
pub const KMDF_QUEUE_CONTROL_QUERY: u64 = 0;
/// WdfIoQueueStart.
pub const KMDF_QUEUE_CONTROL_START: u64 = 1;
/// WdfIoQueueStop without a routine.
pub const KMDF_QUEUE_CONTROL_STOP: u64 = 2;
/// WdfIoQueuePurge without a routine.
pub const KMDF_QUEUE_CONTROL_PURGE: u64 = 3;
/// WdfIoQueueDrain without a routine.
pub const KMDF_QUEUE_CONTROL_DRAIN: u64 = 4;

/// IRP_MJ_READ.
pub const KMDF_REQUEST_READ: u64 = 0;
/// IRP_MJ_WRITE.
pub const KMDF_REQUEST_WRITE: u64 = 1;
/// IRP_MJ_DEVICE_CONTROL.
pub const KMDF_REQUEST_DEVICE_CONTROL: u64 = 2;
/// IRP_MJ_INTERNAL_DEVICE_CONTROL.
pub const KMDF_REQUEST_INTERNAL_CONTROL: u64 = 3;

/// The translated resources of DUT `a` as WdfCmResourceListGetDescriptor gave them in
/// EvtDevicePrepareHardware: `value[0]` = WdfCmResourceListGetCount, `value[1]` = 1 when the descriptor
/// behind the last one was NULL; the data = the descriptors, 0x14 bytes each.
pub const OP_KMDF_RESOURCES: u16 = 0x0250;
/// The driver's Parameters key (`arg[0]` = 0) or the hardware key of DUT `a` (1): opens it, assigns
/// `arg[1]` to the value `dmarigProbe`, and queries it: status of the first call that failed, `value[0]` =
/// what was read, `value[1]` = status of querying a value that is not there.
pub const OP_KMDF_REGISTRY: u16 = 0x0251;
/// WdfDeviceCreateDeviceInterface for DUT `a`, then WdfDeviceSetDeviceInterfaceState TRUE; status.
pub const OP_KMDF_INTERFACE: u16 = 0x0252;
/// BUS_INTERFACE_STANDARD of DUT `a` by WdfFdoQueryForInterface: status, the data = `arg[1]` (at most
/// 256) bytes of configuration space from `arg[0]`; `value[0]` = what GetBusData returned.
pub const OP_KMDF_BUS_DATA: u16 = 0x0253;

/// Event: a work item, timer or DPC; `value` = the IRQL.
pub const KMDF_EVENT_DEFERRED: u16 = 50;
/// Event: a queue's callback for a new request; `value` = its type as WDF_REQUEST_TYPE.
pub const KMDF_EVENT_REQUEST: u16 = 51;
/// Event: a request's cancel routine.
pub const KMDF_EVENT_REQUEST_CANCELED: u16 = 52;
/// Event: EvtIoCanceledOnQueue.
pub const KMDF_EVENT_CANCELED_ON_QUEUE: u16 = 53;
/// Event: EvtIoStop; `value` = the action flags.
pub const KMDF_EVENT_QUEUE_STOP: u16 = 54;
/// Event: EvtIoResume.
pub const KMDF_EVENT_QUEUE_RESUME: u16 = 55;

/* Operations on queues and on the requests that the driver has of them. */
#include "queue.h"

static WDFQUEUE queue_in(uint32_t index)
{
    struct slot *slot = object_find(index, FRAMEWORK_QUEUE);
    return slot != NULL ? slot->object.framework.handle : NULL;
}

uint16_t op_kmdf_queue_create(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    WDF_IO_QUEUE_CONFIG config;
    WDF_OBJECT_ATTRIBUTES storage;
    WDF_OBJECT_ATTRIBUTES *attributes;
    if (!slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFDEVICE device = object_device(operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    bool forwards = operation->arg[0] == DMARIG_KMDF_QUEUE_FORWARD;
    WDFQUEUE target = forwards ? queue_in((uint32_t)operation->arg[1]) : NULL;
    if (operation->arg[0] > DMARIG_KMDF_QUEUE_FORWARD || (forwards && target == NULL) ||
        operation->data_length_bytes < sizeof(config) ||
        !object_attributes(call, sizeof(config), &storage, &attributes)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    memcpy(&config, call->data, sizeof(config));
    queue_set_callbacks(&config);
    config.Driver = NULL;
    WDFQUEUE queue = NULL;
    NTSTATUS status = WdfIoQueueCreate(device, &config, attributes, &queue);
    call->result->status = (uint32_t)status;
    if (NT_SUCCESS(status)) {
        object_keep(call, queue, FRAMEWORK_QUEUE, operation->a, attributes);
        call->result->status = (uint32_t)queue_set_mode(
            queue, operation->arg[0], (NTSTATUS)operation->arg[1], target);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_queue_control(struct operation_call *call)
{
    WDFQUEUE queue = queue_in(call->operation->a);
    if (queue == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    switch (call->operation->arg[0]) {
    case DMARIG_KMDF_QUEUE_CONTROL_QUERY:
        break;
    case DMARIG_KMDF_QUEUE_CONTROL_START:
        WdfIoQueueStart(queue);
        break;
    case DMARIG_KMDF_QUEUE_CONTROL_STOP:
        WdfIoQueueStop(queue, NULL, NULL);
        break;
    case DMARIG_KMDF_QUEUE_CONTROL_PURGE:
        WdfIoQueuePurge(queue, NULL, NULL);
        break;
    case DMARIG_KMDF_QUEUE_CONTROL_DRAIN:
        WdfIoQueueDrain(queue, NULL, NULL);
        break;
    default:
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    ULONG waiting = 0;
    ULONG owned = 0;
    call->result->value[0] = WdfIoQueueGetState(queue, &waiting, &owned);
    call->result->value[1] = waiting;
    call->result->value[2] = owned;
    return DMARIG_OUTCOME_DONE;
}

/* The request in a slot; slots of requests lie below a device, too. */
static struct slot *request_find(uint32_t index)
{
    struct slot *slot = slot_find(&g_driver.slots, index, SLOT_REQUEST);
    return slot != NULL && object_device(slot->object.framework.dut) != NULL ? slot : NULL;
}

static WDFREQUEST request_of(const struct slot *slot)
{
    return slot->object.framework.handle;
}

uint16_t op_kmdf_request_take(struct operation_call *call)
{
    struct slot *queue = object_find(call->operation->a, FRAMEWORK_QUEUE);
    if (queue == NULL || !slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    uint32_t dut = queue->object.framework.dut;
    WDFREQUEST request = NULL;
    if (call->operation->arg[0] != 0) {
        request = queue_take_kept(queue->object.framework.handle);
        if (request == NULL) {
            return DMARIG_OUTCOME_NULL;
        }
    } else {
        NTSTATUS status =
            WdfIoQueueRetrieveNextRequest(queue->object.framework.handle, &request);
        call->result->status = (uint32_t)status;
        if (!NT_SUCCESS(status)) {
            return DMARIG_OUTCOME_DONE;
        }
    }
    struct slot *slot = slot_take(&g_driver.slots, call->operation->dst, SLOT_REQUEST);
    slot->object.framework.handle = request;
    slot->object.framework.dut = dut;
    return DMARIG_OUTCOME_DONE;
}

/* Control requests have both directions, reads give, writes take. */
static NTSTATUS input_of(WDFREQUEST request, PVOID *buffer, SIZE_T *length)
{
    *buffer = NULL;
    *length = 0;
    return WdfRequestRetrieveInputBuffer(request, 1, buffer, length);
}

uint16_t op_kmdf_request_query(struct operation_call *call)
{
    struct slot *slot = request_find(call->operation->a);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDF_REQUEST_PARAMETERS parameters = {.Size = sizeof(parameters)};
    WdfRequestGetParameters(request_of(slot), &parameters);
    call->result->value[0] = parameters.Type;
    /* The same place for all types. */
    call->result->value[1] = parameters.Parameters.Transfer.Length;
    bool is_transfer = parameters.Type == IRP_MJ_READ || parameters.Type == IRP_MJ_WRITE;
    call->result->value[2] =
        is_transfer ? 0 : parameters.Parameters.DeviceIoControl.IoControlCode;
    PVOID buffer = NULL;
    SIZE_T length = 0;
    if (parameters.Type == IRP_MJ_READ) {
        call->result->status = (uint32_t)WdfRequestRetrieveOutputBuffer(request_of(slot), 1,
                                                                        &buffer, &length);
        return DMARIG_OUTCOME_DONE;
    }
    NTSTATUS status = input_of(request_of(slot), &buffer, &length);
    call->result->status = (uint32_t)status;
    call->result->length = length;
    if (NT_SUCCESS(status) && length <= DMARIG_KMDF_REQUEST_MAX_BYTES) {
        uint8_t *reply = operation_reply(call, (uint32_t)length);
        if (reply != NULL) {
            memcpy(reply, buffer, length);
        }
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_request_complete(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct slot *slot = request_find(operation->a);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFREQUEST request = request_of(slot);
    PVOID buffer = NULL;
    SIZE_T room = 0;
    if (slot->object.framework.cancelable) {
        /* To be unmarked first. */
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (operation->data_length_bytes != 0) {
        NTSTATUS status = WdfRequestRetrieveOutputBuffer(request, 1, &buffer, &room);
        if (!NT_SUCCESS(status) || room < operation->data_length_bytes) {
            return DMARIG_OUTCOME_BAD_ARGUMENT;
        }
        memcpy(buffer, call->data, operation->data_length_bytes);
    }
    slot_drop(&g_driver.slots, slot);
    WdfRequestCompleteWithInformation(request, (NTSTATUS)operation->arg[0],
                                      (ULONG_PTR)operation->arg[1]);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_request_forward(struct operation_call *call)
{
    struct slot *slot = request_find(call->operation->a);
    WDFQUEUE queue = queue_in(call->operation->b);
    if (slot == NULL || queue == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFREQUEST request = request_of(slot);
    NTSTATUS status = WdfRequestForwardToIoQueue(request, queue);
    call->result->status = (uint32_t)status;
    if (NT_SUCCESS(status)) {
        slot_drop(&g_driver.slots, slot);
    }
    return DMARIG_OUTCOME_DONE;
}

/* Runs inside of an operation that cancels: who holds the driver's lock has called IoCancelIrp. */
static VOID NTAPI evt_request_cancel(WDFREQUEST request)
{
    struct slot *slot = slot_newest(&g_driver.slots);
    while (slot != NULL &&
           (slot->kind != SLOT_REQUEST || slot->object.framework.handle != request)) {
        slot = slot_older(&g_driver.slots, slot);
    }
    uint32_t index = DMARIG_SLOT_NONE;
    uint32_t dut = LOG_NO_DEVICE;
    if (slot != NULL) {
        index = slot_reference_to(&g_driver.slots, slot).index;
        dut = slot->object.framework.dut;
        slot_drop(&g_driver.slots, slot);
    }
    log_event(DMARIG_KMDF_EVENT_REQUEST_CANCELED, dut, index, 0);
    WdfRequestComplete(request, STATUS_CANCELLED);
}

uint16_t op_kmdf_request_cancelable(struct operation_call *call)
{
    struct slot *slot = request_find(call->operation->a);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFREQUEST request = request_of(slot);
    switch (call->operation->arg[0]) {
    case 0: {
        NTSTATUS status = WdfRequestMarkCancelableEx(request, evt_request_cancel);
        call->result->status = (uint32_t)status;
        slot->object.framework.cancelable = NT_SUCCESS(status);
        return DMARIG_OUTCOME_DONE;
    }
    case 1:
        call->result->status = (uint32_t)WdfRequestUnmarkCancelable(request);
        slot->object.framework.cancelable = false;
        return DMARIG_OUTCOME_DONE;
    case 2:
        call->result->value[0] = WdfRequestIsCanceled(request);
        return DMARIG_OUTCOME_DONE;
    default:
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
}

void front_release_request(struct slot *slot)
{
    WDFREQUEST request = request_of(slot);
    bool cancelable = slot->object.framework.cancelable;
    slot_drop(&g_driver.slots, slot);
    /* One that was marked must not be completed by both sides. */
    if (!cancelable || WdfRequestUnmarkCancelable(request) != STATUS_CANCELLED) {
        WdfRequestComplete(request, STATUS_CANCELLED);
    }
}

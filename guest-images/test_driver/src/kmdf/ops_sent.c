/*
 * Requests that programs send to the device's own stack, as any other driver would.
 */
#include "queue.h"

/* How long the release of a request that nobody completes is waited for. */
#define RELEASE_WAIT_MS 5000
/* Longest OP_KMDF_REQUEST_WAIT. */
#define WAIT_MAX_MS 5000u

struct sent_request {
    PIRP irp;
    KEVENT done;
    uint32_t output_length;
    uint8_t buffer[DMARIG_KMDF_REQUEST_MAX_BYTES];
};

static NTSTATUS NTAPI sent_completed(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    struct sent_request *sent = context;
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(irp);
    (void)KeSetEvent(&sent->done, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static void fill_stack_location(PIO_STACK_LOCATION stack, const DMARIG_Operation *operation)
{
    uint32_t input = operation->data_length_bytes;
    uint32_t output = (uint32_t)operation->arg[2];
    switch (operation->arg[0]) {
    case DMARIG_KMDF_REQUEST_READ:
        stack->MajorFunction = IRP_MJ_READ;
        stack->Parameters.Read.Length = output;
        break;
    case DMARIG_KMDF_REQUEST_WRITE:
        stack->MajorFunction = IRP_MJ_WRITE;
        stack->Parameters.Write.Length = input;
        break;
    default:
        stack->MajorFunction = operation->arg[0] == DMARIG_KMDF_REQUEST_DEVICE_CONTROL
                                   ? IRP_MJ_DEVICE_CONTROL
                                   : IRP_MJ_INTERNAL_DEVICE_CONTROL;
        stack->Parameters.DeviceIoControl.OutputBufferLength = output;
        stack->Parameters.DeviceIoControl.InputBufferLength = input;
        stack->Parameters.DeviceIoControl.IoControlCode = (ULONG)operation->arg[1];
        break;
    }
}

static struct sent_request *new_sent(PDEVICE_OBJECT device)
{
    struct sent_request *sent = ExAllocatePool2(POOL_NON_PAGED, sizeof(*sent), POOL_TAG);
    if (sent == NULL) {
        return NULL;
    }
    sent->irp = IoAllocateIrp(device->StackSize, FALSE);
    if (sent->irp == NULL) {
        ExFreePoolWithTag(sent, POOL_TAG);
        return NULL;
    }
    KeInitializeEvent(&sent->done, NotificationEvent, FALSE);
    return sent;
}

uint16_t op_kmdf_request_send(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct device *device = dut_present(operation->a);
    if (!slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (object_device(operation->a) == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (operation->arg[0] > DMARIG_KMDF_REQUEST_INTERNAL_CONTROL ||
        operation->arg[1] > UINT32_MAX || operation->arg[2] > DMARIG_KMDF_REQUEST_MAX_BYTES ||
        operation->data_length_bytes > DMARIG_KMDF_REQUEST_MAX_BYTES) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    struct sent_request *sent = new_sent(device->self);
    if (sent == NULL) {
        return DMARIG_OUTCOME_NO_MEMORY;
    }
    memcpy(sent->buffer, call->data, operation->data_length_bytes);
    sent->output_length = (uint32_t)operation->arg[2];
    sent->irp->AssociatedIrp.SystemBuffer = sent->buffer;
    fill_stack_location(IoGetNextIrpStackLocation(sent->irp), operation);
    IoSetCompletionRoutine(sent->irp, sent_completed, sent, TRUE, TRUE, TRUE);
    struct slot *slot = slot_take(&g_driver.slots, operation->dst, SLOT_SENT);
    slot->object.framework.handle = sent;
    slot->object.framework.dut = operation->a;
    (void)IoCallDriver(device->self, sent->irp);
    return DMARIG_OUTCOME_DONE;
}

static bool wait_for(struct sent_request *sent, uint32_t milliseconds)
{
    LARGE_INTEGER interval;
    interval.QuadPart = -(LONGLONG)milliseconds * 10000;
    return KeWaitForSingleObject(&sent->done, Executive, KernelMode, FALSE, &interval) !=
           STATUS_TIMEOUT;
}

static void free_sent(struct sent_request *sent)
{
    IoFreeIrp(sent->irp);
    ExFreePoolWithTag(sent, POOL_TAG);
}

uint16_t op_kmdf_request_wait(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_SENT);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (call->operation->arg[0] > WAIT_MAX_MS) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    struct sent_request *sent = slot->object.framework.handle;
    if (!wait_for(sent, (uint32_t)call->operation->arg[0])) {
        return DMARIG_OUTCOME_TIMEOUT;
    }
    call->result->status = (uint32_t)sent->irp->IoStatus.Status;
    call->result->length = sent->irp->IoStatus.Information;
    uint32_t returned = (uint32_t)min(sent->irp->IoStatus.Information, sent->output_length);
    uint8_t *reply = operation_reply(call, returned);
    if (reply != NULL) {
        memcpy(reply, sent->buffer, returned);
    }
    slot_drop(&g_driver.slots, slot);
    free_sent(sent);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_request_cancel(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_SENT);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct sent_request *sent = slot->object.framework.handle;
    call->result->value[0] = IoCancelIrp(sent->irp);
    return DMARIG_OUTCOME_DONE;
}

/* Requests that callbacks have kept and no program has taken. */
static void complete_kept(void)
{
    struct slot *slot = slot_newest(&g_driver.slots);
    while (slot != NULL) {
        if (slot->kind == SLOT_OBJECT && slot->object.framework.kind == FRAMEWORK_QUEUE &&
            object_device(slot->object.framework.dut) != NULL) {
            WDFREQUEST request = queue_take_kept(slot->object.framework.handle);
            while (request != NULL) {
                WdfRequestComplete(request, STATUS_CANCELLED);
                request = queue_take_kept(slot->object.framework.handle);
            }
        }
        slot = slot_older(&g_driver.slots, slot);
    }
}

void front_release_sent(struct slot *slot)
{
    struct sent_request *sent = slot->object.framework.handle;
    slot_drop(&g_driver.slots, slot);
    if (!wait_for(sent, 0)) {
        (void)IoCancelIrp(sent->irp);
        complete_kept();
    }
    if (wait_for(sent, RELEASE_WAIT_MS)) {
        free_sent(sent);
    } else {
        LOG("a request that was sent is never completed, and stays allocated\n");
    }
}

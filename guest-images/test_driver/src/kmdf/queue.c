/* The callbacks of programs' queues. */
#include "queue.h"

struct queue_context {
    uint64_t mode;
    NTSTATUS status;
    WDFQUEUE target;
    /* Requests in order of arrival: `arrived` and `taken` count up, places repeat. */
    volatile PVOID kept[DMARIG_KMDF_KEPT_REQUESTS];
    volatile LONG arrived;
    volatile LONG taken;
};

static CONTEXT_TYPE(queue_type, "queue", sizeof(struct queue_context));

static struct queue_context *context_of(WDFQUEUE queue)
{
    return WdfObjectGetTypedContextWorker(queue, &queue_type);
}

static bool keep(struct queue_context *context, WDFREQUEST request)
{
    LONG place = InterlockedIncrement(&context->arrived) - 1;
    volatile PVOID *at = &context->kept[(ULONG)place % DMARIG_KMDF_KEPT_REQUESTS];
    if (InterlockedCompareExchangePointer((PVOID *)at, request, NULL) != NULL) {
        (void)InterlockedDecrement(&context->arrived);
        return false;
    }
    return true;
}

WDFREQUEST queue_take_kept(WDFQUEUE queue)
{
    struct queue_context *context = context_of(queue);
    if (context == NULL || context->taken == context->arrived) {
        return NULL;
    }
    LONG place = InterlockedIncrement(&context->taken) - 1;
    volatile PVOID *at = &context->kept[(ULONG)place % DMARIG_KMDF_KEPT_REQUESTS];
    return InterlockedExchangePointer((PVOID *)at, NULL);
}

/* Fills the output of a read or control request; gives the bytes. */
static SIZE_T fill(WDFREQUEST request)
{
    PVOID buffer = NULL;
    SIZE_T length = 0;
    if (!NT_SUCCESS(WdfRequestRetrieveOutputBuffer(request, 1, &buffer, &length))) {
        return 0;
    }
    memset(buffer, DMARIG_KMDF_FILL_BYTE, length);
    return length;
}

static void handle(WDFQUEUE queue, WDFREQUEST request)
{
    WDF_REQUEST_PARAMETERS parameters = {.Size = sizeof(parameters)};
    WdfRequestGetParameters(request, &parameters);
    object_log(queue, DMARIG_KMDF_EVENT_REQUEST, parameters.Type);
    struct queue_context *context = context_of(queue);
    if (context == NULL) {
        /* Before its mode was set. */
        WdfRequestComplete(request, STATUS_DEVICE_NOT_READY);
        return;
    }
    NTSTATUS status = context->status;
    SIZE_T information = 0;
    switch (context->mode) {
    case DMARIG_KMDF_QUEUE_KEEP:
        if (keep(context, request)) {
            return;
        }
        status = STATUS_DEVICE_BUSY;
        break;
    case DMARIG_KMDF_QUEUE_FORWARD:
        status = WdfRequestForwardToIoQueue(request, context->target);
        if (NT_SUCCESS(status)) {
            return;
        }
        break;
    default:
        information = parameters.Type == IRP_MJ_WRITE ? parameters.Parameters.Transfer.Length
                                                      : fill(request);
        break;
    }
    WdfRequestCompleteWithInformation(request, status, NT_SUCCESS(status) ? information : 0);
}

static VOID NTAPI evt_default(WDFQUEUE queue, WDFREQUEST request)
{
    handle(queue, request);
}

static VOID NTAPI evt_transfer(WDFQUEUE queue, WDFREQUEST request, SIZE_T length)
{
    UNREFERENCED_PARAMETER(length);
    handle(queue, request);
}

static VOID NTAPI evt_control(WDFQUEUE queue, WDFREQUEST request, SIZE_T output_length,
                              SIZE_T input_length, ULONG code)
{
    UNREFERENCED_PARAMETER(output_length);
    UNREFERENCED_PARAMETER(input_length);
    UNREFERENCED_PARAMETER(code);
    handle(queue, request);
}

/* The device leaves D0; the request stays with the driver meanwhile. */
static VOID NTAPI evt_stop(WDFQUEUE queue, WDFREQUEST request, ULONG flags)
{
    object_log(queue, DMARIG_KMDF_EVENT_QUEUE_STOP, flags);
    WdfRequestStopAcknowledge(request, FALSE);
}

static VOID NTAPI evt_resume(WDFQUEUE queue, WDFREQUEST request)
{
    UNREFERENCED_PARAMETER(request);
    object_log(queue, DMARIG_KMDF_EVENT_QUEUE_RESUME, 0);
}

static VOID NTAPI evt_canceled_on_queue(WDFQUEUE queue, WDFREQUEST request)
{
    object_log(queue, DMARIG_KMDF_EVENT_CANCELED_ON_QUEUE, 0);
    WdfRequestComplete(request, STATUS_CANCELLED);
}

void queue_set_callbacks(WDF_IO_QUEUE_CONFIG *config)
{
    config->EvtIoDefault = config->EvtIoDefault != NULL ? evt_default : NULL;
    config->EvtIoRead = config->EvtIoRead != NULL ? evt_transfer : NULL;
    config->EvtIoWrite = config->EvtIoWrite != NULL ? evt_transfer : NULL;
    config->EvtIoDeviceControl = config->EvtIoDeviceControl != NULL ? evt_control : NULL;
    config->EvtIoInternalDeviceControl =
        config->EvtIoInternalDeviceControl != NULL ? evt_control : NULL;
    config->EvtIoStop = config->EvtIoStop != NULL ? evt_stop : NULL;
    config->EvtIoResume = config->EvtIoResume != NULL ? evt_resume : NULL;
    config->EvtIoCanceledOnQueue =
        config->EvtIoCanceledOnQueue != NULL ? evt_canceled_on_queue : NULL;
}

NTSTATUS queue_set_mode(WDFQUEUE queue, uint64_t mode, NTSTATUS status, WDFQUEUE target)
{
    WDF_OBJECT_ATTRIBUTES attributes = attributes_with(&queue_type);
    struct queue_context *context;
    NTSTATUS allocated = WdfObjectAllocateContext(queue, &attributes, (PVOID *)&context);
    if (NT_SUCCESS(allocated)) {
        context->mode = mode;
        context->status = status;
        context->target = target;
    }
    return allocated;
}

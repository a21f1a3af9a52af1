/*
 * Interrupts of both functions: by message where the system grants any, else by line, else none, and
 * the users poll.
 */
#include "wdm.h"

static KDEFERRED_ROUTINE interrupt_dpc;

/* The same for both kinds of interrupt; false when the interrupt is somebody else's. */
static bool service(struct wdm_device *device, uint32_t vector)
{
    if (!interrupt_service(&device->shared, vector)) {
        return false;
    }
    (void)KeInsertQueueDpc(&device->dpc, NULL, NULL);
    return true;
}

static BOOLEAN NTAPI message_isr(PKINTERRUPT object, PVOID context, ULONG message)
{
    UNREFERENCED_PARAMETER(object);
    (void)service(context, message);
    /* A message is nobody else's. */
    return TRUE;
}

static BOOLEAN NTAPI line_isr(PKINTERRUPT object, PVOID context)
{
    UNREFERENCED_PARAMETER(object);
    return service(context, 0);
}

static VOID NTAPI interrupt_dpc(PKDPC dpc, PVOID context, PVOID argument1, PVOID argument2)
{
    struct wdm_device *device = context;
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    interrupt_finish(&device->shared);
}

NTSTATUS interrupt_connect(struct wdm_device *device)
{
    struct interrupt *interrupt = &device->shared.interrupt;
    memset(interrupt, 0, sizeof(*interrupt));
    KeInitializeDpc(&device->dpc, interrupt_dpc, device);
    /* The mode is set before a vector may arrive; a message that comes early is handled as one. */
    interrupt->mode = INTERRUPT_MESSAGE;

    IO_CONNECT_INTERRUPT_PARAMETERS parameters;
    memset(&parameters, 0, sizeof(parameters));
    parameters.Version = CONNECT_MESSAGE_BASED;
    parameters.MessageBased.PhysicalDeviceObject = device->shared.pdo;
    parameters.MessageBased.ConnectionContext.Generic = &device->connection;
    parameters.MessageBased.MessageServiceRoutine = message_isr;
    parameters.MessageBased.ServiceContext = device;
    /* The control function has no register that would tell whose interrupt a line's is. */
    parameters.MessageBased.FallBackServiceRoutine =
        device->shared.role == ROLE_DUT ? line_isr : NULL;
    NTSTATUS status = IoConnectInterruptEx(&parameters);
    if (!NT_SUCCESS(status)) {
        interrupt->mode = INTERRUPT_NONE;
        if (status == STATUS_INSUFFICIENT_RESOURCES) {
            /* There is an interrupt, and it cannot be had now: a device that polls would hide that. */
            return status;
        }
        LOG("no interrupt (0x%08lx): polling\n", status);
    } else if (parameters.Version == CONNECT_MESSAGE_BASED) {
        PIO_INTERRUPT_MESSAGE_INFO messages = device->connection;
        interrupt->vectors = messages->MessageCount;
        device->interrupt = messages->MessageInfo[0].InterruptObject;
    } else {
        interrupt->mode = INTERRUPT_LINE;
        interrupt->vectors = 1;
        device->interrupt = device->connection;
    }
    return STATUS_SUCCESS;
}

void interrupt_disconnect(struct wdm_device *device)
{
    struct interrupt *interrupt = &device->shared.interrupt;
    if (interrupt->mode != INTERRUPT_NONE) {
        IO_DISCONNECT_INTERRUPT_PARAMETERS parameters;
        memset(&parameters, 0, sizeof(parameters));
        parameters.Version = interrupt->mode == INTERRUPT_MESSAGE ? CONNECT_MESSAGE_BASED
                                                                  : CONNECT_LINE_BASED;
        parameters.ConnectionContext.Generic = device->connection;
        IoDisconnectInterruptEx(&parameters);
        interrupt->mode = INTERRUPT_NONE;
        device->interrupt = NULL;
        interrupt->vectors = 0;
    }
    /* A DPC that was queued before uses the device extension. */
    (void)KeRemoveQueueDpc(&device->dpc);
    KeFlushQueuedDpcs();
}

/* A routine on its way to the interrupt. */
struct synchronized_call {
    void (*routine)(void *context);
    void *context;
};

static BOOLEAN NTAPI call_synchronized(PVOID context)
{
    struct synchronized_call *call = context;
    call->routine(call->context);
    return TRUE;
}

bool front_run_in_interrupt(struct device *device, void (*routine)(void *context), void *context)
{
    PKINTERRUPT interrupt = wdm_of(device)->interrupt;
    if (interrupt == NULL) {
        return false;
    }
    struct synchronized_call call = {routine, context};
    (void)KeSynchronizeExecution(interrupt, call_synchronized, &call);
    return true;
}

/*
 * Interrupts of both functions: by message where the system grants any, else by line, else none, and
 * the users poll.
 *
 * A device under test says in REG_INTERRUPT_CAUSE which channels have ended a request. With a vector
 * for each channel that register need not be read; with fewer vectors, or a line, it decides.
 */
#include "driver.h"

#define ALL_CHANNELS ((1u << DMARIG_DUT_CHANNELS) - 1)

static KDEFERRED_ROUTINE interrupt_dpc;

/* Clears the cause of the channels that `vector` may speak for; gives their bits. */
static uint32_t take_channels(struct device *device, uint32_t vector)
{
    struct interrupt *interrupt = &device->interrupt;
    uint32_t channels;
    if (interrupt->mode == INTERRUPT_MESSAGE && interrupt->vectors >= DMARIG_DUT_CHANNELS) {
        channels = vector < DMARIG_DUT_CHANNELS ? 1u << vector : 0;
    } else {
        channels = read_u32(&device->dut.registers, DMARIG_REG_INTERRUPT_CAUSE);
        /* All ones: the device does not answer any more. */
        channels = channels == UINT32_MAX ? 0 : channels & ALL_CHANNELS;
    }
    if (channels != 0) {
        write_u32(&device->dut.registers, DMARIG_REG_INTERRUPT_CAUSE, channels);
    }
    return channels;
}

/* The same for both kinds of interrupt; false when the interrupt is somebody else's. */
static bool service(struct device *device, uint32_t vector)
{
    uint32_t pending = 1;
    if (device->role == ROLE_DUT) {
        pending = take_channels(device, vector);
        if (pending == 0) {
            return false;
        }
    }
    (void)InterlockedIncrement(&device->interrupt.serviced);
    (void)InterlockedOr(&device->interrupt.pending, (LONG)pending);
    (void)KeInsertQueueDpc(&device->interrupt.dpc, NULL, NULL);
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
    struct device *device = context;
    UNREFERENCED_PARAMETER(dpc);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    uint32_t pending = (uint32_t)InterlockedExchange(&device->interrupt.pending, 0);
    if (device->role == ROLE_CONTROL) {
        (void)KeSetEvent(&device->control.wake, IO_NO_INCREMENT, FALSE);
        return;
    }
    for (uint32_t channel = 0; channel < DMARIG_DUT_CHANNELS; channel++) {
        if ((pending & (1u << channel)) != 0) {
            (void)InterlockedIncrement(&device->dut.channel_interrupts[channel]);
            (void)KeSetEvent(&device->dut.channel_event[channel], IO_NO_INCREMENT, FALSE);
        }
    }
}

void interrupt_connect(struct device *device)
{
    struct interrupt *interrupt = &device->interrupt;
    memset(interrupt, 0, sizeof(*interrupt));
    KeInitializeDpc(&interrupt->dpc, interrupt_dpc, device);
    /* The mode is set before a vector may arrive; a message that comes early is handled as one. */
    interrupt->mode = INTERRUPT_MESSAGE;

    IO_CONNECT_INTERRUPT_PARAMETERS parameters;
    memset(&parameters, 0, sizeof(parameters));
    parameters.Version = CONNECT_MESSAGE_BASED;
    parameters.MessageBased.PhysicalDeviceObject = device->pdo;
    parameters.MessageBased.ConnectionContext.Generic = &interrupt->connection;
    parameters.MessageBased.MessageServiceRoutine = message_isr;
    parameters.MessageBased.ServiceContext = device;
    /* The control function has no register that would tell whose interrupt a line's is. */
    parameters.MessageBased.FallBackServiceRoutine =
        device->role == ROLE_DUT ? line_isr : NULL;
    NTSTATUS status = IoConnectInterruptEx(&parameters);
    if (!NT_SUCCESS(status)) {
        interrupt->mode = INTERRUPT_NONE;
        LOG("no interrupt (0x%08lx): polling\n", status);
    } else if (parameters.Version == CONNECT_MESSAGE_BASED) {
        PIO_INTERRUPT_MESSAGE_INFO messages = interrupt->connection;
        interrupt->vectors = messages->MessageCount;
        interrupt->object = messages->MessageInfo[0].InterruptObject;
    } else {
        interrupt->mode = INTERRUPT_LINE;
        interrupt->vectors = 1;
        interrupt->object = interrupt->connection;
    }
}

void interrupt_disconnect(struct device *device)
{
    struct interrupt *interrupt = &device->interrupt;
    if (interrupt->mode != INTERRUPT_NONE) {
        IO_DISCONNECT_INTERRUPT_PARAMETERS parameters;
        memset(&parameters, 0, sizeof(parameters));
        parameters.Version = interrupt->mode == INTERRUPT_MESSAGE ? CONNECT_MESSAGE_BASED
                                                                  : CONNECT_LINE_BASED;
        parameters.ConnectionContext.Generic = interrupt->connection;
        IoDisconnectInterruptEx(&parameters);
        interrupt->mode = INTERRUPT_NONE;
        interrupt->object = NULL;
        interrupt->vectors = 0;
    }
    /* A DPC that was queued before uses the device extension. */
    (void)KeRemoveQueueDpc(&interrupt->dpc);
    KeFlushQueuedDpcs();
}

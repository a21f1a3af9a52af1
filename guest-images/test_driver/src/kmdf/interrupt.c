/*
 * Interrupts of both functions: an interrupt object for each vector that the resources hold, made in
 * EvtDevicePrepareHardware, since only then is it known how many channels there are. Without any the
 * users poll.
 */
#include "kmdf.h"

/* CM_RESOURCE_INTERRUPT_MESSAGE in a descriptor's flags. */
#define INTERRUPT_IS_MESSAGE 0x2

const CM_PARTIAL_RESOURCE_DESCRIPTOR *front_resource(void *resources, ULONG index)
{
    return WdfCmResourceListGetDescriptor(resources, index);
}

static struct kmdf_device *device_of_interrupt(WDFINTERRUPT interrupt)
{
    return device_of(WdfInterruptGetDevice(interrupt));
}

static BOOLEAN NTAPI evt_isr(WDFINTERRUPT interrupt, ULONG message)
{
    struct kmdf_device *device = device_of_interrupt(interrupt);
    bool ours = interrupt_service(&device->shared, message);
    if (ours) {
        (void)WdfInterruptQueueDpcForIsr(interrupt);
    }
    /* A message is nobody else's. */
    return ours || device->shared.interrupt.mode == INTERRUPT_MESSAGE;
}

static VOID NTAPI evt_dpc(WDFINTERRUPT interrupt, WDFOBJECT object)
{
    UNREFERENCED_PARAMETER(object);
    interrupt_finish(&device_of_interrupt(interrupt)->shared);
}

static uint32_t number_of(const struct kmdf_device *device, WDFINTERRUPT interrupt)
{
    uint32_t number = 0;
    while (number < device->granted_vectors && device->interrupts[number] != interrupt) {
        number++;
    }
    return number;
}

/* At the interrupt's IRQL. */
static NTSTATUS NTAPI evt_enable(WDFINTERRUPT interrupt, WDFDEVICE handle)
{
    struct kmdf_device *device = device_of(handle);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_INTERRUPT_ENABLE,
                     number_of(device, interrupt));
    device->shared.interrupt.mode = device->granted_mode;
    device->shared.interrupt.vectors = device->granted_vectors;
    if (device->shared.role == ROLE_DUT) {
        hardware_enable_interrupts(&device->shared);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_disable(WDFINTERRUPT interrupt, WDFDEVICE handle)
{
    struct kmdf_device *device = device_of(handle);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_INTERRUPT_DISABLE,
                     number_of(device, interrupt));
    device->shared.interrupt.mode = INTERRUPT_NONE;
    if (device->shared.role == ROLE_DUT) {
        hardware_disable_interrupts(&device->shared);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS create(struct kmdf_device *device, PCM_PARTIAL_RESOURCE_DESCRIPTOR raw,
                       PCM_PARTIAL_RESOURCE_DESCRIPTOR translated)
{
    WDF_INTERRUPT_CONFIG config = {
        .Size = sizeof(config),
        .ShareVector = WDF_USE_DEFAULT,
        .EvtInterruptIsr = evt_isr,
        .EvtInterruptDpc = evt_dpc,
        .EvtInterruptEnable = evt_enable,
        .EvtInterruptDisable = evt_disable,
        .InterruptRaw = raw,
        .InterruptTranslated = translated,
        .ReportInactiveOnPowerDown = WDF_USE_DEFAULT,
    };
    return WdfInterruptCreate(device->handle, &config, NULL,
                              &device->interrupts[device->granted_vectors]);
}

NTSTATUS interrupt_create_all(struct kmdf_device *device, WDFCMRESLIST raw, WDFCMRESLIST translated)
{
    /* Vectors beyond the last channel stay unused. */
    uint32_t limit = device->shared.role == ROLE_DUT ? device->shared.dut.channels : 1;
    device->granted_mode = INTERRUPT_NONE;
    device->granted_vectors = 0;
    for (ULONG i = 0; i < MAX_DESCRIPTORS && device->granted_vectors < limit; i++) {
        PCM_PARTIAL_RESOURCE_DESCRIPTOR descriptor = WdfCmResourceListGetDescriptor(translated, i);
        if (descriptor == NULL) {
            break;
        }
        if (descriptor->Type != CmResourceTypeInterrupt) {
            continue;
        }
        NTSTATUS status = create(device, WdfCmResourceListGetDescriptor(raw, i), descriptor);
        if (!NT_SUCCESS(status)) {
            return status;
        }
        bool message = (descriptor->Flags & INTERRUPT_IS_MESSAGE) != 0;
        device->granted_mode = message ? INTERRUPT_MESSAGE : INTERRUPT_LINE;
        device->granted_vectors++;
    }
    return STATUS_SUCCESS;
}

/* A routine on its way to the interrupt. */
struct synchronized_call {
    void (*routine)(void *context);
    void *context;
};

static BOOLEAN NTAPI call_synchronized(WDFINTERRUPT interrupt, PVOID context)
{
    struct synchronized_call *call = context;
    UNREFERENCED_PARAMETER(interrupt);
    call->routine(call->context);
    return TRUE;
}

bool front_run_in_interrupt(struct device *device, void (*routine)(void *context), void *context)
{
    if (device->interrupt.mode == INTERRUPT_NONE) {
        return false;
    }
    struct synchronized_call call = {routine, context};
    (void)WdfInterruptSynchronize(kmdf_of(device)->interrupts[0], call_synchronized, &call);
    return true;
}

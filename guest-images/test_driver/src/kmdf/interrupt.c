/*
 * Interrupts of both functions: an interrupt object for each vector that the device may get. The
 * framework connects as many as the resources hold; without any the users poll.
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
    while (number < DMARIG_DUT_CHANNELS && device->interrupts[number] != interrupt) {
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
        write_u32(&device->shared.dut.registers, DMARIG_REG_INTERRUPT_ENABLE, 0);
    }
    return STATUS_SUCCESS;
}

NTSTATUS interrupt_create_all(struct kmdf_device *device)
{
    WDF_INTERRUPT_CONFIG config = {
        .Size = sizeof(config),
        .ShareVector = WDF_USE_DEFAULT,
        .EvtInterruptIsr = evt_isr,
        .EvtInterruptDpc = evt_dpc,
        .EvtInterruptEnable = evt_enable,
        .EvtInterruptDisable = evt_disable,
        .ReportInactiveOnPowerDown = WDF_USE_DEFAULT,
    };
    uint32_t vectors = device->shared.role == ROLE_DUT ? DMARIG_DUT_CHANNELS : 1;
    for (uint32_t i = 0; i < vectors; i++) {
        NTSTATUS status =
            WdfInterruptCreate(device->handle, &config, NULL, &device->interrupts[i]);
        if (!NT_SUCCESS(status)) {
            return status;
        }
    }
    return STATUS_SUCCESS;
}

void interrupt_read_resources(struct kmdf_device *device, WDFCMRESLIST translated)
{
    device->granted_mode = INTERRUPT_NONE;
    device->granted_vectors = 0;
    for (ULONG i = 0; i < MAX_DESCRIPTORS; i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *descriptor = front_resource(translated, i);
        if (descriptor == NULL) {
            break;
        }
        if (descriptor->Type == CmResourceTypeInterrupt) {
            bool message = (descriptor->Flags & INTERRUPT_IS_MESSAGE) != 0;
            device->granted_mode = message ? INTERRUPT_MESSAGE : INTERRUPT_LINE;
            device->granted_vectors++;
        }
    }
    /* Those beyond the interrupt objects stay unused. */
    device->granted_vectors = min(device->granted_vectors, DMARIG_DUT_CHANNELS);
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

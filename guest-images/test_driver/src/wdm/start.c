/* The way of the hardware of both functions into work and out of it. */
#include "wdm.h"

static void stop(struct wdm_device *device, enum pnp_state state);

void transition_begin(struct wdm_device *device)
{
    /* Its holders wait for nothing but the driver's lock and the control thread, which both end. */
    (void)KeWaitForSingleObject(&device->transition, Executive, KernelMode, FALSE, NULL);
}

void transition_end(struct wdm_device *device)
{
    (void)KeSetEvent(&device->transition, IO_NO_INCREMENT, FALSE);
}

const CM_PARTIAL_RESOURCE_DESCRIPTOR *front_resource(void *resources, ULONG index)
{
    PCM_RESOURCE_LIST list = resources;
    if (list == NULL || list->Count == 0) {
        return NULL;
    }
    PCM_PARTIAL_RESOURCE_LIST partial = &list->List[0].PartialResourceList;
    return index < partial->Count ? &partial->PartialDescriptors[index] : NULL;
}

static NTSTATUS start(struct wdm_device *device, PCM_RESOURCE_LIST translated)
{
    NTSTATUS status = hardware_map(&device->shared, translated);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = interrupt_connect(device);
    if (!NT_SUCCESS(status)) {
        hardware_unmap(&device->shared);
        return status;
    }
    hardware_show(&device->shared);
    power_note(device, PowerDeviceD0);
    if (device->shared.role == ROLE_DUT) {
        hardware_enable(&device->shared);
        context_run_stored(DMARIG_CONTEXT_START_DEVICE);
        context_run_stored(DMARIG_CONTEXT_D0_ENTRY);
        return STATUS_SUCCESS;
    }
    status = control_start(&device->shared);
    if (!NT_SUCCESS(status)) {
        stop(device, PNP_STOPPED);
    }
    return status;
}

NTSTATUS wdm_start(struct wdm_device *device, PCM_RESOURCE_LIST translated)
{
    transition_begin(device);
    NTSTATUS status = start(device, translated);
    transition_end(device);
    return status;
}

static uint16_t context_of(enum pnp_state state)
{
    return state == PNP_SURPRISE_REMOVED ? DMARIG_CONTEXT_SURPRISE_REMOVAL
           : state == PNP_REMOVED        ? DMARIG_CONTEXT_REMOVE
                                         : DMARIG_CONTEXT_STOP;
}

static void stop(struct wdm_device *device, enum pnp_state state)
{
    if (device->shared.hardware && device->shared.in_d0) {
        wdm_leave_d0(device);
    }
    if (device->shared.role == ROLE_DUT) {
        context_run_stored(context_of(state));
    }
    if (hardware_hide(&device->shared, state)) {
        interrupt_disconnect(device);
        hardware_unmap(&device->shared);
    }
}

void wdm_stop(struct wdm_device *device, enum pnp_state state)
{
    transition_begin(device);
    stop(device, state);
    transition_end(device);
}

void wdm_enter_d0(struct wdm_device *device)
{
    if (device->shared.role == ROLE_DUT) {
        hardware_enable(&device->shared);
        context_run_stored(DMARIG_CONTEXT_D0_ENTRY);
    } else if (!NT_SUCCESS(control_start(&device->shared))) {
        LOG("the control thread did not start again\n");
    }
}

void wdm_leave_d0(struct wdm_device *device)
{
    if (device->shared.role != ROLE_DUT) {
        control_stop(&device->shared);
        return;
    }
    context_run_stored(DMARIG_CONTEXT_D0_EXIT);
    hardware_disable(&device->shared);
}

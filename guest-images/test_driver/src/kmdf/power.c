/*
 * The PnP and power callbacks: what the framework asks of the device, noted in the log.
 *
 * The framework calls them one at a time, and holds requests of PnP and power apart by itself.
 */
#include "kmdf.h"

static NTSTATUS NTAPI evt_prepare_hardware(WDFDEVICE handle, WDFCMRESLIST raw,
                                           WDFCMRESLIST translated)
{
    struct kmdf_device *device = device_of(handle);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_PREPARE_HARDWARE, 0);
    NTSTATUS status = hardware_map(&device->shared, translated);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    status = interrupt_create_all(device, raw, translated);
    if (!NT_SUCCESS(status)) {
        hardware_unmap(&device->shared);
        return status;
    }
    resources_note(device, translated);
    device->shared.state = PNP_STARTED;
    device->shared.power_state = PowerDeviceD0;
    hardware_show(&device->shared);
    if (device->shared.role == ROLE_DUT) {
        /* The bus has powered the device; interrupts come later, so programs of this context poll. */
        hardware_enable(&device->shared);
        context_run_stored(DMARIG_CONTEXT_START_DEVICE);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_release_hardware(WDFDEVICE handle, WDFCMRESLIST translated)
{
    struct kmdf_device *device = device_of(handle);
    UNREFERENCED_PARAMETER(translated);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_RELEASE_HARDWARE, 0);
    enum pnp_state state = PNP_SURPRISE_REMOVED;
    if (device->shared.state != PNP_SURPRISE_REMOVED) {
        state = PNP_STOPPED;
        if (device->shared.role == ROLE_DUT) {
            context_run_stored(DMARIG_CONTEXT_STOP);
        }
    }
    if (hardware_hide(&device->shared, state)) {
        hardware_unmap(&device->shared);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_d0_entry(WDFDEVICE handle, ULONG previous_state)
{
    struct kmdf_device *device = device_of(handle);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_D0_ENTRY, previous_state);
    device->shared.power_state = PowerDeviceD0;
    if (device->shared.role == ROLE_DUT) {
        hardware_enable(&device->shared);
        context_run_stored(DMARIG_CONTEXT_D0_ENTRY);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_d0_entry_post_interrupts(WDFDEVICE handle, ULONG previous_state)
{
    struct kmdf_device *device = device_of(handle);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_D0_ENTRY_POST_INTERRUPTS, previous_state);
    /* Its thread asks whether messages come. */
    return device->shared.role == ROLE_CONTROL ? control_start(&device->shared) : STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_d0_exit_pre_interrupts(WDFDEVICE handle, ULONG target_state)
{
    struct kmdf_device *device = device_of(handle);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_D0_EXIT_PRE_INTERRUPTS, target_state);
    if (device->shared.role == ROLE_CONTROL) {
        control_stop(&device->shared);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_d0_exit(WDFDEVICE handle, ULONG target_state)
{
    struct kmdf_device *device = device_of(handle);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_D0_EXIT, target_state);
    if (device->shared.role == ROLE_DUT) {
        context_run_stored(DMARIG_CONTEXT_D0_EXIT);
        hardware_disable(&device->shared);
    }
    device->shared.power_state = PowerDeviceD3;
    return STATUS_SUCCESS;
}

static VOID NTAPI evt_surprise_removal(WDFDEVICE handle)
{
    struct kmdf_device *device = device_of(handle);
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_SURPRISE_REMOVAL, 0);
    device->shared.state = PNP_SURPRISE_REMOVED;
    if (device->shared.role == ROLE_DUT) {
        context_run_stored(DMARIG_CONTEXT_SURPRISE_REMOVAL);
    }
}

/* Callbacks that are only noted. */
static NTSTATUS note(WDFDEVICE handle, uint16_t event)
{
    log_device_event(&device_of(handle)->shared, event, 0);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_self_managed_io_init(WDFDEVICE handle)
{
    return note(handle, DMARIG_KMDF_EVENT_SELF_MANAGED_IO_INIT);
}

static NTSTATUS NTAPI evt_self_managed_io_suspend(WDFDEVICE handle)
{
    return note(handle, DMARIG_KMDF_EVENT_SELF_MANAGED_IO_SUSPEND);
}

static NTSTATUS NTAPI evt_self_managed_io_restart(WDFDEVICE handle)
{
    return note(handle, DMARIG_KMDF_EVENT_SELF_MANAGED_IO_RESTART);
}

static VOID NTAPI evt_self_managed_io_flush(WDFDEVICE handle)
{
    (void)note(handle, DMARIG_KMDF_EVENT_SELF_MANAGED_IO_FLUSH);
}

static VOID NTAPI evt_self_managed_io_cleanup(WDFDEVICE handle)
{
    (void)note(handle, DMARIG_KMDF_EVENT_SELF_MANAGED_IO_CLEANUP);
}

static NTSTATUS NTAPI evt_query_stop(WDFDEVICE handle)
{
    return note(handle, DMARIG_KMDF_EVENT_QUERY_STOP);
}

static NTSTATUS NTAPI evt_query_remove(WDFDEVICE handle)
{
    NTSTATUS status = note(handle, DMARIG_KMDF_EVENT_QUERY_REMOVE);
    return g_driver.sabotage == SABOTAGE_KEEP_DEVICE ? STATUS_UNSUCCESSFUL : status;
}

void power_set_callbacks(WDFDEVICE_INIT *init)
{
    WDF_PNPPOWER_EVENT_CALLBACKS callbacks = {
        .Size = sizeof(callbacks),
        .EvtDeviceD0Entry = evt_d0_entry,
        .EvtDeviceD0EntryPostInterruptsEnabled = evt_d0_entry_post_interrupts,
        .EvtDeviceD0Exit = evt_d0_exit,
        .EvtDeviceD0ExitPreInterruptsDisabled = evt_d0_exit_pre_interrupts,
        .EvtDevicePrepareHardware = evt_prepare_hardware,
        .EvtDeviceReleaseHardware = evt_release_hardware,
        .EvtDeviceSelfManagedIoCleanup = evt_self_managed_io_cleanup,
        .EvtDeviceSelfManagedIoFlush = evt_self_managed_io_flush,
        .EvtDeviceSelfManagedIoInit = evt_self_managed_io_init,
        .EvtDeviceSelfManagedIoSuspend = evt_self_managed_io_suspend,
        .EvtDeviceSelfManagedIoRestart = evt_self_managed_io_restart,
        .EvtDeviceSurpriseRemoval = evt_surprise_removal,
        .EvtDeviceQueryRemove = evt_query_remove,
        .EvtDeviceQueryStop = evt_query_stop,
    };
    WdfDeviceInitSetPnpPowerEventCallbacks(init, &callbacks);
}

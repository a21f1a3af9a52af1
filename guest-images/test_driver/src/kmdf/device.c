/* EvtDriverDeviceAdd: makes the device object with its queue; and its end. */
#include "kmdf.h"

static CONTEXT_TYPE(device_type, "kmdf_device", sizeof(struct kmdf_device));

struct kmdf_device *device_of(WDFDEVICE handle)
{
    return WdfObjectGetTypedContextWorker(handle, &device_type);
}

/* The device's children are gone. Its number is free for another from here on. */
static VOID NTAPI evt_device_cleanup(WDFOBJECT object)
{
    struct kmdf_device *device = device_of(object);
    if (device->shared.self == NULL) {
        /* AddDevice has failed before it knew the device. */
        return;
    }
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_DEVICE_CLEANUP, 0);
    if (device->shared.role == ROLE_DUT) {
        driver_lock_soon();
        release_forget_dut(device->shared.dut.number);
        driver_unlock();
        context_run_stored(DMARIG_CONTEXT_REMOVE);
    }
    if (hardware_hide(&device->shared, PNP_REMOVED)) {
        hardware_unmap(&device->shared);
    }
}

/* Programs of the dispatch context: the request that the control thread sends to its own device. */
static VOID NTAPI evt_internal_control(WDFQUEUE queue, WDFREQUEST request, SIZE_T output_length,
                                       SIZE_T input_length, ULONG code)
{
    UNREFERENCED_PARAMETER(queue);
    UNREFERENCED_PARAMETER(output_length);
    UNREFERENCED_PARAMETER(input_length);
    UNREFERENCED_PARAMETER(code);
    WdfRequestComplete(request, context_run_dispatched(WdfRequestWdmGetIrp(request)));
}

static NTSTATUS create_queue(struct kmdf_device *device)
{
    WDF_IO_QUEUE_CONFIG config = {
        .Size = sizeof(config),
        .DispatchType = WDF_IO_QUEUE_PARALLEL,
        .PowerManaged = WDF_FALSE,
        .DefaultQueue = TRUE,
        .EvtIoInternalDeviceControl = evt_internal_control,
        .NumberOfPresentedRequests = MAXULONG,
    };
    WDFQUEUE queue;
    return WdfIoQueueCreate(device->handle, &config, NULL, &queue);
}

static NTSTATUS initialize(struct kmdf_device *device, enum device_role role, WDFDEVICE handle)
{
    device_initialize(&device->shared, role, WdfDeviceWdmGetDeviceObject(handle),
                      WdfDeviceWdmGetPhysicalDevice(handle));
    device->handle = handle;
    NTSTATUS status = role == ROLE_CONTROL ? create_queue(device) : STATUS_SUCCESS;
    if (NT_SUCCESS(status) && !device_enlist(&device->shared)) {
        status = STATUS_INSUFFICIENT_RESOURCES;
    }
    if (!NT_SUCCESS(status)) {
        device->shared.self = NULL;
    }
    return status;
}

NTSTATUS NTAPI evt_device_add(WDFDRIVER driver, WDFDEVICE_INIT *init)
{
    UNREFERENCED_PARAMETER(driver);
    enum device_role role = device_role_of(WdfFdoInitWdmGetPhysicalDevice(init));
    if (role == ROLE_UNKNOWN) {
        return STATUS_NO_SUCH_DEVICE;
    }
    power_set_callbacks(init);
    WDF_OBJECT_ATTRIBUTES attributes = attributes_with(&device_type);
    attributes.EvtCleanupCallback = evt_device_cleanup;
    WDFDEVICE handle;
    NTSTATUS status = WdfDeviceCreate(&init, &attributes, &handle);
    if (!NT_SUCCESS(status)) {
        LOG("WdfDeviceCreate failed (0x%08lx)\n", status);
        return status;
    }
    struct kmdf_device *device = device_of(handle);
    status = initialize(device, role, handle);
    if (!NT_SUCCESS(status)) {
        LOG("a device cannot be set up (0x%08lx)\n", status);
        return status;
    }
    log_device_event(&device->shared, DMARIG_KMDF_EVENT_DEVICE_ADD, 0);
    if (role == ROLE_DUT) {
        context_run_stored(DMARIG_CONTEXT_ADD_DEVICE);
    }
    return STATUS_SUCCESS;
}

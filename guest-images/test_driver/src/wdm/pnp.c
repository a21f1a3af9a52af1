/* AddDevice and the PnP requests. */
#include "wdm.h"

NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT pdo)
{
    enum device_role role = device_role_of(pdo);
    if (role == ROLE_UNKNOWN) {
        return STATUS_NO_SUCH_DEVICE;
    }
    PDEVICE_OBJECT self;
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct wdm_device), NULL, FILE_DEVICE_UNKNOWN,
                                     FILE_DEVICE_SECURE_OPEN, FALSE, &self);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    struct wdm_device *device = self->DeviceExtension;
    memset(device, 0, sizeof(*device));
    device_initialize(&device->shared, role, self, pdo);
    IoInitializeRemoveLock(&device->remove_lock, POOL_TAG, 0, 0);
    KeInitializeEvent(&device->transition, SynchronizationEvent, TRUE);
    power_initialize(device);
    device->lower = IoAttachDeviceToDeviceStack(self, pdo);
    if (device->lower == NULL || device->power_work == NULL || !device_enlist(&device->shared)) {
        if (device->lower != NULL) {
            IoDetachDevice(device->lower);
        }
        power_uninitialize(device);
        IoDeleteDevice(self);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    /* Power requests come at PASSIVE_LEVEL: programs of the D0 contexts need that. */
    self->Flags |= DO_POWER_PAGABLE;
    self->Flags &= ~DO_DEVICE_INITIALIZING;
    if (role == ROLE_DUT) {
        context_run_stored(DMARIG_CONTEXT_ADD_DEVICE);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI signal_completion(PDEVICE_OBJECT object, PIRP irp, PVOID event)
{
    UNREFERENCED_PARAMETER(object);
    UNREFERENCED_PARAMETER(irp);
    (void)KeSetEvent(event, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

/* Sends the request down and waits until the lower drivers have done it. */
static NTSTATUS forward_and_wait(struct wdm_device *device, PIRP irp)
{
    KEVENT done;
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, signal_completion, &done, TRUE, TRUE, TRUE);
    NTSTATUS status = IoCallDriver(device->lower, irp);
    if (status == STATUS_PENDING) {
        /* `done` is on this stack: there is no giving up before the completion. */
        (void)KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
        status = irp->IoStatus.Status;
    }
    return status;
}

static NTSTATUS complete(struct wdm_device *device, PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return status;
}

static NTSTATUS pass_down(struct wdm_device *device, PIRP irp)
{
    IoSkipCurrentIrpStackLocation(irp);
    NTSTATUS status = IoCallDriver(device->lower, irp);
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return status;
}

static NTSTATUS start_device(struct wdm_device *device, PIRP irp)
{
    NTSTATUS status = forward_and_wait(device, irp);
    if (NT_SUCCESS(status)) {
        PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
        status = wdm_start(device, stack->Parameters.StartDevice.AllocatedResourcesTranslated);
    }
    if (NT_SUCCESS(status)) {
        device->shared.state = PNP_STARTED;
    }
    return complete(device, irp, status);
}

/* QUERY_STOP and QUERY_REMOVE: nothing keeps this driver, programs are made to end in time. */
static NTSTATUS query(struct wdm_device *device, PIRP irp, enum pnp_state state)
{
    if (state == PNP_REMOVE_PENDING && g_driver.sabotage == SABOTAGE_KEEP_DEVICE) {
        return complete(device, irp, STATUS_UNSUCCESSFUL);
    }
    device->state_before_query = device->shared.state;
    device->shared.state = state;
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(device, irp);
}

/* CANCEL_STOP and CANCEL_REMOVE: lower drivers first; without a query before it nothing changes. */
static NTSTATUS cancel(struct wdm_device *device, PIRP irp, enum pnp_state state)
{
    NTSTATUS status = forward_and_wait(device, irp);
    if (device->shared.state == state) {
        device->shared.state = device->state_before_query;
    }
    return complete(device, irp, NT_SUCCESS(status) ? STATUS_SUCCESS : status);
}

static NTSTATUS stop_device(struct wdm_device *device, PIRP irp)
{
    wdm_stop(device, PNP_STOPPED);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(device, irp);
}

static NTSTATUS surprise_removal(struct wdm_device *device, PIRP irp)
{
    wdm_stop(device, PNP_SURPRISE_REMOVED);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(device, irp);
}

static NTSTATUS remove_device(struct wdm_device *device, PIRP irp)
{
    /* From here on no program finds the device, and its number is free for another. */
    wdm_stop(device, PNP_REMOVED);
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(irp);
    NTSTATUS status = IoCallDriver(device->lower, irp);
    IoReleaseRemoveLockAndWait(&device->remove_lock, irp);
    IoDetachDevice(device->lower);
    power_uninitialize(device);
    IoDeleteDevice(device->shared.self);
    return status;
}

NTSTATUS NTAPI dispatch_pnp(PDEVICE_OBJECT object, PIRP irp)
{
    struct wdm_device *device = object->DeviceExtension;
    NTSTATUS status = IoAcquireRemoveLock(&device->remove_lock, irp);
    if (!NT_SUCCESS(status)) {
        irp->IoStatus.Status = status;
        IoCompleteRequest(irp, IO_NO_INCREMENT);
        return status;
    }
    switch (IoGetCurrentIrpStackLocation(irp)->MinorFunction) {
    case IRP_MN_START_DEVICE:
        return start_device(device, irp);
    case IRP_MN_QUERY_STOP_DEVICE:
        return query(device, irp, PNP_STOP_PENDING);
    case IRP_MN_CANCEL_STOP_DEVICE:
        return cancel(device, irp, PNP_STOP_PENDING);
    case IRP_MN_STOP_DEVICE:
        return stop_device(device, irp);
    case IRP_MN_QUERY_REMOVE_DEVICE:
        return query(device, irp, PNP_REMOVE_PENDING);
    case IRP_MN_CANCEL_REMOVE_DEVICE:
        return cancel(device, irp, PNP_REMOVE_PENDING);
    case IRP_MN_SURPRISE_REMOVAL:
        return surprise_removal(device, irp);
    case IRP_MN_REMOVE_DEVICE:
        return remove_device(device, irp);
    default:
        return pass_down(device, irp);
    }
}

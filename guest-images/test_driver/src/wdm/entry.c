/* DriverEntry, unload, and the dispatch routines that only pass requests on. */
#include "wdm.h"

static NTSTATUS NTAPI dispatch_internal(PDEVICE_OBJECT object, PIRP irp);
static NTSTATUS NTAPI dispatch_refuse(PDEVICE_OBJECT object, PIRP irp);
static VOID NTAPI driver_unload(PDRIVER_OBJECT driver);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING service_path)
{
    NTSTATUS status = driver_initialize(service_path);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    for (ULONG i = 0; i <= IRP_MJ_MAXIMUM_FUNCTION; i++) {
        driver->MajorFunction[i] = dispatch_refuse;
    }
    driver->MajorFunction[IRP_MJ_PNP] = dispatch_pnp;
    driver->MajorFunction[IRP_MJ_POWER] = dispatch_power;
    driver->MajorFunction[IRP_MJ_SYSTEM_CONTROL] = dispatch_pass_down;
    driver->MajorFunction[IRP_MJ_INTERNAL_DEVICE_CONTROL] = dispatch_internal;
    driver->DriverExtension->AddDevice = add_device;
    driver->DriverUnload = driver_unload;
    return STATUS_SUCCESS;
}

static VOID NTAPI driver_unload(PDRIVER_OBJECT driver)
{
    UNREFERENCED_PARAMETER(driver);
    driver_uninitialize();
}

/* No operation is WDM's alone. */
const struct operation_entry *front_operation_find(uint16_t opcode)
{
    UNREFERENCED_PARAMETER(opcode);
    return NULL;
}

/* Without a framework there are none of its objects. */
void front_delete_object(void *object)
{
    UNREFERENCED_PARAMETER(object);
}

void front_dereference_object(void *object)
{
    UNREFERENCED_PARAMETER(object);
}

void front_release_request(struct slot *slot)
{
    UNREFERENCED_PARAMETER(slot);
}

void front_release_sent(struct slot *slot)
{
    UNREFERENCED_PARAMETER(slot);
}

void front_release_transaction(struct slot *slot)
{
    UNREFERENCED_PARAMETER(slot);
}

static NTSTATUS complete(PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    irp->IoStatus.Information = 0;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    return status;
}

/* Requests that this driver has no use for; nobody can open the device, it has no name. */
static NTSTATUS NTAPI dispatch_refuse(PDEVICE_OBJECT object, PIRP irp)
{
    UNREFERENCED_PARAMETER(object);
    return complete(irp, STATUS_INVALID_DEVICE_REQUEST);
}

NTSTATUS NTAPI dispatch_pass_down(PDEVICE_OBJECT object, PIRP irp)
{
    struct wdm_device *device = object->DeviceExtension;
    NTSTATUS status = IoAcquireRemoveLock(&device->remove_lock, irp);
    if (!NT_SUCCESS(status)) {
        return complete(irp, status);
    }
    IoSkipCurrentIrpStackLocation(irp);
    status = IoCallDriver(device->lower, irp);
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return status;
}

/* Kernel callers only: the control thread sends itself programs of the dispatch context here. */
static NTSTATUS NTAPI dispatch_internal(PDEVICE_OBJECT object, PIRP irp)
{
    struct wdm_device *device = object->DeviceExtension;
    if (device->shared.role != ROLE_CONTROL) {
        return dispatch_refuse(object, irp);
    }
    NTSTATUS status = IoAcquireRemoveLock(&device->remove_lock, irp);
    if (!NT_SUCCESS(status)) {
        return complete(irp, status);
    }
    status = complete(irp, context_run_dispatched(irp));
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return status;
}

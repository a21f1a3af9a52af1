/* DriverEntry, unload, the lock, and the dispatch routines that only pass requests on. */
#include "driver.h"

struct driver g_driver;

static NTSTATUS NTAPI dispatch_internal(PDEVICE_OBJECT object, PIRP irp);
static NTSTATUS NTAPI dispatch_refuse(PDEVICE_OBJECT object, PIRP irp);
static VOID NTAPI driver_unload(PDRIVER_OBJECT driver);

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING service_path)
{
    PVOID slots = ExAllocatePool2(POOL_NON_PAGED, SLOT_TABLE_BYTES, POOL_TAG);
    if (slots == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    slot_table_initialize(&g_driver.slots, slots);
    KeInitializeEvent(&g_driver.lock, SynchronizationEvent, TRUE);
    registry_read_parameters(service_path);

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
    /* The last device has released the objects; programs that never ran are still here. */
    context_free_all();
    ExFreePoolWithTag(g_driver.slots.slots, POOL_TAG);
    g_driver.slots.slots = NULL;
}

void driver_lock(void)
{
    /* Its holders end: programs have a budget, each operation a bound. */
    (void)KeWaitForSingleObject(&g_driver.lock, Executive, KernelMode, FALSE, NULL);
}

void driver_lock_soon(void)
{
    InterlockedIncrement(&g_driver.hurry);
    driver_lock();
    InterlockedDecrement(&g_driver.hurry);
}

void driver_unlock(void)
{
    (void)KeSetEvent(&g_driver.lock, IO_NO_INCREMENT, FALSE);
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
    struct device *device = object->DeviceExtension;
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
    struct device *device = object->DeviceExtension;
    if (device->role != ROLE_CONTROL) {
        return dispatch_refuse(object, irp);
    }
    NTSTATUS status = IoAcquireRemoveLock(&device->remove_lock, irp);
    if (!NT_SUCCESS(status)) {
        return complete(irp, status);
    }
    status = complete(irp, context_run_dispatched(device, irp));
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return status;
}

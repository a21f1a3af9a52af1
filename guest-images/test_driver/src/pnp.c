/* AddDevice and the PnP requests. */
#include "driver.h"

/* Longest list of hardware IDs that is looked at, in bytes. */
#define HARDWARE_ID_BYTES 2048

static WCHAR upper_case(WCHAR character)
{
    return character >= 'a' && character <= 'z' ? character - ('a' - 'A') : character;
}

/* True when the list of strings, `length` bytes of it, holds the text `device` in any case. */
static bool ids_name_device(const WCHAR *ids, ULONG length, const WCHAR *device, ULONG characters)
{
    ULONG total = length / sizeof(WCHAR);
    for (ULONG start = 0; start + characters <= total; start++) {
        ULONG i = 0;
        while (i < characters && upper_case(ids[start + i]) == device[i]) {
            i++;
        }
        if (i == characters) {
            return true;
        }
    }
    return false;
}

static enum device_role role_of(PDEVICE_OBJECT pdo)
{
    static const WCHAR dut_id[] = L"VEN_1234&DEV_D0A0";
    static const WCHAR control_id[] = L"VEN_1234&DEV_D0C0";
    const ULONG characters = sizeof(dut_id) / sizeof(WCHAR) - 1;
    enum device_role role = ROLE_UNKNOWN;
    WCHAR *ids = ExAllocatePool2(POOL_NON_PAGED, HARDWARE_ID_BYTES, POOL_TAG);
    if (ids == NULL) {
        return role;
    }
    ULONG length = 0;
    NTSTATUS status =
        IoGetDeviceProperty(pdo, DevicePropertyHardwareID, HARDWARE_ID_BYTES, ids, &length);
    if (NT_SUCCESS(status) && length <= HARDWARE_ID_BYTES) {
        if (ids_name_device(ids, length, dut_id, characters)) {
            role = ROLE_DUT;
        } else if (ids_name_device(ids, length, control_id, characters)) {
            role = ROLE_CONTROL;
        }
    }
    ExFreePoolWithTag(ids, POOL_TAG);
    return role;
}
_Static_assert(DMARIG_PCI_VENDOR_ID == 0x1234 && DMARIG_PCI_DEVICE_ID_DUT == 0xd0a0 &&
                   DMARIG_PCI_DEVICE_ID_CONTROL == 0xd0c0,
               "the texts in role_of");

/* Gives the device its place in the driver; false when there is none left. */
static bool enlist(struct device *device)
{
    bool enlisted = false;
    driver_lock();
    if (device->role == ROLE_CONTROL && g_driver.control == NULL) {
        g_driver.control = device;
        enlisted = true;
    }
    for (uint32_t i = 0; device->role == ROLE_DUT && i < MAX_DUTS && !enlisted; i++) {
        if (g_driver.duts[i] == NULL) {
            g_driver.duts[i] = device;
            device->dut.number = i;
            enlisted = true;
        }
    }
    driver_unlock();
    return enlisted;
}

void device_delist(struct device *device)
{
    bool last = true;
    if (g_driver.control == device) {
        g_driver.control = NULL;
    }
    for (uint32_t i = 0; i < MAX_DUTS; i++) {
        if (g_driver.duts[i] == device) {
            g_driver.duts[i] = NULL;
        }
        last = last && g_driver.duts[i] == NULL;
    }
    if (last && g_driver.control == NULL) {
        (void)release_all();
    }
}

/* Once for the device's life: a DPC may set those of control and channels as soon as an interrupt is connected. */
static void initialize_events(struct device *device)
{
    KeInitializeEvent(&device->transition, SynchronizationEvent, TRUE);
    KeInitializeEvent(&device->control.wake, SynchronizationEvent, FALSE);
    for (uint32_t channel = 0; channel < DMARIG_DUT_CHANNELS; channel++) {
        KeInitializeEvent(&device->dut.channel_event[channel], SynchronizationEvent, FALSE);
    }
}

NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT pdo)
{
    enum device_role role = role_of(pdo);
    if (role == ROLE_UNKNOWN) {
        return STATUS_NO_SUCH_DEVICE;
    }
    PDEVICE_OBJECT self;
    NTSTATUS status = IoCreateDevice(driver, sizeof(struct device), NULL, FILE_DEVICE_UNKNOWN,
                                     FILE_DEVICE_SECURE_OPEN, FALSE, &self);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    struct device *device = self->DeviceExtension;
    memset(device, 0, sizeof(*device));
    device->role = role;
    device->self = self;
    device->pdo = pdo;
    device->power_state = PowerDeviceD3;
    IoInitializeRemoveLock(&device->remove_lock, POOL_TAG, 0, 0);
    initialize_events(device);
    power_initialize(device);
    device->lower = IoAttachDeviceToDeviceStack(self, pdo);
    if (device->lower == NULL || device->power_work == NULL || !enlist(device)) {
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
static NTSTATUS forward_and_wait(struct device *device, PIRP irp)
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

static NTSTATUS complete(struct device *device, PIRP irp, NTSTATUS status)
{
    irp->IoStatus.Status = status;
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return status;
}

static NTSTATUS pass_down(struct device *device, PIRP irp)
{
    IoSkipCurrentIrpStackLocation(irp);
    NTSTATUS status = IoCallDriver(device->lower, irp);
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return status;
}

static NTSTATUS start_device(struct device *device, PIRP irp)
{
    NTSTATUS status = forward_and_wait(device, irp);
    if (NT_SUCCESS(status)) {
        PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
        status = hardware_start(device, stack->Parameters.StartDevice.AllocatedResourcesTranslated);
    }
    if (NT_SUCCESS(status)) {
        device->state = PNP_STARTED;
    }
    return complete(device, irp, status);
}

/* QUERY_STOP and QUERY_REMOVE: nothing keeps this driver, programs are made to end in time. */
static NTSTATUS query(struct device *device, PIRP irp, enum pnp_state state)
{
    device->state_before_query = device->state;
    device->state = state;
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(device, irp);
}

/* CANCEL_STOP and CANCEL_REMOVE: lower drivers first; without a query before it nothing changes. */
static NTSTATUS cancel(struct device *device, PIRP irp, enum pnp_state state)
{
    NTSTATUS status = forward_and_wait(device, irp);
    if (device->state == state) {
        device->state = device->state_before_query;
    }
    return complete(device, irp, NT_SUCCESS(status) ? STATUS_SUCCESS : status);
}

static NTSTATUS stop_device(struct device *device, PIRP irp)
{
    hardware_stop(device, PNP_STOPPED);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(device, irp);
}

static NTSTATUS surprise_removal(struct device *device, PIRP irp)
{
    hardware_stop(device, PNP_SURPRISE_REMOVED);
    irp->IoStatus.Status = STATUS_SUCCESS;
    return pass_down(device, irp);
}

static NTSTATUS remove_device(struct device *device, PIRP irp)
{
    /* From here on no program finds the device, and its number is free for another. */
    hardware_stop(device, PNP_REMOVED);
    irp->IoStatus.Status = STATUS_SUCCESS;
    IoSkipCurrentIrpStackLocation(irp);
    NTSTATUS status = IoCallDriver(device->lower, irp);
    IoReleaseRemoveLockAndWait(&device->remove_lock, irp);
    IoDetachDevice(device->lower);
    power_uninitialize(device);
    IoDeleteDevice(device->self);
    return status;
}

NTSTATUS NTAPI dispatch_pnp(PDEVICE_OBJECT object, PIRP irp)
{
    struct device *device = object->DeviceExtension;
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

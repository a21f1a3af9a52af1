/*
 * Power requests. This driver owns the power policy of its devices: a system request leads to a
 * device request (D0 when the system works, else D3), and device requests turn the hardware on and
 * off.
 */
#include "wdm.h"

static IO_WORKITEM_ROUTINE enter_d0_work;

void power_initialize(struct wdm_device *device)
{
    device->power_work = IoAllocateWorkItem(device->shared.self);
}

void power_uninitialize(struct wdm_device *device)
{
    if (device->power_work != NULL) {
        IoFreeWorkItem(device->power_work);
        device->power_work = NULL;
    }
}

static NTSTATUS pass_down(struct wdm_device *device, PIRP irp)
{
    PoStartNextPowerIrp(irp);
    IoSkipCurrentIrpStackLocation(irp);
    NTSTATUS status = PoCallDriver(device->lower, irp);
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return status;
}

void power_note(struct wdm_device *device, DEVICE_POWER_STATE state)
{
    POWER_STATE power = {.DeviceState = state};
    device->shared.power_state = state;
    (void)PoSetPowerState(device->shared.self, DevicePowerState, power);
}

/* The lower drivers have powered the device; at PASSIVE_LEVEL. */
static void finish_d0(struct wdm_device *device, PIRP irp)
{
    transition_begin(device);
    power_note(device, PowerDeviceD0);
    if (device->shared.hardware && !device->shared.in_d0) {
        wdm_enter_d0(device);
    }
    transition_end(device);
    PoStartNextPowerIrp(irp);
    IoCompleteRequest(irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&device->remove_lock, irp);
}

static VOID NTAPI enter_d0_work(PDEVICE_OBJECT object, PVOID irp)
{
    finish_d0(object->DeviceExtension, irp);
}

static NTSTATUS NTAPI d0_completed(PDEVICE_OBJECT object, PIRP irp, PVOID context)
{
    struct wdm_device *device = context;
    UNREFERENCED_PARAMETER(object);
    if (!NT_SUCCESS(irp->IoStatus.Status)) {
        PoStartNextPowerIrp(irp);
        IoReleaseRemoveLock(&device->remove_lock, irp);
        return STATUS_CONTINUE_COMPLETION;
    }
    if (KeGetCurrentIrql() == PASSIVE_LEVEL) {
        finish_d0(device, irp);
    } else {
        IoQueueWorkItem(device->power_work, enter_d0_work, DelayedWorkQueue, irp);
    }
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS set_device_power(struct wdm_device *device, PIRP irp, DEVICE_POWER_STATE state)
{
    if (state == PowerDeviceD0) {
        IoMarkIrpPending(irp);
        IoCopyCurrentIrpStackLocationToNext(irp);
        IoSetCompletionRoutine(irp, d0_completed, device, TRUE, TRUE, TRUE);
        (void)PoCallDriver(device->lower, irp);
        return STATUS_PENDING;
    }
    transition_begin(device);
    if (device->shared.in_d0) {
        wdm_leave_d0(device);
    }
    power_note(device, state);
    transition_end(device);
    return pass_down(device, irp);
}

/* The device request that a system request led to has ended. A system request is never failed: the
 * system goes where it goes, also with a device that did not follow. */
static VOID NTAPI device_power_done(PDEVICE_OBJECT object, UCHAR minor, POWER_STATE state,
                                    PVOID context, PIO_STATUS_BLOCK io_status)
{
    PIRP system_irp = context;
    struct wdm_device *device = IoGetCurrentIrpStackLocation(system_irp)->DeviceObject->DeviceExtension;
    UNREFERENCED_PARAMETER(object);
    UNREFERENCED_PARAMETER(minor);
    UNREFERENCED_PARAMETER(state);
    if (!NT_SUCCESS(io_status->Status)) {
        LOG("the device did not follow the system's power state (0x%08lx)\n", io_status->Status);
    }
    system_irp->IoStatus.Status = STATUS_SUCCESS;
    PoStartNextPowerIrp(system_irp);
    IoCompleteRequest(system_irp, IO_NO_INCREMENT);
    IoReleaseRemoveLock(&device->remove_lock, system_irp);
}

static NTSTATUS NTAPI system_power_completed(PDEVICE_OBJECT object, PIRP irp, PVOID context)
{
    struct wdm_device *device = context;
    UNREFERENCED_PARAMETER(object);
    if (NT_SUCCESS(irp->IoStatus.Status)) {
        PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
        SYSTEM_POWER_STATE system = stack->Parameters.Power.State.SystemState;
        POWER_STATE wanted = {
            .DeviceState = system == PowerSystemWorking ? PowerDeviceD0 : PowerDeviceD3,
        };
        NTSTATUS status = PoRequestPowerIrp(device->shared.pdo, IRP_MN_SET_POWER, wanted,
                                            device_power_done, irp, NULL);
        if (NT_SUCCESS(status)) {
            return STATUS_MORE_PROCESSING_REQUIRED;
        }
        LOG("no request for the device's power state (0x%08lx)\n", status);
    }
    PoStartNextPowerIrp(irp);
    IoReleaseRemoveLock(&device->remove_lock, irp);
    return STATUS_CONTINUE_COMPLETION;
}

static NTSTATUS set_system_power(struct wdm_device *device, PIRP irp)
{
    IoMarkIrpPending(irp);
    IoCopyCurrentIrpStackLocationToNext(irp);
    IoSetCompletionRoutine(irp, system_power_completed, device, TRUE, TRUE, TRUE);
    (void)PoCallDriver(device->lower, irp);
    return STATUS_PENDING;
}

NTSTATUS NTAPI dispatch_power(PDEVICE_OBJECT object, PIRP irp)
{
    struct wdm_device *device = object->DeviceExtension;
    NTSTATUS status = IoAcquireRemoveLock(&device->remove_lock, irp);
    if (!NT_SUCCESS(status)) {
        PoStartNextPowerIrp(irp);
        irp->IoStatus.Status = status;
        IoCompleteRequest(irp, IO_NO_INCREMENT);
        return status;
    }
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(irp);
    if (stack->MinorFunction != IRP_MN_SET_POWER) {
        return pass_down(device, irp);
    }
    if (stack->Parameters.Power.Type == SystemPowerState) {
        return set_system_power(device, irp);
    }
    return set_device_power(device, irp, stack->Parameters.Power.State.DeviceState);
}

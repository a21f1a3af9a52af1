/* A function-level reset by the bus driver, which is asked for its interface by an IRP of our own. */
#include "wdm.h"
#include "../reset.h"

static IO_COMPLETION_ROUTINE query_completed;

static NTSTATUS NTAPI query_completed(PDEVICE_OBJECT object, PIRP irp, PVOID context)
{
    UNREFERENCED_PARAMETER(object);
    UNREFERENCED_PARAMETER(irp);
    (void)KeSetEvent(context, IO_NO_INCREMENT, FALSE);
    /* The IRP is still ours. */
    return STATUS_MORE_PROCESSING_REQUIRED;
}

static NTSTATUS query_interface(struct wdm_device *device, struct reset_interface *resets)
{
    PIRP irp = IoAllocateIrp(device->lower->StackSize, FALSE);
    if (irp == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    KEVENT done;
    KeInitializeEvent(&done, NotificationEvent, FALSE);
    /* What nobody answers comes back like this. */
    irp->IoStatus.Status = STATUS_NOT_SUPPORTED;
    PIO_STACK_LOCATION stack = IoGetNextIrpStackLocation(irp);
    stack->MajorFunction = IRP_MJ_PNP;
    stack->MinorFunction = IRP_MN_QUERY_INTERFACE;
    stack->Parameters.QueryInterface.InterfaceType = &reset_interface_guid;
    stack->Parameters.QueryInterface.Size = sizeof(*resets);
    stack->Parameters.QueryInterface.Version = RESET_INTERFACE_VERSION;
    stack->Parameters.QueryInterface.Interface = (PINTERFACE)resets;
    IoSetCompletionRoutine(irp, query_completed, &done, TRUE, TRUE, TRUE);
    (void)IoCallDriver(device->lower, irp);
    (void)KeWaitForSingleObject(&done, Executive, KernelMode, FALSE, NULL);
    NTSTATUS status = irp->IoStatus.Status;
    IoFreeIrp(irp);
    return status;
}

NTSTATUS front_reset_function(struct device *device)
{
    struct reset_interface resets = {.size = sizeof(resets),
                                        .version = RESET_INTERFACE_VERSION};
    NTSTATUS status = query_interface(wdm_of(device), &resets);
    return NT_SUCCESS(status) ? reset_by_interface(&resets) : status;
}

/*
 * The WDM front: DriverEntry, dispatch routines, PnP, power and interrupts of dmarig.sys.
 */
#pragma once

#include "../front.h"

struct wdm_device {
    struct device shared;
    enum pnp_state state_before_query;
    PDEVICE_OBJECT lower;
    IO_REMOVE_LOCK remove_lock;
    /* Synchronization event, signaled when free: held from step to step by who starts or stops the
     * hardware or takes it into or out of D0, since power requests come beside those of PnP. Taken
     * before the driver's lock; programs never take it. */
    KEVENT transition;
    PIO_WORKITEM power_work;
    PVOID connection; /* IO_INTERRUPT_MESSAGE_INFO or KINTERRUPT */
    PKINTERRUPT interrupt;
    KDPC dpc;
};

/* The whole of a device, of which the shared part knows the beginning. */
static inline struct wdm_device *wdm_of(struct device *device)
{
    return CONTAINING_RECORD(device, struct wdm_device, shared);
}

/* entry.c */
NTSTATUS NTAPI dispatch_pass_down(PDEVICE_OBJECT object, PIRP irp);

/* pnp.c, power.c */
NTSTATUS NTAPI dispatch_pnp(PDEVICE_OBJECT object, PIRP irp);
NTSTATUS NTAPI dispatch_power(PDEVICE_OBJECT object, PIRP irp);
NTSTATUS NTAPI add_device(PDRIVER_OBJECT driver, PDEVICE_OBJECT pdo);
void power_initialize(struct wdm_device *device);
void power_uninitialize(struct wdm_device *device);
void power_note(struct wdm_device *device, DEVICE_POWER_STATE state);

/* start.c */
void transition_begin(struct wdm_device *device);
void transition_end(struct wdm_device *device);
NTSTATUS wdm_start(struct wdm_device *device, PCM_RESOURCE_LIST translated);
/* The way to PNP_STOPPED, PNP_SURPRISE_REMOVED or PNP_REMOVED, in which the device then is. */
void wdm_stop(struct wdm_device *device, enum pnp_state state);
/* These two within a transition. */
void wdm_enter_d0(struct wdm_device *device);
void wdm_leave_d0(struct wdm_device *device);

/* interrupt.c */
NTSTATUS interrupt_connect(struct wdm_device *device);
void interrupt_disconnect(struct wdm_device *device);

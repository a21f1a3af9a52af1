/*
 * The KMDF front: entry, device and interrupt callbacks of dmarig-kmdf.sys, the log of callbacks, and
 * the operations on framework objects.
 */
#pragma once

#include "../front.h"
#include "wdf_calls.h"

/* "No device under test" in the log. */
#define LOG_NO_DEVICE 0xffffu

struct kmdf_device {
    struct device shared;
    WDFDEVICE handle;
    /* One for each granted vector, from EvtDevicePrepareHardware until its resources go. */
    WDFINTERRUPT interrupts[DMARIG_DUT_MAX_CHANNELS];
    /* What the resources promise; the shared part learns of it when the framework connects. */
    enum interrupt_mode granted_mode;
    uint32_t granted_vectors;
    /* The translated resources, as the framework gave them. */
    CM_PARTIAL_RESOURCE_DESCRIPTOR descriptors[MAX_DESCRIPTORS];
    uint32_t resource_count;
    bool ends_with_null;
};

/* The whole of a device, of which the shared part knows the beginning. */
static inline struct kmdf_device *kmdf_of(struct device *device)
{
    return CONTAINING_RECORD(device, struct kmdf_device, shared);
}

/* Defines a context type of the driver's own. */
#define CONTEXT_TYPE(variable, name, size)                                                         \
    const WDF_OBJECT_CONTEXT_TYPE_INFO variable = {                                                \
        .Size = sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO),                                              \
        .ContextName = name,                                                                       \
        .ContextSize = size,                                                                       \
        .UniqueType = (PVOID)&variable,                                                            \
    }

/* Attributes that ask for nothing but the context. */
static inline WDF_OBJECT_ATTRIBUTES attributes_with(const WDF_OBJECT_CONTEXT_TYPE_INFO *type)
{
    return (WDF_OBJECT_ATTRIBUTES){
        .Size = sizeof(WDF_OBJECT_ATTRIBUTES),
        .ExecutionLevel = WDF_INHERIT_FROM_PARENT,
        .SynchronizationScope = WDF_INHERIT_FROM_PARENT,
        .ContextTypeInfo = type,
    };
}

/* entry.c */
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING service_path);

/* device.c */
NTSTATUS NTAPI evt_device_add(WDFDRIVER driver, WDFDEVICE_INIT *init);
struct kmdf_device *device_of(WDFDEVICE handle);

/* power.c */
void power_set_callbacks(WDFDEVICE_INIT *init);

/* interrupt.c */
/* Makes an interrupt object for each vector among the resources; the framework deletes them when the
 * resources go. */
NTSTATUS interrupt_create_all(struct kmdf_device *device, WDFCMRESLIST raw, WDFCMRESLIST translated);

/* log.c */
/* Notes a callback, at any IRQL. */
void log_event(uint16_t event, uint32_t device, uint32_t slot, uint32_t value);
/* The same for a device's own. */
void log_device_event(const struct device *device, uint16_t event, uint32_t value);

/* objects.c: framework objects in slots */
/* The handle of a device under test whose objects may be used now, or NULL. */
WDFDEVICE object_device(uint32_t dut);
/* The object in the slot if it is of that kind (FRAMEWORK_ANY: of whatever) and may be used now, or
 * NULL. */
struct slot *object_find(uint32_t index, enum framework_kind kind);
/* Reads WDF_OBJECT_ATTRIBUTES at `offset` of the call's data. *attributes becomes NULL where the
 * program passes none. False when the data are too short or name what is not there. */
bool object_attributes(const struct operation_call *call, uint32_t offset,
                       WDF_OBJECT_ATTRIBUTES *storage, WDF_OBJECT_ATTRIBUTES **attributes);
/* Puts a new object into slot `dst`, and the slot's number into the object. */
void object_keep(const struct operation_call *call, WDFOBJECT handle, enum framework_kind kind,
                 uint32_t dut, const WDF_OBJECT_ATTRIBUTES *attributes);
/* The same for a common buffer, which is a buffer to all other operations. */
void object_keep_buffer(const struct operation_call *call, WDFCOMMONBUFFER handle,
                        struct slot *enabler);
/* The same for a transaction. */
void object_keep_transaction(const struct operation_call *call, WDFDMATRANSACTION handle,
                             struct slot *enabler);
/* Notes a callback of an object, with the slot that it was put into. */
void object_log(WDFOBJECT handle, uint16_t event, uint32_t value);
/* Counts a run of a deferred routine; tells how many there were. */
void object_count_run(WDFOBJECT handle);
uint32_t object_runs(WDFOBJECT handle);
/* The context type that programs call `number`, or NULL. */
const WDF_OBJECT_CONTEXT_TYPE_INFO *object_context_type(uint64_t number);

/* ops_dma.c */
uint16_t op_kmdf_enabler_create(struct operation_call *call);
uint16_t op_kmdf_enabler_query(struct operation_call *call);
uint16_t op_kmdf_enabler_set_maximum_elements(struct operation_call *call);
uint16_t op_kmdf_enabler_adapter(struct operation_call *call);
uint16_t op_kmdf_common_buffer_create(struct operation_call *call);
uint16_t op_kmdf_common_buffer_create_with_config(struct operation_call *call);
uint16_t op_kmdf_common_buffer_query(struct operation_call *call);
uint16_t op_kmdf_set_alignment(struct operation_call *call);
uint16_t op_kmdf_get_alignment(struct operation_call *call);

/* ops_object.c */
uint16_t op_kmdf_object_create(struct operation_call *call);
uint16_t op_kmdf_object_delete(struct operation_call *call);
uint16_t op_kmdf_object_reference(struct operation_call *call);
uint16_t op_kmdf_object_dereference(struct operation_call *call);
uint16_t op_kmdf_context_allocate(struct operation_call *call);
uint16_t op_kmdf_context_read(struct operation_call *call);
uint16_t op_kmdf_context_write(struct operation_call *call);

/* ops_deferred.c */
uint16_t op_kmdf_deferred_create(struct operation_call *call);
uint16_t op_kmdf_deferred_start(struct operation_call *call);
uint16_t op_kmdf_deferred_stop(struct operation_call *call);
uint16_t op_kmdf_lock_create(struct operation_call *call);
uint16_t op_kmdf_spin_lock_try(struct operation_call *call);
uint16_t op_kmdf_object_lock_try(struct operation_call *call);
uint16_t op_kmdf_wait_lock_acquire(struct operation_call *call);
uint16_t op_kmdf_wait_lock_release(struct operation_call *call);

/* ops_queue.c, ops_sent.c */
uint16_t op_kmdf_queue_create(struct operation_call *call);
uint16_t op_kmdf_queue_control(struct operation_call *call);
uint16_t op_kmdf_request_take(struct operation_call *call);
uint16_t op_kmdf_request_query(struct operation_call *call);
uint16_t op_kmdf_request_complete(struct operation_call *call);
uint16_t op_kmdf_request_forward(struct operation_call *call);
uint16_t op_kmdf_request_cancelable(struct operation_call *call);
uint16_t op_kmdf_request_send(struct operation_call *call);
uint16_t op_kmdf_request_wait(struct operation_call *call);
uint16_t op_kmdf_request_cancel(struct operation_call *call);

/* ops_device.c */
void resources_note(struct kmdf_device *device, WDFCMRESLIST translated);
uint16_t op_kmdf_resources(struct operation_call *call);
uint16_t op_kmdf_registry(struct operation_call *call);
uint16_t op_kmdf_interface(struct operation_call *call);
uint16_t op_kmdf_bus_data(struct operation_call *call);

/* ops_transaction.c */
uint16_t op_kmdf_transaction_create(struct operation_call *call);
uint16_t op_kmdf_transaction_initialize(struct operation_call *call);
uint16_t op_kmdf_transaction_execute(struct operation_call *call);
uint16_t op_kmdf_transaction_elements(struct operation_call *call);
uint16_t op_kmdf_transaction_completed(struct operation_call *call);
uint16_t op_kmdf_transaction_release(struct operation_call *call);
uint16_t op_kmdf_transaction_set_maximum_length(struct operation_call *call);

/* log.c, entry.c */
uint16_t op_kmdf_log_read(struct operation_call *call);
uint16_t op_kmdf_log_clear(struct operation_call *call);
uint16_t op_kmdf_binding(struct operation_call *call);

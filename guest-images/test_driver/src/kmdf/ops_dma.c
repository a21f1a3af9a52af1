/* Operations on DMA enablers and their common buffers. */
#include "kmdf.h"

/* What the pointer that receives a handle holds before the call. */
#define UNTOUCHED ((PVOID)(ULONG_PTR)UINT64_MAX)

static bool has_flag(const struct operation_call *call, uint16_t flag)
{
    return (call->operation->flags & flag) != 0;
}

static NTSTATUS NTAPI evt_fill(WDFDMAENABLER enabler)
{
    object_log(enabler, DMARIG_KMDF_EVENT_ENABLER_FILL, 0);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_flush(WDFDMAENABLER enabler)
{
    object_log(enabler, DMARIG_KMDF_EVENT_ENABLER_FLUSH, 0);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_enable(WDFDMAENABLER enabler)
{
    object_log(enabler, DMARIG_KMDF_EVENT_ENABLER_ENABLE, 0);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_disable(WDFDMAENABLER enabler)
{
    object_log(enabler, DMARIG_KMDF_EVENT_ENABLER_DISABLE, 0);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_start(WDFDMAENABLER enabler)
{
    object_log(enabler, DMARIG_KMDF_EVENT_ENABLER_SELF_MANAGED_IO_START, 0);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI evt_stop(WDFDMAENABLER enabler)
{
    object_log(enabler, DMARIG_KMDF_EVENT_ENABLER_SELF_MANAGED_IO_STOP, 0);
    return STATUS_SUCCESS;
}

/* Puts the driver's own routine where the program wants one. */
static void set_callbacks(WDF_DMA_ENABLER_CONFIG *config)
{
    const struct {
        WDF_ENABLER_CALLBACK *wanted;
        WDF_ENABLER_CALLBACK routine;
    } callbacks[] = {
        {&config->EvtDmaEnablerFill, evt_fill},
        {&config->EvtDmaEnablerFlush, evt_flush},
        {&config->EvtDmaEnablerEnable, evt_enable},
        {&config->EvtDmaEnablerDisable, evt_disable},
        {&config->EvtDmaEnablerSelfManagedIoStart, evt_start},
        {&config->EvtDmaEnablerSelfManagedIoStop, evt_stop},
    };
    for (size_t i = 0; i < sizeof(callbacks) / sizeof(callbacks[0]); i++) {
        if (*callbacks[i].wanted != NULL) {
            *callbacks[i].wanted = callbacks[i].routine;
        }
    }
}

uint16_t op_kmdf_enabler_create(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    WDF_DMA_ENABLER_CONFIG config;
    WDF_OBJECT_ATTRIBUTES storage;
    WDF_OBJECT_ATTRIBUTES *attributes;
    if (!slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFDEVICE device = object_device(operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (operation->data_length_bytes < sizeof(config) ||
        !object_attributes(call, sizeof(config), &storage, &attributes)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    memcpy(&config, call->data, sizeof(config));
    set_callbacks(&config);
    if (has_flag(call, DMARIG_KMDF_FLAG_HANDLE)) {
        device = (WDFDEVICE)(ULONG_PTR)operation->arg[4];
    }
    WDFDMAENABLER enabler = UNTOUCHED;
    NTSTATUS status = WdfDmaEnablerCreate(
        device, has_flag(call, DMARIG_KMDF_FLAG_NULL_CONFIG) ? NULL : &config, attributes,
        has_flag(call, DMARIG_KMDF_FLAG_NULL_OUT) ? NULL : &enabler);
    call->result->status = (uint32_t)status;
    call->result->value[0] = (uint64_t)(ULONG_PTR)enabler;
    if (NT_SUCCESS(status) && enabler != UNTOUCHED) {
        object_keep(call, enabler, FRAMEWORK_ENABLER, operation->a, attributes);
    }
    return DMARIG_OUTCOME_DONE;
}

static WDFDMAENABLER enabler_of(const struct slot *slot)
{
    return slot->object.framework.handle;
}

uint16_t op_kmdf_enabler_query(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_ENABLER);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFDMAENABLER enabler = enabler_of(slot);
    call->result->value[0] = WdfDmaEnablerGetMaximumLength(enabler);
    call->result->value[1] = WdfDmaEnablerGetMaximumScatterGatherElements(enabler);
    call->result->value[2] =
        WdfDmaEnablerGetFragmentLength(enabler, (ULONG)call->operation->arg[0]);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_enabler_set_maximum_elements(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_ENABLER);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WdfDmaEnablerSetMaximumScatterGatherElements(enabler_of(slot), call->operation->arg[0]);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_enabler_adapter(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct slot *enabler = object_find(operation->a, FRAMEWORK_ENABLER);
    if (enabler == NULL || !slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (operation->arg[0] > UINT32_MAX || operation->arg[1] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    PDMA_ADAPTER adapter =
        WdfDmaEnablerWdmGetDmaAdapter(enabler_of(enabler), (ULONG)operation->arg[0]);
    if (adapter == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    struct slot_reference owner = slot_reference_to(&g_driver.slots, enabler);
    uint32_t dut = enabler->object.framework.dut;
    struct slot *slot = slot_take(&g_driver.slots, operation->dst, SLOT_ADAPTER);
    slot->object.adapter.adapter = adapter;
    slot->object.adapter.dut = dut;
    slot->object.adapter.requested_version = (uint32_t)operation->arg[1];
    slot->object.adapter.enabler = owner;
    call->result->virtual_address = (uint64_t)(ULONG_PTR)adapter;
    call->result->value[1] = adapter_of(slot)->DmaOperations->Size;
    call->result->value[2] = adapter_of(slot)->Version;
    return DMARIG_OUTCOME_DONE;
}

/* What a refused creation may not touch, and what a successful one gives. */
static uint16_t created(struct operation_call *call, struct slot *enabler, NTSTATUS status,
                        WDFCOMMONBUFFER buffer)
{
    call->result->status = (uint32_t)status;
    call->result->value[0] = (uint64_t)(ULONG_PTR)buffer;
    if (!NT_SUCCESS(status) || buffer == UNTOUCHED || enabler == NULL) {
        return DMARIG_OUTCOME_DONE;
    }
    call->result->virtual_address =
        (uint64_t)(ULONG_PTR)WdfCommonBufferGetAlignedVirtualAddress(buffer);
    call->result->logical_address =
        (uint64_t)WdfCommonBufferGetAlignedLogicalAddress(buffer).QuadPart;
    call->result->length = WdfCommonBufferGetLength(buffer);
    object_keep_buffer(call, buffer, enabler);
    return DMARIG_OUTCOME_DONE;
}

/* The enabler of a creation: its handle, and its slot unless the program gives the handle itself. */
static uint16_t find_enabler(const struct operation_call *call, struct slot **slot,
                             WDFDMAENABLER *handle)
{
    *slot = NULL;
    *handle = (WDFDMAENABLER)(ULONG_PTR)call->operation->arg[4];
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (!has_flag(call, DMARIG_KMDF_FLAG_HANDLE)) {
        *slot = object_find(call->operation->a, FRAMEWORK_ENABLER);
        if (*slot == NULL) {
            return DMARIG_OUTCOME_BAD_SLOT;
        }
        *handle = enabler_of(*slot);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_common_buffer_create(struct operation_call *call)
{
    struct slot *enabler;
    WDFDMAENABLER handle;
    WDF_OBJECT_ATTRIBUTES storage;
    WDF_OBJECT_ATTRIBUTES *attributes;
    uint16_t outcome = find_enabler(call, &enabler, &handle);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    if (!object_attributes(call, 0, &storage, &attributes)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    WDFCOMMONBUFFER buffer = UNTOUCHED;
    NTSTATUS status =
        WdfCommonBufferCreate(handle, call->operation->arg[0], attributes,
                              has_flag(call, DMARIG_KMDF_FLAG_NULL_OUT) ? NULL : &buffer);
    return created(call, enabler, status, buffer);
}

uint16_t op_kmdf_common_buffer_create_with_config(struct operation_call *call)
{
    struct slot *enabler;
    WDFDMAENABLER handle;
    WDF_COMMON_BUFFER_CONFIG config;
    WDF_OBJECT_ATTRIBUTES storage;
    WDF_OBJECT_ATTRIBUTES *attributes;
    uint16_t outcome = find_enabler(call, &enabler, &handle);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    if (call->operation->data_length_bytes < sizeof(config) ||
        !object_attributes(call, sizeof(config), &storage, &attributes)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    memcpy(&config, call->data, sizeof(config));
    WDFCOMMONBUFFER buffer = UNTOUCHED;
    NTSTATUS status = WdfCommonBufferCreateWithConfig(
        handle, call->operation->arg[0],
        has_flag(call, DMARIG_KMDF_FLAG_NULL_CONFIG) ? NULL : &config, attributes,
        has_flag(call, DMARIG_KMDF_FLAG_NULL_OUT) ? NULL : &buffer);
    return created(call, enabler, status, buffer);
}

uint16_t op_kmdf_common_buffer_query(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_BUFFER);
    if (slot == NULL || slot->object.buffer.framework == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFCOMMONBUFFER buffer = slot->object.buffer.framework;
    call->result->virtual_address =
        (uint64_t)(ULONG_PTR)WdfCommonBufferGetAlignedVirtualAddress(buffer);
    call->result->logical_address =
        (uint64_t)WdfCommonBufferGetAlignedLogicalAddress(buffer).QuadPart;
    call->result->length = WdfCommonBufferGetLength(buffer);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_set_alignment(struct operation_call *call)
{
    WDFDEVICE device = object_device(call->operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (call->operation->arg[0] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    WdfDeviceSetAlignmentRequirement(device, (ULONG)call->operation->arg[0]);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_get_alignment(struct operation_call *call)
{
    WDFDEVICE device = object_device(call->operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    call->result->value[0] = WdfDeviceGetAlignmentRequirement(device);
    return DMARIG_OUTCOME_DONE;
}

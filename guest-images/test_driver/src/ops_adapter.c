/* Operations on DMA adapters. */
#include "operations.h"

DMA_ADAPTER_V3 *adapter_of(const struct slot *slot)
{
    return (DMA_ADAPTER_V3 *)slot->object.adapter.adapter;
}

uint16_t op_adapter_open(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    DMA_DEVICE_DESCRIPTION description;
    if (operation->data_length_bytes != sizeof(description)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (!slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct device *device = dut_present(operation->a);
    if (device == NULL || device->state == PNP_SURPRISE_REMOVED) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    memcpy(&description, call->data, sizeof(description));
    ULONG map_registers = 0;
    PDMA_ADAPTER adapter =
        IoGetDmaAdapter(device->pdo, (PDEVICE_DESCRIPTION)&description, &map_registers);
    call->result->value[0] = map_registers;
    if (adapter == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    struct slot *slot = slot_take(&g_driver.slots, operation->dst, SLOT_ADAPTER);
    slot->object.adapter.adapter = adapter;
    slot->object.adapter.dut = operation->a;
    slot->object.adapter.requested_version = description.Version;
    call->result->virtual_address = (uint64_t)(ULONG_PTR)adapter;
    call->result->value[1] = adapter_of(slot)->DmaOperations->Size;
    call->result->value[2] = adapter_of(slot)->Version;
    return DMARIG_OUTCOME_DONE;
}

void adapter_release(struct slot *slot)
{
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    bool is_enablers = slot->object.adapter.enabler.generation != 0;
    slot_drop(&g_driver.slots, slot);
    if (!is_enablers && !sabotage_strikes(SABOTAGE_LEAK_ADAPTER)) {
        adapter->DmaOperations->PutDmaAdapter(adapter);
    }
}

/* Buffers may still be on it: that misuse is the program's to try. */
uint16_t op_adapter_put(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_ADAPTER);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    if ((call->operation->flags & DMARIG_OP_FLAG_OVERRIDE) != 0) {
        void *other = (void *)(ULONG_PTR)call->operation->arg[0];
        adapter->DmaOperations->PutDmaAdapter(other);
    } else if ((call->operation->flags & DMARIG_OP_FLAG_KEEP) != 0) {
        adapter->DmaOperations->PutDmaAdapter(adapter);
    } else {
        adapter_release(slot);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_adapter_alignment(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_ADAPTER);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    call->result->value[0] = adapter->DmaOperations->GetDmaAlignment(adapter);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_adapter_info(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_ADAPTER);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (call->operation->arg[0] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    DMA_OPERATIONS_V3 *operations = adapter->DmaOperations;
    if (!DMA_HAS_MEMBER(slot->object.adapter.requested_version, operations, GetDmaAdapterInfo)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    DMA_ADAPTER_INFO_UNION info;
    memset(&info, 0, sizeof(info));
    info.Version = (ULONG)call->operation->arg[0];
    call->result->status = (uint32_t)operations->GetDmaAdapterInfo(adapter, &info);
    uint8_t *reply = operation_reply(call, sizeof(info));
    if (reply != NULL) {
        memcpy(reply, &info, sizeof(info));
    }
    return DMARIG_OUTCOME_DONE;
}

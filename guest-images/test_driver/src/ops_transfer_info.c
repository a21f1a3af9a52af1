/* Operations that tell what a transfer takes, and the memory of transfer contexts. */
#include "ops_transfer.h"

/* Puts fresh memory of a context into slot `dst`; NULL when there is none. */
static PVOID new_context(const struct operation_call *call, SIZE_T bytes)
{
    PVOID memory = ExAllocatePool2(POOL_NON_PAGED, bytes, POOL_TAG);
    if (memory != NULL) {
        slot_take(&g_driver.slots, call->operation->dst, SLOT_CONTEXT)->object.context.memory =
            memory;
    }
    return memory;
}

uint16_t op_transfer_context_raw(struct operation_call *call)
{
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (call->operation->arg[0] < 8 || call->operation->arg[0] > PAGE_SIZE) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    return new_context(call, (SIZE_T)call->operation->arg[0]) != NULL ? DMARIG_OUTCOME_DONE
                                                                       : DMARIG_OUTCOME_NO_MEMORY;
}

uint16_t op_transfer_context_initialize(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    DMA_ADAPTER_V3 *dma;
    struct slot *adapter = transfer_adapter(operation->a, &dma);
    struct slot *old = slot_find(&g_driver.slots, operation->b, SLOT_CONTEXT);
    bool is_null = (operation->flags & DMARIG_OP_FLAG_OVERRIDE) != 0;
    bool is_new = !is_null && operation->b == DMARIG_SLOT_NONE;
    if (adapter == NULL || (!is_null && !is_new && old == NULL) ||
        (is_new && !slot_is_free(&g_driver.slots, operation->dst))) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (!DMA_HAS_MEMBER(adapter->object.adapter.requested_version, dma->DmaOperations,
                        InitializeDmaTransferContext)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    PVOID context = old != NULL ? old->object.context.memory : NULL;
    if (is_new) {
        context = new_context(call, DMA_CONTEXT_BYTES);
        if (context == NULL) {
            return DMARIG_OUTCOME_NO_MEMORY;
        }
    }
    call->result->status = (uint32_t)dma->DmaOperations->InitializeDmaTransferContext(
        dma, is_null ? NULL : context);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_transfer_info(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    DMA_ADAPTER_V3 *dma;
    struct slot *adapter = transfer_adapter(call->operation->a, &dma);
    struct slot *mdl = slot_find(&g_driver.slots, call->operation->b, SLOT_MDL);
    if (adapter == NULL || mdl == NULL || !mdl_chain_is_whole(mdl)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[1] > UINT32_MAX || arg[2] > 1 || arg[3] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (!DMA_HAS_MEMBER(adapter->object.adapter.requested_version, dma->DmaOperations,
                        GetDmaTransferInfo)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    DMA_TRANSFER_NEEDS info;
    memset(&info, 0xff, sizeof(info));
    info.Version = (ULONG)arg[3];
    call->result->status = (uint32_t)dma->DmaOperations->GetDmaTransferInfo(
        dma, mdl->object.mdl.mdl, arg[0], (ULONG)arg[1], (BOOLEAN)arg[2], &info);
    call->result->value[0] =
        (uint64_t)info.MapRegisterCount | (uint64_t)info.ScatterGatherElementCount << 32;
    call->result->value[1] = info.ScatterGatherListSize;
    call->result->value[2] = info.LogicalPageCount;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_list_calculate(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    DMA_ADAPTER_V3 *dma;
    struct slot *adapter = transfer_adapter(operation->a, &dma);
    struct slot *mdl = slot_find(&g_driver.slots, operation->b, SLOT_MDL);
    if (adapter == NULL || (mdl == NULL && operation->b != DMARIG_SLOT_NONE) ||
        (mdl != NULL && !mdl_chain_is_whole(mdl))) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (operation->arg[1] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (!DMA_HAS_MEMBER_2(adapter->object.adapter.requested_version, dma->DmaOperations,
                          CalculateScatterGatherList)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    PMDL described = mdl != NULL ? mdl->object.mdl.mdl : NULL;
    PVOID va = mdl != NULL ? current_va(described, operation->arg[0])
                           : (PVOID)(ULONG_PTR)operation->arg[0];
    ULONG size = 0;
    ULONG registers = 0;
    call->result->status = (uint32_t)dma->DmaOperations->CalculateScatterGatherList(
        dma, described, va, (ULONG)operation->arg[1], &size, &registers);
    call->result->value[0] = size;
    call->result->value[1] = registers;
    return DMARIG_OUTCOME_DONE;
}

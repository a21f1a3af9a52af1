/* Operations that map and flush transfers. */
#include "ops_transfer.h"

/* What the four operations name. */
struct mapped {
    DMA_ADAPTER_V3 *dma;
    DMA_OPERATIONS_V3 *operations;
    struct execution *execution;
    uint32_t version;
    PMDL mdl;
};

static uint16_t find(const struct operation_call *call, struct mapped *mapped)
{
    const DMARIG_Operation *operation = call->operation;
    struct slot *slot = request_find(operation->a, SLOT_CHANNEL, &mapped->dma);
    struct slot *mdl = slot_find(&g_driver.slots, operation->b, SLOT_MDL);
    if (slot == NULL || slot->object.request.execution->given == NULL || mdl == NULL ||
        !mdl_chain_is_whole(mdl)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (operation->arg[1] > UINT32_MAX || operation->arg[2] > 1) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    struct slot *adapter =
        slot_resolve(&g_driver.slots, slot->object.request.adapter, SLOT_ADAPTER);
    mapped->operations = mapped->dma->DmaOperations;
    mapped->execution = slot->object.request.execution;
    mapped->version = adapter->object.adapter.requested_version;
    mapped->mdl = mdl->object.mdl.mdl;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_transfer_map(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct mapped mapped;
    uint16_t outcome = find(call, &mapped);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    late_flush_now(mapped.dma, mapped.execution);
    ULONG length = (ULONG)arg[1];
    PHYSICAL_ADDRESS address = mapped.operations->MapTransfer(
        mapped.dma, mapped.mdl, mapped.execution->given, current_va(mapped.mdl, arg[0]), &length,
        (BOOLEAN)arg[2]);
    call->result->logical_address = (uint64_t)address.QuadPart;
    call->result->length = length;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_transfer_map_ex(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct mapped mapped;
    uint16_t outcome = find(call, &mapped);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    if (arg[3] > MEMORY_MAX_BYTES) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (!DMA_HAS_MEMBER(mapped.version, mapped.operations, MapTransferEx)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    DMA_LIST *list = NULL;
    if (arg[3] != 0) {
        list = ExAllocatePool2(POOL_NON_PAGED, (SIZE_T)arg[3], POOL_TAG);
        if (list == NULL) {
            return DMARIG_OUTCOME_NO_MEMORY;
        }
    }
    late_flush_now(mapped.dma, mapped.execution);
    ULONG length = (ULONG)arg[1];
    uint64_t bits = arg[4] >> 32;
    PVOID completion = (bits & DMARIG_REQUEST_COMPLETION) != 0 ? (PVOID)list_routine : NULL;
    NTSTATUS status = mapped.operations->MapTransferEx(
        mapped.dma, mapped.mdl, mapped.execution->given, arg[0], (ULONG)arg[4], &length,
        (BOOLEAN)arg[2], list, (ULONG)arg[3], completion, NULL);
    call->result->status = (uint32_t)status;
    if (NT_SUCCESS(status) && list != NULL) {
        list_report(call, list);
    }
    call->result->length = length;
    if (list != NULL) {
        /* The driver has copied what it needs; the registers do not lie in it. */
        ExFreePoolWithTag(list, POOL_TAG);
    }
    return DMARIG_OUTCOME_DONE;
}

static BOOLEAN flush_now(DMA_ADAPTER_V3 *dma, const struct execution *execution,
                         const struct late_flush *flush, NTSTATUS *status)
{
    DMA_OPERATIONS_V3 *operations = dma->DmaOperations;
    if (flush->extended) {
        *status = operations->FlushAdapterBuffersEx(dma, flush->mdl, execution->given,
                                                    flush->offset, flush->length,
                                                    flush->write_to_device);
        return NT_SUCCESS(*status);
    }
    *status = STATUS_SUCCESS;
    return operations->FlushAdapterBuffers(dma, flush->mdl, execution->given,
                                           current_va(flush->mdl, flush->offset), flush->length,
                                           flush->write_to_device);
}

void late_flush_now(DMA_ADAPTER_V3 *dma, struct execution *execution)
{
    if (execution->late.mdl != NULL) {
        NTSTATUS status;
        (void)flush_now(dma, execution, &execution->late, &status);
        execution->late.mdl = NULL;
    }
}

static uint16_t flush(struct operation_call *call, bool extended)
{
    const uint64_t *arg = call->operation->arg;
    struct mapped mapped;
    uint16_t outcome = find(call, &mapped);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    if (extended && !DMA_HAS_MEMBER(mapped.version, mapped.operations, FlushAdapterBuffersEx)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    const struct late_flush flush = {mapped.mdl, arg[0], (ULONG)arg[1], arg[2] != 0, extended};
    if (g_driver.sabotage == SABOTAGE_SKIP_FLUSH) {
        late_flush_now(mapped.dma, mapped.execution);
        mapped.execution->late = flush;
        call->result->value[0] = TRUE;
        return DMARIG_OUTCOME_DONE;
    }
    NTSTATUS status;
    call->result->value[0] = flush_now(mapped.dma, mapped.execution, &flush, &status);
    call->result->status = (uint32_t)status;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_transfer_flush(struct operation_call *call)
{
    return flush(call, false);
}

uint16_t op_transfer_flush_ex(struct operation_call *call)
{
    return flush(call, true);
}

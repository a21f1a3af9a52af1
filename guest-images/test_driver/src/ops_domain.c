/* Operations on DMA domains, and cache maintenance. */
#include "operations.h"

/* The adapter of an operation when it has the member at `offset` of a version 3 table. */
static struct slot *adapter_with(const struct operation_call *call, uint16_t *outcome)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_ADAPTER);
    *outcome = DMARIG_OUTCOME_BAD_SLOT;
    if (slot == NULL) {
        return NULL;
    }
    /* AllocateDomainCommonBuffer is the first of the members that came with Windows 10. */
    DMA_OPERATIONS_V3 *operations = adapter_of(slot)->DmaOperations;
    bool has_members = DMA_HAS_MEMBER(slot->object.adapter.requested_version, operations,
                                      AllocateDomainCommonBuffer) &&
                       DMA_HAS_MEMBER(slot->object.adapter.requested_version, operations,
                                      GetDmaDomain);
    *outcome = has_members ? DMARIG_OUTCOME_DONE : DMARIG_OUTCOME_MEMBER_MISSING;
    return has_members ? slot : NULL;
}

uint16_t op_domain_get(struct operation_call *call)
{
    uint16_t outcome;
    struct slot *slot = adapter_with(call, &outcome);
    if (slot != NULL) {
        DMA_ADAPTER_V3 *adapter = adapter_of(slot);
        HANDLE domain = adapter->DmaOperations->GetDmaDomain(adapter);
        call->result->value[0] = (uint64_t)(ULONG_PTR)domain;
    }
    return outcome;
}

uint16_t op_domain_join(struct operation_call *call)
{
    uint16_t outcome;
    struct slot *slot = adapter_with(call, &outcome);
    if (slot != NULL) {
        DMA_ADAPTER_V3 *adapter = adapter_of(slot);
        HANDLE domain = (HANDLE)(ULONG_PTR)call->operation->arg[0];
        call->result->status = (uint32_t)adapter->DmaOperations->JoinDmaDomain(adapter, domain);
    }
    return outcome;
}

uint16_t op_domain_leave(struct operation_call *call)
{
    uint16_t outcome;
    struct slot *slot = adapter_with(call, &outcome);
    if (slot != NULL) {
        DMA_ADAPTER_V3 *adapter = adapter_of(slot);
        call->result->status = (uint32_t)adapter->DmaOperations->LeaveDmaDomain(adapter);
    }
    return outcome;
}

uint16_t op_flush_dma_buffer(struct operation_call *call)
{
    uint16_t outcome;
    struct slot *slot = adapter_with(call, &outcome);
    struct slot *mdl = slot_find(&g_driver.slots, call->operation->b, SLOT_MDL);
    if (slot == NULL) {
        return outcome;
    }
    if (mdl == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    call->result->status = (uint32_t)adapter->DmaOperations->FlushDmaBuffer(
        adapter, mdl->object.mdl.mdl, call->operation->arg[0] != 0);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_buffer_allocate_domain(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    uint16_t flags = call->operation->flags;
    uint16_t outcome;
    struct slot *slot = adapter_with(call, &outcome);
    if (slot == NULL) {
        return outcome;
    }
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[0] > UINT32_MAX || arg[4] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    PHYSICAL_ADDRESS maximum = {.QuadPart = (LONGLONG)arg[2]};
    PHYSICAL_ADDRESS logical = {.QuadPart = -1};
    MEMORY_CACHING_TYPE cache_type = (MEMORY_CACHING_TYPE)(uint32_t)(arg[3] >> 32);
    bool has_type = (flags & DMARIG_OP_FLAG_CACHE_TYPE) != 0;
    PVOID va = NULL;
    NTSTATUS status = adapter->DmaOperations->AllocateDomainCommonBuffer(
        adapter, (HANDLE)(ULONG_PTR)arg[1],
        (flags & DMARIG_OP_FLAG_MAXIMUM) != 0 ? &maximum : NULL, (ULONG)arg[0], (ULONG)arg[3],
        has_type ? &cache_type : NULL, (ULONG)arg[4], &logical, &va);
    call->result->status = (uint32_t)status;
    call->result->logical_address = (uint64_t)logical.QuadPart;
    call->result->virtual_address = (uint64_t)(ULONG_PTR)va;
    call->result->length = arg[0];
    if (NT_SUCCESS(status)) {
        keep_buffer(call, slot, va, logical, (uint32_t)arg[0])->cache_enabled =
            !has_type || cache_type != MmNonCached;
    }
    return DMARIG_OUTCOME_DONE;
}

/* Operations on the pages of MDLs: allocating them with the MDL, and reading page frame numbers. */
#include "operations.h"

/* Page frame numbers in one result. */
#define QUERY_MAX_PAGES 1024u

uint16_t op_mdl_allocate_pages(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[3] == 0 || arg[3] > MEMORY_MAX_BYTES) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    PHYSICAL_ADDRESS low;
    PHYSICAL_ADDRESS high;
    PHYSICAL_ADDRESS skip;
    low.QuadPart = (LONGLONG)arg[0];
    high.QuadPart = (LONGLONG)arg[1];
    skip.QuadPart = (LONGLONG)arg[2];
    PMDL mdl = MmAllocatePagesForMdlEx(low, high, skip, (SIZE_T)arg[3],
                                       (MEMORY_CACHING_TYPE)(uint32_t)(arg[4] >> 32),
                                       (ULONG)arg[4]);
    if (mdl == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    struct slot *slot = slot_take(&g_driver.slots, call->operation->dst, SLOT_MDL);
    slot->object.mdl.mdl = mdl;
    slot->object.mdl.pages_allocated = true;
    call->result->length = MmGetMdlByteCount(mdl);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_mdl_free_pages(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_MDL);
    if (slot == NULL || !slot->object.mdl.pages_allocated) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if ((call->operation->flags & DMARIG_OP_FLAG_KEEP) != 0) {
        /* The pages only: the MDL is still to be looked at. */
        MmFreePagesFromMdl(slot->object.mdl.mdl);
    } else {
        mdl_release(slot);
    }
    return DMARIG_OUTCOME_DONE;
}

/* Pages whose frame numbers stand behind the MDL; none before it was built or locked. */
static uint64_t described_pages(PMDL mdl)
{
    const USHORT described = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;
    if ((mdl->MdlFlags & described) == 0) {
        return 0;
    }
    return ((uint64_t)mdl->ByteOffset + mdl->ByteCount + PAGE_SIZE - 1) / PAGE_SIZE;
}

uint16_t op_mdl_query(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_MDL);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    PMDL mdl = slot->object.mdl.mdl;
    uint64_t pages = described_pages(mdl);
    uint64_t first = min(call->operation->arg[0], pages);
    uint64_t count = min(pages - first, QUERY_MAX_PAGES);
    call->result->value[0] = (USHORT)mdl->MdlFlags;
    call->result->value[1] = mdl->ByteOffset;
    call->result->value[2] = pages;
    call->result->length = mdl->ByteCount;
    call->result->virtual_address = (uint64_t)(ULONG_PTR)mdl->MappedSystemVa;
    uint8_t *reply = operation_reply(call, (uint32_t)(count * sizeof(PFN_NUMBER)));
    if (reply != NULL) {
        memcpy(reply, MmGetMdlPfnArray(mdl) + first, (size_t)(count * sizeof(PFN_NUMBER)));
    }
    return DMARIG_OUTCOME_DONE;
}

/* Operations on memory that MDLs are built over. */
#include "operations.h"

/* POOL_FLAG_PAGED of ExAllocatePool2. */
#define POOL_PAGED 0x100ull

static PVOID allocate_contiguous(const uint64_t *arg)
{
    PHYSICAL_ADDRESS lowest;
    PHYSICAL_ADDRESS highest;
    PHYSICAL_ADDRESS boundary;
    lowest.QuadPart = (LONGLONG)arg[2];
    highest.QuadPart = (LONGLONG)arg[3];
    boundary.QuadPart = (LONGLONG)arg[4];
    return MmAllocateContiguousMemorySpecifyCache((SIZE_T)arg[1], lowest, highest, boundary,
                                                  MmCached);
}

uint16_t op_memory_allocate(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    bool contiguous = arg[0] == DMARIG_MEMORY_CONTIGUOUS;
    if (arg[0] > DMARIG_MEMORY_PAGED_POOL || arg[1] == 0 || arg[1] > MEMORY_MAX_BYTES) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint64_t pool = arg[0] == DMARIG_MEMORY_PAGED_POOL ? POOL_PAGED : POOL_NON_PAGED;
    PVOID address = contiguous ? allocate_contiguous(arg)
                               : ExAllocatePool2(pool, (SIZE_T)arg[1], POOL_TAG);
    if (address == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    struct slot *slot = slot_take(&g_driver.slots, call->operation->dst, SLOT_MEMORY);
    slot->object.memory.virtual_address = address;
    slot->object.memory.length = arg[1];
    slot->object.memory.contiguous = contiguous;
    call->result->virtual_address = (uint64_t)(ULONG_PTR)address;
    call->result->length = arg[1];
    return DMARIG_OUTCOME_DONE;
}

static void free_memory(const struct memory_object *memory)
{
    if (memory->contiguous) {
        MmFreeContiguousMemory(memory->virtual_address);
    } else {
        ExFreePoolWithTag(memory->virtual_address, POOL_TAG);
    }
}

void memory_release(struct slot *slot)
{
    const struct memory_object memory = slot->object.memory;
    slot_drop(&g_driver.slots, slot);
    if (!sabotage_strikes(SABOTAGE_LEAK_MEMORY)) {
        free_memory(&memory);
    }
}

/* MDLs may still describe it: that misuse is the program's to try. */
uint16_t op_memory_free(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_MEMORY);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if ((call->operation->flags & DMARIG_OP_FLAG_KEEP) != 0) {
        free_memory(&slot->object.memory);
    } else {
        memory_release(slot);
    }
    return DMARIG_OUTCOME_DONE;
}

/* Releasing what programs have left, newest first and in the order that the DDI demands. */
#include "operations.h"

/* Rings and buffers live on adapters, MDLs describe memory, partial MDLs their source (which is
 * older). */
static const enum slot_kind release_order[] = {
    SLOT_RING, SLOT_BUFFER, SLOT_MDL, SLOT_MEMORY, SLOT_ADAPTER,
};

static void release(struct slot *slot)
{
    switch (slot->kind) {
    case SLOT_RING:
        ring_release(slot);
        break;
    case SLOT_BUFFER:
        if (!buffer_release(slot)) {
            LOG("a common buffer outlived its adapter and stays allocated\n");
        }
        break;
    case SLOT_MDL:
        mdl_release(slot);
        break;
    case SLOT_MEMORY:
        memory_release(slot);
        break;
    case SLOT_ADAPTER:
        adapter_release(slot);
        break;
    default:
        break;
    }
}

/* The device under test that the object is on; UINT32_MAX when it is on none. */
static uint32_t dut_of(const struct slot *slot)
{
    struct slot *adapter = NULL;
    switch (slot->kind) {
    case SLOT_ADAPTER:
        return slot->object.adapter.dut;
    case SLOT_RING:
        return slot->object.ring.dut;
    case SLOT_BUFFER:
        adapter = slot_resolve(&g_driver.slots, slot->object.buffer.adapter, SLOT_ADAPTER);
        return adapter != NULL ? adapter->object.adapter.dut : UINT32_MAX;
    default:
        return UINT32_MAX;
    }
}

static uint32_t release_matching(bool all, uint32_t dut)
{
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof(release_order) / sizeof(release_order[0]); i++) {
        struct slot *slot = slot_newest(&g_driver.slots);
        while (slot != NULL) {
            struct slot *older = slot_older(&g_driver.slots, slot);
            if (slot->kind == release_order[i] && (all || dut_of(slot) == dut)) {
                release(slot);
                count++;
            }
            slot = older;
        }
    }
    return count;
}

uint32_t release_all(void)
{
    end_given_up_requests();
    return release_matching(true, 0);
}

void release_dut(uint32_t number)
{
    (void)release_matching(false, number);
}

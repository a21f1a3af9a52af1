/* Releasing what programs have left, newest first and in the order that the DDI demands. */
#include "front.h"

/* Requests of the framework go to where they came from before those that were sent are waited for.
 * Channels and lists have gone before all of these (transfers_release). Rings and buffers live on
 * adapters, MDLs describe memory, partial MDLs their source (which is older), adapters may be an
 * enabler's, framework objects lie below older ones. */
static const enum slot_kind release_order[] = {
    SLOT_REQUEST, SLOT_SENT, SLOT_TRANSACTION, SLOT_RING,   SLOT_BUFFER, SLOT_VECTOR,
    SLOT_CONTEXT,
    SLOT_MDL,     SLOT_MEMORY, SLOT_ADAPTER, SLOT_OBJECT,
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
    case SLOT_CONTEXT:
        context_release(slot);
        break;
    case SLOT_VECTOR:
        vector_release(slot);
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
    case SLOT_OBJECT:
        object_release(slot);
        break;
    case SLOT_REQUEST:
        front_release_request(slot);
        break;
    case SLOT_SENT:
        front_release_sent(slot);
        break;
    case SLOT_TRANSACTION:
        front_release_transaction(slot);
        break;
    default:
        break;
    }
}

/* The device under test on whose adapters the object is; UINT32_MAX when it is on none. */
static uint32_t dut_of(const struct slot *slot)
{
    struct slot *adapter = NULL;
    switch (slot->kind) {
    case SLOT_ADAPTER:
        return slot->object.adapter.dut;
    case SLOT_RING:
        return slot->object.ring.dut;
    case SLOT_CHANNEL:
    case SLOT_LIST:
        adapter = slot_resolve(&g_driver.slots, slot->object.request.adapter, SLOT_ADAPTER);
        return adapter != NULL ? adapter->object.adapter.dut : UINT32_MAX;
    case SLOT_BUFFER:
        adapter = slot_resolve(&g_driver.slots, slot->object.buffer.adapter, SLOT_ADAPTER);
        return adapter != NULL ? adapter->object.adapter.dut : UINT32_MAX;
    case SLOT_VECTOR:
        adapter = slot_resolve(&g_driver.slots, slot->object.vector.adapter, SLOT_ADAPTER);
        return adapter != NULL ? adapter->object.adapter.dut : UINT32_MAX;
    default:
        return UINT32_MAX;
    }
}

static bool is_any(const struct slot *slot, uint32_t dut)
{
    (void)slot;
    (void)dut;
    return true;
}

static bool is_on(const struct slot *slot, uint32_t dut)
{
    return dut_of(slot) == dut;
}

static uint32_t release_matching(bool all, uint32_t dut)
{
    uint32_t count = transfers_release(all ? is_any : is_on, dut);
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

/* The slot of the framework object that the one in `slot` lies directly below. */
static struct slot_reference parent_of(const struct slot *slot)
{
    switch (slot->kind) {
    case SLOT_ADAPTER:
        return slot->object.adapter.enabler;
    case SLOT_BUFFER:
        return slot->object.buffer.enabler;
    case SLOT_OBJECT:
    case SLOT_TRANSACTION:
        return slot->object.framework.parent;
    default:
        return (struct slot_reference){0};
    }
}

/* Gives back the references that programs have taken, and empties the slot. */
static void drop_object(struct slot *slot)
{
    const struct framework_object object = slot->object.framework;
    slot_drop(&g_driver.slots, slot);
    for (uint32_t i = 0; i < object.references; i++) {
        front_dereference_object(object.handle);
    }
}

void release_forget_orphans(void)
{
    /* A parent is older than its children, so one pass from the oldest on reaches all of them. */
    struct slot *slot = slot_newest(&g_driver.slots);
    while (slot != NULL && slot_older(&g_driver.slots, slot) != NULL) {
        slot = slot_older(&g_driver.slots, slot);
    }
    while (slot != NULL) {
        struct slot *newer = slot_newer(&g_driver.slots, slot);
        struct slot_reference parent = parent_of(slot);
        if (parent.generation != 0 &&
            slot_resolve(&g_driver.slots, parent, SLOT_OBJECT) == NULL) {
            if (slot->kind == SLOT_OBJECT) {
                drop_object(slot);
            } else {
                slot_drop(&g_driver.slots, slot);
            }
        }
        slot = newer;
    }
}

void object_release(struct slot *slot)
{
    const struct framework_object object = slot->object.framework;
    /* Queues stay with the device: deleting one is not for a driver whose requests may be on it. The
     * references after the deletion: without one the handle may be gone by then. */
    if (!object.deleted && object.kind != FRAMEWORK_QUEUE) {
        front_delete_object(object.handle);
    }
    drop_object(slot);
    release_forget_orphans();
}

void release_forget_dut(uint32_t number)
{
    struct slot *slot = slot_newest(&g_driver.slots);
    while (slot != NULL) {
        struct slot *older = slot_older(&g_driver.slots, slot);
        if (slot->kind == SLOT_OBJECT && slot->object.framework.dut == number) {
            drop_object(slot);
        }
        slot = older;
    }
    release_forget_orphans();
}

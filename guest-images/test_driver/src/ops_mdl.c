/*
 * Operations on MDLs: making, building, locking, mapping, chaining.
 *
 * The slot remembers what was done, so that a step that Windows answers with a bug check (unlocking
 * what is not locked, freeing what is locked) is refused here instead.
 */
#include "operations.h"

/* Longest chain that is followed. */
#define CHAIN_MAX 64
/* MdlMappingNoExecute: added to every priority, data is no code. */
#define PRIORITY_NO_EXECUTE 0x40000000u

/* An MDL slot by number. */
static struct slot *find_mdl(uint32_t index)
{
    return slot_find(&g_driver.slots, index, SLOT_MDL);
}

/* True when the system is to be called whatever the slot remembers. */
static bool keeps(const struct operation_call *call)
{
    return (call->operation->flags & DMARIG_OP_FLAG_KEEP) != 0;
}

static bool has_system_address(const struct mdl_object *object)
{
    return (object->mdl->MdlFlags & (MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL)) != 0;
}

/* True when what the MDL describes still exists: its memory, or its source down to its memory. */
static bool backing_lives(const struct mdl_object *object)
{
    while (object->backing.generation != 0) {
        if (slot_resolve(&g_driver.slots, object->backing, SLOT_MEMORY) != NULL) {
            return true;
        }
        /* A source is older than its partial MDL, so this ends. */
        struct slot *source = slot_resolve(&g_driver.slots, object->backing, SLOT_MDL);
        if (source == NULL || !has_system_address(&source->object.mdl)) {
            return false;
        }
        object = &source->object.mdl;
    }
    return object->pages_allocated;
}

struct cpu_view mdl_view(struct slot *slot)
{
    const struct mdl_object *object = &slot->object.mdl;
    struct cpu_view view = {NULL, 0};
    if (has_system_address(object) && backing_lives(object)) {
        view.base = object->mdl->MappedSystemVa;
        view.length = MmGetMdlByteCount(object->mdl);
    }
    return view;
}

struct slot *mdl_at_offset(struct slot *head, uint64_t *offset)
{
    struct slot *slot = head;
    for (uint32_t i = 0; slot != NULL && i < CHAIN_MAX; i++) {
        uint64_t length = MmGetMdlByteCount(slot->object.mdl.mdl);
        if (*offset < length) {
            return slot;
        }
        *offset -= length;
        slot = slot_resolve(&g_driver.slots, slot->object.mdl.next, SLOT_MDL);
    }
    return NULL;
}

bool mdl_chain_is_whole(struct slot *head)
{
    struct slot *slot = head;
    for (uint32_t i = 0; i < CHAIN_MAX; i++) {
        struct slot_reference next = slot->object.mdl.next;
        if (next.generation == 0) {
            return true;
        }
        slot = slot_resolve(&g_driver.slots, next, SLOT_MDL);
        if (slot == NULL) {
            return false;
        }
    }
    return false;
}

uint16_t op_mdl_allocate(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct slot *memory = slot_find(&g_driver.slots, operation->a, SLOT_MEMORY);
    if (memory == NULL || !slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    uint64_t offset = operation->arg[0];
    uint64_t length = operation->arg[1];
    uint64_t room = memory->object.memory.length;
    if (length == 0 || offset > room || length > room - offset) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    PVOID address = (PUCHAR)memory->object.memory.virtual_address + offset;
    PMDL mdl = IoAllocateMdl(address, (ULONG)length, FALSE, FALSE, NULL);
    if (mdl == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    struct slot *slot = slot_take(&g_driver.slots, operation->dst, SLOT_MDL);
    slot->object.mdl.mdl = mdl;
    slot->object.mdl.backing = slot_reference_to(&g_driver.slots, memory);
    call->result->length = length;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_mdl_build_partial(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct slot *source = find_mdl(operation->a);
    if (source == NULL || !slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    PMDL whole = source->object.mdl.mdl;
    uint64_t offset = operation->arg[0];
    uint64_t length = operation->arg[1];
    uint64_t room = MmGetMdlByteCount(whole);
    const USHORT described = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;
    if (length == 0 || offset > room || length > room - offset ||
        (!keeps(call) && (whole->MdlFlags & described) == 0)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    PVOID address = (PUCHAR)MmGetMdlVirtualAddress(whole) + offset;
    PMDL part = IoAllocateMdl(address, (ULONG)length, FALSE, FALSE, NULL);
    if (part == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    IoBuildPartialMdl(whole, part, address, (ULONG)length);
    struct slot *slot = slot_take(&g_driver.slots, operation->dst, SLOT_MDL);
    slot->object.mdl.mdl = part;
    slot->object.mdl.backing = slot_reference_to(&g_driver.slots, source);
    slot->object.mdl.partial = true;
    call->result->length = length;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_mdl_build_nonpaged(struct operation_call *call)
{
    struct slot *slot = find_mdl(call->operation->a);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct mdl_object *object = &slot->object.mdl;
    if (keeps(call)) {
        MmBuildMdlForNonPagedPool(object->mdl);
        return DMARIG_OUTCOME_DONE;
    }
    if (object->pages_allocated || object->partial || object->built || object->locked ||
        !backing_lives(object)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    MmBuildMdlForNonPagedPool(object->mdl);
    object->built = true;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_mdl_probe_and_lock(struct operation_call *call)
{
    struct slot *slot = find_mdl(call->operation->a);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct mdl_object *object = &slot->object.mdl;
    bool known = object->pages_allocated || object->partial || object->built || object->locked;
    if (call->operation->arg[0] > IoModifyAccess || (!keeps(call) && known)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    bool override = (call->operation->flags & DMARIG_OP_FLAG_OVERRIDE) != 0;
    if (!override && !keeps(call) && !backing_lives(object)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    NTSTATUS status = guarded_lock_pages(object->mdl, (LOCK_OPERATION)call->operation->arg[0]);
    call->result->status = (uint32_t)status;
    if (!NT_SUCCESS(status)) {
        return DMARIG_OUTCOME_RAISED;
    }
    if (keeps(call)) {
        return DMARIG_OUTCOME_DONE;
    }
    object->locked = true;
    return DMARIG_OUTCOME_DONE;
}

static void unlock(struct mdl_object *object)
{
    /* Also drops a system mapping. */
    MmUnlockPages(object->mdl);
    object->locked = false;
    object->mapped = false;
}

uint16_t op_mdl_unlock(struct operation_call *call)
{
    struct slot *slot = find_mdl(call->operation->a);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (keeps(call)) {
        MmUnlockPages(slot->object.mdl.mdl);
        return DMARIG_OUTCOME_DONE;
    }
    if (!slot->object.mdl.locked) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    unlock(&slot->object.mdl);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_mdl_map(struct operation_call *call)
{
    struct slot *slot = find_mdl(call->operation->a);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct mdl_object *object = &slot->object.mdl;
    uint64_t priority = call->operation->arg[0];
    if (keeps(call)) {
        /* Not by the macro, which looks whether there is a mapping; arg[1]: BugCheckOnFailure. */
        (void)MmMapLockedPagesSpecifyCache(object->mdl, KernelMode, MmCached, NULL,
                                           call->operation->arg[1] != 0, (ULONG)priority);
        return DMARIG_OUTCOME_DONE;
    }
    const USHORT mappable = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL;
    if ((priority & ~(uint64_t)PRIORITY_NO_EXECUTE) > HighPagePriority ||
        (object->mdl->MdlFlags & mappable) == 0 || !backing_lives(object)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    bool had_address = has_system_address(object);
    PVOID address =
        MmGetSystemAddressForMdlSafe(object->mdl, (ULONG)priority | PRIORITY_NO_EXECUTE);
    if (address == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    object->mapped = object->mapped || !had_address;
    call->result->virtual_address = (uint64_t)(ULONG_PTR)address;
    call->result->length = MmGetMdlByteCount(object->mdl);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_mdl_unmap(struct operation_call *call)
{
    struct slot *slot = find_mdl(call->operation->a);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct mdl_object *object = &slot->object.mdl;
    if (keeps(call)) {
        MmUnmapLockedPages(object->mdl->MappedSystemVa, object->mdl);
        return DMARIG_OUTCOME_DONE;
    }
    if (!object->mapped) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    MmUnmapLockedPages(object->mdl->MappedSystemVa, object->mdl);
    object->mapped = false;
    return DMARIG_OUTCOME_DONE;
}

void mdl_release(struct slot *slot)
{
    struct mdl_object object = slot->object.mdl;
    slot_drop(&g_driver.slots, slot);
    if (object.pages_allocated) {
        MmFreePagesFromMdl(object.mdl);
        ExFreePoolWithTag(object.mdl, 0);
        return;
    }
    if (object.mapped && !object.partial) {
        MmUnmapLockedPages(object.mdl->MappedSystemVa, object.mdl);
    }
    if (object.locked) {
        unlock(&object);
    }
    if (sabotage_strikes(SABOTAGE_LEAK_MDL)) {
        return;
    }
    /* Also drops the mapping of a partial MDL. */
    IoFreeMdl(object.mdl);
}

uint16_t op_mdl_free(struct operation_call *call)
{
    struct slot *slot = find_mdl(call->operation->a);
    if (slot == NULL || slot->object.mdl.pages_allocated) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    const struct mdl_object *object = &slot->object.mdl;
    if (keeps(call)) {
        IoFreeMdl(object->mdl);
        return DMARIG_OUTCOME_DONE;
    }
    if (object->locked || (object->mapped && !object->partial)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    mdl_release(slot);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_mdl_chain(struct operation_call *call)
{
    struct slot *slot = find_mdl(call->operation->a);
    struct slot *next = find_mdl(call->operation->b);
    bool ends = call->operation->b == DMARIG_SLOT_NONE;
    if (slot == NULL || (next == NULL && !ends)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct mdl_object *object = &slot->object.mdl;
    object->mdl->Next = ends ? NULL : next->object.mdl.mdl;
    object->next = (struct slot_reference){0, 0};
    if (!ends) {
        object->next = slot_reference_to(&g_driver.slots, next);
    }
    return DMARIG_OUTCOME_DONE;
}

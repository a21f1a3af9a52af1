/* Operations on common buffers. */
#include "front.h"

struct slot *adapter_for_new_buffer(const struct operation_call *call)
{
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return NULL;
    }
    return slot_find(&g_driver.slots, call->operation->a, SLOT_ADAPTER);
}

struct buffer_object *keep_buffer(const struct operation_call *call, struct slot *adapter,
                                  PVOID virtual_address, PHYSICAL_ADDRESS logical_address,
                                  uint32_t length)
{
    struct slot *slot = slot_take(&g_driver.slots, call->operation->dst, SLOT_BUFFER);
    struct buffer_object *buffer = &slot->object.buffer;
    buffer->adapter = slot_reference_to(&g_driver.slots, adapter);
    buffer->virtual_address = virtual_address;
    buffer->logical_address = (uint64_t)logical_address.QuadPart;
    buffer->length = length;
    buffer->cache_enabled = true;
    return buffer;
}

/* Reports what an allocation gave, and keeps it if it gave anything. */
static uint16_t allocated(struct operation_call *call, struct slot *adapter, PVOID virtual_address,
                          PHYSICAL_ADDRESS logical_address, bool cache_enabled)
{
    uint32_t length = (uint32_t)call->operation->arg[0];
    call->result->virtual_address = (uint64_t)(ULONG_PTR)virtual_address;
    call->result->logical_address = (uint64_t)logical_address.QuadPart;
    call->result->length = length;
    if (virtual_address == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    keep_buffer(call, adapter, virtual_address, logical_address, length)->cache_enabled =
        cache_enabled;
    return DMARIG_OUTCOME_DONE;
}

static PHYSICAL_ADDRESS address(uint64_t value)
{
    PHYSICAL_ADDRESS address;
    address.QuadPart = (LONGLONG)value;
    return address;
}

uint16_t op_buffer_allocate(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct slot *slot = adapter_for_new_buffer(call);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[0] > UINT32_MAX || arg[1] > 1) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    PHYSICAL_ADDRESS logical = address(UINT64_MAX);
    PVOID va = adapter->DmaOperations->AllocateCommonBuffer(adapter, (ULONG)arg[0], &logical,
                                                            (BOOLEAN)arg[1]);
    return allocated(call, slot, va, logical, arg[1] != 0);
}

uint16_t op_buffer_allocate_ex(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct slot *slot = adapter_for_new_buffer(call);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[0] > UINT32_MAX || arg[1] > 1 || arg[3] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    DMA_OPERATIONS_V3 *operations = adapter->DmaOperations;
    if (!DMA_HAS_MEMBER(slot->object.adapter.requested_version, operations,
                        AllocateCommonBufferEx)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    PHYSICAL_ADDRESS logical = address(UINT64_MAX);
    PHYSICAL_ADDRESS maximum = address(arg[2]);
    bool has_maximum = (call->operation->flags & DMARIG_OP_FLAG_MAXIMUM) != 0;
    PVOID va = operations->AllocateCommonBufferEx(adapter, has_maximum ? &maximum : NULL,
                                                  (ULONG)arg[0], &logical, (BOOLEAN)arg[1],
                                                  (ULONG)arg[3]);
    return allocated(call, slot, va, logical, arg[1] != 0);
}

uint16_t op_buffer_allocate_with_bounds(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    uint16_t flags = call->operation->flags;
    struct slot *slot = adapter_for_new_buffer(call);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[0] > UINT32_MAX || arg[4] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    DMA_OPERATIONS_V3 *operations = adapter->DmaOperations;
    if (!DMA_HAS_MEMBER(slot->object.adapter.requested_version, operations,
                        AllocateCommonBufferWithBounds)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    PHYSICAL_ADDRESS logical = address(UINT64_MAX);
    PHYSICAL_ADDRESS minimum = address(arg[1]);
    PHYSICAL_ADDRESS maximum = address(arg[2]);
    MEMORY_CACHING_TYPE cache_type = (MEMORY_CACHING_TYPE)(uint32_t)(arg[3] >> 32);
    PVOID va = operations->AllocateCommonBufferWithBounds(
        adapter, (flags & DMARIG_OP_FLAG_MINIMUM) != 0 ? &minimum : NULL,
        (flags & DMARIG_OP_FLAG_MAXIMUM) != 0 ? &maximum : NULL, (ULONG)arg[0], (ULONG)arg[3],
        (flags & DMARIG_OP_FLAG_CACHE_TYPE) != 0 ? &cache_type : NULL, (ULONG)arg[4], &logical);
    /* What to free with when no type was given is not documented; x64 buffers are cached. */
    bool cached = (flags & DMARIG_OP_FLAG_CACHE_TYPE) == 0 || cache_type != MmNonCached;
    return allocated(call, slot, va, logical, cached);
}

/* What the new buffer covers, in the words of the operation. */
struct coverage {
    struct slot *mdl;      /* the one of the chain that holds the first byte */
    PVOID virtual_address; /* NULL when that part is not mapped */
    uint32_t length;
};

/* False when the length is no ULONG. A part outside of the chain has no address: whether the system
 * refuses it is what the program wants to see. */
static bool cover(struct slot *head, const uint64_t *arg, struct coverage *coverage)
{
    uint64_t offset = arg[1];
    PMDL mdl = head->object.mdl.mdl;
    if (arg[2] > UINT32_MAX) {
        return false;
    }
    coverage->length = arg[2] != 0 ? (uint32_t)arg[2] : MmGetMdlByteCount(mdl);
    coverage->virtual_address = NULL;
    coverage->mdl = head;
    struct slot *part = mdl_at_offset(head, &offset);
    if (part != NULL) {
        coverage->mdl = part;
        struct cpu_view view = mdl_view(part);
        coverage->virtual_address = view.base != NULL ? (PVOID)(view.base + offset) : NULL;
    }
    return true;
}

/* A count without an array is the system's to refuse. */
static bool configurations_are_bounded(const DMARIG_Operation *operation)
{
    if ((operation->flags & DMARIG_OP_FLAG_NULL_CONFIGS) != 0) {
        return operation->arg[0] <= UINT32_MAX;
    }
    return operation->arg[0] <= operation->data_length_bytes / sizeof(DMA_EXTENDED_CONFIGURATION);
}

uint16_t op_buffer_create_from_mdl(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct slot *slot = adapter_for_new_buffer(call);
    struct slot *mdl = slot_find(&g_driver.slots, operation->b, SLOT_MDL);
    if (slot == NULL || mdl == NULL || !mdl_chain_is_whole(mdl)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct coverage coverage;
    if (!configurations_are_bounded(operation) || !cover(mdl, operation->arg, &coverage)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    DMA_OPERATIONS_V3 *operations = adapter->DmaOperations;
    if (!DMA_HAS_MEMBER(slot->object.adapter.requested_version, operations,
                        CreateCommonBufferFromMdl)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    bool no_array = (operation->flags & DMARIG_OP_FLAG_NULL_CONFIGS) != 0;
    PHYSICAL_ADDRESS logical = address(UINT64_MAX);
    NTSTATUS status = operations->CreateCommonBufferFromMdl(
        adapter, mdl->object.mdl.mdl,
        no_array ? NULL : (const DMA_EXTENDED_CONFIGURATION *)call->data,
        (ULONG)operation->arg[0], &logical);
    call->result->status = (uint32_t)status;
    call->result->logical_address = (uint64_t)logical.QuadPart;
    bool refused = !NT_SUCCESS(status);
    if (refused && g_driver.sabotage != SABOTAGE_FALSE_SUCCESS) {
        return DMARIG_OUTCOME_DONE;
    }
    if (refused) {
        call->result->status = STATUS_SUCCESS;
    }
    call->result->virtual_address = (uint64_t)(ULONG_PTR)coverage.virtual_address;
    call->result->length = coverage.length;
    struct buffer_object *buffer =
        keep_buffer(call, slot, coverage.virtual_address, logical, coverage.length);
    buffer->backing = slot_reference_to(&g_driver.slots, coverage.mdl);
    buffer->imaginary = refused;
    return DMARIG_OUTCOME_DONE;
}

struct cpu_view buffer_view(struct slot *slot)
{
    const struct buffer_object *buffer = &slot->object.buffer;
    struct cpu_view view = {buffer->virtual_address, buffer->length};
    if (buffer->framework != NULL) {
        return view;
    }
    if (buffer->backing.generation != 0) {
        /* The MDL must still be there and mapped, and the buffer inside of it. */
        struct slot *mdl = slot_resolve(&g_driver.slots, buffer->backing, SLOT_MDL);
        struct cpu_view whole = {NULL, 0};
        if (mdl != NULL) {
            whole = mdl_view(mdl);
        }
        uint64_t offset = (uint64_t)(view.base - whole.base);
        if (whole.base == NULL || offset > whole.length || view.length > whole.length - offset) {
            view.base = NULL;
        }
    } else if (slot_resolve(&g_driver.slots, buffer->adapter, SLOT_ADAPTER) == NULL) {
        view.base = NULL;
    }
    return view;
}

static void free_common_buffer(const struct slot *adapter, const struct buffer_object *buffer)
{
    DMA_ADAPTER_V3 *dma = adapter_of(adapter);
    dma->DmaOperations->FreeCommonBuffer(dma, buffer->length, address(buffer->logical_address),
                                         buffer->virtual_address, buffer->cache_enabled);
}

bool buffer_release(struct slot *slot)
{
    const struct buffer_object buffer = slot->object.buffer;
    struct slot *adapter = slot_resolve(&g_driver.slots, buffer.adapter, SLOT_ADAPTER);
    slot_drop(&g_driver.slots, slot);
    if (buffer.imaginary) {
        return true;
    }
    if (buffer.framework != NULL) {
        front_delete_object(buffer.framework);
        return true;
    }
    if (buffer.vector.generation != 0) {
        return vector_element_release(&buffer);
    }
    if (adapter == NULL) {
        /* Its adapter was put before it: nobody is left who could free it. */
        return false;
    }
    if (sabotage_strikes(SABOTAGE_LEAK_BUFFER)) {
        slot_drop(&g_driver.slots, adapter);
        return true;
    }
    free_common_buffer(adapter, &buffer);
    return true;
}

uint16_t op_buffer_free(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_BUFFER);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct buffer_object *buffer = &slot->object.buffer;
    struct buffer_object changed = *buffer;
    struct slot *adapter = slot_resolve(&g_driver.slots, buffer->adapter, SLOT_ADAPTER);
    if (buffer->framework == NULL && adapter == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if ((call->operation->flags & DMARIG_OP_FLAG_OVERRIDE) != 0) {
        if (buffer->framework != NULL || arg[0] > UINT32_MAX || arg[3] > 1) {
            return DMARIG_OUTCOME_BAD_ARGUMENT;
        }
        changed.length = (uint32_t)arg[0];
        changed.logical_address = arg[1];
        changed.virtual_address = (PVOID)(ULONG_PTR)arg[2];
        changed.cache_enabled = arg[3] != 0;
    }
    if ((call->operation->flags & DMARIG_OP_FLAG_KEEP) != 0) {
        if (buffer->framework != NULL || buffer->imaginary) {
            return DMARIG_OUTCOME_BAD_ARGUMENT;
        }
        free_common_buffer(adapter, &changed);
        return DMARIG_OUTCOME_DONE;
    }
    *buffer = changed;
    (void)buffer_release(slot);
    return DMARIG_OUTCOME_DONE;
}

/*
 * Operations on vectors of common buffers.
 *
 * An element is used as a buffer of its own slot; the vector's slot knows which elements live, so that
 * what programs leave can be released in the order that the interface demands.
 */
#include "operations.h"

static struct slot *adapter_of_vector(const struct vector_object *vector)
{
    return slot_resolve(&g_driver.slots, vector->adapter, SLOT_ADAPTER);
}

uint16_t op_vector_allocate(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    uint32_t elements = (uint32_t)arg[4];
    struct slot *slot = adapter_for_new_buffer(call);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[0] > UINT32_MAX || elements > DMARIG_VECTOR_MAX_ELEMENTS) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    DMA_ADAPTER_V3 *adapter = adapter_of(slot);
    DMA_OPERATIONS_V3 *operations = adapter->DmaOperations;
    if (!DMA_HAS_MEMBER(slot->object.adapter.requested_version, operations,
                        FreeCommonBufferVector)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    PHYSICAL_ADDRESS low = {.QuadPart = (LONGLONG)arg[1]};
    PHYSICAL_ADDRESS high = {.QuadPart = (LONGLONG)arg[2]};
    PVOID vector = NULL;
    NTSTATUS status = operations->AllocateCommonBufferVector(
        adapter, low, high, (MEMORY_CACHING_TYPE)(uint32_t)(arg[3] >> 32), (ULONG)(arg[4] >> 32),
        (ULONG)arg[3], elements, arg[0], &vector);
    call->result->status = (uint32_t)status;
    call->result->virtual_address = (uint64_t)(ULONG_PTR)vector;
    if (!NT_SUCCESS(status)) {
        return DMARIG_OUTCOME_DONE;
    }
    struct slot *kept = slot_take(&g_driver.slots, call->operation->dst, SLOT_VECTOR);
    struct vector_object *object = &kept->object.vector;
    object->adapter = slot_reference_to(&g_driver.slots, slot);
    object->vector = vector;
    object->element_length = (uint32_t)arg[0];
    object->elements = elements;
    object->live = elements < 64 ? (1ull << elements) - 1 : UINT64_MAX;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_vector_get(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct slot *slot = slot_find(&g_driver.slots, operation->a, SLOT_VECTOR);
    if (slot == NULL || !slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct slot *owner = adapter_of_vector(&slot->object.vector);
    if (owner == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (operation->arg[0] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint32_t index = (uint32_t)operation->arg[0];
    DMA_ADAPTER_V3 *adapter = adapter_of(owner);
    PHYSICAL_ADDRESS logical = {.QuadPart = -1};
    PVOID va = NULL;
    adapter->DmaOperations->GetCommonBufferFromVectorByIndex(adapter, slot->object.vector.vector,
                                                             index, &va, &logical);
    call->result->virtual_address = (uint64_t)(ULONG_PTR)va;
    call->result->logical_address = (uint64_t)logical.QuadPart;
    call->result->length = slot->object.vector.element_length;
    if (va == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    struct buffer_object *buffer =
        keep_buffer(call, owner, va, logical, slot->object.vector.element_length);
    buffer->vector = slot_reference_to(&g_driver.slots, slot);
    buffer->index = index;
    return DMARIG_OUTCOME_DONE;
}

static void free_element(struct slot *slot, uint32_t index)
{
    struct vector_object *vector = &slot->object.vector;
    struct slot *owner = adapter_of_vector(vector);
    if (owner != NULL) {
        DMA_ADAPTER_V3 *adapter = adapter_of(owner);
        adapter->DmaOperations->FreeCommonBufferFromVector(adapter, vector->vector, index);
    }
    if (index < 64) {
        vector->live &= ~(1ull << index);
    }
}

bool vector_element_release(const struct buffer_object *buffer)
{
    struct slot *slot = slot_resolve(&g_driver.slots, buffer->vector, SLOT_VECTOR);
    if (slot == NULL) {
        return false;
    }
    free_element(slot, buffer->index);
    return true;
}

uint16_t op_vector_free_element(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_VECTOR);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (call->operation->arg[0] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    free_element(slot, (uint32_t)call->operation->arg[0]);
    return DMARIG_OUTCOME_DONE;
}

static void free_vector(struct slot *slot)
{
    const struct vector_object vector = slot->object.vector;
    struct slot *owner = adapter_of_vector(&vector);
    slot_drop(&g_driver.slots, slot);
    if (owner != NULL) {
        DMA_ADAPTER_V3 *adapter = adapter_of(owner);
        adapter->DmaOperations->FreeCommonBufferVector(adapter, vector.vector);
    }
}

void vector_release(struct slot *slot)
{
    for (uint32_t index = 0; index < slot->object.vector.elements; index++) {
        if ((slot->object.vector.live >> index & 1) != 0) {
            free_element(slot, index);
        }
    }
    free_vector(slot);
}

uint16_t op_vector_free(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_VECTOR);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if ((call->operation->flags & DMARIG_OP_FLAG_OVERRIDE) != 0) {
        free_vector(slot);
    } else {
        vector_release(slot);
    }
    return DMARIG_OUTCOME_DONE;
}

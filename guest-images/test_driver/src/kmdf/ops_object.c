/* Operations on general objects: contexts, references, deletion. */
#include "kmdf.h"

uint16_t op_kmdf_object_create(struct operation_call *call)
{
    WDF_OBJECT_ATTRIBUTES storage;
    WDF_OBJECT_ATTRIBUTES *attributes;
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (object_device(call->operation->a) == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (!object_attributes(call, 0, &storage, &attributes)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    WDFOBJECT object = NULL;
    NTSTATUS status = WdfObjectCreate(attributes, &object);
    call->result->status = (uint32_t)status;
    call->result->value[0] = (uint64_t)(ULONG_PTR)object;
    if (NT_SUCCESS(status)) {
        object_keep(call, object, FRAMEWORK_GENERAL, call->operation->a, attributes);
    }
    return DMARIG_OUTCOME_DONE;
}

/* The handle of the object or of the framework's common buffer in slot `a`, or NULL. */
static WDFOBJECT handle_in(uint32_t index)
{
    struct slot *buffer = slot_find(&g_driver.slots, index, SLOT_BUFFER);
    if (buffer != NULL) {
        return buffer->object.buffer.framework;
    }
    struct slot *object = object_find(index, FRAMEWORK_ANY);
    return object != NULL ? object->object.framework.handle : NULL;
}

uint16_t op_kmdf_object_delete(struct operation_call *call)
{
    struct slot *buffer = slot_find(&g_driver.slots, call->operation->a, SLOT_BUFFER);
    if (buffer != NULL && buffer->object.buffer.framework != NULL) {
        (void)buffer_release(buffer);
        return DMARIG_OUTCOME_DONE;
    }
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_ANY);
    if (slot == NULL || slot->object.framework.deleted) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (slot->object.framework.references == 0) {
        object_release(slot);
        return DMARIG_OUTCOME_DONE;
    }
    slot->object.framework.deleted = true;
    WdfObjectDelete(slot->object.framework.handle);
    release_forget_orphans();
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_object_reference(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_ANY);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WdfObjectReferenceActual(slot->object.framework.handle, NULL, 0, NULL);
    slot->object.framework.references++;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_object_dereference(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_ANY);
    if (slot == NULL || slot->object.framework.references == 0) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFOBJECT handle = slot->object.framework.handle;
    slot->object.framework.references--;
    if (slot->object.framework.references == 0 && slot->object.framework.deleted) {
        slot_drop(&g_driver.slots, slot);
    }
    front_dereference_object(handle);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_context_allocate(struct operation_call *call)
{
    WDF_OBJECT_ATTRIBUTES storage;
    WDF_OBJECT_ATTRIBUTES *attributes;
    WDFOBJECT handle = handle_in(call->operation->a);
    if (handle == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (!object_attributes(call, 0, &storage, &attributes)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    PVOID context = NULL;
    call->result->status = (uint32_t)WdfObjectAllocateContext(handle, attributes, &context);
    call->result->virtual_address = (uint64_t)(ULONG_PTR)context;
    return DMARIG_OUTCOME_DONE;
}

/* The context of type arg[0] of object `a`; NULL with the outcome where there is none. */
static uint8_t *find_context(const struct operation_call *call, uint16_t *outcome)
{
    WDFOBJECT handle = handle_in(call->operation->a);
    const WDF_OBJECT_CONTEXT_TYPE_INFO *type = object_context_type(call->operation->arg[0]);
    if (handle == NULL) {
        *outcome = DMARIG_OUTCOME_BAD_SLOT;
        return NULL;
    }
    if (type == NULL) {
        *outcome = DMARIG_OUTCOME_BAD_ARGUMENT;
        return NULL;
    }
    uint8_t *context = WdfObjectGetTypedContextWorker(handle, type);
    *outcome = context != NULL ? DMARIG_OUTCOME_DONE : DMARIG_OUTCOME_NULL;
    return context;
}

uint16_t op_kmdf_context_read(struct operation_call *call)
{
    uint16_t outcome;
    uint64_t length = call->operation->arg[1];
    uint8_t *context = find_context(call, &outcome);
    if (context == NULL) {
        return outcome;
    }
    if (length > DMARIG_KMDF_CONTEXT_READ_MAX_BYTES) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    call->result->virtual_address = (uint64_t)(ULONG_PTR)context;
    call->result->value[0] = WdfObjectContextGetObject(context) == handle_in(call->operation->a);
    uint8_t *reply = operation_reply(call, (uint32_t)length);
    if (reply != NULL) {
        memcpy(reply, context, (size_t)length);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_context_write(struct operation_call *call)
{
    uint16_t outcome;
    uint8_t *context = find_context(call, &outcome);
    if (context != NULL && call->operation->data_length_bytes > DMARIG_KMDF_CONTEXT_SIZE_BYTES) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (context != NULL) {
        memcpy(context, call->data, call->operation->data_length_bytes);
    }
    return outcome;
}

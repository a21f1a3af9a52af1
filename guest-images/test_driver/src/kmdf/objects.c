/* Framework objects in slots: their attributes, their callbacks, and how they are found again. */
#include "kmdf.h"

/* Context that each object of a program gets besides its own. */
struct tracker {
    uint32_t slot;
    uint32_t device;
    volatile LONG runs;
};

static CONTEXT_TYPE(tracker_type, "tracker", sizeof(struct tracker));

static const WDF_OBJECT_CONTEXT_TYPE_INFO program_types[DMARIG_KMDF_CONTEXT_TYPES] = {
#define PROGRAM_TYPE(number)                                                                       \
    {                                                                                              \
        .Size = sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO), .ContextName = "program" #number,            \
        .ContextSize = DMARIG_KMDF_CONTEXT_SIZE_BYTES,                                             \
        .UniqueType = (PVOID)&program_types[(number)-1],                                           \
    }
    PROGRAM_TYPE(1),
    PROGRAM_TYPE(2),
    PROGRAM_TYPE(3),
};

void front_delete_object(void *object)
{
    WdfObjectDelete(object);
}

void front_dereference_object(void *object)
{
    WdfObjectDereferenceActual(object, NULL, 0, NULL);
}

WDFDEVICE object_device(uint32_t dut)
{
    struct device *device = dut_present(dut);
    if (device == NULL) {
        return NULL;
    }
    switch (device->state) {
    case PNP_ADDED:
    case PNP_STARTED:
    case PNP_STOP_PENDING:
    case PNP_REMOVE_PENDING:
        return kmdf_of(device)->handle;
    default:
        /* The framework may be deleting its objects. */
        return NULL;
    }
}

struct slot *object_find(uint32_t index, enum framework_kind kind)
{
    struct slot *slot = slot_find(&g_driver.slots, index, SLOT_OBJECT);
    if (slot == NULL || (kind != FRAMEWORK_ANY && slot->object.framework.kind != kind) ||
        object_device(slot->object.framework.dut) == NULL) {
        return NULL;
    }
    return slot;
}

const WDF_OBJECT_CONTEXT_TYPE_INFO *object_context_type(uint64_t number)
{
    return number >= 1 && number <= DMARIG_KMDF_CONTEXT_TYPES ? &program_types[number - 1] : NULL;
}

void object_log(WDFOBJECT handle, uint16_t event, uint32_t value)
{
    const struct tracker *tracker = WdfObjectGetTypedContextWorker(handle, &tracker_type);
    log_event(event, tracker != NULL ? tracker->device : LOG_NO_DEVICE,
              tracker != NULL ? tracker->slot : DMARIG_SLOT_NONE, value);
}

void object_count_run(WDFOBJECT handle)
{
    struct tracker *tracker = WdfObjectGetTypedContextWorker(handle, &tracker_type);
    if (tracker != NULL) {
        (void)InterlockedIncrement(&tracker->runs);
    }
}

uint32_t object_runs(WDFOBJECT handle)
{
    const struct tracker *tracker = WdfObjectGetTypedContextWorker(handle, &tracker_type);
    return tracker != NULL ? (uint32_t)tracker->runs : 0;
}

static VOID NTAPI evt_cleanup(WDFOBJECT object)
{
    object_log(object, DMARIG_KMDF_EVENT_OBJECT_CLEANUP, 0);
}

static VOID NTAPI evt_destroy(WDFOBJECT object)
{
    object_log(object, DMARIG_KMDF_EVENT_OBJECT_DESTROY, 0);
}

/* The handle that a program's ParentObject stands for; false when there is none. */
static bool find_parent(uint64_t named, WDFOBJECT *parent)
{
    *parent = NULL;
    if (named == 0) {
        return true;
    }
    if (named >= DMARIG_KMDF_PARENT_DEVICE) {
        uint64_t dut = named - DMARIG_KMDF_PARENT_DEVICE;
        *parent = dut < MAX_DUTS ? object_device((uint32_t)dut) : NULL;
    } else if (named <= DMARIG_SLOT_COUNT) {
        struct slot *slot = object_find((uint32_t)named - 1, FRAMEWORK_ANY);
        *parent = slot != NULL ? slot->object.framework.handle : NULL;
    }
    return *parent != NULL;
}

bool object_attributes(const struct operation_call *call, uint32_t offset,
                       WDF_OBJECT_ATTRIBUTES *storage, WDF_OBJECT_ATTRIBUTES **attributes)
{
    *attributes = NULL;
    if ((call->operation->flags & DMARIG_KMDF_FLAG_ATTRIBUTES) == 0) {
        return true;
    }
    uint32_t length = call->operation->data_length_bytes;
    if (length < offset || length - offset < sizeof(*storage)) {
        return false;
    }
    memcpy(storage, call->data + offset, sizeof(*storage));
    if (storage->EvtCleanupCallback != NULL) {
        storage->EvtCleanupCallback = evt_cleanup;
    }
    if (storage->EvtDestroyCallback != NULL) {
        storage->EvtDestroyCallback = evt_destroy;
    }
    uint64_t type = (uint64_t)(ULONG_PTR)storage->ContextTypeInfo;
    storage->ContextTypeInfo = object_context_type(type);
    if (type != 0 && storage->ContextTypeInfo == NULL) {
        return false;
    }
    *attributes = storage;
    return find_parent((uint64_t)(ULONG_PTR)storage->ParentObject, &storage->ParentObject);
}

/* Writes the slot's number into the object, for its callbacks. Without memory for that they are
 * logged without it. */
static void track(WDFOBJECT handle, uint32_t slot, uint32_t dut)
{
    WDF_OBJECT_ATTRIBUTES attributes = attributes_with(&tracker_type);
    PVOID context = NULL;
    if (NT_SUCCESS(WdfObjectAllocateContext(handle, &attributes, &context))) {
        *(struct tracker *)context = (struct tracker){.slot = slot, .device = dut};
    }
}

/* The slot whose object the program has named as the parent in its attributes, or nothing. */
static struct slot_reference named_parent(const WDF_OBJECT_ATTRIBUTES *attributes)
{
    struct slot *slot = slot_newest(&g_driver.slots);
    while (slot != NULL && attributes != NULL && attributes->ParentObject != NULL) {
        if (slot->kind == SLOT_OBJECT &&
            slot->object.framework.handle == attributes->ParentObject) {
            return slot_reference_to(&g_driver.slots, slot);
        }
        slot = slot_older(&g_driver.slots, slot);
    }
    return (struct slot_reference){0};
}

void object_keep(const struct operation_call *call, WDFOBJECT handle, enum framework_kind kind,
                 uint32_t dut, const WDF_OBJECT_ATTRIBUTES *attributes)
{
    struct slot_reference parent = named_parent(attributes);
    struct slot *slot = slot_take(&g_driver.slots, call->operation->dst, SLOT_OBJECT);
    slot->object.framework.handle = handle;
    slot->object.framework.kind = kind;
    slot->object.framework.dut = dut;
    slot->object.framework.parent = parent;
    track(handle, call->operation->dst, dut);
}

void object_keep_buffer(const struct operation_call *call, WDFCOMMONBUFFER handle,
                        struct slot *enabler)
{
    struct slot_reference parent = slot_reference_to(&g_driver.slots, enabler);
    uint32_t dut = enabler->object.framework.dut;
    struct slot *slot = slot_take(&g_driver.slots, call->operation->dst, SLOT_BUFFER);
    struct buffer_object *buffer = &slot->object.buffer;
    buffer->framework = handle;
    buffer->enabler = parent;
    buffer->virtual_address = WdfCommonBufferGetAlignedVirtualAddress(handle);
    buffer->logical_address =
        (uint64_t)WdfCommonBufferGetAlignedLogicalAddress(handle).QuadPart;
    buffer->length = (uint32_t)WdfCommonBufferGetLength(handle);
    buffer->cache_enabled = true;
    track(handle, call->operation->dst, dut);
}

void object_keep_transaction(const struct operation_call *call, WDFDMATRANSACTION handle,
                             struct slot *enabler)
{
    struct slot_reference parent = slot_reference_to(&g_driver.slots, enabler);
    uint32_t dut = enabler->object.framework.dut;
    struct slot *slot = slot_take(&g_driver.slots, call->operation->dst, SLOT_TRANSACTION);
    slot->object.framework.handle = handle;
    slot->object.framework.dut = dut;
    slot->object.framework.parent = parent;
    track(handle, call->operation->dst, dut);
}

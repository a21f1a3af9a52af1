/* Operations on work items, timers, DPCs and locks. */
#include "kmdf.h"

static VOID NTAPI evt_deferred(WDFOBJECT object)
{
    object_count_run(object);
    object_log(object, DMARIG_KMDF_EVENT_DEFERRED, KeGetCurrentIrql());
}

static NTSTATUS create_deferred(uint64_t kind, ULONG period_ms, WDF_OBJECT_ATTRIBUTES *attributes,
                                WDFOBJECT *object)
{
    /* Automatic serialization would ask for a parent with a lock of the right level. */
    WDF_WORKITEM_CONFIG work = {sizeof(work), evt_deferred, FALSE};
    WDF_TIMER_CONFIG timer = {
        .Size = sizeof(timer),
        .EvtTimerFunc = evt_deferred,
        .Period = period_ms,
    };
    WDF_DPC_CONFIG dpc = {sizeof(dpc), evt_deferred, FALSE};
    switch (kind) {
    case DMARIG_KMDF_DEFERRED_WORK_ITEM:
        return WdfWorkItemCreate(&work, attributes, (WDFWORKITEM *)object);
    case DMARIG_KMDF_DEFERRED_TIMER:
        return WdfTimerCreate(&timer, attributes, (WDFTIMER *)object);
    default:
        return WdfDpcCreate(&dpc, attributes, (WDFDPC *)object);
    }
}

uint16_t op_kmdf_deferred_create(struct operation_call *call)
{
    static const enum framework_kind kinds[] = {
        FRAMEWORK_WORK_ITEM,
        FRAMEWORK_TIMER,
        FRAMEWORK_DPC,
    };
    const uint64_t *arg = call->operation->arg;
    WDF_OBJECT_ATTRIBUTES storage = attributes_with(NULL);
    WDF_OBJECT_ATTRIBUTES *attributes;
    WDFDEVICE device = object_device(call->operation->a);
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (arg[0] > DMARIG_KMDF_DEFERRED_DPC || arg[1] > UINT32_MAX ||
        !object_attributes(call, 0, &storage, &attributes)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (attributes == NULL) {
        storage.ParentObject = device;
        attributes = &storage;
    }
    WDFOBJECT object = NULL;
    NTSTATUS status = create_deferred(arg[0], (ULONG)arg[1], attributes, &object);
    call->result->status = (uint32_t)status;
    if (NT_SUCCESS(status)) {
        object_keep(call, object, kinds[arg[0]], call->operation->a, attributes);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_deferred_start(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_ANY);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    PVOID object = slot->object.framework.handle;
    switch (slot->object.framework.kind) {
    case FRAMEWORK_WORK_ITEM:
        WdfWorkItemEnqueue(object);
        call->result->value[0] = TRUE;
        return DMARIG_OUTCOME_DONE;
    case FRAMEWORK_TIMER:
        call->result->value[0] = WdfTimerStart(object, (LONGLONG)call->operation->arg[0]);
        return DMARIG_OUTCOME_DONE;
    case FRAMEWORK_DPC:
        call->result->value[0] = WdfDpcEnqueue(object);
        return DMARIG_OUTCOME_DONE;
    default:
        return DMARIG_OUTCOME_BAD_SLOT;
    }
}

uint16_t op_kmdf_deferred_stop(struct operation_call *call)
{
    BOOLEAN wait = call->operation->arg[0] != 0;
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_ANY);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    PVOID object = slot->object.framework.handle;
    switch (slot->object.framework.kind) {
    case FRAMEWORK_WORK_ITEM:
        WdfWorkItemFlush(object);
        call->result->value[0] = TRUE;
        break;
    case FRAMEWORK_TIMER:
        call->result->value[0] = WdfTimerStop(object, wait);
        break;
    case FRAMEWORK_DPC:
        call->result->value[0] = WdfDpcCancel(object, wait);
        break;
    default:
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    call->result->value[1] = object_runs(object);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_lock_create(struct operation_call *call)
{
    WDF_OBJECT_ATTRIBUTES attributes = attributes_with(NULL);
    if (!slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    attributes.ParentObject = object_device(call->operation->a);
    if (attributes.ParentObject == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (call->operation->arg[0] > 1) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    bool is_wait_lock = call->operation->arg[0] == 1;
    WDFOBJECT lock = NULL;
    NTSTATUS status = is_wait_lock ? WdfWaitLockCreate(&attributes, (WDFWAITLOCK *)&lock)
                                   : WdfSpinLockCreate(&attributes, (WDFSPINLOCK *)&lock);
    call->result->status = (uint32_t)status;
    if (NT_SUCCESS(status)) {
        object_keep(call, lock, is_wait_lock ? FRAMEWORK_WAIT_LOCK : FRAMEWORK_SPIN_LOCK,
                    call->operation->a, &attributes);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_spin_lock_try(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_SPIN_LOCK);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFSPINLOCK lock = slot->object.framework.handle;
    WdfSpinLockAcquire(lock);
    call->result->value[0] = KeGetCurrentIrql();
    WdfSpinLockRelease(lock);
    call->result->value[1] = KeGetCurrentIrql();
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_object_lock_try(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_ANY);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WDFOBJECT object = slot->object.framework.handle;
    WdfObjectAcquireLock(object);
    call->result->value[0] = KeGetCurrentIrql();
    WdfObjectReleaseLock(object);
    call->result->value[1] = KeGetCurrentIrql();
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_wait_lock_acquire(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_WAIT_LOCK);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    LONGLONG timeout = (LONGLONG)call->operation->arg[0];
    call->result->status =
        (uint32_t)WdfWaitLockAcquire(slot->object.framework.handle, &timeout);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_wait_lock_release(struct operation_call *call)
{
    struct slot *slot = object_find(call->operation->a, FRAMEWORK_WAIT_LOCK);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WdfWaitLockRelease(slot->object.framework.handle);
    return DMARIG_OUTCOME_DONE;
}

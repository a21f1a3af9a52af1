/* Requests for the adapter object: their routines, their slots, and what becomes of what is left. */
#include "ops_transfer.h"

struct slot *transfer_adapter(uint32_t index, DMA_ADAPTER_V3 **dma)
{
    struct slot *slot = slot_find(&g_driver.slots, index, SLOT_ADAPTER);
    if (slot != NULL) {
        *dma = adapter_of(slot);
    }
    return slot;
}

KIRQL transfer_raise(const struct operation_call *call)
{
    KIRQL irql = KeGetCurrentIrql();
    if ((call->operation->flags & DMARIG_OP_FLAG_CALLER_IRQL) == 0) {
        KeRaiseIrql(DISPATCH_LEVEL, &irql);
    }
    return irql;
}

void transfer_lower(const struct operation_call *call, KIRQL irql)
{
    if ((call->operation->flags & DMARIG_OP_FLAG_CALLER_IRQL) == 0) {
        KeLowerIrql(irql);
    }
}

static void note(struct execution *execution, PDEVICE_OBJECT device, PIRP irp, PVOID given)
{
    if (InterlockedIncrement(&execution->runs) == 1) {
        LONG bits = execution->in_call != 0 ? DMARIG_EXECUTION_IN_CALL : 0;
        bits |= device != NULL && irp == device->CurrentIrp ? DMARIG_EXECUTION_CURRENT_IRP : 0;
        bits |= KeGetCurrentIrql() == DISPATCH_LEVEL ? DMARIG_EXECUTION_AT_DISPATCH : 0;
        execution->bits = bits;
        execution->given = given;
    }
    (void)KeSetEvent(&execution->done, IO_NO_INCREMENT, FALSE);
}

ULONG NTAPI channel_routine(PDEVICE_OBJECT device, PIRP irp, PVOID register_base, PVOID context)
{
    struct execution *execution = context;
    note(execution, device, irp, register_base);
    return execution->action;
}

VOID NTAPI list_routine(PDEVICE_OBJECT device, PIRP irp, DMA_LIST *list, PVOID context)
{
    note(context, device, irp, list);
}

uint16_t request_begin(const struct operation_call *call, bool is_list, struct new_request *request)
{
    const DMARIG_Operation *operation = call->operation;
    memset(request, 0, sizeof(*request));
    request->adapter = transfer_adapter(operation->a, &request->dma);
    if (request->adapter == NULL || !slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    request->operations = request->dma->DmaOperations;
    request->device = dut_present(request->adapter->object.adapter.dut);
    if (request->device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (is_list) {
        request->mdl = slot_find(&g_driver.slots, operation->b, SLOT_MDL);
        if (request->mdl == NULL || !mdl_chain_is_whole(request->mdl)) {
            return DMARIG_OUTCOME_BAD_SLOT;
        }
    }
    request->context = slot_find(&g_driver.slots, operation->c, SLOT_CONTEXT);
    request->execution = ExAllocatePool2(POOL_NON_PAGED, sizeof(struct execution), POOL_TAG);
    if (request->execution == NULL) {
        return DMARIG_OUTCOME_NO_MEMORY;
    }
    KeInitializeEvent(&request->execution->done, NotificationEvent, FALSE);
    request->execution->in_call = 1;
    return DMARIG_OUTCOME_DONE;
}

/* False when the routine has not run in that time. Above PASSIVE_LEVEL there is no waiting. */
static bool await_execution(struct execution *execution, uint64_t microseconds)
{
    if (execution->runs == 0 && KeGetCurrentIrql() == PASSIVE_LEVEL) {
        LARGE_INTEGER timeout;
        timeout.QuadPart = -10 * (LONGLONG)microseconds;
        (void)KeWaitForSingleObject(&execution->done, Executive, KernelMode, FALSE, &timeout);
    }
    return execution->runs != 0;
}

void request_called(const struct operation_call *call, struct new_request *request, KIRQL irql)
{
    request->execution->in_call = 0;
    transfer_lower(call, irql);
}

uint16_t request_end(struct operation_call *call, struct new_request *request,
                     enum slot_kind kind, NTSTATUS status)
{
    const DMARIG_Operation *operation = call->operation;
    struct execution *execution = request->execution;
    call->result->status = (uint32_t)status;
    if (!NT_SUCCESS(status)) {
        /* The routine of a failed request never runs; should it have, that is what to report. */
        call->result->value[1] = (uint64_t)execution->runs;
        if (request->buffer != NULL) {
            ExFreePoolWithTag(request->buffer, POOL_TAG);
        }
        ExFreePoolWithTag(execution, POOL_TAG);
        return DMARIG_OUTCOME_DONE;
    }
    struct slot *slot = slot_take(&g_driver.slots, operation->dst, kind);
    struct request_object *object = &slot->object.request;
    object->adapter = slot_reference_to(&g_driver.slots, request->adapter);
    if (request->context != NULL) {
        object->context = slot_reference_to(&g_driver.slots, request->context);
    }
    object->execution = execution;
    object->buffer = request->buffer;
    if (execution->given != NULL && execution->runs == 0) {
        /* Synchronous and without a routine: the adapter object is the caller's. */
        object->held = true;
    } else if ((operation->flags & DMARIG_OP_FLAG_NO_WAIT) == 0) {
        (void)await_execution(execution, EXECUTION_WAIT_US);
    }
    return DMARIG_OUTCOME_DONE;
}

void list_report(struct operation_call *call, const DMA_LIST *list)
{
    ULONG count = list->NumberOfElements;
    ULONG shown = count < DMARIG_LIST_ELEMENTS_MAX ? count : DMARIG_LIST_ELEMENTS_MAX;
    call->result->value[0] = count;
    call->result->virtual_address = (uint64_t)(ULONG_PTR)list;
    call->result->length = 0;
    uint64_t *reply = (uint64_t *)operation_reply(call, shown * 16);
    for (ULONG i = 0; reply != NULL && i < shown; i++) {
        reply[2 * i] = (uint64_t)list->Elements[i].Address.QuadPart;
        reply[2 * i + 1] = list->Elements[i].Length;
        call->result->length += list->Elements[i].Length;
    }
    if (count > 0) {
        call->result->logical_address = (uint64_t)list->Elements[0].Address.QuadPart;
    }
}

void request_report(struct operation_call *call, const struct slot *slot)
{
    const struct execution *execution = slot->object.request.execution;
    call->result->value[1] = (uint64_t)execution->runs;
    call->result->value[2] = (uint64_t)execution->bits;
    if (execution->given == NULL || slot->object.request.over) {
        return;
    }
    if (slot->kind == SLOT_LIST) {
        list_report(call, execution->given);
    } else {
        call->result->virtual_address = (uint64_t)(ULONG_PTR)execution->given;
    }
}

struct slot *request_find(uint32_t index, enum slot_kind kind, DMA_ADAPTER_V3 **dma)
{
    struct slot *slot = slot_find(&g_driver.slots, index, kind);
    if (slot == NULL) {
        return NULL;
    }
    struct slot *adapter =
        slot_resolve(&g_driver.slots, slot->object.request.adapter, SLOT_ADAPTER);
    if (adapter == NULL) {
        return NULL;
    }
    *dma = adapter_of(adapter);
    return slot;
}

uint16_t op_request_query(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct slot *slot = slot_find(&g_driver.slots, operation->a, SLOT_LIST);
    if (slot == NULL) {
        slot = slot_find(&g_driver.slots, operation->a, SLOT_CHANNEL);
    }
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (operation->arg[0] > EXECUTION_WAIT_US) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    (void)await_execution(slot->object.request.execution, operation->arg[0]);
    request_report(call, slot);
    return DMARIG_OUTCOME_DONE;
}

static bool is_request(const struct slot *slot)
{
    return slot->kind == SLOT_LIST || slot->kind == SLOT_CHANNEL;
}

void requests_let_go(const struct slot *adapter, bool registers)
{
    struct slot_reference reference = slot_reference_to(&g_driver.slots, adapter);
    for (struct slot *slot = slot_newest(&g_driver.slots); slot != NULL;
         slot = slot_older(&g_driver.slots, slot)) {
        if (is_request(slot) && slot->object.request.held &&
            slot->object.request.adapter.generation == reference.generation) {
            slot->object.request.held = false;
            slot->object.request.over = slot->object.request.over || registers;
        }
    }
}

void request_drop(struct slot *slot)
{
    const struct request_object object = slot->object.request;
    slot_drop(&g_driver.slots, slot);
    if (object.buffer != NULL) {
        ExFreePoolWithTag(object.buffer, POOL_TAG);
    }
    ExFreePoolWithTag(object.execution, POOL_TAG);
}

/* Gives back what a request that had its turn still has. */
static void give_back(struct slot *slot, DMA_ADAPTER_V3 *dma)
{
    const struct request_object *object = &slot->object.request;
    DMA_OPERATIONS_V3 *operations = dma->DmaOperations;
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    late_flush_now(dma, object->execution);
    if (!object->over && slot->kind == SLOT_LIST) {
        operations->PutScatterGatherList(dma, object->execution->given, object->write_to_device);
    }
    if (object->held && object->execution->runs != 0) {
        operations->FreeAdapterChannel(dma);
    } else if (object->held) {
        operations->FreeAdapterObject(dma, 2);
    } else if (!object->over && slot->kind == SLOT_CHANNEL &&
               object->execution->action == DeallocateObjectKeepRegisters) {
        operations->FreeMapRegisters(dma, object->execution->given, object->registers);
    }
    KeLowerIrql(irql);
}

/* True when the request could be ended now: it has had its turn, or cannot have one any more. */
static bool end_request(struct slot *slot, bool is_last_chance)
{
    struct slot *adapter =
        slot_resolve(&g_driver.slots, slot->object.request.adapter, SLOT_ADAPTER);
    struct execution *execution = slot->object.request.execution;
    if (slot->object.request.cancelled) {
        /* Nothing to give back. */
    } else if (adapter == NULL) {
        LOG("a channel or list outlived its adapter\n");
    } else if (execution->given != NULL) {
        give_back(slot, adapter_of(adapter));
    } else if (!is_last_chance) {
        return false;
    } else if (!await_execution(execution, EXECUTION_WAIT_US)) {
        struct slot *context =
            slot_resolve(&g_driver.slots, slot->object.request.context, SLOT_CONTEXT);
        DMA_ADAPTER_V3 *dma = adapter_of(adapter);
        struct device *device = dut_present(adapter->object.adapter.dut);
        if (context == NULL || device == NULL ||
            !dma->DmaOperations->CancelAdapterChannel(dma, device->pdo,
                                                      context->object.context.memory)) {
            /* Its routine may still come: what it notes must stay. */
            LOG("a request for the adapter object cannot be ended\n");
            slot_drop(&g_driver.slots, slot);
            return true;
        }
    } else {
        give_back(slot, adapter_of(adapter));
    }
    request_drop(slot);
    return true;
}

/* Requests that wait get their turn when others are ended, so the rest is looked at again. */
uint32_t transfers_release(bool (*is_meant)(const struct slot *slot, uint32_t dut), uint32_t dut)
{
    uint32_t count = 0;
    for (int round = 0; round < 2; round++) {
        struct slot *slot = slot_newest(&g_driver.slots);
        while (slot != NULL) {
            struct slot *older = slot_older(&g_driver.slots, slot);
            if (is_request(slot) && is_meant(slot, dut) && end_request(slot, round == 1)) {
                count++;
            }
            slot = older;
        }
    }
    return count;
}

void context_release(struct slot *slot)
{
    PVOID memory = slot->object.context.memory;
    slot_drop(&g_driver.slots, slot);
    ExFreePoolWithTag(memory, POOL_TAG);
}

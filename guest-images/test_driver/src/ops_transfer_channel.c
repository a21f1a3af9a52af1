/* Operations on adapter channels, map registers and transfer contexts. */
#include "ops_transfer.h"

static uint16_t finish(struct operation_call *call, struct new_request *request, NTSTATUS status)
{
    uint16_t outcome = request_end(call, request, SLOT_CHANNEL, status);
    struct slot *slot = slot_find(&g_driver.slots, call->operation->dst, SLOT_CHANNEL);
    if (slot != NULL) {
        struct request_object *object = &slot->object.request;
        object->registers = (uint32_t)call->operation->arg[0];
        object->held = object->held || object->execution->action == KeepObject;
        /* DeallocateObject: nothing is left of it. */
        object->over = object->execution->action == DeallocateObject;
        request_report(call, slot);
    }
    return outcome;
}

static bool arguments_are_bounded(const DMARIG_Operation *operation)
{
    return operation->arg[0] <= UINT32_MAX && operation->arg[1] <= UINT32_MAX;
}

uint16_t op_channel_allocate(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct new_request request;
    if (!arguments_are_bounded(call->operation)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint16_t outcome = request_begin(call, false, &request);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    request.execution->action = (ULONG)arg[1];
    KIRQL irql = transfer_raise(call);
    NTSTATUS status = request.operations->AllocateAdapterChannel(
        request.dma, request.device->self, (ULONG)arg[0], channel_routine, request.execution);
    request_called(call, &request, irql);
    return finish(call, &request, status);
}

uint16_t op_channel_allocate_ex(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct new_request request;
    if (!arguments_are_bounded(call->operation)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint16_t outcome = request_begin(call, false, &request);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    if (!DMA_HAS_MEMBER(request.adapter->object.adapter.requested_version, request.operations,
                        AllocateAdapterChannelEx)) {
        ExFreePoolWithTag(request.execution, POOL_TAG);
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    request.execution->action = (ULONG)arg[1];
    uint64_t bits = arg[4] >> 32;
    PVOID context = request.context != NULL ? request.context->object.context.memory : NULL;
    DMA_CHANNEL_ROUTINE *routine =
        (bits & DMARIG_REQUEST_NO_ROUTINE) != 0 ? NULL : channel_routine;
    PVOID base = NULL;
    KIRQL irql = transfer_raise(call);
    NTSTATUS status = request.operations->AllocateAdapterChannelEx(
        request.dma, request.device->pdo, context, (ULONG)arg[0], (ULONG)arg[4], routine,
        request.execution, (bits & DMARIG_REQUEST_OUT) != 0 ? &base : NULL);
    request_called(call, &request, irql);
    if (NT_SUCCESS(status) && routine == NULL) {
        request.execution->given = base;
        /* There is no routine to return an action. */
        request.execution->action = KeepObject;
    }
    return finish(call, &request, status);
}

uint16_t op_channel_free(struct operation_call *call)
{
    DMA_ADAPTER_V3 *dma;
    struct slot *adapter = transfer_adapter(call->operation->a, &dma);
    if (adapter == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    KIRQL irql = transfer_raise(call);
    dma->DmaOperations->FreeAdapterChannel(dma);
    transfer_lower(call, irql);
    requests_let_go(adapter, true);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_adapter_object_free(struct operation_call *call)
{
    DMA_ADAPTER_V3 *dma;
    struct slot *adapter = transfer_adapter(call->operation->a, &dma);
    uint64_t action = call->operation->arg[0];
    if (adapter == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (action > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (!DMA_HAS_MEMBER(adapter->object.adapter.requested_version, dma->DmaOperations,
                        FreeAdapterObject)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    dma->DmaOperations->FreeAdapterObject(dma, (ULONG)action);
    if (action == DeallocateObject || action == DeallocateObjectKeepRegisters) {
        /* From here on its registers are freed by FreeMapRegisters, if at all. */
        for (struct slot *slot = slot_newest(&g_driver.slots); slot != NULL;
             slot = slot_older(&g_driver.slots, slot)) {
            if (slot->kind == SLOT_CHANNEL && slot->object.request.held) {
                slot->object.request.execution->action = (ULONG)action;
            }
        }
        requests_let_go(adapter, action == DeallocateObject);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_channel_free_registers(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    DMA_ADAPTER_V3 *dma;
    struct slot *slot = request_find(operation->a, SLOT_CHANNEL, &dma);
    if (slot == NULL || slot->object.request.execution->given == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct request_object *object = &slot->object.request;
    uint64_t count = object->registers;
    if ((operation->flags & DMARIG_OP_FLAG_OVERRIDE) != 0) {
        count = operation->arg[0];
    }
    if (count > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    KIRQL irql = transfer_raise(call);
    late_flush_now(dma, object->execution);
    dma->DmaOperations->FreeMapRegisters(dma, object->execution->given, (ULONG)count);
    transfer_lower(call, irql);
    object->over = true;
    if ((operation->flags & DMARIG_OP_FLAG_KEEP) == 0 && !object->held) {
        request_drop(slot);
    }
    return DMARIG_OUTCOME_DONE;
}

/* Adapter `a` with the version 3 table, and context `c` as the program names it, also none. */
static uint16_t adapter_and_context(const struct operation_call *call, struct slot **adapter,
                                    DMA_ADAPTER_V3 **dma, PVOID *context)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->c, SLOT_CONTEXT);
    *adapter = transfer_adapter(call->operation->a, dma);
    if (*adapter == NULL || (slot == NULL && call->operation->c != DMARIG_SLOT_NONE)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    *context = slot != NULL ? slot->object.context.memory : NULL;
    return DMA_HAS_MEMBER((*adapter)->object.adapter.requested_version, (*dma)->DmaOperations,
                          CancelMappedTransfer)
               ? DMARIG_OUTCOME_DONE
               : DMARIG_OUTCOME_MEMBER_MISSING;
}

uint16_t op_channel_cancel(struct operation_call *call)
{
    struct slot *adapter;
    DMA_ADAPTER_V3 *dma;
    PVOID context;
    uint16_t outcome = adapter_and_context(call, &adapter, &dma, &context);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    struct device *device = dut_present(adapter->object.adapter.dut);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    BOOLEAN cancelled = dma->DmaOperations->CancelAdapterChannel(dma, device->pdo, context);
    call->result->value[0] = cancelled;
    if (!cancelled || context == NULL) {
        return DMARIG_OUTCOME_DONE;
    }
    /* The request that waited with it will never run. */
    struct slot *slot = slot_newest(&g_driver.slots);
    while (slot != NULL) {
        struct slot *older = slot_older(&g_driver.slots, slot);
        if ((slot->kind == SLOT_CHANNEL || slot->kind == SLOT_LIST) &&
            slot->object.request.context.generation != 0 &&
            slot->object.request.context.index == call->operation->c &&
            slot->object.request.execution->runs == 0) {
            slot->object.request.over = true;
            slot->object.request.held = false;
            slot->object.request.execution->action = KeepObject;
            slot->object.request.cancelled = true;
        }
        slot = older;
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_transfer_cancel(struct operation_call *call)
{
    struct slot *adapter;
    DMA_ADAPTER_V3 *dma;
    PVOID context;
    uint16_t outcome = adapter_and_context(call, &adapter, &dma, &context);
    if (outcome == DMARIG_OUTCOME_DONE) {
        call->result->status = (uint32_t)dma->DmaOperations->CancelMappedTransfer(dma, context);
    }
    return outcome;
}

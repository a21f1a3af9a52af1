/* Operations on scatter/gather lists. */
#include "ops_transfer.h"

/* Longest list buffer, in bytes, that an operation may ask for. */
#define LIST_BUFFER_MAX (1u << 20)

/* Lengths and directions go to the call as they are, as far as its types hold them. */
static bool arguments_are_bounded(const DMARIG_Operation *operation)
{
    return operation->arg[1] <= UINT32_MAX && operation->arg[2] <= 1 &&
           operation->arg[3] <= LIST_BUFFER_MAX;
}

/* A buffer of exactly that many bytes, so that the guard behind it is near. */
static uint16_t take_buffer(const struct operation_call *call, struct new_request *request)
{
    SIZE_T length = (SIZE_T)call->operation->arg[3];
    request->buffer = ExAllocatePool2(POOL_NON_PAGED, length != 0 ? length : 8, POOL_TAG);
    if (request->buffer == NULL) {
        ExFreePoolWithTag(request->execution, POOL_TAG);
        return DMARIG_OUTCOME_NO_MEMORY;
    }
    return DMARIG_OUTCOME_DONE;
}

static uint16_t forget(struct new_request *request, uint16_t outcome)
{
    if (request->buffer != NULL) {
        ExFreePoolWithTag(request->buffer, POOL_TAG);
    }
    ExFreePoolWithTag(request->execution, POOL_TAG);
    return outcome;
}

/* Ends the operation that has asked for a list. */
static uint16_t finish(struct operation_call *call, struct new_request *request, NTSTATUS status)
{
    uint16_t outcome = request_end(call, request, SLOT_LIST, status);
    struct slot *slot = slot_find(&g_driver.slots, call->operation->dst, SLOT_LIST);
    if (slot != NULL) {
        slot->object.request.write_to_device = call->operation->arg[2] != 0;
        request_report(call, slot);
    }
    return outcome;
}

uint16_t op_list_get(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct new_request request;
    if (!arguments_are_bounded(call->operation)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint16_t outcome = request_begin(call, true, &request);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    PMDL mdl = request.mdl->object.mdl.mdl;
    KIRQL irql = transfer_raise(call);
    NTSTATUS status = request.operations->GetScatterGatherList(
        request.dma, request.device->self, mdl, current_va(mdl, arg[0]), (ULONG)arg[1],
        list_routine, request.execution, (BOOLEAN)arg[2]);
    request_called(call, &request, irql);
    return finish(call, &request, status);
}

uint16_t op_list_build(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct new_request request;
    if (!arguments_are_bounded(call->operation)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint16_t outcome = request_begin(call, true, &request);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    if (!DMA_HAS_MEMBER_2(request.adapter->object.adapter.requested_version, request.operations,
                          BuildScatterGatherList)) {
        return forget(&request, DMARIG_OUTCOME_MEMBER_MISSING);
    }
    outcome = take_buffer(call, &request);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    PMDL mdl = request.mdl->object.mdl.mdl;
    KIRQL irql = transfer_raise(call);
    NTSTATUS status = request.operations->BuildScatterGatherList(
        request.dma, request.device->self, mdl, current_va(mdl, arg[0]), (ULONG)arg[1],
        list_routine, request.execution, (BOOLEAN)arg[2], request.buffer, (ULONG)arg[3]);
    request_called(call, &request, irql);
    return finish(call, &request, status);
}

/* Both calls of version 3; `build` tells which. */
static uint16_t get_or_build(struct operation_call *call, bool build)
{
    const uint64_t *arg = call->operation->arg;
    struct new_request request;
    if (!arguments_are_bounded(call->operation)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint16_t outcome = request_begin(call, true, &request);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    DMA_OPERATIONS_V3 *operations = request.operations;
    uint32_t version = request.adapter->object.adapter.requested_version;
    if (build ? !DMA_HAS_MEMBER(version, operations, BuildScatterGatherListEx)
              : !DMA_HAS_MEMBER(version, operations, GetScatterGatherListEx)) {
        return forget(&request, DMARIG_OUTCOME_MEMBER_MISSING);
    }
    if (build && (outcome = take_buffer(call, &request)) != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    PMDL mdl = request.mdl->object.mdl.mdl;
    PVOID context = request.context != NULL ? request.context->object.context.memory : NULL;
    ULONG flags = (ULONG)arg[4];
    uint64_t bits = arg[4] >> 32;
    DMA_LIST_ROUTINE *routine = (bits & DMARIG_REQUEST_NO_ROUTINE) != 0 ? NULL : list_routine;
    /* Never called by a bus master's adapter, so any routine will do. */
    PVOID completion = (bits & DMARIG_REQUEST_COMPLETION) != 0 ? (PVOID)list_routine : NULL;
    DMA_LIST *list = NULL;
    DMA_LIST **out = (bits & DMARIG_REQUEST_OUT) != 0 ? &list : NULL;
    KIRQL irql = transfer_raise(call);
    NTSTATUS status =
        build ? operations->BuildScatterGatherListEx(
                    request.dma, request.device->pdo, context, mdl, arg[0], (ULONG)arg[1], flags,
                    routine, request.execution, (BOOLEAN)arg[2], request.buffer, (ULONG)arg[3],
                    completion, NULL, out)
              : operations->GetScatterGatherListEx(
                    request.dma, request.device->pdo, context, mdl, arg[0], (ULONG)arg[1], flags,
                    routine, request.execution, (BOOLEAN)arg[2], completion, NULL, out);
    request_called(call, &request, irql);
    if (NT_SUCCESS(status) && routine == NULL) {
        request.execution->given = list != NULL ? list : request.buffer;
    }
    return finish(call, &request, status);
}

uint16_t op_list_get_ex(struct operation_call *call)
{
    return get_or_build(call, false);
}

uint16_t op_list_build_ex(struct operation_call *call)
{
    return get_or_build(call, true);
}

uint16_t op_list_put(struct operation_call *call)
{
    DMA_ADAPTER_V3 *dma;
    struct slot *slot = request_find(call->operation->a, SLOT_LIST, &dma);
    if (slot == NULL || slot->object.request.execution->given == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (call->operation->arg[0] > 1) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    struct request_object *object = &slot->object.request;
    if (g_driver.sabotage == SABOTAGE_SKIP_FLUSH) {
        /* Put when everything is released: far too late for who looks at the data now. */
        return DMARIG_OUTCOME_DONE;
    }
    KIRQL irql = transfer_raise(call);
    dma->DmaOperations->PutScatterGatherList(dma, object->execution->given,
                                             (BOOLEAN)call->operation->arg[0]);
    transfer_lower(call, irql);
    object->over = true;
    if ((call->operation->flags & DMARIG_OP_FLAG_KEEP) == 0 && !object->held) {
        request_drop(slot);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_list_mdl(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    DMA_ADAPTER_V3 *dma;
    struct slot *slot = request_find(operation->a, SLOT_LIST, &dma);
    struct slot *mdl = slot_find(&g_driver.slots, operation->b, SLOT_MDL);
    if (slot == NULL || slot->object.request.execution->given == NULL ||
        (mdl == NULL && operation->b != DMARIG_SLOT_NONE)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct slot *adapter =
        slot_resolve(&g_driver.slots, slot->object.request.adapter, SLOT_ADAPTER);
    if (!DMA_HAS_MEMBER_2(adapter->object.adapter.requested_version, dma->DmaOperations,
                          BuildMdlFromScatterGatherList)) {
        return DMARIG_OUTCOME_MEMBER_MISSING;
    }
    PMDL original = mdl != NULL ? mdl->object.mdl.mdl : NULL;
    PMDL target = NULL;
    call->result->status = (uint32_t)dma->DmaOperations->BuildMdlFromScatterGatherList(
        dma, slot->object.request.execution->given, original, &target);
    call->result->virtual_address = (uint64_t)(ULONG_PTR)target;
    call->result->value[0] = target == original;
    return DMARIG_OUTCOME_DONE;
}

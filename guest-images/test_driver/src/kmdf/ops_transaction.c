/* Operations on DMA transactions. */
#include "kmdf.h"

struct transaction_context {
    uint32_t calls;
    uint32_t direction;
    uint32_t count;
    BOOLEAN returns;
    bool under_way; /* executed, and not over */
    DMARIG_KmdfElement elements[DMARIG_KMDF_TRANSACTION_ELEMENTS];
};

static CONTEXT_TYPE(transaction_type, "transaction", sizeof(struct transaction_context));

static struct transaction_context *context_of(WDFDMATRANSACTION transaction)
{
    return WdfObjectGetTypedContextWorker(transaction, &transaction_type);
}

/* The transaction in a slot whose device is there. */
static WDFDMATRANSACTION transaction_in(uint32_t index)
{
    struct slot *slot = slot_find(&g_driver.slots, index, SLOT_TRANSACTION);
    bool usable = slot != NULL && object_device(slot->object.framework.dut) != NULL;
    return usable ? slot->object.framework.handle : NULL;
}

/* The program starts the device itself, by the elements that are kept here. */
static BOOLEAN NTAPI evt_program_dma(WDFDMATRANSACTION transaction, WDFDEVICE device,
                                     PVOID unused, ULONG direction, PSCATTER_GATHER_LIST list)
{
    struct transaction_context *context = context_of(transaction);
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(unused);
    context->calls++;
    context->direction = direction;
    context->count = min(list->NumberOfElements, DMARIG_KMDF_TRANSACTION_ELEMENTS);
    for (uint32_t i = 0; i < context->count; i++) {
        context->elements[i].address = (uint64_t)list->Elements[i].Address.QuadPart;
        context->elements[i].length_bytes = list->Elements[i].Length;
    }
    object_log(transaction, DMARIG_KMDF_EVENT_PROGRAM_DMA, list->NumberOfElements);
    return context->returns;
}

uint16_t op_kmdf_transaction_create(struct operation_call *call)
{
    WDF_OBJECT_ATTRIBUTES storage;
    WDF_OBJECT_ATTRIBUTES *attributes;
    struct slot *enabler = object_find(call->operation->a, FRAMEWORK_ENABLER);
    if (enabler == NULL || !slot_is_free(&g_driver.slots, call->operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (!object_attributes(call, 0, &storage, &attributes)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    WDFDMATRANSACTION transaction = NULL;
    NTSTATUS status =
        WdfDmaTransactionCreate(enabler->object.framework.handle, attributes, &transaction);
    call->result->status = (uint32_t)status;
    if (!NT_SUCCESS(status)) {
        return DMARIG_OUTCOME_DONE;
    }
    WDF_OBJECT_ATTRIBUTES own = attributes_with(&transaction_type);
    PVOID context;
    status = WdfObjectAllocateContext(transaction, &own, &context);
    if (!NT_SUCCESS(status)) {
        WdfObjectDelete(transaction);
        return DMARIG_OUTCOME_NO_MEMORY;
    }
    object_keep_transaction(call, transaction, enabler);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_transaction_initialize(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    WDFDMATRANSACTION transaction = transaction_in(call->operation->a);
    struct slot *mdl = slot_find(&g_driver.slots, call->operation->b, SLOT_MDL);
    if (transaction == NULL || mdl == NULL || !mdl_chain_is_whole(mdl)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[2] > UINT32_MAX || arg[3] > 1 || arg[4] > 1) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    struct transaction_context *context = context_of(transaction);
    context->calls = 0;
    context->count = 0;
    context->returns = (BOOLEAN)arg[3];
    PMDL memory = mdl->object.mdl.mdl;
    PVOID start = (PUCHAR)MmGetMdlVirtualAddress(memory) + arg[0];
    NTSTATUS status =
        arg[4] != 0
            ? WdfDmaTransactionInitializeUsingOffset(transaction, evt_program_dma, (ULONG)arg[2],
                                                     memory, (SIZE_T)arg[0], (SIZE_T)arg[1])
            : WdfDmaTransactionInitialize(transaction, evt_program_dma, (ULONG)arg[2], memory,
                                          start, (SIZE_T)arg[1]);
    call->result->status = (uint32_t)status;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_transaction_execute(struct operation_call *call)
{
    WDFDMATRANSACTION transaction = transaction_in(call->operation->a);
    if (transaction == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    NTSTATUS status = WdfDmaTransactionExecute(transaction, NULL);
    call->result->status = (uint32_t)status;
    if (NT_SUCCESS(status)) {
        context_of(transaction)->under_way = true;
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_transaction_elements(struct operation_call *call)
{
    WDFDMATRANSACTION transaction = transaction_in(call->operation->a);
    if (transaction == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    const struct transaction_context *context = context_of(transaction);
    call->result->value[0] = context->calls;
    call->result->value[1] = context->direction;
    call->result->value[2] = WdfDmaTransactionGetCurrentDmaTransferLength(transaction);
    uint32_t length = context->count * (uint32_t)sizeof(context->elements[0]);
    uint8_t *reply = operation_reply(call, length);
    if (reply != NULL) {
        memcpy(reply, context->elements, length);
    }
    return DMARIG_OUTCOME_DONE;
}

static BOOLEAN complete(WDFDMATRANSACTION transaction, uint64_t kind, SIZE_T length,
                        NTSTATUS *status)
{
    BOOLEAN over;
    switch (kind) {
    case DMARIG_KMDF_COMPLETED:
        over = WdfDmaTransactionDmaCompleted(transaction, status);
        break;
    case DMARIG_KMDF_COMPLETED_WITH_LENGTH:
        over = WdfDmaTransactionDmaCompletedWithLength(transaction, length, status);
        break;
    default:
        over = WdfDmaTransactionDmaCompletedFinal(transaction, length, status);
        break;
    }
    if (over) {
        context_of(transaction)->under_way = false;
    }
    return over;
}

uint16_t op_kmdf_transaction_completed(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    WDFDMATRANSACTION transaction = transaction_in(call->operation->a);
    if (transaction == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (arg[0] > DMARIG_KMDF_COMPLETED_FINAL || !context_of(transaction)->under_way) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    NTSTATUS status = STATUS_SUCCESS;
    call->result->value[0] = complete(transaction, arg[0], (SIZE_T)arg[1], &status);
    call->result->value[1] = WdfDmaTransactionGetBytesTransferred(transaction);
    call->result->status = (uint32_t)status;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_transaction_release(struct operation_call *call)
{
    WDFDMATRANSACTION transaction = transaction_in(call->operation->a);
    if (transaction == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    call->result->status = (uint32_t)WdfDmaTransactionRelease(transaction);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_transaction_set_maximum_length(struct operation_call *call)
{
    WDFDMATRANSACTION transaction = transaction_in(call->operation->a);
    if (transaction == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    WdfDmaTransactionSetMaximumLength(transaction, (SIZE_T)call->operation->arg[0]);
    return DMARIG_OUTCOME_DONE;
}

void front_release_transaction(struct slot *slot)
{
    WDFDMATRANSACTION transaction = slot->object.framework.handle;
    slot_drop(&g_driver.slots, slot);
    if (context_of(transaction)->under_way) {
        NTSTATUS status;
        (void)complete(transaction, DMARIG_KMDF_COMPLETED_FINAL, 0, &status);
    }
    WdfObjectDelete(transaction);
}

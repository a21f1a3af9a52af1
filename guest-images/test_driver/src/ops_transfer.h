/* What the operations of packet DMA share. */
#pragma once

#include "front.h"

/* How long an operation waits for an execution routine. */
#define EXECUTION_WAIT_US 1000000ull

/* A flush that a sabotage has put off. */
struct late_flush {
    PMDL mdl; /* NULL when there is none */
    uint64_t offset;
    ULONG length;
    bool write_to_device;
    bool extended;
};

/* What the execution routine of a request notes. It may run after the call that asked for it, from a
 * DPC, so it lies in memory of its own. */
struct execution {
    KEVENT done;
    PDEVICE_OBJECT device;
    volatile LONG in_call; /* the call that asked for it has not returned */
    volatile LONG runs;
    volatile LONG bits; /* DMARIG_EXECUTION_*, of the first run */
    PVOID given;        /* MapRegisterBase or list */
    ULONG action;       /* what AdapterControl returns */
    struct late_flush late;
};

/* A request about to be put: what its operation names. */
struct new_request {
    struct slot *adapter;
    DMA_ADAPTER_V3 *dma;
    DMA_OPERATIONS_V3 *operations;
    struct device *device;
    struct slot *mdl;     /* of a list */
    struct slot *context; /* transfer context or NULL */
    struct execution *execution;
    PVOID buffer; /* of a list that is built */
};

DMA_CHANNEL_ROUTINE channel_routine;
DMA_LIST_ROUTINE list_routine;

/* The adapter in `index`, and its table. */
struct slot *transfer_adapter(uint32_t index, DMA_ADAPTER_V3 **dma);

/* The member takes DISPATCH_LEVEL: raises to it unless the program wants its own IRQL. */
KIRQL transfer_raise(const struct operation_call *call);
void transfer_lower(const struct operation_call *call, KIRQL irql);

/* Finds and allocates what a request needs; DMARIG_OUTCOME_DONE when all is there. */
uint16_t request_begin(const struct operation_call *call, bool is_list, struct new_request *request);
/* The call has returned: what runs from here on does not run in it. Lowers the IRQL. */
void request_called(const struct operation_call *call, struct new_request *request, KIRQL irql);
/* The call has returned `status`: keeps the request in its slot, or forgets it. */
uint16_t request_end(struct operation_call *call, struct new_request *request,
                     enum slot_kind kind, NTSTATUS status);
/* Fills the result of a list or a channel. */
void request_report(struct operation_call *call, const struct slot *slot);
/* Fills the part of a result that comes from a list. */
void list_report(struct operation_call *call, const DMA_LIST *list);

/* The channel or list in `index` whose adapter still lives, or NULL. */
struct slot *request_find(uint32_t index, enum slot_kind kind, DMA_ADAPTER_V3 **dma);
/* No request of this adapter has the adapter object any more; with `registers`, its map registers are
 * gone, too. */
void requests_let_go(const struct slot *adapter, bool registers);
/* Forgets a request that is over. */
void request_drop(struct slot *slot);

/* ops_transfer_map.c: makes up for the flush that a sabotage has put off. */
void late_flush_now(DMA_ADAPTER_V3 *dma, struct execution *execution);
/* Start of the buffer that the MDL describes; an index, not always an address. */
static inline PVOID current_va(PMDL mdl, uint64_t offset)
{
    return (PUCHAR)MmGetMdlVirtualAddress(mdl) + offset;
}

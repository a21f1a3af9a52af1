/* Handlers of all operations, by file, and what they share; the table is in operations.c. */
#pragma once

#include "dma_v3.h"
#include "driver.h"

/* Longest memory, in bytes, that one operation may ask for. */
#define MEMORY_MAX_BYTES (256ull << 20)

/* Memory that the CPU may touch; base is NULL when there is none. */
struct cpu_view {
    volatile uint8_t *base;
    uint64_t length;
};

/* ops_mdl.c: what the CPU sees of an MDL; empty when it or its backing is not mapped. */
struct cpu_view mdl_view(struct slot *slot);
/* The MDL of the chain that begins at `head` and holds byte *offset; *offset becomes the offset in
 * it. NULL when the chain is broken, loops, or ends before. */
struct slot *mdl_at_offset(struct slot *head, uint64_t *offset);
/* True when each MDL of the chain that begins at `head` lives. */
bool mdl_chain_is_whole(struct slot *head);
void mdl_release(struct slot *slot);

/* guarded.c: MmProbeAndLockPages in kernel mode; the code of the exception that it raised, or
 * STATUS_SUCCESS. */
NTSTATUS guarded_lock_pages(PMDL mdl, LOCK_OPERATION operation);

/* ops_memory.c */
void memory_release(struct slot *slot);

/* ops_buffer.c */
bool buffer_release(struct slot *slot);
/* Both slots of an operation that makes a buffer or vector; NULL when one is wrong. */
struct slot *adapter_for_new_buffer(const struct operation_call *call);
/* Puts a buffer into its slot. */
struct buffer_object *keep_buffer(const struct operation_call *call, struct slot *adapter,
                                  PVOID virtual_address, PHYSICAL_ADDRESS logical_address,
                                  uint32_t length);
struct cpu_view buffer_view(struct slot *slot);

/* ops_adapter.c */
DMA_ADAPTER_V3 *adapter_of(const struct slot *slot);
void adapter_release(struct slot *slot);

/* release.c: deletes a framework object and empties the slots of all below it. */
void object_release(struct slot *slot);
/* Empties the slots of what lay below framework objects that are in no slot any more. */
void release_forget_orphans(void);

/* ops_transfer.c: requests that `is_meant` says are to go; gives their number. */
uint32_t transfers_release(bool (*is_meant)(const struct slot *slot, uint32_t dut), uint32_t dut);
void context_release(struct slot *slot);

/* ops_ring.c */
void ring_release(struct slot *slot);

/* ops_vector.c */
void vector_release(struct slot *slot);
/* Frees the element that is in a buffer's slot. False when its vector or adapter is gone. */
bool vector_element_release(const struct buffer_object *buffer);

/* transfer.c: one request to a channel. */
struct transfer {
    struct device *device;
    uint32_t channel;
    uint16_t opcode; /* DMARIG_DMA_OP_* */
    uint16_t flags;  /* DMARIG_DESCRIPTOR_FLAG_* */
    uint64_t source;
    uint64_t destination;
    uint64_t length;
    uint64_t seed;
    bool by_interrupt;
    uint64_t deadline_us;
    uint8_t irql;
    uint32_t stalls; /* short waits so far */
    bool interrupt_seen;
};
uint16_t transfer_by_registers(struct transfer *transfer, DMARIG_OperationResult *result);
uint16_t transfer_by_ring(struct transfer *transfer, DMARIG_OperationResult *result);
/* Waits a little for the channel: by its event, by delay or by stall. False when time is up. */
bool transfer_wait(struct transfer *transfer);
/* Forgets interrupts of earlier requests. */
void transfer_arm(struct transfer *transfer);
/* After the end was seen: waits for the interrupt that belongs to it, within bounds. */
void transfer_settle(struct transfer *transfer);

/* ops_driver.c */
uint16_t op_ping(struct operation_call *call);
uint16_t op_query_driver(struct operation_call *call);
uint16_t op_release_all(struct operation_call *call);
uint16_t op_delay(struct operation_call *call);
uint16_t op_fetch_stored(struct operation_call *call);
uint16_t op_forget(struct operation_call *call);

/* ops_adapter.c */
uint16_t op_adapter_open(struct operation_call *call);
uint16_t op_adapter_put(struct operation_call *call);
uint16_t op_adapter_alignment(struct operation_call *call);
uint16_t op_adapter_info(struct operation_call *call);

/* ops_domain.c */
uint16_t op_domain_get(struct operation_call *call);
uint16_t op_domain_join(struct operation_call *call);
uint16_t op_domain_leave(struct operation_call *call);
uint16_t op_flush_dma_buffer(struct operation_call *call);
uint16_t op_buffer_allocate_domain(struct operation_call *call);

/* ops_vector.c */
uint16_t op_vector_allocate(struct operation_call *call);
uint16_t op_vector_get(struct operation_call *call);
uint16_t op_vector_free_element(struct operation_call *call);
uint16_t op_vector_free(struct operation_call *call);

/* ops_buffer.c */
uint16_t op_buffer_allocate(struct operation_call *call);
uint16_t op_buffer_allocate_ex(struct operation_call *call);
uint16_t op_buffer_allocate_with_bounds(struct operation_call *call);
uint16_t op_buffer_create_from_mdl(struct operation_call *call);
uint16_t op_buffer_free(struct operation_call *call);

/* ops_memory.c */
uint16_t op_memory_allocate(struct operation_call *call);
uint16_t op_memory_free(struct operation_call *call);

/* ops_mdl.c, ops_mdl_pages.c */
uint16_t op_mdl_allocate(struct operation_call *call);
uint16_t op_mdl_free(struct operation_call *call);
uint16_t op_mdl_build_nonpaged(struct operation_call *call);
uint16_t op_mdl_probe_and_lock(struct operation_call *call);
uint16_t op_mdl_unlock(struct operation_call *call);
uint16_t op_mdl_map(struct operation_call *call);
uint16_t op_mdl_unmap(struct operation_call *call);
uint16_t op_mdl_allocate_pages(struct operation_call *call);
uint16_t op_mdl_free_pages(struct operation_call *call);
uint16_t op_mdl_chain(struct operation_call *call);
uint16_t op_mdl_query(struct operation_call *call);
uint16_t op_mdl_build_partial(struct operation_call *call);

/* ops_cpu.c */
uint16_t op_cpu_fill(struct operation_call *call);
uint16_t op_cpu_check(struct operation_call *call);
uint16_t op_cpu_read(struct operation_call *call);
uint16_t op_cpu_write(struct operation_call *call);
uint16_t op_cpu_touch(struct operation_call *call);

/* ops_device.c, ops_ring.c */
uint16_t op_device_transfer(struct operation_call *call);
uint16_t op_device_read_register(struct operation_call *call);
uint16_t op_device_write_register(struct operation_call *call);
uint16_t op_interrupt_state(struct operation_call *call);
uint16_t op_ring_open(struct operation_call *call);
uint16_t op_ring_close(struct operation_call *call);

/* ops_transfer_info.c */
uint16_t op_transfer_context_initialize(struct operation_call *call);
uint16_t op_transfer_context_raw(struct operation_call *call);
uint16_t op_transfer_info(struct operation_call *call);
uint16_t op_list_calculate(struct operation_call *call);

/* ops_transfer_list.c */
uint16_t op_list_get(struct operation_call *call);
uint16_t op_list_build(struct operation_call *call);
uint16_t op_list_get_ex(struct operation_call *call);
uint16_t op_list_build_ex(struct operation_call *call);
uint16_t op_list_put(struct operation_call *call);
uint16_t op_list_mdl(struct operation_call *call);

/* ops_transfer.c */
uint16_t op_request_query(struct operation_call *call);

/* ops_transfer_channel.c */
uint16_t op_channel_allocate(struct operation_call *call);
uint16_t op_channel_allocate_ex(struct operation_call *call);
uint16_t op_channel_free(struct operation_call *call);
uint16_t op_channel_free_registers(struct operation_call *call);
uint16_t op_adapter_object_free(struct operation_call *call);
uint16_t op_channel_cancel(struct operation_call *call);
uint16_t op_transfer_cancel(struct operation_call *call);

/* ops_transfer_map.c */
uint16_t op_transfer_map(struct operation_call *call);
uint16_t op_transfer_map_ex(struct operation_call *call);
uint16_t op_transfer_flush(struct operation_call *call);
uint16_t op_transfer_flush_ex(struct operation_call *call);

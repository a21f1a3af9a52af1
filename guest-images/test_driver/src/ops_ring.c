/*
 * Descriptor rings: both rings of a channel are common buffers, the driver fills descriptors and
 * rings CH_RING_TAIL, the device writes completion entries with a phase bit.
 */
#include "operations.h"

/* Bit of the third value: at least one access went by message. */

static uint64_t block(uint32_t channel)
{
    return DMARIG_CHANNEL_BASE + channel * DMARIG_CHANNEL_STRIDE;
}

static ULONG ring_bytes(const struct ring_object *ring)
{
    return ring->entries * DMARIG_DESCRIPTOR_SIZE_BYTES;
}
_Static_assert(DMARIG_DESCRIPTOR_SIZE_BYTES == DMARIG_COMPLETION_SIZE_BYTES, "equal rings");

/* Tells the device where the rings are; both restart at entry 0, phase 1. */
static void program_ring(struct device *device, struct ring_object *ring)
{
    const struct bar *registers = &device->dut.registers;
    uint64_t base = block(ring->channel);
    ring->head = 0;
    ring->tail = 0;
    ring->phase = DMARIG_COMPLETION_FLAG_PHASE;
    memset(ring->descriptors, 0, ring_bytes(ring));
    memset(ring->completions, 0, ring_bytes(ring));
    memory_barrier();
    write_u32(registers, base + DMARIG_CH_RING_CONTROL, 0);
    write_u64(registers, base + DMARIG_CH_RING_BASE, ring->descriptor_address);
    write_u64(registers, base + DMARIG_CH_COMPLETION_BASE, ring->completion_address);
    write_u32(registers, base + DMARIG_CH_RING_ENTRIES, ring->entries);
    write_u32(registers, base + DMARIG_CH_RING_CONTROL, DMARIG_RING_ENABLE);
}

/* The read answers after the write has taken effect: then the device has left the rings. */
static void quiesce_ring(struct device *device, uint32_t channel)
{
    write_u32(&device->dut.registers, block(channel) + DMARIG_CH_RING_CONTROL, 0);
    (void)read_u32(&device->dut.registers, block(channel) + DMARIG_CH_RING_CONTROL);
}

static struct slot *ring_of(struct device *device, uint32_t channel)
{
    return slot_resolve(&g_driver.slots, device->dut.channel[channel].ring, SLOT_RING);
}

void ring_restart_all(struct device *device)
{
    for (uint32_t channel = 0; channel < device->dut.channels; channel++) {
        struct slot *slot = ring_of(device, channel);
        if (slot != NULL) {
            program_ring(device, &slot->object.ring);
        }
    }
}

static void free_memory(DMA_ADAPTER_V3 *adapter, const struct ring_object *ring, PVOID memory,
                        uint64_t logical_address)
{
    if (memory != NULL) {
        PHYSICAL_ADDRESS logical;
        logical.QuadPart = (LONGLONG)logical_address;
        adapter->DmaOperations->FreeCommonBuffer(adapter, ring_bytes(ring), logical, memory, TRUE);
    }
}

static PVOID allocate_memory(DMA_ADAPTER_V3 *adapter, const struct ring_object *ring,
                             uint64_t *logical_address)
{
    PHYSICAL_ADDRESS logical;
    logical.QuadPart = -1;
    PVOID memory =
        adapter->DmaOperations->AllocateCommonBuffer(adapter, ring_bytes(ring), &logical, TRUE);
    *logical_address = (uint64_t)logical.QuadPart;
    return memory;
}

/* Allocates both rings, or nothing. */
static bool allocate_rings(DMA_ADAPTER_V3 *adapter, struct ring_object *ring)
{
    ring->descriptors = allocate_memory(adapter, ring, &ring->descriptor_address);
    ring->completions = allocate_memory(adapter, ring, &ring->completion_address);
    if (ring->descriptors != NULL && ring->completions != NULL) {
        return true;
    }
    free_memory(adapter, ring, ring->descriptors, ring->descriptor_address);
    free_memory(adapter, ring, ring->completions, ring->completion_address);
    return false;
}

uint16_t op_ring_open(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    struct device *device = dut_started(operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    struct slot *adapter = slot_find(&g_driver.slots, operation->b, SLOT_ADAPTER);
    if (adapter == NULL || adapter->object.adapter.dut != operation->a ||
        !slot_is_free(&g_driver.slots, operation->dst)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (operation->c >= device->dut.channels || operation->arg[0] == 0 ||
        operation->arg[0] > DMARIG_RING_MAX_ENTRIES || ring_of(device, operation->c) != NULL) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    struct ring_object ring = {
        .adapter = slot_reference_to(&g_driver.slots, adapter),
        .dut = operation->a,
        .channel = operation->c,
        .entries = (uint32_t)operation->arg[0],
    };
    if (!allocate_rings(adapter_of(adapter), &ring)) {
        return DMARIG_OUTCOME_NULL;
    }
    struct slot *slot = slot_take(&g_driver.slots, operation->dst, SLOT_RING);
    slot->object.ring = ring;
    device->dut.channel[ring.channel].ring = slot_reference_to(&g_driver.slots, slot);
    program_ring(device, &slot->object.ring);
    call->result->virtual_address = (uint64_t)(ULONG_PTR)ring.descriptors;
    call->result->logical_address = ring.descriptor_address;
    call->result->length = ring_bytes(&ring);
    call->result->value[0] = ring.completion_address;
    return DMARIG_OUTCOME_DONE;
}

void ring_release(struct slot *slot)
{
    const struct ring_object ring = slot->object.ring;
    struct device *device = dut_started(ring.dut);
    struct slot *adapter = slot_resolve(&g_driver.slots, ring.adapter, SLOT_ADAPTER);
    slot_drop(&g_driver.slots, slot);
    if (device != NULL) {
        /* Out of D0 the engine has been reset, and rings are off. */
        quiesce_ring(device, ring.channel);
    }
    if (adapter != NULL) {
        free_memory(adapter_of(adapter), &ring, ring.descriptors, ring.descriptor_address);
        free_memory(adapter_of(adapter), &ring, ring.completions, ring.completion_address);
    }
}

uint16_t op_ring_close(struct operation_call *call)
{
    struct slot *slot = slot_find(&g_driver.slots, call->operation->a, SLOT_RING);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    ring_release(slot);
    return DMARIG_OUTCOME_DONE;
}

/* Takes the next completion entry if the device has written it. */
static bool take_completion(struct ring_object *ring, DMARIG_CompletionEntry *entry)
{
    const volatile DMARIG_CompletionEntry *entries = ring->completions;
    if ((entries[ring->head].flags & DMARIG_COMPLETION_FLAG_PHASE) != ring->phase) {
        return false;
    }
    /* The rest of the entry is read after its phase bit. */
    memory_barrier();
    const volatile uint64_t *from = (const volatile uint64_t *)&entries[ring->head];
    for (uint32_t i = 0; i < sizeof(*entry) / sizeof(uint64_t); i++) {
        ((uint64_t *)entry)[i] = from[i];
    }
    ring->head++;
    if (ring->head == ring->entries) {
        ring->head = 0;
        ring->phase ^= DMARIG_COMPLETION_FLAG_PHASE;
    }
    return true;
}

/* Fills the next descriptor and rings the doorbell; false when the ring is full. */
static bool post(const struct transfer *transfer, struct ring_object *ring, uint64_t *tag)
{
    uint32_t next = ring->tail + 1 == ring->entries ? 0 : ring->tail + 1;
    if (next == ring->head) {
        return false;
    }
    *tag = ring->next_tag++;
    const DMARIG_Descriptor descriptor = {
        .opcode = transfer->opcode,
        .flags = transfer->flags,
        .tag = *tag,
        .source = transfer->source,
        .destination = transfer->destination,
        .length_bytes = transfer->length,
        .seed = transfer->seed,
    };
    volatile uint64_t *to = (volatile uint64_t *)((DMARIG_Descriptor *)ring->descriptors +
                                                  ring->tail);
    for (uint32_t i = 0; i < sizeof(descriptor) / sizeof(uint64_t); i++) {
        to[i] = ((const uint64_t *)&descriptor)[i];
    }
    ring->tail = next;
    memory_barrier();
    write_u32(&transfer->device->dut.registers, block(ring->channel) + DMARIG_CH_RING_TAIL, next);
    return true;
}

static void report(const DMARIG_CompletionEntry *entry, DMARIG_OperationResult *result)
{
    result->value[0] = entry->crc32c;
    result->value[1] = entry->mismatch_offset;
    result->value[2] = entry->status | (uint64_t)entry->expected << 16 |
                       (uint64_t)entry->seen << 24;
    if ((entry->flags & DMARIG_COMPLETION_FLAG_MESSAGE) != 0) {
        result->value[2] |= DMARIG_TRANSFER_VALUE_BY_MESSAGE;
    }
    result->length = entry->done_bytes;
    result->epoch = entry->epoch;
}

/* The first completion entry with this tag; entries of requests that were given up earlier are passed
 * over. One turn of the ring at most: whatever the device writes, the caller sees its deadline. */
static bool find_completion(struct ring_object *ring, uint64_t tag, DMARIG_CompletionEntry *entry)
{
    for (uint32_t i = 0; i < ring->entries && take_completion(ring, entry); i++) {
        if (entry->tag == tag) {
            return true;
        }
    }
    return false;
}

/* The request will not be completed, because the device has stopped the ring: why. */
static uint16_t report_stop(uint32_t status, DMARIG_OperationResult *result)
{
    if (status == UINT32_MAX) {
        /* The device does not answer any more. */
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    result->value[1] = UINT64_MAX;
    result->value[2] = status & 0xffff;
    return DMARIG_OUTCOME_DONE;
}

uint16_t transfer_by_ring(struct transfer *transfer, DMARIG_OperationResult *result)
{
    struct slot *slot = ring_of(transfer->device, transfer->channel);
    if (slot == NULL) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    struct ring_object *ring = &slot->object.ring;
    const struct bar *registers = &transfer->device->dut.registers;
    DMARIG_CompletionEntry entry;
    uint64_t tag;
    transfer_arm(transfer);
    if (!post(transfer, ring, &tag)) {
        return DMARIG_OUTCOME_TIMEOUT;
    }
    while (!find_completion(ring, tag, &entry)) {
        bool in_time = transfer_wait(transfer);
        uint32_t status = read_u32(registers, block(ring->channel) + DMARIG_CH_RING_STATUS);
        if (find_completion(ring, tag, &entry)) {
            break;
        }
        if (status != DMARIG_DMA_STATUS_SUCCESS) {
            return report_stop(status, result);
        }
        if (!in_time) {
            return DMARIG_OUTCOME_TIMEOUT;
        }
    }
    transfer_settle(transfer);
    report(&entry, result);
    return DMARIG_OUTCOME_DONE;
}

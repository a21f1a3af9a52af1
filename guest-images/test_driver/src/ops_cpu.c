/* Operations that touch memory with the CPU. */
#include "operations.h"

#include "crc32c.h"
#include "pattern.h"

/* Bytes that OP_CPU_READ gives. */
#define READ_MAX_BYTES 4096u
/* Bytes that are touched in one operation above PASSIVE_LEVEL: threads wait meanwhile. */
#define RAISED_MAX_BYTES 0x10000u

/* What the CPU sees of the object at `index`; false when there is no such object. */
static bool view_of(uint32_t index, struct cpu_view *view)
{
    struct slot *slot;
    if ((slot = slot_find(&g_driver.slots, index, SLOT_MEMORY)) != NULL) {
        *view = (struct cpu_view){slot->object.memory.virtual_address, slot->object.memory.length};
    } else if ((slot = slot_find(&g_driver.slots, index, SLOT_MDL)) != NULL) {
        *view = mdl_view(slot);
    } else if ((slot = slot_find(&g_driver.slots, index, SLOT_BUFFER)) != NULL) {
        *view = buffer_view(slot);
    } else {
        return false;
    }
    return view->base != NULL;
}

/* Narrows the view of object `a` to bytes offset..offset + length. */
static uint16_t range_of(const struct operation_call *call, uint64_t offset, uint64_t length,
                         struct cpu_view *range)
{
    struct cpu_view view;
    if (!view_of(call->operation->a, &view)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    if (offset > view.length || length > view.length - offset ||
        (call->environment->irql > IRQL_PASSIVE && length > RAISED_MAX_BYTES)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    *range = (struct cpu_view){view.base + offset, length};
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_cpu_fill(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct cpu_view range;
    uint16_t outcome = range_of(call, arg[0], arg[1], &range);
    if (outcome == DMARIG_OUTCOME_DONE) {
        call->result->value[0] = pattern_fill(arg[2], range.base, range.length);
        call->result->length = range.length;
    }
    return outcome;
}

uint16_t op_cpu_check(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct cpu_view range;
    uint16_t outcome = range_of(call, arg[0], arg[1], &range);
    if (outcome == DMARIG_OUTCOME_DONE) {
        struct pattern_check check = pattern_compare(arg[2], range.base, range.length);
        call->result->value[0] = check.crc32c;
        call->result->value[1] = check.mismatch_offset;
        call->result->value[2] = (uint64_t)check.expected | (uint64_t)check.seen << 8;
        call->result->length = range.length;
    }
    return outcome;
}

uint16_t op_cpu_read(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct cpu_view range;
    if (arg[1] > READ_MAX_BYTES) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint16_t outcome = range_of(call, arg[0], arg[1], &range);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    uint8_t *reply = operation_reply(call, (uint32_t)range.length);
    for (uint64_t i = 0; reply != NULL && i < range.length; i++) {
        reply[i] = range.base[i];
    }
    call->result->length = range.length;
    return outcome;
}

/* Beyond the object on purpose: what lies there is the system's to guard. */
uint16_t op_cpu_touch(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct cpu_view view;
    if (!view_of(call->operation->a, &view)) {
        return DMARIG_OUTCOME_BAD_SLOT;
    }
    volatile uint8_t *byte = (volatile uint8_t *)((ULONG_PTR)view.base + (ULONG_PTR)arg[0]);
    if ((call->operation->flags & DMARIG_OP_FLAG_OVERRIDE) != 0) {
        *byte = (uint8_t)arg[1];
    } else {
        call->result->value[0] = *byte;
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_cpu_write(struct operation_call *call)
{
    struct cpu_view range;
    uint16_t outcome =
        range_of(call, call->operation->arg[0], call->operation->data_length_bytes, &range);
    if (outcome != DMARIG_OUTCOME_DONE) {
        return outcome;
    }
    for (uint64_t i = 0; i < range.length; i++) {
        range.base[i] = call->data[i];
    }
    call->result->length = range.length;
    return outcome;
}

/* Operations on the driver itself. */
#include "operations.h"

/* Longest OP_DELAY, in microseconds. */
#define DELAY_MAX_US 1000000u

uint16_t op_ping(struct operation_call *call)
{
    call->result->value[0] = call->operation->arg[0];
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_query_driver(struct operation_call *call)
{
    uint64_t started = 0;
    for (uint32_t i = 0; i < MAX_DUTS; i++) {
        started += dut_started(i) != NULL;
    }
    struct device *control = g_driver.control;
    call->result->value[0] = DMARIG_MAILBOX_VERSION;
    call->result->value[1] = started;
    call->result->value[2] =
        control != NULL && control->interrupt.mode == INTERRUPT_MESSAGE &&
        control->interrupt.serviced > 0;
    call->result->length = g_driver.slots.count;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_release_all(struct operation_call *call)
{
    call->result->value[0] = release_all();
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_forget(struct operation_call *call)
{
    static const enum slot_kind forgettable[] = {SLOT_ADAPTER, SLOT_BUFFER, SLOT_MEMORY, SLOT_MDL};
    for (size_t i = 0; i < sizeof(forgettable) / sizeof(forgettable[0]); i++) {
        struct slot *slot = slot_find(&g_driver.slots, call->operation->a, forgettable[i]);
        if (slot != NULL) {
            slot_drop(&g_driver.slots, slot);
            return DMARIG_OUTCOME_DONE;
        }
    }
    return DMARIG_OUTCOME_BAD_SLOT;
}

uint16_t op_delay(struct operation_call *call)
{
    uint64_t wait = call->operation->arg[0];
    bool raised = call->environment->irql > IRQL_PASSIVE;
    if (wait > (raised ? STALL_MAX_US : DELAY_MAX_US)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    delay_us(wait);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_fetch_stored(struct operation_call *call)
{
    if (call->operation->a >= DMARIG_CONTEXT_COUNT) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    const struct stored_program *stored = &g_driver.stored[call->operation->a];
    if (stored->response == NULL) {
        return DMARIG_OUTCOME_NULL;
    }
    uint8_t *reply = operation_reply(call, stored->response_length);
    if (reply != NULL) {
        memcpy(reply, stored->response, stored->response_length);
    }
    return DMARIG_OUTCOME_DONE;
}

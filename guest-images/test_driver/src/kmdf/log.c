/* The log of the framework's callbacks, and its operations. */
#include "kmdf.h"

/* Callbacks that are kept; later ones are counted only. */
#define LOG_ENTRIES 1024u

static DMARIG_KmdfLogEntry entries[LOG_ENTRIES];
/* Callbacks that came, also those without room. */
static volatile LONG n_events;

void log_event(uint16_t event, uint32_t device, uint32_t slot, uint32_t value)
{
    uint32_t sequence = (uint32_t)InterlockedIncrement(&n_events) - 1;
    if (sequence < LOG_ENTRIES) {
        entries[sequence] = (DMARIG_KmdfLogEntry){
            .sequence = sequence,
            .event = event,
            .device = (uint16_t)device,
            .slot = slot,
            .value = value,
        };
    }
}

void log_device_event(const struct device *device, uint16_t event, uint32_t value)
{
    uint32_t number = device->role == ROLE_DUT ? device->dut.number : LOG_NO_DEVICE;
    log_event(event, number, DMARIG_SLOT_NONE, value);
}

uint16_t op_kmdf_log_read(struct operation_call *call)
{
    uint32_t came = (uint32_t)n_events;
    uint32_t kept = min(came, LOG_ENTRIES);
    uint64_t first = call->operation->arg[0];
    if (first > kept) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    uint32_t count = min(kept - (uint32_t)first, call->reply_capacity / (uint32_t)sizeof(*entries));
    call->result->value[0] = kept;
    call->result->value[1] = came - kept;
    uint8_t *reply = operation_reply(call, count * (uint32_t)sizeof(*entries));
    if (reply != NULL) {
        memcpy(reply, &entries[first], count * sizeof(*entries));
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_log_clear(struct operation_call *call)
{
    UNREFERENCED_PARAMETER(call);
    (void)InterlockedExchange(&n_events, 0);
    return DMARIG_OUTCOME_DONE;
}

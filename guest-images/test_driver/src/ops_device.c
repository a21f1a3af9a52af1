/* Operations on the device under test: registers, transfers, interrupts. */
#include "operations.h"
#include "recovery.h"

/* How long a transfer may take: with threads running, and with the processor kept from them. */
#define TRANSFER_PASSIVE_US 5000000ull
#define TRANSFER_RAISED_US 50000ull

/* Bit of the third value: an interrupt of the channel was seen. */

/* The register at arg[0] is naturally aligned and inside of the BAR. */
static bool register_is_valid(const uint64_t *arg)
{
    return (arg[1] == 4 || arg[1] == 8) && arg[0] % arg[1] == 0 &&
           arg[0] <= DMARIG_DUT_REGISTER_BAR_SIZE_BYTES - arg[1];
}

/* The device whose registers are mapped, in whatever power state. */
static struct device *mapped_device(uint32_t number)
{
    struct device *device = dut_present(number);
    return device != NULL && device->hardware ? device : NULL;
}

uint16_t op_device_read_register(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct device *device = mapped_device(call->operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (!register_is_valid(arg)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    const struct bar *registers = &device->dut.registers;
    call->result->value[0] =
        arg[1] == 8 ? read_u64(registers, arg[0]) : read_u32(registers, arg[0]);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_device_write_register(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    struct device *device = mapped_device(call->operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (!register_is_valid(arg) || (arg[1] == 4 && arg[2] > UINT32_MAX)) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    if (arg[1] == 8) {
        write_u64(&device->dut.registers, arg[0], arg[2]);
    } else {
        write_u32(&device->dut.registers, arg[0], (uint32_t)arg[2]);
    }
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_interrupt_state(struct operation_call *call)
{
    struct device *device = mapped_device(call->operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    const struct dut *dut = &device->dut;
    if (call->operation->c >= dut->channels) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    const struct interrupt *interrupt = &device->interrupt;
    call->result->length = (uint32_t)dut->channel[call->operation->c].interrupts;
    call->result->value[0] = interrupt->vectors;
    call->result->value[1] = (uint32_t)interrupt->serviced;
    call->result->value[2] = interrupt->mode == INTERRUPT_MESSAGE ? DMARIG_INTERRUPT_STATE_MESSAGES
                             : interrupt->mode == INTERRUPT_LINE  ? DMARIG_INTERRUPT_STATE_PIN
                                                                  : DMARIG_INTERRUPT_STATE_POLLING;
    call->result->value[2] |= (uint64_t)dut->channels << DMARIG_INTERRUPT_STATE_CHANNELS_SHIFT;
    return DMARIG_OUTCOME_DONE;
}

/* Sets source and destination by what the operation moves. */
static void address_transfer(struct transfer *transfer, uint64_t iova, uint64_t copy_destination)
{
    switch (transfer->opcode) {
    case DMARIG_DMA_OP_WRITE_PATTERN:
    case DMARIG_DMA_OP_FILL:
        transfer->destination = iova;
        break;
    case DMARIG_DMA_OP_COPY:
        transfer->source = iova;
        transfer->destination = copy_destination;
        break;
    default:
        transfer->source = iova;
        break;
    }
}

static uint16_t transfer_once(struct transfer *transfer, bool by_ring,
                              DMARIG_OperationResult *result)
{
    return by_ring ? transfer_by_ring(transfer, result) : transfer_by_registers(transfer, result);
}

/* What a driver of a real device does: a bounded wait, a reset, another attempt, and a report. */
static uint16_t transfer_recovering(struct transfer *transfer, bool by_ring,
                                    DMARIG_OperationResult *result)
{
    uint16_t outcome;
    uint32_t attempts = 0;
    enum recovery next;
    do {
        transfer->deadline_us = clock_us() + RECOVERY_WAIT_US;
        transfer->stalls = 0;
        result->value[2] = 0;
        outcome = transfer_once(transfer, by_ring, result);
        attempts++;
        next = recovery_after(outcome, (uint32_t)result->value[2] & 0xffff, attempts);
        if (g_driver.sabotage == SABOTAGE_NO_RECOVERY) {
            next = RECOVERY_ACCEPT;
        }
        bool is_reset = next == RECOVERY_RETRY || next == RECOVERY_GIVE_UP;
        if (is_reset && !hardware_recover(transfer->device)) {
            outcome = DMARIG_OUTCOME_NO_DEVICE;
            next = RECOVERY_GONE;
        }
    } while (next == RECOVERY_RETRY);
    result->value[2] |= (uint64_t)attempts << DMARIG_TRANSFER_VALUE_ATTEMPTS_SHIFT;
    return outcome;
}

uint16_t op_device_transfer(struct operation_call *call)
{
    const DMARIG_Operation *operation = call->operation;
    const uint64_t *arg = operation->arg;
    uint64_t mode = (arg[0] >> 32) & 0xff;
    bool by_ring = mode == DMARIG_TRANSFER_RING_POLL || mode == DMARIG_TRANSFER_RING_INTERRUPT;
    bool by_interrupt =
        mode == DMARIG_TRANSFER_REGISTER_INTERRUPT || mode == DMARIG_TRANSFER_RING_INTERRUPT;
    struct device *device = dut_started(operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (mode > DMARIG_TRANSFER_RING_INTERRUPT || operation->c >= device->dut.channels) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    bool raised = call->environment->irql > IRQL_PASSIVE;
    if (by_interrupt && raised) {
        /* Its DPC cannot run before this program ends. */
        return DMARIG_OUTCOME_WRONG_IRQL;
    }
    uint64_t iova = arg[1];
    if (operation->b != DMARIG_SLOT_NONE) {
        struct slot *buffer = slot_find(&g_driver.slots, operation->b, SLOT_BUFFER);
        if (buffer == NULL) {
            return DMARIG_OUTCOME_BAD_SLOT;
        }
        /* No bound here: reaching out of the buffer is a case. */
        iova += buffer->object.buffer.logical_address;
    }
    struct transfer transfer = {
        .device = device,
        .channel = operation->c,
        .opcode = (uint16_t)arg[0],
        .flags = (uint16_t)((uint16_t)(arg[0] >> 16) |
                            (by_interrupt ? DMARIG_DESCRIPTOR_FLAG_INTERRUPT : 0)),
        .length = arg[2],
        .seed = arg[3],
        .by_interrupt = by_interrupt,
        .deadline_us = clock_us() + (raised ? TRANSFER_RAISED_US : TRANSFER_PASSIVE_US),
        .irql = call->environment->irql,
    };
    call->result->logical_address = iova;
    if (g_driver.sabotage == SABOTAGE_TRUNCATE_ADDRESS) {
        iova = (uint32_t)iova;
    }
    address_transfer(&transfer, iova, arg[4]);
    bool recovers = (operation->flags & DMARIG_OP_FLAG_RECOVER) != 0 && !raised;
    uint16_t outcome = recovers ? transfer_recovering(&transfer, by_ring, call->result)
                                : transfer_once(&transfer, by_ring, call->result);
    if (transfer.interrupt_seen) {
        call->result->value[2] |= DMARIG_TRANSFER_VALUE_INTERRUPT_SEEN;
    }
    return outcome;
}

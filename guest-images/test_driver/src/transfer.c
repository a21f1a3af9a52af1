/* Requests to a channel by its registers, and waiting for the end of any request. */
#include "operations.h"

/* Bit of the third value: at least one access went by message. */
/* Steps of a wait: stalls first, since most requests end within microseconds. */
#define STALL_US 20u
#define STALLS 25u
#define DELAY_US 1000u
/* How long the interrupt may lag behind the end that it announces. */
#define INTERRUPT_LAG_US 200000ull

static uint64_t block(const struct transfer *transfer)
{
    return DMARIG_CHANNEL_BASE + transfer->channel * DMARIG_CHANNEL_STRIDE;
}

static struct channel *channel_of(const struct transfer *transfer)
{
    return &transfer->device->dut.channel[transfer->channel];
}

void transfer_arm(struct transfer *transfer)
{
    struct channel *channel = channel_of(transfer);
    if (transfer->by_interrupt) {
        (void)KeClearEvent(&channel->event);
        (void)InterlockedExchange(&channel->interrupts, 0);
    }
}

/* Waits for the channel's event, at most one millisecond. */
static void wait_for_event(struct transfer *transfer)
{
    LARGE_INTEGER interval;
    interval.QuadPart = -(LONGLONG)DELAY_US * 10;
    (void)KeWaitForSingleObject(&channel_of(transfer)->event, Executive, KernelMode, FALSE, &interval);
}

static bool note_interrupt(struct transfer *transfer)
{
    transfer->interrupt_seen = channel_of(transfer)->interrupts != 0;
    return transfer->interrupt_seen;
}

bool transfer_wait(struct transfer *transfer)
{
    if (clock_us() > transfer->deadline_us) {
        return false;
    }
    if (transfer->by_interrupt && transfer->device->interrupt.mode != INTERRUPT_NONE) {
        wait_for_event(transfer);
    } else if (transfer->irql > IRQL_PASSIVE || transfer->stalls < STALLS) {
        transfer->stalls++;
        delay_us(STALL_US);
    } else {
        delay_us(DELAY_US);
    }
    return true;
}

void transfer_settle(struct transfer *transfer)
{
    if (!transfer->by_interrupt || transfer->device->interrupt.mode == INTERRUPT_NONE) {
        return;
    }
    uint64_t end = clock_us() + INTERRUPT_LAG_US;
    while (!note_interrupt(transfer) && clock_us() < end) {
        wait_for_event(transfer);
    }
}

/* Whether the device's own state decides: it always does, whatever became of the interrupt. */
static bool may_end(struct transfer *transfer)
{
    return g_driver.sabotage != SABOTAGE_TRUST_INTERRUPT || !transfer->by_interrupt ||
           transfer->device->interrupt.mode == INTERRUPT_NONE || note_interrupt(transfer);
}

static void start(const struct transfer *transfer)
{
    const struct bar *registers = &transfer->device->dut.registers;
    uint64_t base = block(transfer);
    write_u64(registers, base + DMARIG_CH_SOURCE, transfer->source);
    write_u64(registers, base + DMARIG_CH_DESTINATION, transfer->destination);
    write_u64(registers, base + DMARIG_CH_LENGTH, transfer->length);
    write_u64(registers, base + DMARIG_CH_SEED, transfer->seed);
    /* What the CPU wrote to the buffer is visible before the doorbell. */
    memory_barrier();
    write_u32(registers, base + DMARIG_CH_COMMAND,
              (uint32_t)transfer->opcode | (uint32_t)transfer->flags << 16);
}

static void report(const struct transfer *transfer, uint32_t status,
                   DMARIG_OperationResult *result)
{
    const struct bar *registers = &transfer->device->dut.registers;
    uint64_t base = block(transfer);
    uint32_t bytes = read_u32(registers, base + DMARIG_CH_MISMATCH_BYTES);
    result->value[0] = read_u32(registers, base + DMARIG_CH_CRC);
    result->value[1] = read_u64(registers, base + DMARIG_CH_MISMATCH_OFFSET);
    result->value[2] = (status & 0xffff) | (uint64_t)(bytes & 0xffff) << 16;
    if ((status & DMARIG_CH_STATUS_MESSAGE) != 0) {
        result->value[2] |= DMARIG_TRANSFER_VALUE_BY_MESSAGE;
    }
    result->length = read_u64(registers, base + DMARIG_CH_DONE_BYTES);
    result->epoch = read_u64(registers, base + DMARIG_CH_EPOCH);
}

uint16_t transfer_by_registers(struct transfer *transfer, DMARIG_OperationResult *result)
{
    const struct bar *registers = &transfer->device->dut.registers;
    uint64_t status_register = block(transfer) + DMARIG_CH_STATUS;
    transfer_arm(transfer);
    start(transfer);
    uint32_t status = read_u32(registers, status_register);
    while (status != UINT32_MAX &&
           ((status & DMARIG_CH_STATUS_BUSY) != 0 || !may_end(transfer))) {
        if (!transfer_wait(transfer)) {
            return DMARIG_OUTCOME_TIMEOUT;
        }
        status = read_u32(registers, status_register);
    }
    if (status == UINT32_MAX) {
        /* The device does not answer any more. */
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    transfer_settle(transfer);
    report(transfer, status, result);
    return DMARIG_OUTCOME_DONE;
}

/*
 * What an interrupt of either function means; connecting it is the front's.
 *
 * A device under test says in REG_INTERRUPT_CAUSE and its upper half which channels have ended a
 * request. With a vector for each channel they need not be read; with fewer vectors, or a line, they
 * decide.
 */
#include "driver.h"

#define PER_REGISTER DMARIG_CHANNELS_PER_INTERRUPT_REGISTER

uint64_t interrupt_all_channels(const struct dut *dut)
{
    return UINT64_MAX >> (DMARIG_DUT_MAX_CHANNELS - dut->channels);
}

void interrupt_enable(const struct dut *dut, uint64_t channels)
{
    write_u32(&dut->registers, DMARIG_REG_INTERRUPT_ENABLE, (uint32_t)channels);
    if (dut->channels > PER_REGISTER) {
        write_u32(&dut->registers, DMARIG_REG_INTERRUPT_ENABLE_HIGH,
                  (uint32_t)(channels >> PER_REGISTER));
    }
}

/* The channels that have ended a request, whatever the vector; none of a device that is gone. */
static uint64_t read_cause(const struct dut *dut)
{
    uint64_t cause = read_u32(&dut->registers, DMARIG_REG_INTERRUPT_CAUSE);
    bool all_ones = cause == UINT32_MAX;
    if (dut->channels > PER_REGISTER) {
        uint32_t high = read_u32(&dut->registers, DMARIG_REG_INTERRUPT_CAUSE_HIGH);
        all_ones = all_ones || high == UINT32_MAX;
        cause |= (uint64_t)high << PER_REGISTER;
    }
    /* With so many channels all ones may be the truth; another register knows. */
    if (all_ones && read_u32(&dut->registers, DMARIG_REG_ID) != DMARIG_DUT_ID_VALUE) {
        return 0;
    }
    return cause & interrupt_all_channels(dut);
}

static void clear_cause(const struct dut *dut, uint64_t channels)
{
    if ((uint32_t)channels != 0) {
        write_u32(&dut->registers, DMARIG_REG_INTERRUPT_CAUSE, (uint32_t)channels);
    }
    if (channels >> PER_REGISTER != 0) {
        write_u32(&dut->registers, DMARIG_REG_INTERRUPT_CAUSE_HIGH,
                  (uint32_t)(channels >> PER_REGISTER));
    }
}

/* Clears the cause of the channels that `vector` may speak for; gives their bits. */
static uint64_t take_channels(struct device *device, uint32_t vector)
{
    const struct interrupt *interrupt = &device->interrupt;
    const struct dut *dut = &device->dut;
    uint64_t channels;
    if (interrupt->mode == INTERRUPT_MESSAGE && interrupt->vectors >= dut->channels) {
        channels = vector < dut->channels ? 1ull << vector : 0;
    } else {
        channels = read_cause(dut);
    }
    clear_cause(dut, channels);
    return channels;
}

bool interrupt_service(struct device *device, uint32_t vector)
{
    uint64_t pending = 1;
    if (device->role == ROLE_DUT) {
        pending = take_channels(device, vector);
        if (pending == 0) {
            return false;
        }
    }
    (void)InterlockedIncrement(&device->interrupt.serviced);
    (void)InterlockedOr64(&device->interrupt.pending, (LONG64)pending);
    return true;
}

void interrupt_finish(struct device *device)
{
    uint64_t pending = (uint64_t)InterlockedExchange64(&device->interrupt.pending, 0);
    if (device->role == ROLE_CONTROL) {
        (void)KeSetEvent(&device->control.wake, IO_NO_INCREMENT, FALSE);
        return;
    }
    for (uint32_t number = 0; number < device->dut.channels; number++) {
        if ((pending & (1ull << number)) != 0) {
            struct channel *channel = &device->dut.channel[number];
            (void)InterlockedIncrement(&channel->interrupts);
            (void)KeSetEvent(&channel->event, IO_NO_INCREMENT, FALSE);
        }
    }
}

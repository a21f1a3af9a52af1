/*
 * What an interrupt of either function means; connecting it is the front's.
 *
 * A device under test says in REG_INTERRUPT_CAUSE which channels have ended a request. With a vector
 * for each channel that register need not be read; with fewer vectors, or a line, it decides.
 */
#include "driver.h"

#define ALL_CHANNELS ((1u << DMARIG_DUT_CHANNELS) - 1)

/* Clears the cause of the channels that `vector` may speak for; gives their bits. */
static uint32_t take_channels(struct device *device, uint32_t vector)
{
    struct interrupt *interrupt = &device->interrupt;
    uint32_t channels;
    if (interrupt->mode == INTERRUPT_MESSAGE && interrupt->vectors >= DMARIG_DUT_CHANNELS) {
        channels = vector < DMARIG_DUT_CHANNELS ? 1u << vector : 0;
    } else {
        channels = read_u32(&device->dut.registers, DMARIG_REG_INTERRUPT_CAUSE);
        /* All ones: the device does not answer any more. */
        channels = channels == UINT32_MAX ? 0 : channels & ALL_CHANNELS;
    }
    if (channels != 0) {
        write_u32(&device->dut.registers, DMARIG_REG_INTERRUPT_CAUSE, channels);
    }
    return channels;
}

bool interrupt_service(struct device *device, uint32_t vector)
{
    uint32_t pending = 1;
    if (device->role == ROLE_DUT) {
        pending = take_channels(device, vector);
        if (pending == 0) {
            return false;
        }
    }
    (void)InterlockedIncrement(&device->interrupt.serviced);
    (void)InterlockedOr(&device->interrupt.pending, (LONG)pending);
    return true;
}

void interrupt_finish(struct device *device)
{
    uint32_t pending = (uint32_t)InterlockedExchange(&device->interrupt.pending, 0);
    if (device->role == ROLE_CONTROL) {
        (void)KeSetEvent(&device->control.wake, IO_NO_INCREMENT, FALSE);
        return;
    }
    for (uint32_t channel = 0; channel < DMARIG_DUT_CHANNELS; channel++) {
        if ((pending & (1u << channel)) != 0) {
            (void)InterlockedIncrement(&device->dut.channel_interrupts[channel]);
            (void)KeSetEvent(&device->dut.channel_event[channel], IO_NO_INCREMENT, FALSE);
        }
    }
}

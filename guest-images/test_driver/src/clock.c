/* Time: a microsecond clock for deadlines, and waiting that suits the IRQL. */
#include "driver.h"

uint64_t clock_us(void)
{
    LARGE_INTEGER frequency;
    LARGE_INTEGER now = KeQueryPerformanceCounter(&frequency);
    uint64_t ticks = (uint64_t)now.QuadPart;
    uint64_t per_second = frequency.QuadPart > 0 ? (uint64_t)frequency.QuadPart : 1;
    /* Seconds and rest apart, so that the product does not wrap after weeks of uptime. */
    return ticks / per_second * 1000000 + ticks % per_second * 1000000 / per_second;
}

void delay_us(uint64_t microseconds)
{
    if (KeGetCurrentIrql() > PASSIVE_LEVEL || microseconds <= STALL_MAX_US) {
        KeStallExecutionProcessor((ULONG)min(microseconds, STALL_MAX_US));
        return;
    }
    LARGE_INTEGER interval;
    interval.QuadPart = -(LONGLONG)(microseconds * 10);
    (void)KeDelayExecutionThread(KernelMode, FALSE, &interval);
}

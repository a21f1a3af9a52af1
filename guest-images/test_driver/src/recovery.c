/*
 * When to try again.
 *
 * A time-out and an error of the bus may be gone the next time; a request that the device or the IOMMU
 * refuses for what it is will be refused again, and data that differ are an answer.
 */
#include "recovery.h"

static bool may_pass(uint32_t dma_status)
{
    switch (dma_status) {
    case DMARIG_DMA_STATUS_SUCCESS:
    case DMARIG_DMA_STATUS_MISMATCH:
    case DMARIG_DMA_STATUS_UNMAPPED:
    case DMARIG_DMA_STATUS_PERMISSION:
    case DMARIG_DMA_STATUS_REFUSED:
    case DMARIG_DMA_STATUS_OPCODE:
    case DMARIG_DMA_STATUS_LENGTH:
    case DMARIG_DMA_STATUS_ADDRESS:
        return false;
    default:
        return true;
    }
}

enum recovery recovery_after(uint16_t outcome, uint32_t dma_status, uint32_t attempts)
{
    bool again;
    switch (outcome) {
    case DMARIG_OUTCOME_NO_DEVICE:
        return RECOVERY_GONE;
    case DMARIG_OUTCOME_TIMEOUT:
        again = true;
        break;
    case DMARIG_OUTCOME_DONE:
        again = may_pass(dma_status);
        break;
    default:
        again = false;
        break;
    }
    if (!again) {
        return RECOVERY_ACCEPT;
    }
    return attempts < RECOVERY_ATTEMPTS ? RECOVERY_RETRY : RECOVERY_GIVE_UP;
}

/* What a driver does about a request that did not end well: whether to try again. Portable. */
#pragma once

#include "platform.h"

/* Attempts of one request, and how long each may take. */
#define RECOVERY_ATTEMPTS 3u
#define RECOVERY_WAIT_US 250000ull

enum recovery {
    RECOVERY_ACCEPT,  /* the answer stands, good or bad: it is reported */
    RECOVERY_RETRY,   /* the engine is reset, and the request made again */
    RECOVERY_GIVE_UP, /* the engine is reset, and the failure reported */
    RECOVERY_GONE,    /* the device does not answer: nothing is written to it any more */
};

/* After attempt number `attempts` (from 1) has ended with an outcome and, where it is OUTCOME_DONE, with the
 * device's status. */
enum recovery recovery_after(uint16_t outcome, uint32_t dma_status, uint32_t attempts);

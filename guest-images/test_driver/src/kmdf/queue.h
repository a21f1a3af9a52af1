/*
 * Queues of programs: what their callbacks do with a new request, and the requests that they keep.
 *
 * The callbacks run wherever the framework calls them, often inside of an operation that holds the
 * driver's lock: they take no lock, and share a ring with the operations by interlocked steps.
 */
#pragma once

#include "kmdf.h"

/* Replaces each callback but NULL by the driver's own. */
void queue_set_callbacks(WDF_IO_QUEUE_CONFIG *config);

/* Tells a new queue what to do with requests: DMARIG_KMDF_QUEUE_*, a status, the queue to forward to. */
NTSTATUS queue_set_mode(WDFQUEUE queue, uint64_t mode, NTSTATUS status, WDFQUEUE target);

/* The oldest request that the queue's callbacks have kept, or NULL; it is the caller's. */
WDFREQUEST queue_take_kept(WDFQUEUE queue);

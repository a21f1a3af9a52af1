/*
 * What the shared part asks of the front that the driver is built with: wdm/ or kmdf/.
 */
#pragma once

#include "operations.h"

/* Calls `routine` at the IRQL and under the lock of the device's first connected interrupt; false
 * when none is connected. */
bool front_run_in_interrupt(struct device *device, void (*routine)(void *context), void *context);

/* Descriptor `index` of a device's translated resources, or NULL behind the last one. */
const CM_PARTIAL_RESOURCE_DESCRIPTOR *front_resource(void *resources, ULONG index);

/* Has the bus driver reset the function, at PASSIVE_LEVEL. Everything that the driver has set in it is
 * gone afterwards; addresses, messages and bus mastering are not. STATUS_NOT_SUPPORTED where it cannot. */
NTSTATUS front_reset_function(struct device *device);

/* Deletes a framework object; takes back one reference to it. */
void front_delete_object(void *object);
void front_dereference_object(void *object);

/* Completes a request of the framework that is in a slot; ends one that was sent. Both empty it. */
void front_release_request(struct slot *slot);
void front_release_sent(struct slot *slot);
/* Ends a DMA transaction and deletes it; empties the slot. */
void front_release_transaction(struct slot *slot);

/* The row of an operation that only this front has, or NULL. */
const struct operation_entry *front_operation_find(uint16_t opcode);

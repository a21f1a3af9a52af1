/* The driver as a whole: its state, and the lock. */
#include "driver.h"

struct driver g_driver;

NTSTATUS driver_initialize(PUNICODE_STRING service_path)
{
    PVOID slots = ExAllocatePool2(POOL_NON_PAGED, SLOT_TABLE_BYTES, POOL_TAG);
    if (slots == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    slot_table_initialize(&g_driver.slots, slots);
    KeInitializeEvent(&g_driver.lock, SynchronizationEvent, TRUE);
    registry_read_parameters(service_path);
    return STATUS_SUCCESS;
}

void driver_uninitialize(void)
{
    /* Programs that never ran are still here. */
    context_free_all();
    ExFreePoolWithTag(g_driver.slots.slots, POOL_TAG);
    g_driver.slots.slots = NULL;
}

void driver_lock(void)
{
    /* Its holders end: programs have a budget, each operation a bound. */
    (void)KeWaitForSingleObject(&g_driver.lock, Executive, KernelMode, FALSE, NULL);
}

void driver_lock_soon(void)
{
    InterlockedIncrement(&g_driver.hurry);
    driver_lock();
    InterlockedDecrement(&g_driver.hurry);
}

void driver_unlock(void)
{
    (void)KeSetEvent(&g_driver.lock, IO_NO_INCREMENT, FALSE);
}

bool sabotage_strikes(enum sabotage sabotage)
{
    bool strikes = g_driver.sabotage == sabotage && !g_driver.sabotage_struck;
    g_driver.sabotage_struck = g_driver.sabotage_struck || strikes;
    return strikes;
}

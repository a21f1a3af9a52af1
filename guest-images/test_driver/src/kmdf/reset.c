/* A function-level reset by the bus driver, whose interface the framework asks for. */
#include "kmdf.h"
#include "../reset.h"

NTSTATUS front_reset_function(struct device *device)
{
    struct reset_interface resets = {.size = sizeof(resets),
                                        .version = RESET_INTERFACE_VERSION};
    NTSTATUS status =
        WdfFdoQueryForInterface(kmdf_of(device)->handle, &reset_interface_guid,
                                (PINTERFACE)&resets, sizeof(resets),
                                RESET_INTERFACE_VERSION, NULL);
    return NT_SUCCESS(status) ? reset_by_interface(&resets) : status;
}

/* DriverEntry and unload. */
#include "kmdf.h"

static VOID NTAPI evt_driver_unload(WDFDRIVER driver)
{
    UNREFERENCED_PARAMETER(driver);
    driver_uninitialize();
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING service_path)
{
    NTSTATUS status = driver_initialize(service_path);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    WDF_DRIVER_CONFIG config = {
        .Size = sizeof(config),
        .EvtDriverDeviceAdd = evt_device_add,
        .EvtDriverUnload = evt_driver_unload,
        .DriverPoolTag = POOL_TAG,
    };
    status = WdfDriverCreate(driver, service_path, NULL, &config, NULL);
    if (!NT_SUCCESS(status)) {
        LOG("WdfDriverCreate failed (0x%08lx)\n", status);
        driver_uninitialize();
    }
    return status;
}

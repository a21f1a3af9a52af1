/*
 * The stand-in for the entry code that Microsoft's tools link into a KMDF driver: binds to the
 * framework, calls DriverEntry, and unbinds on failure and at unload.
 */
#include "kmdf.h"

/* Longest path of the service key, in characters. */
#define PATH_CHARACTERS 260

PVOID *wdf_functions;
WDF_DRIVER_GLOBALS *wdf_globals;

static ULONG minimum_version = WDF_CLIENT_MINOR;
static BOOLEAN client_is_newer;
static ULONG framework_function_count;
static ULONG framework_structure_count;
static SIZE_T *framework_structures;

static WDF_BIND_INFO2 bind_info = {
    .Size = sizeof(WDF_BIND_INFO2),
    .Component = L"KmdfLibrary",
    .Version = {.Major = 1, .Minor = WDF_CLIENT_MINOR, .Build = 0},
    .FuncCount = WDF_FUNCTION_COUNT,
    .FuncTable = &wdf_functions,
    .MinimumVersionRequired = &minimum_version,
    .ClientVersionHigherThanFramework = &client_is_newer,
    .FuncCountPtr = &framework_function_count,
    .StructCountPtr = &framework_structure_count,
    .StructTable = &framework_structures,
};

/* The unbinding at unload names the service again, when the system's own text may be gone. */
static WCHAR path_text[PATH_CHARACTERS];
static UNICODE_STRING path_copy = {.MaximumLength = sizeof(path_text), .Buffer = path_text};

static PDRIVER_UNLOAD displaced_unload;

static void unbind(void)
{
    NTSTATUS status = WdfVersionUnbind(&path_copy, &bind_info, wdf_globals);
    if (!NT_SUCCESS(status)) {
        LOG("WdfVersionUnbind failed (0x%08lx)\n", status);
    }
}

static VOID NTAPI unload_and_unbind(PDRIVER_OBJECT driver)
{
    if (displaced_unload != NULL) {
        displaced_unload(driver);
    }
    unbind();
}

NTSTATUS NTAPI FxDriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING service_path)
{
    if (service_path->Length > path_copy.MaximumLength) {
        return STATUS_NAME_TOO_LONG;
    }
    memcpy(path_copy.Buffer, service_path->Buffer, service_path->Length);
    path_copy.Length = service_path->Length;
    NTSTATUS status = WdfVersionBind(driver, &path_copy, &bind_info, &wdf_globals);
    if (!NT_SUCCESS(status)) {
        LOG("no framework 1.%u (0x%08lx)\n", WDF_CLIENT_MINOR, status);
        return status;
    }
    status = DriverEntry(driver, service_path);
    if (!NT_SUCCESS(status)) {
        unbind();
        return status;
    }
    if (wdf_globals->DisplaceDriverUnload) {
        displaced_unload = driver->DriverUnload;
        driver->DriverUnload = unload_and_unbind;
    }
    return STATUS_SUCCESS;
}

uint16_t op_kmdf_binding(struct operation_call *call)
{
    call->result->value[0] = WDF_CLIENT_MINOR;
    call->result->value[1] = client_is_newer;
    call->result->value[2] = WDF_FUNCTION_COUNT;
    uint8_t *reply = operation_reply(call, sizeof(*wdf_globals));
    if (reply != NULL) {
        memcpy(reply, wdf_globals, sizeof(*wdf_globals));
    }
    return DMARIG_OUTCOME_DONE;
}

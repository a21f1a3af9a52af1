/* The service's Parameters key: programs for the early contexts, and a sabotage. */
#include "driver.h"

/* Longest path of the key, in characters with the terminating zero. */
#define PATH_CHARACTERS 512
/* Longest name of a sabotage in bytes. */
#define SABOTAGE_MAX_BYTES 64

/* Names of sabotages, as REG_SZ data. */
static const struct {
    PCWSTR name;
    enum sabotage sabotage;
} sabotages[] = {
    {L"driver-false-success", SABOTAGE_FALSE_SUCCESS},
    {L"driver-leak-memory", SABOTAGE_LEAK_MEMORY},
    {L"driver-leak-mdl", SABOTAGE_LEAK_MDL},
    {L"driver-leak-adapter", SABOTAGE_LEAK_ADAPTER},
    {L"driver-leak-buffer", SABOTAGE_LEAK_BUFFER},
    {L"driver-skip-flush", SABOTAGE_SKIP_FLUSH},
    {L"driver-truncate-address", SABOTAGE_TRUNCATE_ADDRESS},
    {L"driver-no-recovery", SABOTAGE_NO_RECOVERY},
    {L"driver-dma-in-d3", SABOTAGE_DMA_IN_D3},
    {L"driver-keep-device", SABOTAGE_KEEP_DEVICE},
    {L"driver-leak-registers", SABOTAGE_LEAK_REGISTERS},
    {L"driver-trust-interrupt", SABOTAGE_TRUST_INTERRUPT},
};

/* Reads a value of at most `room` bytes; NULL when it is absent, longer or there is no memory. The
 * caller frees it. */
static PKEY_VALUE_PARTIAL_INFORMATION query_value(HANDLE key, PCWSTR name, ULONG room)
{
    UNICODE_STRING value_name;
    RtlInitUnicodeString(&value_name, name);
    ULONG size = FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data) + room;
    PKEY_VALUE_PARTIAL_INFORMATION value = ExAllocatePool2(POOL_NON_PAGED, size, POOL_TAG);
    if (value == NULL) {
        return NULL;
    }
    ULONG length = 0;
    NTSTATUS status =
        ZwQueryValueKey(key, &value_name, KeyValuePartialInformation, value, size, &length);
    if (!NT_SUCCESS(status) || value->DataLength > room) {
        if (status != STATUS_OBJECT_NAME_NOT_FOUND) {
            LOG("value %ws is not readable (0x%08lx)\n", name, status);
        }
        ExFreePoolWithTag(value, POOL_TAG);
        return NULL;
    }
    return value;
}

static void read_program(HANDLE key, PCWSTR name, uint16_t context)
{
    PKEY_VALUE_PARTIAL_INFORMATION value =
        query_value(key, name, DMARIG_PROGRAM_MAX_SIZE_BYTES);
    if (value == NULL) {
        return;
    }
    if (value->Type == REG_BINARY && value->DataLength > 0) {
        /* Validated when it runs, so that the mistake is in its response. */
        (void)context_store(context, value->Data, value->DataLength);
    }
    ExFreePoolWithTag(value, POOL_TAG);
}

/* True when the value's text is `name`, with or without a terminating zero. */
static bool is_text(const KEY_VALUE_PARTIAL_INFORMATION *value, PCWSTR name)
{
    const WCHAR *text = (const WCHAR *)value->Data;
    ULONG count = value->DataLength / sizeof(WCHAR);
    ULONG i = 0;
    while (i < count && text[i] != 0 && text[i] == name[i]) {
        i++;
    }
    return name[i] == 0 && (i == count || text[i] == 0);
}

static void read_sabotage(HANDLE key)
{
    PKEY_VALUE_PARTIAL_INFORMATION value = query_value(key, L"Sabotage", SABOTAGE_MAX_BYTES);
    if (value == NULL) {
        return;
    }
    if (value->Type == REG_DWORD && value->DataLength == sizeof(ULONG)) {
        bool is_on = *(const ULONG *)value->Data == SABOTAGE_FALSE_SUCCESS;
        g_driver.sabotage = is_on ? SABOTAGE_FALSE_SUCCESS : SABOTAGE_NONE;
    }
    for (size_t i = 0; i < sizeof(sabotages) / sizeof(sabotages[0]); i++) {
        if (value->Type == REG_SZ && is_text(value, sabotages[i].name)) {
            g_driver.sabotage = sabotages[i].sabotage;
        }
    }
    ExFreePoolWithTag(value, POOL_TAG);
}

/* Writes the path of the Parameters key; false when it is too long. */
static bool parameters_path(PUNICODE_STRING service_path, PUNICODE_STRING path)
{
    static const WCHAR suffix[] = L"\\Parameters";
    if ((ULONG)service_path->Length + sizeof(suffix) > path->MaximumLength) {
        return false;
    }
    memcpy(path->Buffer, service_path->Buffer, service_path->Length);
    memcpy((PUCHAR)path->Buffer + service_path->Length, suffix, sizeof(suffix));
    path->Length = (USHORT)(service_path->Length + sizeof(suffix) - sizeof(WCHAR));
    return true;
}

void registry_read_parameters(PUNICODE_STRING service_path)
{
    USHORT size = PATH_CHARACTERS * sizeof(WCHAR);
    UNICODE_STRING path = {0, size, ExAllocatePool2(POOL_NON_PAGED, size, POOL_TAG)};
    if (path.Buffer == NULL) {
        return;
    }
    HANDLE key;
    OBJECT_ATTRIBUTES attributes;
    InitializeObjectAttributes(&attributes, &path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL,
                               NULL);
    if (parameters_path(service_path, &path) &&
        NT_SUCCESS(ZwOpenKey(&key, KEY_QUERY_VALUE, &attributes))) {
        read_program(key, L"ProgramAddDevice", DMARIG_CONTEXT_ADD_DEVICE);
        read_program(key, L"ProgramStartDevice", DMARIG_CONTEXT_START_DEVICE);
        read_sabotage(key);
        (void)ZwClose(key);
    }
    ExFreePoolWithTag(path.Buffer, POOL_TAG);
}

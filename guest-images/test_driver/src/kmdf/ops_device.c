/* Operations on what a device has besides DMA: resources, registry keys, interfaces, the bus. */
#include "kmdf.h"

/* PLUGPLAY_REGKEY_DEVICE. */
#define KEY_OF_DEVICE 1
#define KEY_ACCESS (KEY_READ | KEY_WRITE)
/* Most bytes of OP_KMDF_BUS_DATA. */
#define BUS_DATA_MAX 256u

/* {6d4f51a1-5b8e-4c9e-9a55-2f3a0f0d3a11}, of this project. */
static const GUID interface_class = {
    0x6d4f51a1, 0x5b8e, 0x4c9e, {0x9a, 0x55, 0x2f, 0x3a, 0x0f, 0x0d, 0x3a, 0x11}};
/* GUID_BUS_INTERFACE_STANDARD. */
static const GUID bus_interface = {
    0x496b8280, 0x6f25, 0x11d0, {0xbe, 0xaf, 0x08, 0x00, 0x2b, 0xe2, 0x09, 0x2f}};

void resources_note(struct kmdf_device *device, WDFCMRESLIST translated)
{
    ULONG count = WdfCmResourceListGetCount(translated);
    device->resource_count = count;
    device->ends_with_null = WdfCmResourceListGetDescriptor(translated, count) == NULL;
    for (ULONG i = 0; i < min(count, MAX_DESCRIPTORS); i++) {
        const CM_PARTIAL_RESOURCE_DESCRIPTOR *descriptor =
            WdfCmResourceListGetDescriptor(translated, i);
        if (descriptor != NULL) {
            device->descriptors[i] = *descriptor;
        }
    }
}

uint16_t op_kmdf_resources(struct operation_call *call)
{
    struct device *shared = dut_present(call->operation->a);
    if (shared == NULL || !shared->hardware) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    const struct kmdf_device *device = kmdf_of(shared);
    call->result->value[0] = device->resource_count;
    call->result->value[1] = device->ends_with_null;
    uint32_t length =
        min(device->resource_count, MAX_DESCRIPTORS) * (uint32_t)sizeof(device->descriptors[0]);
    uint8_t *reply = operation_reply(call, length);
    if (reply != NULL) {
        memcpy(reply, device->descriptors, length);
    }
    return DMARIG_OUTCOME_DONE;
}

static NTSTATUS open_key(const struct operation_call *call, WDFDEVICE device, WDFKEY *key)
{
    if (call->operation->arg[0] == 0) {
        return WdfDriverOpenParametersRegistryKey(wdf_globals->Driver, KEY_ACCESS, NULL, key);
    }
    return WdfDeviceOpenRegistryKey(device, KEY_OF_DEVICE, KEY_ACCESS, NULL, key);
}

uint16_t op_kmdf_registry(struct operation_call *call)
{
    UNICODE_STRING name;
    UNICODE_STRING missing;
    WDFDEVICE device = object_device(call->operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (call->operation->arg[0] > 1 || call->operation->arg[1] > UINT32_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    RtlInitUnicodeString(&name, L"dmarigProbe");
    RtlInitUnicodeString(&missing, L"dmarigMissing");
    WDFKEY key;
    ULONG value = 0;
    NTSTATUS status = open_key(call, device, &key);
    if (!NT_SUCCESS(status)) {
        call->result->status = (uint32_t)status;
        return DMARIG_OUTCOME_DONE;
    }
    status = WdfRegistryAssignULong(key, &name, (ULONG)call->operation->arg[1]);
    if (NT_SUCCESS(status)) {
        status = WdfRegistryQueryULong(key, &name, &value);
    }
    call->result->status = (uint32_t)status;
    call->result->value[0] = value;
    call->result->value[1] = (uint32_t)WdfRegistryQueryULong(key, &missing, &value);
    WdfRegistryClose(key);
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_interface(struct operation_call *call)
{
    WDFDEVICE device = object_device(call->operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    NTSTATUS status = WdfDeviceCreateDeviceInterface(device, &interface_class, NULL);
    if (NT_SUCCESS(status)) {
        WdfDeviceSetDeviceInterfaceState(device, &interface_class, NULL, TRUE);
    }
    call->result->status = (uint32_t)status;
    return DMARIG_OUTCOME_DONE;
}

uint16_t op_kmdf_bus_data(struct operation_call *call)
{
    const uint64_t *arg = call->operation->arg;
    WDFDEVICE device = object_device(call->operation->a);
    if (device == NULL) {
        return DMARIG_OUTCOME_NO_DEVICE;
    }
    if (arg[0] > UINT32_MAX || arg[1] > BUS_DATA_MAX) {
        return DMARIG_OUTCOME_BAD_ARGUMENT;
    }
    BUS_INTERFACE_STANDARD bus = {.Size = sizeof(bus), .Version = 1};
    NTSTATUS status = WdfFdoQueryForInterface(device, &bus_interface, (PINTERFACE)&bus,
                                              sizeof(bus), 1, NULL);
    call->result->status = (uint32_t)status;
    if (!NT_SUCCESS(status)) {
        return DMARIG_OUTCOME_DONE;
    }
    uint8_t *reply = operation_reply(call, (uint32_t)arg[1]);
    if (reply != NULL) {
        call->result->value[0] = bus.GetBusData(bus.Context, PCI_WHICHSPACE_CONFIG, reply,
                                                (ULONG)arg[0], (ULONG)arg[1]);
    }
    bus.InterfaceDereference(bus.Context);
    return DMARIG_OUTCOME_DONE;
}

/* What a device is, and its place in the driver. */
#include "driver.h"

/* Longest list of hardware IDs that is looked at, in bytes. */
#define HARDWARE_ID_BYTES 2048

static WCHAR upper_case(WCHAR character)
{
    return character >= 'a' && character <= 'z' ? character - ('a' - 'A') : character;
}

/* True when the list of strings, `length` bytes of it, holds the text `device` in any case. */
static bool ids_name_device(const WCHAR *ids, ULONG length, const WCHAR *device, ULONG characters)
{
    ULONG total = length / sizeof(WCHAR);
    for (ULONG start = 0; start + characters <= total; start++) {
        ULONG i = 0;
        while (i < characters && upper_case(ids[start + i]) == device[i]) {
            i++;
        }
        if (i == characters) {
            return true;
        }
    }
    return false;
}

enum device_role device_role_of(PDEVICE_OBJECT pdo)
{
    static const WCHAR dut_id[] = L"VEN_1234&DEV_D0A0";
    static const WCHAR control_id[] = L"VEN_1234&DEV_D0C0";
    const ULONG characters = sizeof(dut_id) / sizeof(WCHAR) - 1;
    enum device_role role = ROLE_UNKNOWN;
    WCHAR *ids = ExAllocatePool2(POOL_NON_PAGED, HARDWARE_ID_BYTES, POOL_TAG);
    if (ids == NULL) {
        return role;
    }
    ULONG length = 0;
    NTSTATUS status =
        IoGetDeviceProperty(pdo, DevicePropertyHardwareID, HARDWARE_ID_BYTES, ids, &length);
    if (NT_SUCCESS(status) && length <= HARDWARE_ID_BYTES) {
        if (ids_name_device(ids, length, dut_id, characters)) {
            role = ROLE_DUT;
        } else if (ids_name_device(ids, length, control_id, characters)) {
            role = ROLE_CONTROL;
        }
    }
    ExFreePoolWithTag(ids, POOL_TAG);
    return role;
}
_Static_assert(DMARIG_PCI_VENDOR_ID == 0x1234 && DMARIG_PCI_DEVICE_ID_DUT == 0xd0a0 &&
                   DMARIG_PCI_DEVICE_ID_CONTROL == 0xd0c0,
               "the texts in device_role_of");

bool device_enlist(struct device *device)
{
    bool enlisted = false;
    driver_lock();
    if (device->role == ROLE_CONTROL && g_driver.control == NULL) {
        g_driver.control = device;
        enlisted = true;
    }
    for (uint32_t i = 0; device->role == ROLE_DUT && i < MAX_DUTS && !enlisted; i++) {
        if (g_driver.duts[i] == NULL) {
            g_driver.duts[i] = device;
            device->dut.number = i;
            enlisted = true;
        }
    }
    driver_unlock();
    return enlisted;
}

void device_delist(struct device *device)
{
    bool last = true;
    if (g_driver.control == device) {
        g_driver.control = NULL;
    }
    for (uint32_t i = 0; i < MAX_DUTS; i++) {
        if (g_driver.duts[i] == device) {
            g_driver.duts[i] = NULL;
        }
        last = last && g_driver.duts[i] == NULL;
    }
    if (last && g_driver.control == NULL) {
        (void)release_all();
    }
}

void device_initialize(struct device *device, enum device_role role, PDEVICE_OBJECT self,
                       PDEVICE_OBJECT pdo)
{
    device->role = role;
    device->self = self;
    device->pdo = pdo;
    device->power_state = PowerDeviceD3;
    /* A DPC may set it as soon as an interrupt is connected. */
    KeInitializeEvent(&device->control.wake, SynchronizationEvent, FALSE);
}

/*
 * The bus driver's interface for resets, which the headers lack (wdm.h: DEVICE_RESET_INTERFACE_STANDARD
 * up to Reserved).
 */
#pragma once

#include "platform.h"

/* FunctionLevelDeviceReset, and its bit in supported_types. */
#define RESET_FUNCTION_LEVEL 0u
#define RESET_INTERFACE_VERSION 1

struct reset_interface {
    USHORT size;
    USHORT version;
    PVOID context;
    PINTERFACE_REFERENCE reference;
    PINTERFACE_DEREFERENCE dereference;
    NTSTATUS(NTAPI *reset)(PVOID context, ULONG type, ULONG flags, PVOID parameters);
    ULONG supported_types;
    PVOID reserved;
};
_Static_assert(sizeof(struct reset_interface) == 0x38, "DEVICE_RESET_INTERFACE_STANDARD");
_Static_assert(offsetof(struct reset_interface, reset) == 0x20, "DeviceReset");
_Static_assert(offsetof(struct reset_interface, supported_types) == 0x28, "SupportedResetTypes");

/* {649FDF26-3BC0-4813-AD24-7E0C1EDA3FA3}: GUID_DEVICE_RESET_INTERFACE_STANDARD. */
static const GUID reset_interface_guid = {
    0x649fdf26, 0x3bc0, 0x4813, {0xad, 0x24, 0x7e, 0x0c, 0x1e, 0xda, 0x3f, 0xa3}};

/* Resets by an interface that was just got, and gives it back. */
static inline NTSTATUS reset_by_interface(struct reset_interface *resets)
{
    NTSTATUS status = STATUS_NOT_SUPPORTED;
    if ((resets->supported_types & (1u << RESET_FUNCTION_LEVEL)) != 0) {
        status = resets->reset(resets->context, RESET_FUNCTION_LEVEL, 0, NULL);
    }
    resets->dereference(resets->context);
    return status;
}

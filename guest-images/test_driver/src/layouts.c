/*
 * Checks of the mingw headers against the documented x64 layouts: this file holds no code.
 *
 * Macros and in-line functions of those headers read these structures, so a wrong offset would show
 * as a crash and not as an error of the linker.
 */
#include "driver.h"

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)
#define OFFSET(type, field, offset)                                                                \
    _Static_assert(offsetof(type, field) == (offset), "offset of " #type "." #field)

SIZE(UNICODE_STRING, 0x10);
SIZE(IO_STATUS_BLOCK, 0x10);
SIZE(KEVENT, 0x18);
SIZE(KDPC, 0x40);
SIZE(OBJECT_ATTRIBUTES, 0x30);
SIZE(IO_REMOVE_LOCK, 0x20);

SIZE(MDL, 0x30);
OFFSET(MDL, MdlFlags, 0x0a);
OFFSET(MDL, MappedSystemVa, 0x18);
OFFSET(MDL, StartVa, 0x20);
OFFSET(MDL, ByteCount, 0x28);
OFFSET(MDL, ByteOffset, 0x2c);

OFFSET(DRIVER_OBJECT, DriverExtension, 0x30);
OFFSET(DRIVER_OBJECT, DriverUnload, 0x68);
OFFSET(DRIVER_OBJECT, MajorFunction, 0x70);
SIZE(DRIVER_OBJECT, 0x150);
OFFSET(DRIVER_EXTENSION, AddDevice, 0x08);
OFFSET(DEVICE_OBJECT, Flags, 0x30);
OFFSET(DEVICE_OBJECT, DeviceExtension, 0x40);

SIZE(IRP, 0xd0);
OFFSET(IRP, IoStatus, 0x30);
OFFSET(IRP, RequestorMode, 0x40);
OFFSET(IRP, PendingReturned, 0x41);
OFFSET(IRP, CurrentLocation, 0x43);
OFFSET(IRP, Tail.Overlay.CurrentStackLocation, 0xb8);

SIZE(IO_STACK_LOCATION, 0x48);
OFFSET(IO_STACK_LOCATION, Parameters.StartDevice.AllocatedResourcesTranslated, 0x10);
OFFSET(IO_STACK_LOCATION, Parameters.DeviceIoControl.InputBufferLength, 0x10);
OFFSET(IO_STACK_LOCATION, Parameters.DeviceIoControl.IoControlCode, 0x18);
OFFSET(IO_STACK_LOCATION, Parameters.DeviceIoControl.Type3InputBuffer, 0x20);
OFFSET(IO_STACK_LOCATION, Parameters.Power.Type, 0x10);
OFFSET(IO_STACK_LOCATION, Parameters.Power.State, 0x18);
OFFSET(IO_STACK_LOCATION, DeviceObject, 0x28);
OFFSET(IO_STACK_LOCATION, CompletionRoutine, 0x38);
OFFSET(IO_STACK_LOCATION, Context, 0x40);

SIZE(CM_PARTIAL_RESOURCE_DESCRIPTOR, 0x14);
OFFSET(CM_PARTIAL_RESOURCE_DESCRIPTOR, u.Memory.Start, 0x4);
OFFSET(CM_PARTIAL_RESOURCE_DESCRIPTOR, u.Memory.Length, 0xc);
OFFSET(CM_RESOURCE_LIST, List[0].PartialResourceList.Count, 0x10);
OFFSET(CM_RESOURCE_LIST, List[0].PartialResourceList.PartialDescriptors, 0x14);

SIZE(IO_CONNECT_INTERRUPT_PARAMETERS, 0x50);
OFFSET(IO_CONNECT_INTERRUPT_PARAMETERS, MessageBased.ConnectionContext, 0x10);
OFFSET(IO_CONNECT_INTERRUPT_PARAMETERS, MessageBased.MessageServiceRoutine, 0x18);
OFFSET(IO_CONNECT_INTERRUPT_PARAMETERS, MessageBased.ServiceContext, 0x20);
OFFSET(IO_CONNECT_INTERRUPT_PARAMETERS, MessageBased.FallBackServiceRoutine, 0x38);
OFFSET(IO_DISCONNECT_INTERRUPT_PARAMETERS, ConnectionContext, 0x8);
OFFSET(IO_INTERRUPT_MESSAGE_INFO, MessageCount, 0x4);
OFFSET(IO_INTERRUPT_MESSAGE_INFO, MessageInfo, 0x8);
SIZE(IO_INTERRUPT_MESSAGE_INFO_ENTRY, 0x30);
OFFSET(IO_INTERRUPT_MESSAGE_INFO_ENTRY, InterruptObject, 0x10);

OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Type, 0x4);
OFFSET(KEY_VALUE_PARTIAL_INFORMATION, DataLength, 0x8);
OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data, 0xc);

/*
 * What this driver uses of the Kernel-Mode Driver Framework: handles, structures and constants, from
 * the published layouts. wdf_calls.h has the routines, layouts.c holds every size and offset to the
 * documents.
 */
#pragma once

#include "../platform.h"

/* KMDF version that the driver asks for, 1.WDF_CLIENT_MINOR: the one constant to change. */
#define WDF_CLIENT_MINOR 15

/* Entries of the function table of that version. From 1.15 on the framework hands out its own table;
 * older clients have it copied into theirs, which the stand-in of entry.c does not do. */
#define WDF_FUNCTION_COUNT                                                                         \
    (WDF_CLIENT_MINOR >= 31   ? 458                                                                \
     : WDF_CLIENT_MINOR >= 29 ? 454                                                                \
     : WDF_CLIENT_MINOR >= 25 ? 453                                                                \
     : WDF_CLIENT_MINOR >= 23 ? 451                                                                \
     : WDF_CLIENT_MINOR >= 21 ? 448                                                                \
     : WDF_CLIENT_MINOR >= 19 ? 446                                                                \
                              : 444)
_Static_assert(WDF_CLIENT_MINOR >= 15 && WDF_CLIENT_MINOR <= 33, "a version with this binding");

/* Handles. */
#define WDF_HANDLE(name) typedef struct name##_HANDLE *name
typedef PVOID WDFOBJECT;
WDF_HANDLE(WDFCMRESLIST);
WDF_HANDLE(WDFCOMMONBUFFER);
WDF_HANDLE(WDFDEVICE);
WDF_HANDLE(WDFDMAENABLER);
WDF_HANDLE(WDFDMATRANSACTION);
WDF_HANDLE(WDFDPC);
WDF_HANDLE(WDFDRIVER);
WDF_HANDLE(WDFINTERRUPT);
WDF_HANDLE(WDFKEY);
WDF_HANDLE(WDFMEMORY);
WDF_HANDLE(WDFQUEUE);
WDF_HANDLE(WDFREQUEST);
WDF_HANDLE(WDFSPINLOCK);
WDF_HANDLE(WDFSTRING);
WDF_HANDLE(WDFTIMER);
WDF_HANDLE(WDFWAITLOCK);
WDF_HANDLE(WDFWORKITEM);
/* Before it is a device. */
typedef struct WDFDEVICE_INIT WDFDEVICE_INIT;

/* WDF_TRI_STATE. */
#define WDF_FALSE 0
#define WDF_TRUE 1
#define WDF_USE_DEFAULT 2

/* Binding. */
typedef struct {
    ULONG Major;
    ULONG Minor;
    ULONG Build;
} WDF_VERSION;

typedef struct {
    ULONG Size;
    PCWSTR Component;
    WDF_VERSION Version;
    ULONG FuncCount;
    PVOID FuncTable;
    PVOID Module; /* the loader's own */
    ULONG *MinimumVersionRequired;
    BOOLEAN *ClientVersionHigherThanFramework;
    ULONG *FuncCountPtr;
    ULONG *StructCountPtr;
    PVOID StructTable;
} WDF_BIND_INFO2;

typedef struct {
    WDFDRIVER Driver;
    ULONG DriverFlags;
    ULONG DriverTag;
    CHAR DriverName[32];
    BOOLEAN DisplaceDriverUnload;
} WDF_DRIVER_GLOBALS;

NTSYSAPI NTSTATUS NTAPI WdfVersionBind(PDRIVER_OBJECT driver, PUNICODE_STRING service_path,
                                       WDF_BIND_INFO2 *info, WDF_DRIVER_GLOBALS **globals);
NTSYSAPI NTSTATUS NTAPI WdfVersionUnbind(PUNICODE_STRING service_path, WDF_BIND_INFO2 *info,
                                         WDF_DRIVER_GLOBALS *globals);

/* Objects. */
typedef VOID(NTAPI *WDF_OBJECT_CALLBACK)(WDFOBJECT object);

typedef struct {
    ULONG Size;
    PCSTR ContextName;
    SIZE_T ContextSize;
    PVOID UniqueType;
    PVOID EvtDriverGetUniqueContextType;
} WDF_OBJECT_CONTEXT_TYPE_INFO;

/* WDF_EXECUTION_LEVEL and WDF_SYNCHRONIZATION_SCOPE: "as the parent". */
#define WDF_INHERIT_FROM_PARENT 1
#define WDF_SYNCHRONIZATION_SCOPE_NONE 4

typedef struct {
    ULONG Size;
    WDF_OBJECT_CALLBACK EvtCleanupCallback;
    WDF_OBJECT_CALLBACK EvtDestroyCallback;
    ULONG ExecutionLevel;
    ULONG SynchronizationScope;
    WDFOBJECT ParentObject;
    SIZE_T ContextSizeOverride;
    const WDF_OBJECT_CONTEXT_TYPE_INFO *ContextTypeInfo;
} WDF_OBJECT_ATTRIBUTES;

/* Driver and device. */
typedef NTSTATUS(NTAPI *WDF_DEVICE_ADD)(WDFDRIVER driver, WDFDEVICE_INIT *init);
typedef VOID(NTAPI *WDF_DRIVER_UNLOAD)(WDFDRIVER driver);

typedef struct {
    ULONG Size;
    WDF_DEVICE_ADD EvtDriverDeviceAdd;
    WDF_DRIVER_UNLOAD EvtDriverUnload;
    ULONG DriverInitFlags;
    ULONG DriverPoolTag;
} WDF_DRIVER_CONFIG;

typedef NTSTATUS(NTAPI *WDF_DEVICE_STATUS_CALLBACK)(WDFDEVICE device);
typedef VOID(NTAPI *WDF_DEVICE_VOID_CALLBACK)(WDFDEVICE device);
typedef NTSTATUS(NTAPI *WDF_DEVICE_POWER_CALLBACK)(WDFDEVICE device, ULONG power_state);

typedef struct {
    ULONG Size;
    WDF_DEVICE_POWER_CALLBACK EvtDeviceD0Entry;
    WDF_DEVICE_POWER_CALLBACK EvtDeviceD0EntryPostInterruptsEnabled;
    WDF_DEVICE_POWER_CALLBACK EvtDeviceD0Exit;
    WDF_DEVICE_POWER_CALLBACK EvtDeviceD0ExitPreInterruptsDisabled;
    NTSTATUS(NTAPI *EvtDevicePrepareHardware)
    (WDFDEVICE device, WDFCMRESLIST raw, WDFCMRESLIST translated);
    NTSTATUS(NTAPI *EvtDeviceReleaseHardware)(WDFDEVICE device, WDFCMRESLIST translated);
    WDF_DEVICE_VOID_CALLBACK EvtDeviceSelfManagedIoCleanup;
    WDF_DEVICE_VOID_CALLBACK EvtDeviceSelfManagedIoFlush;
    WDF_DEVICE_STATUS_CALLBACK EvtDeviceSelfManagedIoInit;
    WDF_DEVICE_STATUS_CALLBACK EvtDeviceSelfManagedIoSuspend;
    WDF_DEVICE_STATUS_CALLBACK EvtDeviceSelfManagedIoRestart;
    WDF_DEVICE_VOID_CALLBACK EvtDeviceSurpriseRemoval;
    WDF_DEVICE_STATUS_CALLBACK EvtDeviceQueryRemove;
    WDF_DEVICE_STATUS_CALLBACK EvtDeviceQueryStop;
    PVOID EvtDeviceUsageNotification;
    PVOID EvtDeviceRelationsQuery;
    PVOID EvtDeviceUsageNotificationEx;
} WDF_PNPPOWER_EVENT_CALLBACKS;

/* Interrupts. */
typedef BOOLEAN(NTAPI *WDF_INTERRUPT_ISR)(WDFINTERRUPT interrupt, ULONG message);
typedef VOID(NTAPI *WDF_INTERRUPT_DPC)(WDFINTERRUPT interrupt, WDFOBJECT device);
typedef NTSTATUS(NTAPI *WDF_INTERRUPT_SWITCH)(WDFINTERRUPT interrupt, WDFDEVICE device);
typedef BOOLEAN(NTAPI *WDF_INTERRUPT_SYNCHRONIZED)(WDFINTERRUPT interrupt, PVOID context);

typedef struct {
    ULONG Size;
    WDFSPINLOCK SpinLock;
    ULONG ShareVector;
    BOOLEAN FloatingSave;
    BOOLEAN AutomaticSerialization;
    WDF_INTERRUPT_ISR EvtInterruptIsr;
    WDF_INTERRUPT_DPC EvtInterruptDpc;
    WDF_INTERRUPT_SWITCH EvtInterruptEnable;
    WDF_INTERRUPT_SWITCH EvtInterruptDisable;
    PVOID EvtInterruptWorkItem;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR InterruptRaw;
    PCM_PARTIAL_RESOURCE_DESCRIPTOR InterruptTranslated;
    WDFWAITLOCK WaitLock;
    BOOLEAN PassiveHandling;
    ULONG ReportInactiveOnPowerDown;
    BOOLEAN CanWakeDevice;
} WDF_INTERRUPT_CONFIG;

typedef struct {
    ULONG Size;
    ULONGLONG Reserved1;
    KAFFINITY TargetProcessorSet;
    ULONG Reserved2;
    ULONG MessageNumber;
    ULONG Vector;
    KIRQL Irql;
    ULONG Mode;
    ULONG Polarity;
    BOOLEAN MessageSignaled;
    UCHAR ShareDisposition;
    __attribute__((aligned(8))) USHORT Group;
} WDF_INTERRUPT_INFO;

/* Queues and requests. */
#define WDF_IO_QUEUE_SEQUENTIAL 1
#define WDF_IO_QUEUE_PARALLEL 2
#define WDF_IO_QUEUE_MANUAL 3

typedef VOID(NTAPI *WDF_QUEUE_REQUEST_CALLBACK)(WDFQUEUE queue, WDFREQUEST request);
typedef VOID(NTAPI *WDF_QUEUE_TRANSFER_CALLBACK)(WDFQUEUE queue, WDFREQUEST request, SIZE_T length);
typedef VOID(NTAPI *WDF_QUEUE_CONTROL_CALLBACK)(WDFQUEUE queue, WDFREQUEST request,
                                                SIZE_T output_length, SIZE_T input_length,
                                                ULONG code);

typedef struct {
    ULONG Size;
    ULONG DispatchType;
    ULONG PowerManaged;
    BOOLEAN AllowZeroLengthRequests;
    BOOLEAN DefaultQueue;
    WDF_QUEUE_REQUEST_CALLBACK EvtIoDefault;
    WDF_QUEUE_TRANSFER_CALLBACK EvtIoRead;
    WDF_QUEUE_TRANSFER_CALLBACK EvtIoWrite;
    WDF_QUEUE_CONTROL_CALLBACK EvtIoDeviceControl;
    WDF_QUEUE_CONTROL_CALLBACK EvtIoInternalDeviceControl;
    VOID(NTAPI *EvtIoStop)(WDFQUEUE queue, WDFREQUEST request, ULONG flags);
    WDF_QUEUE_REQUEST_CALLBACK EvtIoResume;
    WDF_QUEUE_REQUEST_CALLBACK EvtIoCanceledOnQueue;
    ULONG NumberOfPresentedRequests;
    WDFDRIVER Driver;
} WDF_IO_QUEUE_CONFIG;

typedef VOID(NTAPI *WDF_REQUEST_CANCEL)(WDFREQUEST request);

typedef struct {
    USHORT Size;
    UCHAR MinorFunction;
    ULONG Type;
    union {
        struct {
            SIZE_T Length;
            ULONG Key;
            LONGLONG DeviceOffset;
        } Transfer;
        struct {
            SIZE_T OutputBufferLength;
            SIZE_T InputBufferLength;
            ULONG IoControlCode;
            PVOID Type3InputBuffer;
        } DeviceIoControl;
    } Parameters;
} WDF_REQUEST_PARAMETERS;

/* DMA. */
typedef NTSTATUS(NTAPI *WDF_ENABLER_CALLBACK)(WDFDMAENABLER enabler);

typedef struct {
    ULONG Size;
    ULONG Profile;
    SIZE_T MaximumLength;
    WDF_ENABLER_CALLBACK EvtDmaEnablerFill;
    WDF_ENABLER_CALLBACK EvtDmaEnablerFlush;
    WDF_ENABLER_CALLBACK EvtDmaEnablerDisable;
    WDF_ENABLER_CALLBACK EvtDmaEnablerEnable;
    WDF_ENABLER_CALLBACK EvtDmaEnablerSelfManagedIoStart;
    WDF_ENABLER_CALLBACK EvtDmaEnablerSelfManagedIoStop;
    ULONG AddressWidthOverride;
    ULONG WdmDmaVersionOverride;
    ULONG Flags;
} WDF_DMA_ENABLER_CONFIG;

typedef struct {
    ULONG Size;
    ULONG AlignmentRequirement;
} WDF_COMMON_BUFFER_CONFIG;

/* WDF_DMA_DIRECTION. */
#define WDF_DMA_READ_FROM_DEVICE 0
#define WDF_DMA_WRITE_TO_DEVICE 1

typedef BOOLEAN(NTAPI *WDF_PROGRAM_DMA)(WDFDMATRANSACTION transaction, WDFDEVICE device,
                                        PVOID context, ULONG direction,
                                        PSCATTER_GATHER_LIST list);

/* Deferred work. */
typedef VOID(NTAPI *WDF_DEFERRED_CALLBACK)(WDFOBJECT object);

typedef struct {
    ULONG Size;
    WDF_DEFERRED_CALLBACK EvtTimerFunc;
    ULONG Period;
    BOOLEAN AutomaticSerialization;
    ULONG TolerableDelay;
    __attribute__((aligned(8))) ULONG UseHighResolutionTimer;
} WDF_TIMER_CONFIG;

typedef struct {
    ULONG Size;
    WDF_DEFERRED_CALLBACK EvtWorkItemFunc;
    BOOLEAN AutomaticSerialization;
} WDF_WORKITEM_CONFIG;

typedef struct {
    ULONG Size;
    WDF_DEFERRED_CALLBACK EvtDpcFunc;
    BOOLEAN AutomaticSerialization;
} WDF_DPC_CONFIG;

/*
 * The framework's routines that this driver calls: each is an entry of the function table, by its
 * published index, whose first argument is the pointer to the globals that the binding gave.
 */
#pragma once

#include "wdf.h"

/* entry.c: what WdfVersionBind has filled in. */
extern PVOID *wdf_functions;
extern WDF_DRIVER_GLOBALS *wdf_globals;

#define WDF_ENTRY(index, type)                                                                     \
    ((void)sizeof(char[(index) < WDF_FUNCTION_COUNT ? 1 : -1]), (type)wdf_functions[index])

#define WDF_CALL_1(index, result, name, A, a)                                                      \
    static inline result name(A a)                                                                 \
    {                                                                                              \
        typedef result(NTAPI * routine)(WDF_DRIVER_GLOBALS *, A);                                  \
        return WDF_ENTRY(index, routine)(wdf_globals, a);                                          \
    }
#define WDF_CALL_2(index, result, name, A, a, B, b)                                                \
    static inline result name(A a, B b)                                                            \
    {                                                                                              \
        typedef result(NTAPI * routine)(WDF_DRIVER_GLOBALS *, A, B);                               \
        return WDF_ENTRY(index, routine)(wdf_globals, a, b);                                       \
    }
#define WDF_CALL_3(index, result, name, A, a, B, b, C, c)                                          \
    static inline result name(A a, B b, C c)                                                       \
    {                                                                                              \
        typedef result(NTAPI * routine)(WDF_DRIVER_GLOBALS *, A, B, C);                            \
        return WDF_ENTRY(index, routine)(wdf_globals, a, b, c);                                    \
    }
#define WDF_CALL_4(index, result, name, A, a, B, b, C, c, D, d)                                    \
    static inline result name(A a, B b, C c, D d)                                                  \
    {                                                                                              \
        typedef result(NTAPI * routine)(WDF_DRIVER_GLOBALS *, A, B, C, D);                         \
        return WDF_ENTRY(index, routine)(wdf_globals, a, b, c, d);                                 \
    }
#define WDF_CALL_5(index, result, name, A, a, B, b, C, c, D, d, E, e)                              \
    static inline result name(A a, B b, C c, D d, E e)                                             \
    {                                                                                              \
        typedef result(NTAPI * routine)(WDF_DRIVER_GLOBALS *, A, B, C, D, E);                      \
        return WDF_ENTRY(index, routine)(wdf_globals, a, b, c, d, e);                              \
    }
#define WDF_CALL_6(index, result, name, A, a, B, b, C, c, D, d, E, e, F, f)                        \
    static inline result name(A a, B b, C c, D d, E e, F f)                                        \
    {                                                                                              \
        typedef result(NTAPI * routine)(WDF_DRIVER_GLOBALS *, A, B, C, D, E, F);                   \
        return WDF_ENTRY(index, routine)(wdf_globals, a, b, c, d, e, f);                           \
    }

/* Driver and device. */
WDF_CALL_5(116, NTSTATUS, WdfDriverCreate, PDRIVER_OBJECT, driver_object, PUNICODE_STRING,
           service_path, WDF_OBJECT_ATTRIBUTES *, attributes, WDF_DRIVER_CONFIG *, config,
           WDFDRIVER *, driver)
WDF_CALL_1(31, PDEVICE_OBJECT, WdfDeviceWdmGetDeviceObject, WDFDEVICE, device)
WDF_CALL_1(33, PDEVICE_OBJECT, WdfDeviceWdmGetPhysicalDevice, WDFDEVICE, device)
WDF_CALL_1(52, ULONG, WdfDeviceGetAlignmentRequirement, WDFDEVICE, device)
WDF_CALL_2(53, void, WdfDeviceSetAlignmentRequirement, WDFDEVICE, device, ULONG, mask)
WDF_CALL_2(55, void, WdfDeviceInitSetPnpPowerEventCallbacks, WDFDEVICE_INIT *, init,
           WDF_PNPPOWER_EVENT_CALLBACKS *, callbacks)
WDF_CALL_3(75, NTSTATUS, WdfDeviceCreate, WDFDEVICE_INIT **, init, WDF_OBJECT_ATTRIBUTES *,
           attributes, WDFDEVICE *, device)
WDF_CALL_1(124, PDEVICE_OBJECT, WdfFdoInitWdmGetPhysicalDevice, WDFDEVICE_INIT *, init)

/* Objects. */
WDF_CALL_2(202, PVOID, WdfObjectGetTypedContextWorker, WDFOBJECT, object, const
           WDF_OBJECT_CONTEXT_TYPE_INFO *, type)
WDF_CALL_3(203, NTSTATUS, WdfObjectAllocateContext, WDFOBJECT, object, WDF_OBJECT_ATTRIBUTES *,
           attributes, PVOID *, context)
WDF_CALL_1(204, WDFOBJECT, WdfObjectContextGetObject, PVOID, context)
WDF_CALL_4(205, void, WdfObjectReferenceActual, WDFOBJECT, object, PVOID, tag, LONG, line, PCSTR,
           file)
WDF_CALL_4(206, void, WdfObjectDereferenceActual, WDFOBJECT, object, PVOID, tag, LONG, line, PCSTR,
           file)
WDF_CALL_2(207, NTSTATUS, WdfObjectCreate, WDF_OBJECT_ATTRIBUTES *, attributes, WDFOBJECT *, object)
WDF_CALL_1(208, void, WdfObjectDelete, WDFOBJECT, object)
WDF_CALL_1(310, void, WdfObjectAcquireLock, WDFOBJECT, object)
WDF_CALL_1(311, void, WdfObjectReleaseLock, WDFOBJECT, object)

/* DMA. */
WDF_CALL_4(21, NTSTATUS, WdfCommonBufferCreate, WDFDMAENABLER, enabler, SIZE_T, length,
           WDF_OBJECT_ATTRIBUTES *, attributes, WDFCOMMONBUFFER *, buffer)
WDF_CALL_1(22, PVOID, WdfCommonBufferGetAlignedVirtualAddress, WDFCOMMONBUFFER, buffer)
WDF_CALL_1(23, PHYSICAL_ADDRESS, WdfCommonBufferGetAlignedLogicalAddress, WDFCOMMONBUFFER, buffer)
WDF_CALL_1(24, SIZE_T, WdfCommonBufferGetLength, WDFCOMMONBUFFER, buffer)
WDF_CALL_4(94, NTSTATUS, WdfDmaEnablerCreate, WDFDEVICE, device, WDF_DMA_ENABLER_CONFIG *, config,
           WDF_OBJECT_ATTRIBUTES *, attributes, WDFDMAENABLER *, enabler)
WDF_CALL_1(95, SIZE_T, WdfDmaEnablerGetMaximumLength, WDFDMAENABLER, enabler)
WDF_CALL_1(96, SIZE_T, WdfDmaEnablerGetMaximumScatterGatherElements, WDFDMAENABLER, enabler)
WDF_CALL_2(97, void, WdfDmaEnablerSetMaximumScatterGatherElements, WDFDMAENABLER, enabler, SIZE_T,
           elements)
WDF_CALL_5(383, NTSTATUS, WdfCommonBufferCreateWithConfig, WDFDMAENABLER, enabler, SIZE_T, length,
           WDF_COMMON_BUFFER_CONFIG *, config, WDF_OBJECT_ATTRIBUTES *, attributes,
           WDFCOMMONBUFFER *, buffer)
WDF_CALL_2(384, SIZE_T, WdfDmaEnablerGetFragmentLength, WDFDMAENABLER, enabler, ULONG, direction)
WDF_CALL_2(385, PDMA_ADAPTER, WdfDmaEnablerWdmGetDmaAdapter, WDFDMAENABLER, enabler, ULONG,
           direction)

/* DMA transactions. */
WDF_CALL_3(98, NTSTATUS, WdfDmaTransactionCreate, WDFDMAENABLER, enabler, WDF_OBJECT_ATTRIBUTES *,
           attributes, WDFDMATRANSACTION *, transaction)
WDF_CALL_6(99, NTSTATUS, WdfDmaTransactionInitialize, WDFDMATRANSACTION, transaction,
           WDF_PROGRAM_DMA, program, ULONG, direction, PMDL, mdl, PVOID, start, SIZE_T, length)
WDF_CALL_6(406, NTSTATUS, WdfDmaTransactionInitializeUsingOffset, WDFDMATRANSACTION, transaction,
           WDF_PROGRAM_DMA, program, ULONG, direction, PMDL, mdl, SIZE_T, offset, SIZE_T, length)
WDF_CALL_2(101, NTSTATUS, WdfDmaTransactionExecute, WDFDMATRANSACTION, transaction, PVOID, context)
WDF_CALL_1(102, NTSTATUS, WdfDmaTransactionRelease, WDFDMATRANSACTION, transaction)
WDF_CALL_2(103, BOOLEAN, WdfDmaTransactionDmaCompleted, WDFDMATRANSACTION, transaction, NTSTATUS *,
           status)
WDF_CALL_3(104, BOOLEAN, WdfDmaTransactionDmaCompletedWithLength, WDFDMATRANSACTION, transaction,
           SIZE_T, length, NTSTATUS *, status)
WDF_CALL_3(105, BOOLEAN, WdfDmaTransactionDmaCompletedFinal, WDFDMATRANSACTION, transaction, SIZE_T,
           length, NTSTATUS *, status)
WDF_CALL_1(106, SIZE_T, WdfDmaTransactionGetBytesTransferred, WDFDMATRANSACTION, transaction)
WDF_CALL_2(107, void, WdfDmaTransactionSetMaximumLength, WDFDMATRANSACTION, transaction, SIZE_T,
           length)
WDF_CALL_1(109, SIZE_T, WdfDmaTransactionGetCurrentDmaTransferLength, WDFDMATRANSACTION,
           transaction)

/* Interrupts. */
WDF_CALL_4(141, NTSTATUS, WdfInterruptCreate, WDFDEVICE, device, WDF_INTERRUPT_CONFIG *, config,
           WDF_OBJECT_ATTRIBUTES *, attributes, WDFINTERRUPT *, interrupt)
WDF_CALL_1(142, BOOLEAN, WdfInterruptQueueDpcForIsr, WDFINTERRUPT, interrupt)
WDF_CALL_1(151, WDFDEVICE, WdfInterruptGetDevice, WDFINTERRUPT, interrupt)
WDF_CALL_3(143, BOOLEAN, WdfInterruptSynchronize, WDFINTERRUPT, interrupt,
           WDF_INTERRUPT_SYNCHRONIZED, callback, PVOID, context)
WDF_CALL_2(149, void, WdfInterruptGetInfo, WDFINTERRUPT, interrupt, WDF_INTERRUPT_INFO *, info)

/* Queues and requests. */
WDF_CALL_4(152, NTSTATUS, WdfIoQueueCreate, WDFDEVICE, device, WDF_IO_QUEUE_CONFIG *, config,
           WDF_OBJECT_ATTRIBUTES *, attributes, WDFQUEUE *, queue)
WDF_CALL_3(153, ULONG, WdfIoQueueGetState, WDFQUEUE, queue, ULONG *, waiting, ULONG *, owned)
WDF_CALL_1(154, void, WdfIoQueueStart, WDFQUEUE, queue)
WDF_CALL_3(155, void, WdfIoQueueStop, WDFQUEUE, queue, PVOID, stopped, PVOID, context)
WDF_CALL_2(158, NTSTATUS, WdfIoQueueRetrieveNextRequest, WDFQUEUE, queue, WDFREQUEST *, request)
WDF_CALL_3(163, void, WdfIoQueueDrain, WDFQUEUE, queue, PVOID, drained, PVOID, context)
WDF_CALL_3(165, void, WdfIoQueuePurge, WDFQUEUE, queue, PVOID, purged, PVOID, context)
WDF_CALL_1(256, NTSTATUS, WdfRequestUnmarkCancelable, WDFREQUEST, request)
WDF_CALL_1(257, BOOLEAN, WdfRequestIsCanceled, WDFREQUEST, request)
WDF_CALL_3(265, void, WdfRequestCompleteWithInformation, WDFREQUEST, request, NTSTATUS, status,
           ULONG_PTR, information)
WDF_CALL_2(266, void, WdfRequestGetParameters, WDFREQUEST, request, WDF_REQUEST_PARAMETERS *,
           parameters)
WDF_CALL_4(269, NTSTATUS, WdfRequestRetrieveInputBuffer, WDFREQUEST, request, SIZE_T, minimum,
           PVOID *, buffer, SIZE_T *, length)
WDF_CALL_4(270, NTSTATUS, WdfRequestRetrieveOutputBuffer, WDFREQUEST, request, SIZE_T, minimum,
           PVOID *, buffer, SIZE_T *, length)
WDF_CALL_2(281, NTSTATUS, WdfRequestForwardToIoQueue, WDFREQUEST, request, WDFQUEUE, queue)
WDF_CALL_2(284, void, WdfRequestStopAcknowledge, WDFREQUEST, request, BOOLEAN, requeue)
WDF_CALL_2(393, NTSTATUS, WdfRequestMarkCancelableEx, WDFREQUEST, request, WDF_REQUEST_CANCEL,
           cancel)
WDF_CALL_2(263, void, WdfRequestComplete, WDFREQUEST, request, NTSTATUS, status)
WDF_CALL_1(285, PIRP, WdfRequestWdmGetIrp, WDFREQUEST, request)

/* Deferred work and locks. */
WDF_CALL_3(111, NTSTATUS, WdfDpcCreate, WDF_DPC_CONFIG *, config, WDF_OBJECT_ATTRIBUTES *,
           attributes, WDFDPC *, dpc)
WDF_CALL_1(112, BOOLEAN, WdfDpcEnqueue, WDFDPC, dpc)
WDF_CALL_2(113, BOOLEAN, WdfDpcCancel, WDFDPC, dpc, BOOLEAN, wait)
WDF_CALL_2(312, NTSTATUS, WdfWaitLockCreate, WDF_OBJECT_ATTRIBUTES *, attributes, WDFWAITLOCK *,
           lock)
WDF_CALL_2(313, NTSTATUS, WdfWaitLockAcquire, WDFWAITLOCK, lock, LONGLONG *, timeout)
WDF_CALL_1(314, void, WdfWaitLockRelease, WDFWAITLOCK, lock)
WDF_CALL_2(315, NTSTATUS, WdfSpinLockCreate, WDF_OBJECT_ATTRIBUTES *, attributes, WDFSPINLOCK *,
           lock)
WDF_CALL_1(316, void, WdfSpinLockAcquire, WDFSPINLOCK, lock)
WDF_CALL_1(317, void, WdfSpinLockRelease, WDFSPINLOCK, lock)
WDF_CALL_3(318, NTSTATUS, WdfTimerCreate, WDF_TIMER_CONFIG *, config, WDF_OBJECT_ATTRIBUTES *,
           attributes, WDFTIMER *, timer)
WDF_CALL_2(319, BOOLEAN, WdfTimerStart, WDFTIMER, timer, LONGLONG, due_time)
WDF_CALL_2(320, BOOLEAN, WdfTimerStop, WDFTIMER, timer, BOOLEAN, wait)
WDF_CALL_3(379, NTSTATUS, WdfWorkItemCreate, WDF_WORKITEM_CONFIG *, config, WDF_OBJECT_ATTRIBUTES *,
           attributes, WDFWORKITEM *, item)
WDF_CALL_1(380, void, WdfWorkItemEnqueue, WDFWORKITEM, item)
WDF_CALL_1(382, void, WdfWorkItemFlush, WDFWORKITEM, item)

/* Registry, interfaces and the bus. */
WDF_CALL_5(48, NTSTATUS, WdfDeviceOpenRegistryKey, WDFDEVICE, device, ULONG, kind, ACCESS_MASK,
           access, WDF_OBJECT_ATTRIBUTES *, attributes, WDFKEY *, key)
WDF_CALL_3(77, NTSTATUS, WdfDeviceCreateDeviceInterface, WDFDEVICE, device, const GUID *,
           interface_class, PUNICODE_STRING, reference)
WDF_CALL_4(78, void, WdfDeviceSetDeviceInterfaceState, WDFDEVICE, device, const GUID *,
           interface_class, PUNICODE_STRING, reference, BOOLEAN, enable)
WDF_CALL_4(119, NTSTATUS, WdfDriverOpenParametersRegistryKey, WDFDRIVER, driver, ACCESS_MASK,
           access, WDF_OBJECT_ATTRIBUTES *, attributes, WDFKEY *, key)
WDF_CALL_6(131, NTSTATUS, WdfFdoQueryForInterface, WDFDEVICE, device, const GUID *, interface_type,
           PINTERFACE, bus, USHORT, size, USHORT, version, PVOID, specific)
WDF_CALL_1(231, void, WdfRegistryClose, WDFKEY, key)
WDF_CALL_3(240, NTSTATUS, WdfRegistryQueryULong, WDFKEY, key, PUNICODE_STRING, name, ULONG *, value)
WDF_CALL_3(246, NTSTATUS, WdfRegistryAssignULong, WDFKEY, key, PUNICODE_STRING, name, ULONG, value)

/* Resources. */
WDF_CALL_1(304, ULONG, WdfCmResourceListGetCount, WDFCMRESLIST, list)
WDF_CALL_2(305, PCM_PARTIAL_RESOURCE_DESCRIPTOR, WdfCmResourceListGetDescriptor, WDFCMRESLIST, list,
           ULONG, index)

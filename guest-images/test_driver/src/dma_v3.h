/*
 * The version 3 DMA interface, declared here because the mingw headers end at version 2.
 *
 * Offsets and sizes are those of the documented x64 layouts and are asserted. Members of the table
 * that the driver does not call are placeholders.
 */
#pragma once

#include "platform.h"

#define DMA_VERSION_3 3

/* DEVICE_DESCRIPTION with the version 3 tail, 0x40 bytes. */
typedef struct dma_device_description {
    ULONG Version;
    BOOLEAN Master;
    BOOLEAN ScatterGather;
    BOOLEAN DemandMode;
    BOOLEAN AutoInitialize;
    BOOLEAN Dma32BitAddresses;
    BOOLEAN IgnoreCount;
    BOOLEAN Reserved1;
    BOOLEAN Dma64BitAddresses;
    ULONG BusNumber;
    ULONG DmaChannel;
    LONG InterfaceType;
    ULONG DmaWidth;
    ULONG DmaSpeed;
    ULONG MaximumLength;
    ULONG DmaPort;
    ULONG DmaAddressWidth;
    ULONG DmaControllerInstance;
    ULONG DmaRequestLine;
    PHYSICAL_ADDRESS DeviceAddress;
} DMA_DEVICE_DESCRIPTION;

_Static_assert(sizeof(DMA_DEVICE_DESCRIPTION) == 0x40, "DEVICE_DESCRIPTION");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, Master) == 0x04, "Master");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, Dma64BitAddresses) == 0x0b, "Dma64BitAddresses");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, BusNumber) == 0x0c, "BusNumber");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, DmaChannel) == 0x10, "DmaChannel");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, InterfaceType) == 0x14, "InterfaceType");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, DmaWidth) == 0x18, "DmaWidth");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, DmaSpeed) == 0x1c, "DmaSpeed");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, MaximumLength) == 0x20, "MaximumLength");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, DmaPort) == 0x24, "DmaPort");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, DmaAddressWidth) == 0x28, "DmaAddressWidth");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, DmaRequestLine) == 0x30, "DmaRequestLine");
_Static_assert(offsetof(DMA_DEVICE_DESCRIPTION, DeviceAddress) == 0x38, "DeviceAddress");

/* DMA_COMMON_BUFFER_EXTENDED_CONFIGURATION, 0x28 bytes. */
typedef struct dma_extended_configuration {
    LONG ConfigType; /* 0 LogicalAddressLimits, 1 SubSection, 2 HardwareAccessPermissions */
    union {
        struct {
            PHYSICAL_ADDRESS MinimumAddress;
            PHYSICAL_ADDRESS MaximumAddress;
        } LogicalAddressLimits;
        struct {
            ULONGLONG Offset;
            ULONG Length;
        } SubSection;
        LONG HardwareAccessType; /* 0 ReadOnly, 1 WriteOnly, 2 ReadWrite */
        ULONGLONG Reserved[4];
    } u;
} DMA_EXTENDED_CONFIGURATION;

_Static_assert(sizeof(DMA_EXTENDED_CONFIGURATION) == 0x28, "extended configuration");
_Static_assert(offsetof(DMA_EXTENDED_CONFIGURATION, u) == 0x08, "its union");
_Static_assert(offsetof(DMA_EXTENDED_CONFIGURATION, u.LogicalAddressLimits.MaximumAddress) == 0x10,
               "MaximumAddress");
_Static_assert(offsetof(DMA_EXTENDED_CONFIGURATION, u.SubSection.Length) == 0x10, "Length");

/* DMA_ADAPTER_INFO in its longest form, 0x58 bytes; version 1 begins at 4. */
typedef struct dma_adapter_info_union {
    ULONG Version;
    ULONG Words[21];
} DMA_ADAPTER_INFO_UNION;

_Static_assert(sizeof(DMA_ADAPTER_INFO_UNION) == 0x58, "DMA_ADAPTER_INFO");

typedef struct dma_operations_v3 DMA_OPERATIONS_V3;

/* DMA_ADAPTER: the public head of a larger object. */
typedef struct dma_adapter_v3 {
    USHORT Version;
    USHORT Size;
    DMA_OPERATIONS_V3 *DmaOperations;
} DMA_ADAPTER_V3;

_Static_assert(sizeof(DMA_ADAPTER_V3) == 0x10, "DMA_ADAPTER");
_Static_assert(offsetof(DMA_ADAPTER_V3, DmaOperations) == 0x08, "DmaOperations");

/* SCATTER_GATHER_ELEMENT, 0x18 bytes. */
typedef struct dma_list_element {
    PHYSICAL_ADDRESS Address;
    ULONG Length;
    ULONG_PTR Reserved;
} DMA_LIST_ELEMENT;

/* SCATTER_GATHER_LIST: the elements follow. */
typedef struct dma_list {
    ULONG NumberOfElements;
    ULONG_PTR Reserved;
    DMA_LIST_ELEMENT Elements[];
} DMA_LIST;

_Static_assert(sizeof(DMA_LIST_ELEMENT) == 0x18, "SCATTER_GATHER_ELEMENT");
_Static_assert(offsetof(DMA_LIST_ELEMENT, Length) == 0x08, "Length");
_Static_assert(offsetof(DMA_LIST, Elements) == 0x10, "Elements");

/* DMA_TRANSFER_INFO of version 2; version 1 ends before the last field. */
typedef struct dma_transfer_needs {
    ULONG Version;
    ULONG MapRegisterCount;
    ULONG ScatterGatherElementCount;
    ULONG ScatterGatherListSize;
    ULONG LogicalPageCount;
} DMA_TRANSFER_NEEDS;

_Static_assert(sizeof(DMA_TRANSFER_NEEDS) == 0x14, "DMA_TRANSFER_INFO");

/* DMA_TRANSFER_CONTEXT_SIZE_V1. */
#define DMA_CONTEXT_BYTES 128

/* AdapterControl, which returns an IO_ALLOCATION_ACTION, and AdapterListControl. */
typedef ULONG NTAPI DMA_CHANNEL_ROUTINE(PDEVICE_OBJECT device, PIRP irp, PVOID register_base,
                                        PVOID context);
typedef VOID NTAPI DMA_LIST_ROUTINE(PDEVICE_OBJECT device, PIRP irp, DMA_LIST *list,
                                    PVOID context);

/* DMA_OPERATIONS, 0x140 bytes in Windows 11 and Server 2022. */
struct dma_operations_v3 {
    ULONG Size;
    VOID(NTAPI *PutDmaAdapter)(DMA_ADAPTER_V3 *adapter);
    PVOID(NTAPI *AllocateCommonBuffer)
    (DMA_ADAPTER_V3 *adapter, ULONG length, PHYSICAL_ADDRESS *logical_address,
     BOOLEAN cache_enabled);
    VOID(NTAPI *FreeCommonBuffer)
    (DMA_ADAPTER_V3 *adapter, ULONG length, PHYSICAL_ADDRESS logical_address,
     PVOID virtual_address, BOOLEAN cache_enabled);
    NTSTATUS(NTAPI *AllocateAdapterChannel)
    (DMA_ADAPTER_V3 *adapter, PDEVICE_OBJECT device, ULONG registers, DMA_CHANNEL_ROUTINE *routine,
     PVOID context);
    BOOLEAN(NTAPI *FlushAdapterBuffers)
    (DMA_ADAPTER_V3 *adapter, PMDL mdl, PVOID register_base, PVOID current_va, ULONG length,
     BOOLEAN write_to_device);
    VOID(NTAPI *FreeAdapterChannel)(DMA_ADAPTER_V3 *adapter);
    VOID(NTAPI *FreeMapRegisters)
    (DMA_ADAPTER_V3 *adapter, PVOID register_base, ULONG registers);
    PHYSICAL_ADDRESS(NTAPI *MapTransfer)
    (DMA_ADAPTER_V3 *adapter, PMDL mdl, PVOID register_base, PVOID current_va, ULONG *length,
     BOOLEAN write_to_device);
    ULONG(NTAPI *GetDmaAlignment)(DMA_ADAPTER_V3 *adapter);
    PVOID ReadDmaCounter;
    NTSTATUS(NTAPI *GetScatterGatherList)
    (DMA_ADAPTER_V3 *adapter, PDEVICE_OBJECT device, PMDL mdl, PVOID current_va, ULONG length,
     DMA_LIST_ROUTINE *routine, PVOID context, BOOLEAN write_to_device);
    VOID(NTAPI *PutScatterGatherList)
    (DMA_ADAPTER_V3 *adapter, DMA_LIST *list, BOOLEAN write_to_device);
    NTSTATUS(NTAPI *CalculateScatterGatherList)
    (DMA_ADAPTER_V3 *adapter, PMDL mdl, PVOID current_va, ULONG length, ULONG *size,
     ULONG *registers);
    NTSTATUS(NTAPI *BuildScatterGatherList)
    (DMA_ADAPTER_V3 *adapter, PDEVICE_OBJECT device, PMDL mdl, PVOID current_va, ULONG length,
     DMA_LIST_ROUTINE *routine, PVOID context, BOOLEAN write_to_device, PVOID buffer,
     ULONG buffer_length);
    NTSTATUS(NTAPI *BuildMdlFromScatterGatherList)
    (DMA_ADAPTER_V3 *adapter, DMA_LIST *list, PMDL original, PMDL *target);
    NTSTATUS(NTAPI *GetDmaAdapterInfo)(DMA_ADAPTER_V3 *adapter, DMA_ADAPTER_INFO_UNION *info);
    NTSTATUS(NTAPI *GetDmaTransferInfo)
    (DMA_ADAPTER_V3 *adapter, PMDL mdl, ULONGLONG offset, ULONG length, BOOLEAN write_only,
     DMA_TRANSFER_NEEDS *info);
    NTSTATUS(NTAPI *InitializeDmaTransferContext)(DMA_ADAPTER_V3 *adapter, PVOID context);
    PVOID(NTAPI *AllocateCommonBufferEx)
    (DMA_ADAPTER_V3 *adapter, PHYSICAL_ADDRESS *maximum_address, ULONG length,
     PHYSICAL_ADDRESS *logical_address, BOOLEAN cache_enabled, ULONG preferred_node);
    NTSTATUS(NTAPI *AllocateAdapterChannelEx)
    (DMA_ADAPTER_V3 *adapter, PDEVICE_OBJECT device, PVOID transfer_context, ULONG registers,
     ULONG flags, DMA_CHANNEL_ROUTINE *routine, PVOID context, PVOID *register_base);
    PVOID ConfigureAdapterChannel;
    BOOLEAN(NTAPI *CancelAdapterChannel)
    (DMA_ADAPTER_V3 *adapter, PDEVICE_OBJECT device, PVOID transfer_context);
    NTSTATUS(NTAPI *MapTransferEx)
    (DMA_ADAPTER_V3 *adapter, PMDL mdl, PVOID register_base, ULONGLONG offset, ULONG device_offset,
     ULONG *length, BOOLEAN write_to_device, DMA_LIST *list, ULONG list_length,
     PVOID completion_routine, PVOID completion_context);
    NTSTATUS(NTAPI *GetScatterGatherListEx)
    (DMA_ADAPTER_V3 *adapter, PDEVICE_OBJECT device, PVOID transfer_context, PMDL mdl,
     ULONGLONG offset, ULONG length, ULONG flags, DMA_LIST_ROUTINE *routine, PVOID context,
     BOOLEAN write_to_device, PVOID completion_routine, PVOID completion_context, DMA_LIST **list);
    NTSTATUS(NTAPI *BuildScatterGatherListEx)
    (DMA_ADAPTER_V3 *adapter, PDEVICE_OBJECT device, PVOID transfer_context, PMDL mdl,
     ULONGLONG offset, ULONG length, ULONG flags, DMA_LIST_ROUTINE *routine, PVOID context,
     BOOLEAN write_to_device, PVOID buffer, ULONG buffer_length, PVOID completion_routine,
     PVOID completion_context, DMA_LIST **list);
    NTSTATUS(NTAPI *FlushAdapterBuffersEx)
    (DMA_ADAPTER_V3 *adapter, PMDL mdl, PVOID register_base, ULONGLONG offset, ULONG length,
     BOOLEAN write_to_device);
    VOID(NTAPI *FreeAdapterObject)(DMA_ADAPTER_V3 *adapter, ULONG action);
    NTSTATUS(NTAPI *CancelMappedTransfer)(DMA_ADAPTER_V3 *adapter, PVOID transfer_context);
    NTSTATUS(NTAPI *AllocateDomainCommonBuffer)
    (DMA_ADAPTER_V3 *adapter, HANDLE domain, PHYSICAL_ADDRESS *maximum_address, ULONG length,
     ULONG flags, MEMORY_CACHING_TYPE *cache_type, ULONG preferred_node,
     PHYSICAL_ADDRESS *logical_address, PVOID *virtual_address);
    NTSTATUS(NTAPI *FlushDmaBuffer)(DMA_ADAPTER_V3 *adapter, PMDL mdl, BOOLEAN read_operation);
    NTSTATUS(NTAPI *JoinDmaDomain)(DMA_ADAPTER_V3 *adapter, HANDLE domain);
    NTSTATUS(NTAPI *LeaveDmaDomain)(DMA_ADAPTER_V3 *adapter);
    HANDLE(NTAPI *GetDmaDomain)(DMA_ADAPTER_V3 *adapter);
    PVOID(NTAPI *AllocateCommonBufferWithBounds)
    (DMA_ADAPTER_V3 *adapter, PHYSICAL_ADDRESS *minimum_address, PHYSICAL_ADDRESS *maximum_address,
     ULONG length, ULONG flags, MEMORY_CACHING_TYPE *cache_type, ULONG preferred_node,
     PHYSICAL_ADDRESS *logical_address);
    NTSTATUS(NTAPI *AllocateCommonBufferVector)
    (DMA_ADAPTER_V3 *adapter, PHYSICAL_ADDRESS low_address, PHYSICAL_ADDRESS high_address,
     MEMORY_CACHING_TYPE cache_type, ULONG ideal_node, ULONG flags, ULONG number_of_elements,
     ULONGLONG size_of_elements, PVOID *vector);
    VOID(NTAPI *GetCommonBufferFromVectorByIndex)
    (DMA_ADAPTER_V3 *adapter, PVOID vector, ULONG index, PVOID *virtual_address,
     PHYSICAL_ADDRESS *logical_address);
    VOID(NTAPI *FreeCommonBufferFromVector)(DMA_ADAPTER_V3 *adapter, PVOID vector, ULONG index);
    VOID(NTAPI *FreeCommonBufferVector)(DMA_ADAPTER_V3 *adapter, PVOID vector);
    NTSTATUS(NTAPI *CreateCommonBufferFromMdl)
    (DMA_ADAPTER_V3 *adapter, PMDL mdl, const DMA_EXTENDED_CONFIGURATION *configurations,
     ULONG count, PHYSICAL_ADDRESS *logical_address);
};

_Static_assert(sizeof(DMA_OPERATIONS_V3) == 0x140, "DMA_OPERATIONS");
_Static_assert(offsetof(DMA_OPERATIONS_V3, PutDmaAdapter) == 0x008, "PutDmaAdapter");
_Static_assert(offsetof(DMA_OPERATIONS_V3, AllocateCommonBuffer) == 0x010, "AllocateCommonBuffer");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FreeCommonBuffer) == 0x018, "FreeCommonBuffer");
_Static_assert(offsetof(DMA_OPERATIONS_V3, AllocateAdapterChannel) == 0x020, "v1");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FlushAdapterBuffers) == 0x028, "v1");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FreeAdapterChannel) == 0x030, "v1");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FreeMapRegisters) == 0x038, "v1");
_Static_assert(offsetof(DMA_OPERATIONS_V3, MapTransfer) == 0x040, "v1");
_Static_assert(offsetof(DMA_OPERATIONS_V3, GetDmaAlignment) == 0x048, "GetDmaAlignment");
_Static_assert(offsetof(DMA_OPERATIONS_V3, ReadDmaCounter) == 0x050, "v1");
_Static_assert(offsetof(DMA_OPERATIONS_V3, GetScatterGatherList) == 0x058, "v1");
_Static_assert(offsetof(DMA_OPERATIONS_V3, PutScatterGatherList) == 0x060, "v1");
_Static_assert(offsetof(DMA_OPERATIONS_V3, CalculateScatterGatherList) == 0x068, "v2");
_Static_assert(offsetof(DMA_OPERATIONS_V3, BuildScatterGatherList) == 0x070, "v2");
_Static_assert(offsetof(DMA_OPERATIONS_V3, BuildMdlFromScatterGatherList) == 0x078, "v2");
_Static_assert(offsetof(DMA_OPERATIONS_V3, GetDmaAdapterInfo) == 0x080, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, GetDmaTransferInfo) == 0x088, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, InitializeDmaTransferContext) == 0x090, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, AllocateCommonBufferEx) == 0x098, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, AllocateAdapterChannelEx) == 0x0a0, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, ConfigureAdapterChannel) == 0x0a8, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, CancelAdapterChannel) == 0x0b0, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, MapTransferEx) == 0x0b8, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, GetScatterGatherListEx) == 0x0c0, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, BuildScatterGatherListEx) == 0x0c8, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FlushAdapterBuffersEx) == 0x0d0, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FreeAdapterObject) == 0x0d8, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, CancelMappedTransfer) == 0x0e0, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, AllocateDomainCommonBuffer) == 0x0e8, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FlushDmaBuffer) == 0x0f0, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, JoinDmaDomain) == 0x0f8, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, LeaveDmaDomain) == 0x100, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, GetDmaDomain) == 0x108, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, AllocateCommonBufferWithBounds) == 0x110, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, AllocateCommonBufferVector) == 0x118, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, GetCommonBufferFromVectorByIndex) == 0x120, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FreeCommonBufferFromVector) == 0x128, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, FreeCommonBufferVector) == 0x130, "v3");
_Static_assert(offsetof(DMA_OPERATIONS_V3, CreateCommonBufferFromMdl) == 0x138, "v3");

/* The same for members of version 2, whose table has no flaw that would have to be looked for. */
#define DMA_HAS_MEMBER_2(requested_version, operations, member)                                    \
    ((requested_version) >= 2 &&                                                                   \
     (operations)->Size >= offsetof(DMA_OPERATIONS_V3, member) + sizeof(PVOID))

/* True when a version 3 member may be called: version 3 was asked for, the table is long enough and
 * the entry is filled. DMA_ADAPTER.Version says nothing about it. */
#define DMA_HAS_MEMBER(requested_version, operations, member)                                      \
    ((requested_version) >= DMA_VERSION_3 &&                                                       \
     (operations)->Size >= offsetof(DMA_OPERATIONS_V3, member) + sizeof(PVOID) &&                  \
     (operations)->member != NULL)

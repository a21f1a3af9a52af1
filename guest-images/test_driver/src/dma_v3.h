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

typedef struct dma_operations_v3 DMA_OPERATIONS_V3;

/* DMA_ADAPTER: the public head of a larger object. */
typedef struct dma_adapter_v3 {
    USHORT Version;
    USHORT Size;
    DMA_OPERATIONS_V3 *DmaOperations;
} DMA_ADAPTER_V3;

_Static_assert(sizeof(DMA_ADAPTER_V3) == 0x10, "DMA_ADAPTER");
_Static_assert(offsetof(DMA_ADAPTER_V3, DmaOperations) == 0x08, "DmaOperations");

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
    PVOID AllocateAdapterChannel;
    PVOID FlushAdapterBuffers;
    PVOID FreeAdapterChannel;
    PVOID FreeMapRegisters;
    PVOID MapTransfer;
    ULONG(NTAPI *GetDmaAlignment)(DMA_ADAPTER_V3 *adapter);
    PVOID ReadDmaCounter;
    PVOID GetScatterGatherList;
    PVOID PutScatterGatherList;
    PVOID CalculateScatterGatherList;
    PVOID BuildScatterGatherList;
    PVOID BuildMdlFromScatterGatherList;
    PVOID GetDmaAdapterInfo;
    PVOID GetDmaTransferInfo;
    PVOID InitializeDmaTransferContext;
    PVOID(NTAPI *AllocateCommonBufferEx)
    (DMA_ADAPTER_V3 *adapter, PHYSICAL_ADDRESS *maximum_address, ULONG length,
     PHYSICAL_ADDRESS *logical_address, BOOLEAN cache_enabled, ULONG preferred_node);
    PVOID AllocateAdapterChannelEx;
    PVOID ConfigureAdapterChannel;
    PVOID CancelAdapterChannel;
    PVOID MapTransferEx;
    PVOID GetScatterGatherListEx;
    PVOID BuildScatterGatherListEx;
    PVOID FlushAdapterBuffersEx;
    PVOID FreeAdapterObject;
    PVOID CancelMappedTransfer;
    PVOID AllocateDomainCommonBuffer;
    PVOID FlushDmaBuffer;
    PVOID JoinDmaDomain;
    PVOID LeaveDmaDomain;
    PVOID GetDmaDomain;
    PVOID(NTAPI *AllocateCommonBufferWithBounds)
    (DMA_ADAPTER_V3 *adapter, PHYSICAL_ADDRESS *minimum_address, PHYSICAL_ADDRESS *maximum_address,
     ULONG length, ULONG flags, MEMORY_CACHING_TYPE *cache_type, ULONG preferred_node,
     PHYSICAL_ADDRESS *logical_address);
    PVOID AllocateCommonBufferVector;
    PVOID GetCommonBufferFromVectorByIndex;
    PVOID FreeCommonBufferFromVector;
    PVOID FreeCommonBufferVector;
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

/* True when a version 3 member may be called: version 3 was asked for, the table is long enough and
 * the entry is filled. DMA_ADAPTER.Version says nothing about it. */
#define DMA_HAS_MEMBER(requested_version, operations, member)                                      \
    ((requested_version) >= DMA_VERSION_3 &&                                                       \
     (operations)->Size >= offsetof(DMA_OPERATIONS_V3, member) + sizeof(PVOID) &&                  \
     (operations)->member != NULL)

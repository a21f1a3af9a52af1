//! Operations of the KMDF driver alone: the calls of the framework, and the log of the callbacks
//! that it makes. The WDM driver answers `OUTCOME_UNKNOWN`.
//!
//! Structures go to the framework as the program's data has them, so that wrong sizes and values can
//! be tried. Where such a structure holds a pointer, the program cannot know one: any callback but zero
//! stands for the driver's own, which logs; `ContextTypeInfo` is the number of a context type, 1 to
//! [`KMDF_CONTEXT_TYPES`]; `ParentObject` is a slot number plus one, or [`KMDF_PARENT_DEVICE`] plus the
//! number of a DUT.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// WdfDmaEnablerCreate for DUT `a`; data = WDF_DMA_ENABLER_CONFIG (0x50 bytes), then, with
/// [`KMDF_FLAG_ATTRIBUTES`], WDF_OBJECT_ATTRIBUTES (0x38). Slot `dst` = object.
pub const OP_KMDF_ENABLER_CREATE: u16 = 0x0200;
/// Enabler `a`: `value[0]` = WdfDmaEnablerGetMaximumLength, `value[1]` =
/// WdfDmaEnablerGetMaximumScatterGatherElements, `value[2]` = WdfDmaEnablerGetFragmentLength of
/// direction `arg[0]`.
pub const OP_KMDF_ENABLER_QUERY: u16 = 0x0201;
/// WdfDmaEnablerSetMaximumScatterGatherElements(enabler `a`, `arg[0]`).
pub const OP_KMDF_ENABLER_SET_MAXIMUM_ELEMENTS: u16 = 0x0202;
/// WdfDmaEnablerWdmGetDmaAdapter(enabler `a`, direction `arg[0]`). Slot `dst` = adapter, which belongs
/// to the enabler: `OP_ADAPTER_PUT` only empties the slot. Its table counts as one of version
/// `arg[1]`. A NULL adapter is `OUTCOME_NULL`. Values as of `OP_ADAPTER_OPEN`, but for the map
/// registers.
pub const OP_KMDF_ENABLER_ADAPTER: u16 = 0x0203;
/// WdfCommonBufferCreate(enabler `a`, `arg[0]` length); data = WDF_OBJECT_ATTRIBUTES with
/// [`KMDF_FLAG_ATTRIBUTES`]. Slot `dst` = buffer. `arg[4]` = the enabler's handle with
/// [`KMDF_FLAG_HANDLE`].
pub const OP_KMDF_COMMON_BUFFER_CREATE: u16 = 0x0204;
/// WdfCommonBufferCreateWithConfig: as above, the data begin with WDF_COMMON_BUFFER_CONFIG (8 bytes).
pub const OP_KMDF_COMMON_BUFFER_CREATE_WITH_CONFIG: u16 = 0x0205;
/// Common buffer `a`: `virtual_address` and `logical_address` = the aligned ones, `length` =
/// WdfCommonBufferGetLength.
pub const OP_KMDF_COMMON_BUFFER_QUERY: u16 = 0x0206;
/// WdfDeviceSetAlignmentRequirement(DUT `a`, `arg[0]`).
pub const OP_KMDF_SET_ALIGNMENT: u16 = 0x0207;
/// WdfDeviceGetAlignmentRequirement(DUT `a`): `value[0]`.
pub const OP_KMDF_GET_ALIGNMENT: u16 = 0x0208;

/// WdfObjectCreate; data = WDF_OBJECT_ATTRIBUTES with [`KMDF_FLAG_ATTRIBUTES`]. Slot `dst` = object.
/// DUT `a` counts as its owner: the slot is emptied when that device goes.
pub const OP_KMDF_OBJECT_CREATE: u16 = 0x0210;
/// WdfObjectDelete of the object or framework buffer in slot `a`. Slots of objects below it are
/// emptied.
pub const OP_KMDF_OBJECT_DELETE: u16 = 0x0211;
/// WdfObjectAllocateContext(object `a`) with attributes as data. `virtual_address` = the context.
/// Status by the framework.
pub const OP_KMDF_CONTEXT_ALLOCATE: u16 = 0x0212;
/// WdfObjectGetTypedContextWorker(object `a`, type `arg[0]`, one of 1 to [`KMDF_CONTEXT_TYPES`]):
/// `virtual_address`, NULL is `OUTCOME_NULL`; `value[0]` = 1 when WdfObjectContextGetObject of it
/// gives the object; the data = its first `arg[1]` bytes, at most [`KMDF_CONTEXT_READ_MAX_BYTES`].
pub const OP_KMDF_CONTEXT_READ: u16 = 0x0213;
/// Writes the data to the context of type `arg[0]` of object `a`.
pub const OP_KMDF_CONTEXT_WRITE: u16 = 0x0214;
/// WdfObjectReferenceActual of object `a`.
pub const OP_KMDF_OBJECT_REFERENCE: u16 = 0x0215;
/// WdfObjectDereferenceActual of object `a`. An object that was deleted while it had references stays
/// in its slot until this is called as often.
pub const OP_KMDF_OBJECT_DEREFERENCE: u16 = 0x0216;

/// The log of callbacks: the data are [`KmdfLogEntry`]s from entry `arg[0]` on, as many as fit;
/// `value[0]` = entries there are, `value[1]` = entries that found no room.
pub const OP_KMDF_LOG_READ: u16 = 0x0220;
/// Empties the log.
pub const OP_KMDF_LOG_CLEAR: u16 = 0x0221;
/// Binding: `value[0]` = client minor version, `value[1]` = 1 when the framework is older than that,
/// `value[2]` = entries of the function table; data = the component's globals (0x38 bytes).
pub const OP_KMDF_BINDING: u16 = 0x0222;

/// Flag: the data hold WDF_OBJECT_ATTRIBUTES, which are passed; else WDF_NO_OBJECT_ATTRIBUTES is.
pub const KMDF_FLAG_ATTRIBUTES: u16 = 0x0200;
/// Flag: NULL is passed for the configuration.
pub const KMDF_FLAG_NULL_CONFIG: u16 = 0x0400;
/// Flag: NULL is passed for the pointer that receives the handle.
pub const KMDF_FLAG_NULL_OUT: u16 = 0x0800;
/// Flag: `arg[4]` is passed for the handle, and no slot is looked at.
pub const KMDF_FLAG_HANDLE: u16 = 0x1000;

/// In `ParentObject` of a program's attributes: the device of DUT 0.
pub const KMDF_PARENT_DEVICE: u64 = 0x1_0000_0000;

/// Size of WDF_OBJECT_ATTRIBUTES in bytes.
pub const KMDF_ATTRIBUTES_SIZE_BYTES: usize = 0x38;
/// Size of WDF_DMA_ENABLER_CONFIG in bytes.
pub const KMDF_ENABLER_CONFIG_SIZE_BYTES: usize = 0x50;
/// Size of WDF_COMMON_BUFFER_CONFIG in bytes.
pub const KMDF_COMMON_BUFFER_CONFIG_SIZE_BYTES: usize = 8;
/// Context types that programs may use: `ContextTypeInfo` in their attributes is 1 to this.
pub const KMDF_CONTEXT_TYPES: u32 = 3;
/// Size of a context of these types in bytes, without `ContextSizeOverride`.
pub const KMDF_CONTEXT_SIZE_BYTES: u32 = 64;
/// Most bytes that `OP_KMDF_CONTEXT_READ` gives.
pub const KMDF_CONTEXT_READ_MAX_BYTES: u64 = 4096;

/// Event: EvtDriverDeviceAdd.
pub const KMDF_EVENT_DEVICE_ADD: u16 = 1;
/// Event: EvtDevicePrepareHardware.
pub const KMDF_EVENT_PREPARE_HARDWARE: u16 = 2;
/// Event: EvtDeviceReleaseHardware.
pub const KMDF_EVENT_RELEASE_HARDWARE: u16 = 3;
/// Event: EvtDeviceD0Entry; `value` = the state it comes from.
pub const KMDF_EVENT_D0_ENTRY: u16 = 4;
/// Event: EvtDeviceD0EntryPostInterruptsEnabled.
pub const KMDF_EVENT_D0_ENTRY_POST_INTERRUPTS: u16 = 5;
/// Event: EvtDeviceD0ExitPreInterruptsDisabled.
pub const KMDF_EVENT_D0_EXIT_PRE_INTERRUPTS: u16 = 6;
/// Event: EvtDeviceD0Exit; `value` = the state it goes to.
pub const KMDF_EVENT_D0_EXIT: u16 = 7;
/// Event: EvtInterruptEnable; `value` = the message.
pub const KMDF_EVENT_INTERRUPT_ENABLE: u16 = 8;
/// Event: EvtInterruptDisable; `value` = the message.
pub const KMDF_EVENT_INTERRUPT_DISABLE: u16 = 9;
/// Event: EvtDeviceSelfManagedIoInit.
pub const KMDF_EVENT_SELF_MANAGED_IO_INIT: u16 = 10;
/// Event: EvtDeviceSelfManagedIoSuspend.
pub const KMDF_EVENT_SELF_MANAGED_IO_SUSPEND: u16 = 11;
/// Event: EvtDeviceSelfManagedIoRestart.
pub const KMDF_EVENT_SELF_MANAGED_IO_RESTART: u16 = 12;
/// Event: EvtDeviceSelfManagedIoFlush.
pub const KMDF_EVENT_SELF_MANAGED_IO_FLUSH: u16 = 13;
/// Event: EvtDeviceSelfManagedIoCleanup.
pub const KMDF_EVENT_SELF_MANAGED_IO_CLEANUP: u16 = 14;
/// Event: EvtDeviceQueryStop.
pub const KMDF_EVENT_QUERY_STOP: u16 = 15;
/// Event: EvtDeviceQueryRemove.
pub const KMDF_EVENT_QUERY_REMOVE: u16 = 16;
/// Event: EvtDeviceSurpriseRemoval.
pub const KMDF_EVENT_SURPRISE_REMOVAL: u16 = 17;
/// Event: EvtCleanupCallback of the device.
pub const KMDF_EVENT_DEVICE_CLEANUP: u16 = 18;
/// Event: EvtDmaEnablerFill.
pub const KMDF_EVENT_ENABLER_FILL: u16 = 32;
/// Event: EvtDmaEnablerEnable.
pub const KMDF_EVENT_ENABLER_ENABLE: u16 = 33;
/// Event: EvtDmaEnablerSelfManagedIoStart.
pub const KMDF_EVENT_ENABLER_SELF_MANAGED_IO_START: u16 = 34;
/// Event: EvtDmaEnablerSelfManagedIoStop.
pub const KMDF_EVENT_ENABLER_SELF_MANAGED_IO_STOP: u16 = 35;
/// Event: EvtDmaEnablerDisable.
pub const KMDF_EVENT_ENABLER_DISABLE: u16 = 36;
/// Event: EvtDmaEnablerFlush.
pub const KMDF_EVENT_ENABLER_FLUSH: u16 = 37;
/// Event: EvtCleanupCallback of an object of a program.
pub const KMDF_EVENT_OBJECT_CLEANUP: u16 = 48;
/// Event: EvtDestroyCallback of an object of a program.
pub const KMDF_EVENT_OBJECT_DESTROY: u16 = 49;

/// One callback that the framework has made.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct KmdfLogEntry {
    /// Position in the order of all callbacks since the log was emptied, from 0.
    pub sequence: u32,
    /// One of `KMDF_EVENT_*`.
    pub event: u16,
    /// DUT number, or 0xffff for the control function and for objects of no device.
    pub device: u16,
    /// Slot of the object, or `SLOT_NONE`.
    pub slot: u32,
    /// By event.
    pub value: u32,
}

const _: () = assert!(size_of::<KmdfLogEntry>() == 16);

// One word holds the flags of both: no bit may mean two things.
const _: () = {
    let general = crate::operation::OP_FLAG_AT_DEVICE * 2 - 1;
    let kmdf = KMDF_FLAG_ATTRIBUTES | KMDF_FLAG_NULL_CONFIG | KMDF_FLAG_NULL_OUT | KMDF_FLAG_HANDLE;
    assert!(
        general & kmdf == 0,
        "AT_DEVICE is the last of the general flags"
    );
};

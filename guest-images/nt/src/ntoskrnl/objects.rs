//! Kernel objects whose layout drivers know (windows-dma-ddi section 5.1).
//!
//! Drivers read and write these structures through macros at any time a call into them runs, so the
//! fields are `Cell`s: a shared reference to one never promises that it stays as it is. References are
//! made from pointers only by [`super::shared`]. Routines and pointers that only drivers follow are
//! plain numbers: nothing makes a Rust pointer of them unseen.

use core::cell::Cell;
use core::mem::offset_of;

use super::status::NtStatus;
use crate::mdl::Mdl;

/// UNICODE_STRING.
#[repr(C)]
pub struct UnicodeString {
    /// Bytes in use, without a terminating zero.
    pub length: Cell<u16>,
    /// Bytes of room.
    pub maximum_length: Cell<u16>,
    /// The text.
    pub buffer: Cell<u64>,
}

/// LIST_ENTRY.
#[repr(C)]
pub struct ListEntry {
    /// Next entry or the head.
    pub flink: Cell<*const ListEntry>,
    /// Previous entry or the head.
    pub blink: Cell<*const ListEntry>,
}

/// Number of IRP_MJ codes.
pub const MAJOR_FUNCTIONS: usize = 28;
/// IRP_MJ_DEVICE_CONTROL
pub const IRP_MJ_DEVICE_CONTROL: u8 = 0x0e;
/// IRP_MJ_INTERNAL_DEVICE_CONTROL
pub const IRP_MJ_INTERNAL_DEVICE_CONTROL: u8 = 0x0f;
/// IRP_MJ_POWER
pub const IRP_MJ_POWER: u8 = 0x16;
/// IRP_MJ_SYSTEM_CONTROL
pub const IRP_MJ_SYSTEM_CONTROL: u8 = 0x17;
/// IRP_MJ_PNP
pub const IRP_MJ_PNP: u8 = 0x1b;

/// DRIVER_OBJECT.
#[repr(C)]
pub struct DriverObject {
    /// 4.
    pub kind: Cell<i16>,
    /// Size of the structure.
    pub size: Cell<i16>,
    /// First device of the driver.
    pub device_object: Cell<*const DeviceObject>,
    /// Flags.
    pub flags: Cell<u32>,
    /// First address of the image.
    pub driver_start: Cell<u64>,
    /// Size of the image.
    pub driver_size: Cell<u32>,
    /// Opaque.
    pub driver_section: Cell<u64>,
    /// The extension with AddDevice.
    pub driver_extension: Cell<*const DriverExtension>,
    /// `\Driver\NAME`.
    pub driver_name: UnicodeString,
    /// Path of the hardware description key.
    pub hardware_database: Cell<u64>,
    /// Null.
    pub fast_io_dispatch: Cell<u64>,
    /// The image's entry point.
    pub driver_init: Cell<u64>,
    /// StartIo, if the driver uses it.
    pub driver_start_io: Cell<u64>,
    /// Unload routine.
    pub driver_unload: Cell<u64>,
    /// Dispatch routines.
    pub major_function: [Cell<u64>; MAJOR_FUNCTIONS],
}

const _: () = assert!(size_of::<DriverObject>() == 0x150);
const _: () = assert!(offset_of!(DriverObject, driver_extension) == 0x30);
const _: () = assert!(offset_of!(DriverObject, driver_unload) == 0x68);

/// The public part of DRIVER_EXTENSION.
#[repr(C)]
pub struct DriverExtension {
    /// Back to the driver object.
    pub driver_object: Cell<*const DriverObject>,
    /// AddDevice.
    pub add_device: Cell<u64>,
    /// Times the reinitialization routine ran.
    pub count: Cell<u32>,
    /// Name of the service key.
    pub service_key_name: UnicodeString,
}

const _: () = assert!(size_of::<DriverExtension>() == 0x28);

/// Flag of [`DeviceObject::flags`]: the device is not ready yet.
pub const DO_DEVICE_INITIALIZING: u32 = 0x80;
/// Flag: made by a bus driver.
pub const DO_BUS_ENUMERATED_DEVICE: u32 = 0x1000;
/// Flag: power IRPs come at PASSIVE_LEVEL.
pub const DO_POWER_PAGABLE: u32 = 0x2000;
/// Flag: data of reads and writes comes through a system buffer.
pub const DO_BUFFERED_IO: u32 = 4;
/// Flag: by an MDL.
pub const DO_DIRECT_IO: u32 = 0x10;
/// Flag: one open at a time.
pub const DO_EXCLUSIVE: u32 = 8;

/// DEVICE_OBJECT.
#[repr(C, align(16))]
pub struct DeviceObject {
    /// 3.
    pub kind: Cell<i16>,
    /// Size of the structure with the driver's extension.
    pub size: Cell<u16>,
    /// References.
    pub reference_count: Cell<i32>,
    /// The driver.
    pub driver_object: Cell<*const DriverObject>,
    /// Next device of the same driver.
    pub next_device: Cell<*const DeviceObject>,
    /// Device attached above.
    pub attached_device: Cell<*const DeviceObject>,
    /// IRP of StartIo and adapter channels.
    pub current_irp: Cell<*const Irp>,
    /// Timer.
    pub timer: Cell<u64>,
    /// DO_ flags.
    pub flags: Cell<u32>,
    /// FILE_ characteristics.
    pub characteristics: Cell<u32>,
    /// Volume parameters.
    pub vpb: Cell<u64>,
    /// The driver's extension.
    pub device_extension: Cell<u64>,
    /// FILE_DEVICE_ type.
    pub device_type: Cell<u32>,
    /// Stack locations that an IRP for this device needs.
    pub stack_size: Cell<i8>,
    /// Wait context block.
    pub queue: Cell<[u64; 9]>,
    /// Alignment mask of transfers.
    pub alignment_requirement: Cell<u32>,
    /// Device queue.
    pub device_queue: Cell<[u64; 5]>,
    /// DPC for ISR.
    pub dpc: Cell<[u64; 8]>,
    /// Active threads.
    pub active_thread_count: Cell<u32>,
    /// Security descriptor.
    pub security_descriptor: Cell<u64>,
    /// Lock.
    pub device_lock: Cell<[u64; 3]>,
    /// Sector size.
    pub sector_size: Cell<u16>,
    /// Spare.
    pub spare1: Cell<u16>,
    /// Private extension.
    pub device_object_extension: Cell<u64>,
    /// Reserved.
    pub reserved: Cell<u64>,
}

const _: () = assert!(size_of::<DeviceObject>() == 0x150);
const _: () = assert!(offset_of!(DeviceObject, stack_size) == 0x4c);
const _: () = assert!(offset_of!(DeviceObject, alignment_requirement) == 0x98);
const _: () = assert!(offset_of!(DeviceObject, active_thread_count) == 0x108);
const _: () = assert!(offset_of!(DeviceObject, device_object_extension) == 0x138);

/// IRP.
#[repr(C, align(16))]
pub struct Irp {
    /// 6.
    pub kind: Cell<i16>,
    /// Size with the stack locations.
    pub size: Cell<u16>,
    /// MDL chain of the data.
    pub mdl_address: Cell<*const Mdl>,
    /// IRP_ flags.
    pub flags: Cell<u32>,
    /// AssociatedIrp.SystemBuffer.
    pub system_buffer: Cell<u64>,
    /// Of the issuing thread's list.
    pub thread_list_entry: [Cell<u64>; 2],
    /// IoStatus.Status.
    pub status: Cell<NtStatus>,
    /// IoStatus.Information.
    pub information: Cell<u64>,
    /// KPROCESSOR_MODE of the request.
    pub requestor_mode: Cell<u8>,
    /// A lower driver returned STATUS_PENDING.
    pub pending_returned: Cell<u8>,
    /// Stack locations.
    pub stack_count: Cell<i8>,
    /// Number of the current one; counts down from `stack_count + 1`.
    pub current_location: Cell<i8>,
    /// Cancel has been asked for.
    pub cancel: Cell<u8>,
    /// IRQL to go back to from the cancel routine.
    pub cancel_irql: Cell<u8>,
    /// Opaque.
    pub apc_environment: Cell<u8>,
    /// Opaque.
    pub allocation_flags: Cell<u8>,
    /// Where the issuer wants the status block.
    pub user_iosb: Cell<*const IoStatusBlock>,
    /// Event to set at the end.
    pub user_event: Cell<u64>,
    /// Overlay.
    pub overlay: [Cell<u64>; 2],
    /// Cancel routine.
    pub cancel_routine: Cell<u64>,
    /// UserBuffer.
    pub user_buffer: Cell<u64>,
    /// Tail.Overlay.DriverContext.
    pub driver_context: [Cell<u64>; 4],
    /// Issuing thread.
    pub thread: Cell<u64>,
    /// Auxiliary buffer.
    pub auxiliary_buffer: Cell<u64>,
    /// List entry for the driver.
    pub list_entry: ListEntry,
    /// Tail.Overlay.CurrentStackLocation.
    pub current_stack_location: Cell<*const IoStackLocation>,
    /// Original file object.
    pub original_file_object: Cell<u64>,
}

const _: () = assert!(size_of::<Irp>() == 0xd0);
const _: () = assert!(offset_of!(Irp, status) == 0x30 && offset_of!(Irp, cancel) == 0x44);
const _: () = assert!(offset_of!(Irp, driver_context) == 0x78 && offset_of!(Irp, thread) == 0x98);
const _: () = assert!(offset_of!(Irp, current_stack_location) == 0xb8);

/// IO_STATUS_BLOCK.
#[repr(C)]
pub struct IoStatusBlock {
    /// Status.
    pub status: Cell<NtStatus>,
    /// Information.
    pub information: Cell<u64>,
}

const _: () = assert!(size_of::<IoStatusBlock>() == 0x10);

/// SL_PENDING_RETURNED
pub const SL_PENDING_RETURNED: u8 = 1;
/// SL_INVOKE_ON_CANCEL
pub const SL_INVOKE_ON_CANCEL: u8 = 0x20;
/// SL_INVOKE_ON_SUCCESS
pub const SL_INVOKE_ON_SUCCESS: u8 = 0x40;
/// SL_INVOKE_ON_ERROR
pub const SL_INVOKE_ON_ERROR: u8 = 0x80;

/// IO_STACK_LOCATION.
#[repr(C)]
pub struct IoStackLocation {
    /// IRP_MJ code.
    pub major_function: Cell<u8>,
    /// IRP_MN code.
    pub minor_function: Cell<u8>,
    /// SL_ flags of the request.
    pub flags: Cell<u8>,
    /// SL_ control bits.
    pub control: Cell<u8>,
    /// Parameters; members start at multiples of 8 bytes.
    pub parameters: [Cell<u64>; 4],
    /// The device addressed.
    pub device_object: Cell<*const DeviceObject>,
    /// File object.
    pub file_object: Cell<u64>,
    /// Completion routine of the driver above.
    pub completion_routine: Cell<u64>,
    /// Its context.
    pub context: Cell<u64>,
}

const _: () = assert!(size_of::<IoStackLocation>() == 0x48);
const _: () = assert!(offset_of!(IoStackLocation, device_object) == 0x28);

/// INTERFACE: head of every interface structure.
#[repr(C)]
pub struct InterfaceHeader {
    /// Size of the structure.
    pub size: Cell<u16>,
    /// Version.
    pub version: Cell<u16>,
    /// Context of the routines.
    pub context: Cell<u64>,
    /// Takes a reference.
    pub reference: Cell<u64>,
    /// Gives it back.
    pub dereference: Cell<u64>,
}

const _: () = assert!(size_of::<InterfaceHeader>() == 0x20);

//! Layouts and numbers of the protocol, with the bounds we hold every message to.
//!
//! Source: the vfio-user protocol document of QEMU, docs/interop/vfio-user.rst (named "the
//! document" below). All fields are in host byte order. A layout here is the fixed part of a
//! payload; what varies in length follows it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Length of the header of every message in bytes.
pub const HEADER_SIZE: usize = size_of::<Header>();
/// Most payload data of one message in bytes, as announced in our version reply.
pub const MAX_DATA_XFER_SIZE: usize = 1 << 20;
/// Longest message we take or send: header, fixed part of a region or DMA access, data.
pub const MAX_MESSAGE_SIZE: usize = HEADER_SIZE + size_of::<RegionAccess>() + MAX_DATA_XFER_SIZE;
/// Most file descriptors of one message, as announced in our version reply.
pub const MAX_MESSAGE_FDS: usize = 16;

/// Message header. Document: "Header".
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Header {
    /// Chosen by the sender of a command, echoed in its reply.
    pub message_id: u16,
    /// A [`Command`] number.
    pub command: u16,
    /// Length of the whole message in bytes, header included.
    pub size: u32,
    /// Type in bits 0 to 3, then [`FLAG_NO_REPLY`] and [`FLAG_ERROR`].
    pub flags: u32,
    /// Error number; valid with [`FLAG_ERROR`] only.
    pub errno: u32,
}
const _: () = assert!(size_of::<Header>() == 16);

/// Mask of the message type in [`Header::flags`].
pub const FLAG_TYPE_MASK: u32 = 0xf;
/// Type of a command.
pub const TYPE_COMMAND: u32 = 0;
/// Type of a reply.
pub const TYPE_REPLY: u32 = 1;
/// The sender of this command wants no reply.
pub const FLAG_NO_REPLY: u32 = 1 << 4;
/// This reply carries an error number.
pub const FLAG_ERROR: u32 = 1 << 5;

impl Header {
    /// Tells whether the sender expects an answer.
    pub const fn wants_reply(&self) -> bool {
        self.flags & FLAG_NO_REPLY == 0
    }

    /// Tells whether this is an error reply.
    pub const fn is_error(&self) -> bool {
        self.flags & FLAG_ERROR != 0
    }
}

/// A command number; unknown values are a case like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command(pub u16);

impl Command {
    /// Negotiation; the first message of a connection.
    pub const VERSION: Self = Self(1);
    /// The client makes memory reachable.
    pub const DMA_MAP: Self = Self(2);
    /// The client takes memory back.
    pub const DMA_UNMAP: Self = Self(3);
    /// Device flags and counts.
    pub const DEVICE_GET_INFO: Self = Self(4);
    /// Size, flags and capabilities of one region.
    pub const DEVICE_GET_REGION_INFO: Self = Self(5);
    /// Descriptors for direct I/O; not offered.
    pub const DEVICE_GET_REGION_IO_FDS: Self = Self(6);
    /// Count and flags of one interrupt kind.
    pub const DEVICE_GET_IRQ_INFO: Self = Self(7);
    /// Binds, masks or triggers interrupts.
    pub const DEVICE_SET_IRQS: Self = Self(8);
    /// Reads from a region.
    pub const REGION_READ: Self = Self(9);
    /// Writes to a region.
    pub const REGION_WRITE: Self = Self(10);
    /// Server to client: reads guest memory.
    pub const DMA_READ: Self = Self(11);
    /// Server to client: writes guest memory.
    pub const DMA_WRITE: Self = Self(12);
    /// Resets the device.
    pub const DEVICE_RESET: Self = Self(13);
    /// Several region writes in one message; not offered.
    pub const REGION_WRITE_MULTI: Self = Self(15);
    /// Device features (migration); not offered.
    pub const DEVICE_FEATURE: Self = Self(16);
    /// Migration data; not offered.
    pub const MIG_DATA_READ: Self = Self(17);
    /// Migration data; not offered.
    pub const MIG_DATA_WRITE: Self = Self(18);
}

/// Fixed part of a version proposal and reply. Document: "VFIO_USER_VERSION".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Version {
    /// Major version.
    pub major: u16,
    /// Minor version.
    pub minor: u16,
}
const _: () = assert!(size_of::<Version>() == 4);

/// Payload of a map request. Document: "VFIO_USER_DMA_MAP".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct DmaMapRequest {
    /// Size of this structure as the sender knows it.
    pub argsz: u32,
    /// [`DMA_MAP_READ`] and [`DMA_MAP_WRITE`]; other bits are ignored.
    pub flags: u32,
    /// Offset of the range in the file of the descriptor.
    pub file_offset: u64,
    /// First address of the range.
    pub address: u64,
    /// Length of the range in bytes.
    pub size: u64,
}
const _: () = assert!(size_of::<DmaMapRequest>() == 32);

/// The device may read the range.
pub const DMA_MAP_READ: u32 = 1;
/// The device may write the range.
pub const DMA_MAP_WRITE: u32 = 2;

/// Payload of an unmap request, echoed in its reply. Document: "VFIO_USER_DMA_UNMAP".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct DmaUnmapRequest {
    /// Size of this structure as the sender knows it.
    pub argsz: u32,
    /// [`DMA_UNMAP_ALL`] or nothing.
    pub flags: u32,
    /// First address of the range; 0 with [`DMA_UNMAP_ALL`].
    pub address: u64,
    /// Length of the range in bytes; 0 with [`DMA_UNMAP_ALL`].
    pub size: u64,
}
const _: () = assert!(size_of::<DmaUnmapRequest>() == 24);

/// Removes every mapping.
pub const DMA_UNMAP_ALL: u32 = 2;

/// Payload of a device information request and reply. Document: "VFIO_USER_DEVICE_GET_INFO".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct DeviceInfoMessage {
    /// Size of this structure as the sender knows it.
    pub argsz: u32,
    /// [`DEVICE_FLAG_RESET`] and [`DEVICE_FLAG_PCI`].
    pub flags: u32,
    /// Number of regions.
    pub n_regions: u32,
    /// Number of interrupt kinds.
    pub n_irqs: u32,
}
const _: () = assert!(size_of::<DeviceInfoMessage>() == 16);

/// The device answers [`Command::DEVICE_RESET`].
pub const DEVICE_FLAG_RESET: u32 = 1;
/// The device is a PCI function.
pub const DEVICE_FLAG_PCI: u32 = 2;

/// Payload of a region information request and reply; capabilities follow it in the reply.
/// Document: "VFIO_USER_DEVICE_GET_REGION_INFO".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RegionInfoMessage {
    /// Bytes the sender can take; in the reply, bytes there are.
    pub argsz: u32,
    /// The `REGION_FLAG_*` bits.
    pub flags: u32,
    /// Region index.
    pub index: u32,
    /// Offset of the first capability from the start of this structure.
    pub cap_offset: u32,
    /// Length of the region in bytes.
    pub size: u64,
    /// Offset of the region in the file of the descriptor.
    pub offset: u64,
}
const _: () = assert!(size_of::<RegionInfoMessage>() == 32);

/// The region can be read.
pub const REGION_FLAG_READ: u32 = 1;
/// The region can be written.
pub const REGION_FLAG_WRITE: u32 = 2;
/// The region, or parts of it, can be mapped.
pub const REGION_FLAG_MMAP: u32 = 4;
/// Capabilities follow.
pub const REGION_FLAG_CAPS: u32 = 8;

/// Sparse mapping capability; `n_areas` times [`SparseArea`] follows it.
/// Document: "VFIO region info cap sparse mmap".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SparseMmapCapability {
    /// [`CAP_SPARSE_MMAP`].
    pub id: u16,
    /// Version, 1.
    pub version: u16,
    /// Offset of the next capability, 0 for the last.
    pub next: u32,
    /// Number of areas.
    pub n_areas: u32,
    /// Zero.
    pub reserved: u32,
}
const _: () = assert!(size_of::<SparseMmapCapability>() == 16);

/// Capability id of [`SparseMmapCapability`].
pub const CAP_SPARSE_MMAP: u16 = 1;

/// One part of a region that can be mapped. Document: "VFIO region info cap sparse mmap".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SparseArea {
    /// Offset in the region, a multiple of the page size.
    pub offset: u64,
    /// Length in bytes, a multiple of the page size.
    pub size: u64,
}
const _: () = assert!(size_of::<SparseArea>() == 16);

/// Payload of an interrupt information request and reply.
/// Document: "VFIO_USER_DEVICE_GET_IRQ_INFO".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct IrqInfoMessage {
    /// Size of this structure as the sender knows it.
    pub argsz: u32,
    /// The `IRQ_FLAG_*` bits.
    pub flags: u32,
    /// Interrupt index.
    pub index: u32,
    /// Number of vectors.
    pub count: u32,
}
const _: () = assert!(size_of::<IrqInfoMessage>() == 16);

/// Vectors are signalled by eventfd.
pub const IRQ_FLAG_EVENTFD: u32 = 1;
/// Vectors can be masked.
pub const IRQ_FLAG_MASKABLE: u32 = 2;
/// The vector masks itself when it fires.
pub const IRQ_FLAG_AUTOMASKED: u32 = 4;

/// Fixed part of an interrupt setting; one byte for each vector may follow.
/// Document: "VFIO_USER_DEVICE_SET_IRQS".
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct SetIrqsRequest {
    /// Size of this structure and what follows, as the sender knows it.
    pub argsz: u32,
    /// One `SET_IRQS_DATA_*` bit and one `SET_IRQS_ACTION_*` bit.
    pub flags: u32,
    /// Interrupt index.
    pub index: u32,
    /// First vector.
    pub start: u32,
    /// Number of vectors.
    pub count: u32,
}
const _: () = assert!(size_of::<SetIrqsRequest>() == 20);

/// No data: the action is for every vector of the range.
pub const SET_IRQS_DATA_NONE: u32 = 1;
/// One byte for each vector: the action is for those that are not 0.
pub const SET_IRQS_DATA_BOOL: u32 = 2;
/// Descriptors come with the message, one for each vector, or none to unbind.
pub const SET_IRQS_DATA_EVENTFD: u32 = 4;
/// Masks.
pub const SET_IRQS_ACTION_MASK: u32 = 8;
/// Unmasks.
pub const SET_IRQS_ACTION_UNMASK: u32 = 16;
/// Binds eventfds, or triggers.
pub const SET_IRQS_ACTION_TRIGGER: u32 = 32;

/// Fixed part of a region access and of its reply; data follows where there is any.
/// Document: "VFIO_USER_REGION_READ", "VFIO_USER_REGION_WRITE".
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RegionAccess {
    /// Offset in the region.
    pub offset: u64,
    /// Region index.
    pub region: u32,
    /// Length of the data in bytes.
    pub count: u32,
}
const _: () = assert!(size_of::<RegionAccess>() == 16);

/// Fixed part of a DMA access by message and of its reply; data follows where there is any.
/// Document: "VFIO_USER_DMA_READ", "VFIO_USER_DMA_WRITE". QEMU older than 11.1 has a 4-byte
/// count here, against the document.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct DmaAccess {
    /// First address.
    pub address: u64,
    /// Length of the data in bytes.
    pub count: u64,
}
const _: () = assert!(size_of::<DmaAccess>() == 16);

//! [`CompletionEntry`]: what the engine writes into a channel's completion ring, and the status codes
//! of a DMA request.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of a completion entry in bytes.
pub const COMPLETION_SIZE_BYTES: usize = 64;

/// Completion entry flag: the phase bit. It is 1 in the first pass over the ring, 0 in the second,
/// and so on; a zeroed ring holds no valid entry. Always 0 in a ring of index mode.
pub const COMPLETION_FLAG_PHASE: u16 = 1;
/// Completion entry flag: at least one access went by message DMA.
pub const COMPLETION_FLAG_MESSAGE: u16 = 2;

/// No request has ended yet.
pub const DMA_STATUS_NONE: u16 = 0;
/// All bytes moved, and compared equal where a comparison was asked for.
pub const DMA_STATUS_SUCCESS: u16 = 1;
/// All bytes were read; at least one differs from the pattern.
pub const DMA_STATUS_MISMATCH: u16 = 2;
/// No mapping covers the IOVA (the bus would answer Unsupported Request).
pub const DMA_STATUS_UNMAPPED: u16 = 3;
/// A mapping covers the IOVA but does not permit this access.
pub const DMA_STATUS_PERMISSION: u16 = 4;
/// Bus mastering is off in the command register.
pub const DMA_STATUS_BUS_MASTER_OFF: u16 = 5;
/// The function is not in D0.
pub const DMA_STATUS_POWER_STATE: u16 = 6;
/// The length is zero.
pub const DMA_STATUS_LENGTH: u16 = 7;
/// The range would pass 2^64 - 1, or the device's address width.
pub const DMA_STATUS_ADDRESS: u16 = 8;
/// The operation code or a flag is not known.
pub const DMA_STATUS_OPCODE: u16 = 9;
/// The channel or the function was reset while the request was under way.
pub const DMA_STATUS_ABORTED: u16 = 10;
/// The platform did not answer a read, or a DMA message, in time.
pub const DMA_STATUS_TIMEOUT: u16 = 11;
/// The platform refused a DMA message, although the mapping table permits the access.
pub const DMA_STATUS_REFUSED: u16 = 12;
/// A ring register is wrong: size not a power of two in range, base not aligned, or ring disabled.
pub const DMA_STATUS_RING: u16 = 13;
/// The channel is busy with an earlier request of register mode.
pub const DMA_STATUS_BUSY: u16 = 14;
/// A request of the device was answered with Unsupported Request.
pub const DMA_STATUS_UNSUPPORTED_REQUEST: u16 = 15;
/// A request of the device was answered with Completer Abort.
pub const DMA_STATUS_COMPLETER_ABORT: u16 = 16;
/// A read was answered with poisoned data, which the device threw away.
pub const DMA_STATUS_POISONED: u16 = 17;
/// A scatter-gather list has no or too many elements, is not aligned, or holds fewer bytes than asked for.
pub const DMA_STATUS_LIST: u16 = 18;
/// A chain leads to a descriptor that is not aligned or has been done already, or is too long.
pub const DMA_STATUS_CHAIN: u16 = 19;
/// An address is not a multiple of the device's alignment.
pub const DMA_STATUS_ALIGNMENT: u16 = 20;
/// A range crosses the device's boundary, and the device refuses that.
pub const DMA_STATUS_BOUNDARY: u16 = 21;

/// One completion entry, 64 bytes, written in one access, before the vector is raised.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct CompletionEntry {
    /// The descriptor's tag.
    pub tag: u64,
    /// One of `DMA_STATUS_*`.
    pub status: u16,
    /// Bits of `COMPLETION_FLAG_*`.
    pub flags: u16,
    /// CRC-32C of the bytes read (verify, CRC, copy) or written (pattern, fill).
    pub crc32c: u32,
    /// Bytes moved before the request ended.
    pub done_bytes: u64,
    /// Offset of the first differing byte, or 2^64 - 1.
    pub mismatch_offset: u64,
    /// The expected byte at `mismatch_offset`.
    pub expected: u8,
    /// The byte seen there.
    pub seen: u8,
    /// Zero.
    pub reserved0: [u8; 6],
    /// The function's mapping epoch when the request was issued.
    pub epoch: u64,
    /// Descriptors of the chain that were done after the ring's own. Tag and `done_bytes` are those of the
    /// whole chain, all else is the last one's.
    pub chained: u32,
    /// Zero.
    pub reserved1: u32,
    /// Zero.
    pub reserved2: u64,
}

const _: () = assert!(size_of::<CompletionEntry>() == COMPLETION_SIZE_BYTES);

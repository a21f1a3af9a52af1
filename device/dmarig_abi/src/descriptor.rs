//! [`Descriptor`]: one entry of a channel's descriptor ring in guest memory, and the operations that
//! a channel knows.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of a descriptor in bytes.
pub const DESCRIPTOR_SIZE_BYTES: usize = 64;

/// Channel operation: nothing moves; completes with success.
pub const DMA_OP_NOP: u16 = 0;
/// Channel operation: the device writes the pattern of `seed` to `destination`.
pub const DMA_OP_WRITE_PATTERN: u16 = 1;
/// Channel operation: the device reads `source`, compares with the pattern of `seed`, and computes
/// CRC-32C of what it read.
pub const DMA_OP_VERIFY_PATTERN: u16 = 2;
/// Channel operation: the device reads `source` and computes CRC-32C.
pub const DMA_OP_CRC: u16 = 3;
/// Channel operation: the device reads `source` and writes it to `destination`.
pub const DMA_OP_COPY: u16 = 4;
/// Channel operation: the device writes the low byte of `seed` all over `destination`.
pub const DMA_OP_FILL: u16 = 5;

/// Descriptor flag: raise the channel's MSI-X vector when the completion entry is visible.
pub const DESCRIPTOR_FLAG_INTERRUPT: u16 = 1;
/// Descriptor flag: use message DMA (through the platform's IOMMU) even where a mapping is known.
pub const DESCRIPTOR_FLAG_MESSAGE: u16 = 2;
/// Descriptor flag: probe: ask the mapping table only, touch no memory, send nothing.
pub const DESCRIPTOR_FLAG_PROBE: u16 = 4;

/// One descriptor, 64 bytes, aligned to 64 in the ring. Unused fields are written as zero.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Descriptor {
    /// One of `DMA_OP_*`.
    pub opcode: u16,
    /// Bits of `DESCRIPTOR_FLAG_*`.
    pub flags: u16,
    /// Zero.
    pub reserved0: u32,
    /// Returned unchanged in the completion entry.
    pub tag: u64,
    /// IOVA to read from.
    pub source: u64,
    /// IOVA to write to.
    pub destination: u64,
    /// Length in bytes, 1 or more (except for `DMA_OP_NOP`).
    pub length_bytes: u64,
    /// Pattern seed, or the fill byte.
    pub seed: u64,
    /// Zero.
    pub reserved1: [u64; 2],
}

const _: () = assert!(size_of::<Descriptor>() == DESCRIPTOR_SIZE_BYTES);
